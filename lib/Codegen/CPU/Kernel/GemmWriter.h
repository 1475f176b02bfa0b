//===- GemmWriter.h - Writes one task of a gemm -----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CODEGEN_CPU_KERNEL_GEMMWRITER_H
#define TWIST_LIB_CODEGEN_CPU_KERNEL_GEMMWRITER_H

#include "GemmPlan.h"

namespace twist::cpu {

/// Writes the loops of a task (Gemm.cpp) and the blocks in them
/// (GemmBlock.cpp).
class GemmWriter {
public:
  GemmWriter(Emitter &e, GemmOp op, GemmPlan &plan)
      : e(e), op(op), plan(plan) {}

  mlir::LogicalResult write(Value task);

private:
  Emitter &e;
  GemmOp op;
  GemmPlan &plan;
  /// Offsets of each operand at the task's batch element.
  llvm::SmallVector<Value> base;
  /// The task's rows.
  Value fromRow, toRow;
  /// The block of k at hand: where it starts, its steps, and whether it is the
  /// first or the last; null where there is one block.
  Value firstDepth, depth, isFirst, isLast;
  /// The panel at hand: its first column, the masks of its vectors (null:
  /// whole), and where it starts in the buffer it is read from.
  Value firstColumn, panelStart, panelDepthStep;
  llvm::SmallVector<Mask> masks;
  Buffer panelBuffer;
  /// Where rows of the left-hand side are read from, and how far apart groups
  /// of k lie there.
  Buffer rowsBuffer;
  Value lhsDepthStep;
  /// Copies of a panel and of rows; sums between blocks of k.
  Buffer stagedPanel, stagedRows, partialSums;
  /// The rows of the panel at hand, of the task's, that a triangle leaves.
  Value fromNeeded, toNeeded;
  /// What a block fetches for later: nothing; one vector a step of the next
  /// panel, which many blocks share; what itself will read soon; or where the
  /// sums of the next block go. `fetchAt` is a column of the panel, or the next
  /// block's first row.
  enum class Fetch { None, NextPanel, Ahead, NextSums };

  /// Accumulators on their way through a long epilogue.
  Buffer scratch;
  bool failed = false;

  using Block = llvm::SmallVector<llvm::SmallVector<Value>>;

  Value rowOffset(int64_t operand, Value row);
  /// x - y, or 0.
  Value above(Value x, Value y) { return e.sub(e.max(x, y), y); }
  void findNeededRows();
  /// Steps of k, of the block at hand, that rows from `row` on need.
  std::pair<Value, Value> neededDepth(Value row, int64_t rows);
  llvm::SmallVector<Value> lhsOffsets(Value row, int64_t rows);
  Buffer allocate(int64_t elements, Type type);
  void makeBuffers();
  void findRows(Value rowGroup);
  void startBatch(Value batch);
  void startPanel(Value panel);
  void overDepthBlocks(llvm::function_ref<void()> body);
  void stageLhs();
  void stageRhs();
  llvm::SmallVector<Value> startSums(Value row, int64_t rows);
  void
  overPartialSums(Value row, int64_t rows,
                  llvm::function_ref<void(int64_t index, const Buffer &buffer,
                                          Value offset, Value step, Mask mask)>
                      body);
  void finishBlock(Value row, const Block &block);
  void overRows();
  void overOwnRows();
  void overBlocks(Value from, Value to, int64_t rows, Fetch fetch);
  void writeBlock(Value row, int64_t rows, Fetch fetch, Value fetchAt);
  Block accumulate(llvm::ArrayRef<Value> lhsOffsets,
                   llvm::SmallVector<Value> start,
                   std::pair<Value, Value> depths, int64_t unroll, Fetch fetch,
                   Value fetchAt);
  using DepthBody = llvm::function_ref<void(Value rhsAt, Value lhsAt,
                                            llvm::MutableArrayRef<Value> sums)>;
  llvm::SmallVector<Value> overDepth(int64_t depth, Value rhsAt, Value lhsAt,
                                     ValueRange sums, DepthBody body);
  void multiplyRow(Value rowStart, llvm::ArrayRef<Value> lhsAt, bool isOdd,
                   Fetch fetch, Value fetchAt,
                   llvm::MutableArrayRef<Value> sums);
  Value loadPanel(Value rowStart, int64_t vector);
  Value loadRow(Value at, bool isOdd);
  void fetchAhead(Value rowStart, Fetch fetch, Value fetchAt);
  void fetchSums(Value row, Value k);
  void joinSums(llvm::SmallVectorImpl<Value> &sums, int64_t count);
  Block toBlock(int64_t rows, llvm::ArrayRef<Value> sums);
  void prefetch(Value offset, unsigned level);
  Value multiplyAdd(Value x, Value y, Value sum);
  void storeRow(Value row, llvm::ArrayRef<Value> sums);
  Value runEpilogue(Value sum, llvm::ArrayRef<Value> offsets, int64_t vector);
  bool isLongEpilogue() {
    mlir::Block &body = op.getEpilogue().front();
    return isHeavy(body) || body.getOperations().size() > 8;
  }
};

} // namespace twist::cpu

#endif // TWIST_LIB_CODEGEN_CPU_KERNEL_GEMMWRITER_H

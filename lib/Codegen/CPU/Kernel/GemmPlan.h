//===- GemmPlan.h - How a gemm is cut into tasks and blocks -----*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CODEGEN_CPU_KERNEL_GEMMPLAN_H
#define TWIST_LIB_CODEGEN_CPU_KERNEL_GEMMPLAN_H

#include "Kernels.h"

namespace twist::cpu {

/// What is known of a gemm before its code is written.
struct GemmPlan {
  Nest nest;
  int64_t batch, rowDims, depthDims;
  int64_t lanes, vectors, blockRows;
  bool packed, tapped;
  /// Steps of k that one instruction sums: a pair, which lies together where
  /// the block reads it, or 1.
  int64_t group = 1;
  bool lhsUnsigned, rhsUnsigned;
  Type accumulator;
  llvm::SmallVector<Value> batchExtents, rowExtents;
  Value batches, rows, columns, depth, panels;
  Value rowGroups, panelsPerTask, panelGroups, batchesPerTask;
  /// Steps of the right-hand side: from panel to panel, and from one group of k
  /// to the next.
  Value panelStep, depthStep;

  /// Whether a task copies panels of the right-hand side, and blocks of rows of
  /// the left-hand side, to where its loops read them as one run.
  bool stagesRhs = false, stagesLhs = false;
  /// Steps of k that are summed at a time; 0: all. Sums wait in between, in
  /// init where its elements are accumulators, else in a buffer of the task.
  int64_t depthBlock = 0;
  bool sumsInInit = false;
  /// Terms with `second` above `first` + offset are left out, as cpu.gemm's
  /// triangle says, where kernels can make use of it.
  enum class Dim { Row, Column, Depth };
  struct Triangle {
    Dim first, second;
    int64_t offset;
  };
  std::optional<Triangle> triangle;
  bool hasTriangle(Dim first, Dim second) const {
    return triangle && triangle->first == first && triangle->second == second;
  }
  /// Rows of one task at most.
  int64_t taskRows;

  int64_t panelColumns() const { return lanes * vectors; }
  int64_t columnDim() const { return batch + rowDims; }
  /// The first k.
  int64_t depthDim() const { return batch + rowDims + 1; }
  /// Whether k is more than steps of one size.
  bool walksDepth() const { return depthDims > 1 || tapped; }
  /// Whether each row is computed by one block alone: sums that are added to,
  /// and staged blocks, cannot overlap.
  bool ownsRows() const { return depthBlock || stagesLhs; }
  /// Steps of k that a staging buffer holds.
  int64_t stagedDepth() const;
  /// What it holds: elements that widen are staged wide.
  Type stagedType(Type element) const {
    return group > 1 ? element : accumulator;
  }
  NestOperand &lhs() { return nest.operands[0]; }
  NestOperand &rhs() { return nest.operands[1]; }
  NestOperand &taps() { return nest.operands[nest.operands.size() - 2]; }
  NestOperand &init() { return nest.operands.back(); }
};

mlir::FailureOr<GemmPlan> planGemm(Emitter &e, GemmOp op);

/// Copies `depth` steps of k of the columns from `from` on, of which `columns`
/// exist, to `panel`, row-major [k, vectors · lanes], of pairs [k / 2, vectors
/// · lanes, 2]. What lies beyond the last column is of no account. Columns or k
/// are contiguous, or all is gathered.
void stagePanel(Emitter &e, const GemmPlan &plan, const Buffer &source,
                Value from, Value columnStep, Value depthStep, Value columns,
                Value depth, const Buffer &panel);

/// Steps of k of rows that are copied together, so that a line of the source is
/// used up while it is near; what a triangle leaves out is whole such tiles.
inline constexpr int64_t tileDepth = 16;

/// Copies `depth` steps of k of `rows` rows to blocks, each
/// row-major [k, blockRows], of pairs [k / 2, blockRows, 2], with zeros after
/// an odd last step. Rows are contiguous, or their k is. With `needed`, of a
/// tile of k that ends before a step only so many rows are wanted.
void stageRows(Emitter &e, const GemmPlan &plan, const Buffer &source,
               Value from, Value rowStep, Value depthStep, Value rows,
               Value depth, const Buffer &blocks,
               llvm::function_ref<Value(Value end)> needed = nullptr);

} // namespace twist::cpu

#endif // TWIST_LIB_CODEGEN_CPU_KERNEL_GEMMPLAN_H

//===- RowWalker.h - Kernels that walk rows ---------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// One task is a block of rows; a row is walked a few times while it is near.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CODEGEN_CPU_KERNEL_ROWWALKER_H
#define TWIST_LIB_CODEGEN_CPU_KERNEL_ROWWALKER_H

#include "Emitter.h"
#include "twist/Dialect/NN/NN.h"

namespace twist::cpu {

/// The dimensions of what has the rows: those of rows, and the one on vectors
/// (-1: none, rows of one element).
struct RowPlan {
  llvm::SmallVector<int64_t> rowDims;
  int64_t vectorDim = -1;
  Value rows, length, rowsPerTask, tasks;
  llvm::SmallVector<Value> rowExtents;
};

/// Walks of one row.
class RowWalker {
public:
  RowWalker(Emitter &e, mlir::Operation *op, RowPlan plan);

  Emitter &e;
  RowPlan plan;
  Type element, compute;
  int64_t lanes;

  /// The start of a row in a buffer of the output's shape.
  Value rowStart(const Buffer &buffer, ValueRange at) {
    Value offset = buffer.offset;
    for (auto [dim, index] : llvm::zip_equal(plan.rowDims, at))
      offset = e.add(offset, e.mul(index, buffer.strides[dim]));
    return offset;
  }
  Value at(const Buffer &buffer, Value start, Value i) {
    return e.add(start, e.mul(i, buffer.strides.back()));
  }
  Value loadAt(const Buffer &buffer, Value start, Value i, Mask mask) {
    return e.convert(e.load(buffer, at(buffer, start, i), buffer.strides.back(),
                            lanes, mask),
                     compute);
  }
  void storeAt(Value value, const Buffer &buffer, Value start, Value i,
               Mask mask) {
    e.store(e.convert(value, buffer.element), buffer, at(buffer, start, i),
            buffer.strides.back(), mask);
  }
  Value splat(double value) {
    return e.constant(e.vector(compute, lanes), value);
  }
  template <typename Op> Value make(Value x, Value y) {
    return Op::create(e.b, e.loc, x, y);
  }
  Value sum(Value x, Value y) { return make<mlir::arith::AddFOp>(x, y); }
  /// A plain maximum: a NaN shows in the sum that follows.
  Value larger(Value x, Value y) {
    namespace arith = mlir::arith;
    Value greater =
        arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, x, y);
    return arith::SelectOp::create(e.b, e.loc, greater, x, y);
  }

  /// The same walks over the first elements of row `row`, of the dimension
  /// before the last, that a causal mask with this offset leaves.
  RowWalker upTo(Value row, int64_t offset) const {
    RowWalker live = *this;
    Value end = e.add(row, e.index(offset + 1));
    live.plan.length = e.min(plan.length, end);
    return live;
  }
  /// Zeros from element `from` of the row on.
  void clearFrom(Value from, const Buffer &buffer, Value start);

  /// The row's length, of the type that is computed in.
  Value lengthAsFloat();
  void forEach(llvm::function_ref<void(Value, Mask)> body);
  /// Folds term(i) over the row into a scalar; lanes outside the row count as
  /// `neutral`.
  Value fold(double neutral, llvm::function_ref<Value(Value, Mask)> term,
             llvm::function_ref<Value(Value, Value)> combine);
};

/// 1 / sqrt(sum / length + epsilon).
Value inverseRoot(RowWalker &w, Value sum, Value length, double epsilon);

/// One row, or a run of columns where softmax is along another dimension.
void writeSoftmaxGradientRow(RowWalker &w, nn::SoftmaxGradientOp op,
                             const Buffer &softmax, const Buffer &cotangent,
                             ValueRange at);
void writeNormGradientRow(RowWalker &w, nn::NormGradientOp op,
                          llvm::ArrayRef<Buffer> buffers, ValueRange at);
/// The losses of one row; `buffers` are the op's operands.
void writeCrossEntropyRow(RowWalker &w, nn::CrossEntropyOp op,
                          llvm::ArrayRef<Buffer> buffers, ValueRange at);

} // namespace twist::cpu

#endif // TWIST_LIB_CODEGEN_CPU_KERNEL_ROWWALKER_H

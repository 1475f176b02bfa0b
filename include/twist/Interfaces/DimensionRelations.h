//===- DimensionRelations.h - How an op relates dimensions ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// The vocabulary in which an op says how the dimensions of its operands and
// results relate. Whatever an op with operands leaves unsaid is a barrier, so
// an op that declares too little costs axes, never correctness.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_INTERFACES_DIMENSIONRELATIONS_H
#define TWIST_INTERFACES_DIMENSIONRELATIONS_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"

namespace twist {

/// One dimension of an operand or a result of the op that declares; with
/// `inner`, a part of it that only the op knows (Relations::inner).
struct DimRef {
  bool isResult;
  unsigned number;
  int64_t dim;
  unsigned inner = 0;
};
inline DimRef operandDim(unsigned number, int64_t dim) {
  return {false, number, dim};
}
inline DimRef resultDim(unsigned number, int64_t dim) {
  return {true, number, dim};
}

/// What a reduction does with zeros. `Sum`: zeros add nothing and the size of
/// the dimension does not matter (sum of x, |x|, x^2, and functions of such a
/// sum). `Statistic`: the size matters (mean, variance), so do norms.
/// `Other`: zeros matter (max, product, softmax, order statistics).
enum class ReduceKind { Sum, Statistic, Other };

/// The part a dimension plays in a contraction of two operands.
enum class DimRole {
  Plain,
  /// Both operands and the result have it, or one broadcasts over it.
  Batch,
  /// One operand and the result have it: rows of one, columns of the other.
  Free
};

/// Collects what ops declare. Every dimension reference is checked by the
/// collector: a dimension of size 1 relates to nothing and is ignored, related
/// dimensions of different sizes are a barrier on both.
class Relations {
public:
  virtual ~Relations() = default;

  /// A new dimension of `size` that no operand or result has on its own, such
  /// as the heads in heads · width. `tree` or `concat` says how it makes up
  /// `of`; where it is contracted, `of` is what a gate masks.
  virtual DimRef inner(DimRef of, int64_t size) = 0;

  /// Unit u of `to` depends on unit u of `from`, and on no other unit.
  virtual void same(DimRef from, DimRef to, DimRole role = DimRole::Plain) = 0;

  /// Both are summed away together: sum over u of a[u] * b[u].
  virtual void contract(DimRef a, DimRef b) = 0;

  /// `in` is reduced away; barriers unless `kind` is Sum. `what` names the
  /// reduction in diagnostics.
  virtual void reduce(ReduceKind kind, DimRef in, llvm::StringRef what) = 0;

  /// Each unit of `out` depends on a window of neighbours of `in`, one for each
  /// unit of `kernel` (none where no operand has it), which is summed away. No
  /// unit of the three can be removed.
  virtual void window(DimRef in, std::optional<DimRef> kernel, DimRef out) = 0;

  /// The dimensions `in` and `out`, each list outer to inner, enumerate the
  /// same elements in the same row-major order.
  virtual void tree(llvm::ArrayRef<DimRef> in, llvm::ArrayRef<DimRef> out) = 0;

  /// `whole` is `parts` laid one after another.
  virtual void concat(llvm::ArrayRef<DimRef> parts, DimRef whole) = 0;

  /// Unit i of `part` is unit start + i·step of `whole`; step >= 1. Also a
  /// constant pad, with `whole` and `part` the other way round.
  virtual void slice(DimRef whole, DimRef part, int64_t start,
                     int64_t step) = 0;

  /// Unit i of `part` is unit indices[i] of `whole`; indices are in range. No
  /// `part` where one index is picked and its dimension vanishes.
  virtual void gather(DimRef whole, std::optional<DimRef> part,
                      llvm::ArrayRef<int64_t> indices) = 0;

  /// `out` is copies of `in` one after another; no `in` where it would have
  /// size 1. The copies may be removed one by one.
  virtual void repeat(std::optional<DimRef> in, DimRef out) = 0;

  /// The op makes the values along `out` of the index alone (a range, a fill):
  /// a cut selects among them.
  virtual void source(DimRef out) = 0;

  /// Operand `number` holds sizes or indices, no data: nothing of it is cut.
  virtual void sizeOperand(unsigned number) = 0;

  /// The result holds the size of `in`.
  virtual void read(DimRef in) = 0;

  /// No unit of `dim` can be removed.
  virtual void barrier(DimRef dim, llvm::StringRef why) = 0;

  /// No unit of any dimension of any operand and result can be removed.
  virtual void barrierAll(mlir::Operation *op, llvm::StringRef why) = 0;
};

/// Access to the cut sizes while an op rewrites its own size operands and
/// attributes. Values have their dense types still; numbers of a dense
/// dimension count from 0.
class SliceUpdate {
public:
  virtual ~SliceUpdate() = default;

  /// Set to just before the op.
  virtual mlir::OpBuilder &builder() = 0;

  /// Numerator and denominator, in lowest terms, of new size over old size;
  /// {1, 1} where nothing is cut. Also defined for dynamic dimensions (batch ·
  /// heads).
  virtual std::pair<int64_t, int64_t> ratio(mlir::Value value, int64_t dim) = 0;

  /// The kept indices of a static dimension, ascending, in dense numbers; none
  /// where the dimension is whole.
  virtual std::optional<llvm::ArrayRef<int64_t>> kept(mlir::Value value,
                                                      int64_t dim) = 0;

  /// Uses of `from`, once everything is cut, see `to` instead, which already
  /// has the type that `from` is to get.
  virtual void replace(mlir::Value from, mlir::Value to) = 0;

  /// Size of a static dimension after the cut.
  int64_t newSize(mlir::Value value, int64_t dim);
};

} // namespace twist

#include "twist/Interfaces/DimensionRelations.h.inc"

#endif // TWIST_INTERFACES_DIMENSIONRELATIONS_H

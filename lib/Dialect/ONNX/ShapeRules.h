//===- ShapeRules.h - Sizes and contents of each op's results ---*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_ONNX_SHAPERULES_H
#define TWIST_LIB_DIALECT_ONNX_SHAPERULES_H

#include "twist/Dialect/ONNX/SymbolicShapes.h"

#include "llvm/ADT/DenseMap.h"

namespace twist::onnx {

using Dims = llvm::SmallVector<SizeExpr, 4>;
using Contents = llvm::SmallVector<SizeExpr>;

/// Tensors of more elements than this are not followed (4 KiB of int64).
inline constexpr int64_t kMaxContents = 512;

/// No tensor has more dimensions than this.
inline constexpr int64_t kMaxRank = 1 << 16;

/// What is known of each value so far.
class ShapeState {
public:
  explicit ShapeState(mlir::MLIRContext *context) : context(context) {}

  struct Facts {
    std::optional<Dims> dims;
    std::optional<Contents> contents;
  };
  const Facts &of(mlir::Value value) const {
    auto found = facts.find(value);
    return found == facts.end() ? unknown : found->second;
  }
  Facts &at(mlir::Value value) { return facts[value]; }

  const std::optional<Dims> &dims(mlir::Value value) const {
    return of(value).dims;
  }
  const std::optional<Contents> &contents(mlir::Value value) const {
    return of(value).contents;
  }
  /// The contents, if all are integers.
  std::optional<llvm::SmallVector<int64_t>> constants(mlir::Value value) const;
  /// The number of elements of a 1-D tensor that lists dimensions; none if no
  /// tensor has as many.
  std::optional<int64_t> length(mlir::Value value) const;
  /// An atom no other has, named after `value` ("node:0.1").
  SizeExpr fresh(mlir::Value value, unsigned dim) const;

  mlir::MLIRContext *const context;

private:
  llvm::DenseMap<mlir::Value, Facts> facts;
  Facts unknown;
};

/// A Slice along one dimension: size and first index (for positive steps).
struct SliceRange {
  SizeExpr start, size;
};
/// Bounds that are symbolic within a constant dimension are taken to be within;
/// none if the step or a bound is not followed.
std::optional<SliceRange> sliceRange(mlir::MLIRContext *context,
                                     const SizeExpr &dim, const SizeExpr &start,
                                     const SizeExpr &end, int64_t step);

/// The sizes of a result, from what is known of the operands; none if the op
/// has no rule or too little is known.
std::optional<Dims> inferDims(const ShapeState &state, mlir::OpResult result);

/// inferDims for fused attention and its like.
std::optional<Dims> inferFusedDims(const ShapeState &state,
                                   mlir::OpResult result);

/// numpy's broadcasting of two shapes, aligned at the right.
Dims broadcastDims(mlir::MLIRContext *context, const Dims &a, const Dims &b);
/// The same for ops of lib/Dialect/ONNX/ShapeRulesImages.cpp.
std::optional<Dims> inferImageDims(const ShapeState &state,
                                   mlir::OpResult result);

/// As above, for the ops of ONNXOtherOps.td.
std::optional<Dims> inferOtherDims(const ShapeState &state,
                                   mlir::OpResult result);

/// The elements of the op's (single, or the given) result, whose dims are
/// known and constant.
std::optional<Contents> inferContents(const ShapeState &state,
                                      mlir::OpResult result);

} // namespace twist::onnx

#endif // TWIST_LIB_DIALECT_ONNX_SHAPERULES_H

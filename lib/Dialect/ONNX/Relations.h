//===- Relations.h - How families of ops relate dimensions ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_ONNX_RELATIONS_H
#define TWIST_LIB_DIALECT_ONNX_RELATIONS_H

#include "twist/Dialect/ONNX/ONNX.h"

namespace twist::onnx {

/// Unit for unit after numpy's broadcasting, from the right.
void relateUnits(mlir::Operation *op, Relations &relations);
/// An op without operands.
void relateConstant(mlir::Operation *op, Relations &relations);
/// ReduceSum and its like: data, axes, keepdims, noop_with_empty_axes.
void relateReduction(mlir::Operation *op, Relations &relations);
/// ArgMax, ArgMin: axis, keepdims.
void relateArgReduction(mlir::Operation *op, Relations &relations);
/// Softmax and its like: each unit along `axis` depends on all others.
void relateAlongAxis(mlir::Operation *op, Relations &relations);
/// MaxPool and its like: windows over all but batch and channels.
void relatePool(mlir::Operation *op, Relations &relations);
/// GlobalMaxPool and its like: all but batch and channels are reduced.
void relateGlobalPool(mlir::Operation *op, Relations &relations);

/// A norm over the dimensions from `axis`; scale and bias broadcast to them.
void relateNorm(mlir::Operation *op, Relations &relations, int64_t axis);

/// CumSum, CumProd: each unit along the axis depends on those before it.
void relateCumulative(mlir::Operation *op, Relations &relations);
/// QuantizeLinear, DequantizeLinear: factors along `axis` or one for all.
void relateQuantization(mlir::Operation *op, Relations &relations);
/// Losses over classes: scores, labels, weights.
void relateLoss(mlir::Operation *op, Relations &relations);
/// RNN, GRU, LSTM.
void relateRecurrent(mlir::Operation *op, Relations &relations);

/// Rank of an operand or result; 0 where it has none or is absent.
int64_t rankOf(mlir::Value value);
/// Size of a dimension, ShapedType::kDynamic where it is not static.
int64_t sizeOf(mlir::Value value, int64_t dim);
/// The integers of a constant; none where `value` is absent or computed.
std::optional<llvm::SmallVector<int64_t>> integersOf(mlir::Value value);
/// `axis` from 0; negative axes count from `rank`.
inline int64_t fromZero(int64_t axis, int64_t rank) {
  return axis < 0 ? axis + rank : axis;
}
/// All dimensions of an operand or result, outer to inner.
llvm::SmallVector<DimRef> dimsOf(mlir::Value value, bool isResult,
                                 unsigned number);
/// The same dimensions, except `but`, of equally ranked operand and result.
void relateOthers(Relations &relations, unsigned operand, unsigned result,
                  int64_t rank, int64_t but);

} // namespace twist::onnx

#endif // TWIST_LIB_DIALECT_ONNX_RELATIONS_H

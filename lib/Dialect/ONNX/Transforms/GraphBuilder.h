//===- GraphBuilder.h - Typed ops, a line each ------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Results get the rank and element type that follow from the operands; their
// sizes are for onnx-refine-shapes to find.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_ONNX_TRANSFORMS_GRAPHBUILDER_H
#define TWIST_LIB_DIALECT_ONNX_TRANSFORMS_GRAPHBUILDER_H

#include "twist/Dialect/ONNX/ONNX.h"

namespace twist::onnx {

class GraphBuilder {
public:
  using Value = mlir::Value;
  using Ints = llvm::ArrayRef<int64_t>;

  /// Ops go before `op`, at its location.
  explicit GraphBuilder(mlir::Operation *op) : builder(op), loc(op->getLoc()) {}

  static int64_t rankOf(Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType()).getRank();
  }
  static mlir::Type elementOf(Value value) {
    return llvm::cast<mlir::TensorType>(value.getType()).getElementType();
  }

  //===--- Constants ------------------------------------------------------===//
  Value none();
  /// An int64 tensor of one dimension.
  Value ints(Ints values);
  Value scalar(int64_t value);
  /// A scalar of a float type.
  Value number(double value, mlir::Type element);

  //===--- Element by element ---------------------------------------------===//
  template <typename Op> Value unary(Value x) {
    return Op::create(builder, loc, openType(rankOf(x), elementOf(x)), x);
  }
  template <typename Op> Value binary(Value a, Value b) {
    int64_t rank = std::max(rankOf(a), rankOf(b));
    return Op::create(builder, loc, openType(rank, elementOf(a)), a, b);
  }
  template <typename Op> Value compare(Value a, Value b) {
    int64_t rank = std::max(rankOf(a), rankOf(b));
    return Op::create(builder, loc, openType(rank, builder.getI1Type()), a, b);
  }
  Value add(Value a, Value b) { return binary<AddOp>(a, b); }
  Value sub(Value a, Value b) { return binary<SubOp>(a, b); }
  Value mul(Value a, Value b) { return binary<MulOp>(a, b); }
  Value where(Value condition, Value x, Value y);
  Value cast(Value x, mlir::Type element);

  //===--- Movement -------------------------------------------------------===//
  /// 0 copies the size at the same place, -1 is what is left.
  Value reshape(Value x, Ints target);
  Value transpose(Value x, Ints perm);
  Value unsqueeze(Value x, Ints axes);
  Value squeeze(Value x, Ints axes);
  Value concat(llvm::ArrayRef<Value> inputs, int64_t axis);
  llvm::SmallVector<Value> split(Value x, Ints sizes, int64_t axis);
  /// [from, to) of one dimension.
  Value slice(Value x, int64_t axis, int64_t from, int64_t to);
  Value gather(Value data, Value indices, int64_t axis);

  //===--- Sizes ----------------------------------------------------------===//
  /// A dimension's size, as a scalar.
  Value size(Value x, int64_t dim);
  /// 0 … limit - 1.
  Value range(Value limit);

  //===--- Products, norms ------------------------------------------------===//
  Value matmul(Value a, Value b);
  Value softmax(Value x);
  /// Over the last dimension, kept as 1.
  Value reduceMaxLast(Value x);

  mlir::RankedTensorType openType(int64_t rank, mlir::Type element) const {
    llvm::SmallVector<int64_t> open(rank, mlir::ShapedType::kDynamic);
    return mlir::RankedTensorType::get(open, element);
  }

  mlir::OpBuilder builder;
  mlir::Location loc;
};

} // namespace twist::onnx

#endif // TWIST_LIB_DIALECT_ONNX_TRANSFORMS_GRAPHBUILDER_H

//===- GraphBuilder.cpp - Typed ops, a line each --------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "GraphBuilder.h"

using namespace mlir;
using namespace twist::onnx;

Value GraphBuilder::none() {
  return NoneOp::create(builder, loc, builder.getNoneType(),
                        builder.getUnitAttr());
}

Value GraphBuilder::ints(Ints values) {
  auto type =
      RankedTensorType::get({int64_t(values.size())}, builder.getI64Type());
  return ConstantOp::create(builder, loc, type,
                            DenseElementsAttr::get(type, values));
}

Value GraphBuilder::scalar(int64_t value) {
  auto type = RankedTensorType::get({}, builder.getI64Type());
  return ConstantOp::create(builder, loc, type,
                            DenseElementsAttr::get(type, value));
}

Value GraphBuilder::number(double value, Type element) {
  auto type = RankedTensorType::get({}, element);
  APFloat stored(value);
  bool losesInfo;
  stored.convert(cast<FloatType>(element).getFloatSemantics(),
                 APFloat::rmNearestTiesToEven, &losesInfo);
  return ConstantOp::create(builder, loc, type,
                            DenseElementsAttr::get(type, stored));
}

Value GraphBuilder::where(Value condition, Value x, Value y) {
  int64_t rank = std::max({rankOf(condition), rankOf(x), rankOf(y)});
  return WhereOp::create(builder, loc, openType(rank, elementOf(x)), condition,
                         x, y);
}

Value GraphBuilder::cast(Value x, Type element) {
  if (elementOf(x) == element)
    return x;
  auto to = builder.getIntegerAttr(
      builder.getIntegerType(64, /*isSigned=*/true), dataTypeOf(element));
  return CastOp::create(builder, loc, TypeRange{openType(rankOf(x), element)},
                        ValueRange{x}, builder.getNamedAttr("to", to));
}

Value GraphBuilder::reshape(Value x, Ints target) {
  return ReshapeOp::create(builder, loc, openType(target.size(), elementOf(x)),
                           x, ints(target));
}

Value GraphBuilder::transpose(Value x, Ints perm) {
  return TransposeOp::create(builder, loc, openType(rankOf(x), elementOf(x)), x,
                             builder.getDenseI64ArrayAttr(perm));
}

Value GraphBuilder::unsqueeze(Value x, Ints axes) {
  return UnsqueezeOp::create(builder, loc,
                             openType(rankOf(x) + axes.size(), elementOf(x)), x,
                             ints(axes));
}

Value GraphBuilder::squeeze(Value x, Ints axes) {
  return SqueezeOp::create(builder, loc,
                           openType(rankOf(x) - axes.size(), elementOf(x)), x,
                           ints(axes));
}

Value GraphBuilder::concat(ArrayRef<Value> inputs, int64_t axis) {
  return ConcatOp::create(builder, loc,
                          openType(rankOf(inputs[0]), elementOf(inputs[0])),
                          inputs, axis);
}

SmallVector<Value> GraphBuilder::split(Value x, Ints sizes, int64_t axis) {
  SmallVector<Type> types(sizes.size(), openType(rankOf(x), elementOf(x)));
  auto op =
      SplitOp::create(builder, loc, types, x, ints(sizes),
                      builder.getIntegerAttr(
                          builder.getIntegerType(64, /*isSigned=*/true), axis),
                      IntegerAttr());
  return SmallVector<Value>(op.getOutputs());
}

Value GraphBuilder::slice(Value x, int64_t axis, int64_t from, int64_t to) {
  return SliceOp::create(builder, loc, openType(rankOf(x), elementOf(x)), x,
                         ints({from}), ints({to}), ints({axis}), none());
}

Value GraphBuilder::gather(Value data, Value indices, int64_t axis) {
  int64_t rank = rankOf(data) - 1 + rankOf(indices);
  return GatherOp::create(builder, loc, openType(rank, elementOf(data)), data,
                          indices, axis);
}

Value GraphBuilder::size(Value x, int64_t dim) {
  auto attr = [&](int64_t value) {
    return builder.getIntegerAttr(builder.getIntegerType(64, /*isSigned=*/true),
                                  value);
  };
  Value one = ShapeOp::create(builder, loc,
                              RankedTensorType::get({1}, builder.getI64Type()),
                              x, attr(dim + 1), attr(dim));
  return squeeze(one, {0});
}

Value GraphBuilder::range(Value limit) {
  return RangeOp::create(builder, loc, openType(1, builder.getI64Type()),
                         scalar(0), limit, scalar(1));
}

Value GraphBuilder::matmul(Value a, Value b) { return binary<MatMulOp>(a, b); }

Value GraphBuilder::softmax(Value x) { return unary<SoftmaxOp>(x); }

Value GraphBuilder::reduceMaxLast(Value x) {
  return ReduceMaxOp::create(builder, loc, openType(rankOf(x), elementOf(x)), x,
                             ints({-1}));
}

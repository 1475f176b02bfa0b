//===- ImageNorms.cpp - Batch, instance and group normalisation -----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Images.h"
#include "Reduce.h"

using namespace twist;
using namespace twist::lowering;

//===----------------------------------------------------------------------===//
// BatchNormalization
//===----------------------------------------------------------------------===//

namespace {
/// Statistics of a batch, one a channel.
struct Moments {
  Value mean, variance;
};
} // namespace

/// Over all but the channels of [n, c, p].
static Moments momentsOf(Lowering &l, Value flat, Type element) {
  Value wide = l.convertElements(flat, wideType(getElementTypeOrSelf(flat)));
  Value means = reduce(l, wide, {0, 2}, {}, average());
  AffineMap id = l.identity(3);
  AffineMap channel =
      AffineMap::get(3, 0, l.b.getAffineDimExpr(1), l.b.getContext());
  Value centred = l.parallelGeneric(
      {wide, means}, {id, channel}, l.sizesOf(wide), getElementTypeOrSelf(wide),
      [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::SubFOp::create(b, x[0], x[1]);
      });
  Reduction variance = average();
  variance.map = [](ScalarMath &s, Value x) { return s.mul(x, x); };
  Value variances = reduce(l, centred, {0, 2}, {}, variance);
  return {l.convertElements(means, element),
          l.convertElements(variances, element)};
}

/// old · momentum + new · (1 - momentum)
static Value running(Lowering &l, Value old, Value now, double momentum,
                     Type element) {
  AffineMap id = l.identity(1);
  return l.parallelGeneric({old, now}, {id, id}, l.sizesOf(old), element,
                           [&](ImplicitLocOpBuilder &b, ValueRange x) {
                             ScalarMath s(b, false);
                             Type wide = wideType(x[0].getType());
                             Value before = convertScalar(b, x[0], wide);
                             Value after = convertScalar(b, x[1], wide);
                             Value sum = s.add(
                                 s.mul(before, s.constant(before, momentum)),
                                 s.mul(after, s.constant(after, 1 - momentum)));
                             return convertScalar(b, sum, element);
                           });
}

/// (x - mean) · (scale / sqrt(variance + epsilon)) + bias, one of each a
/// channel; the factor is computed once for all of it.
static Value normaliseChannels(Lowering &l, Operation *op, Value input,
                               Value mean, Value variance) {
  auto norm = ::mlir::cast<onnx::BatchNormalizationOp>(op);
  double epsilon = norm.getEpsilon().convertToDouble();
  Value scale = l.operand(op, 1), bias = l.operand(op, 2);
  Type element = resultElement(op);
  Type wide = wideType(getElementTypeOrSelf(mean));
  AffineMap own = l.identity(1);
  Value factor =
      l.parallelGeneric({scale, variance}, {own, own}, l.sizesOf(scale), wide,
                        [&](ImplicitLocOpBuilder &b, ValueRange x) {
                          ScalarMath s(b, false);
                          Value v = convertScalar(b, x[1], wide);
                          Value deviation = s.call<math::SqrtOp>(
                              s.add(v, s.constant(v, epsilon)));
                          return s.div(convertScalar(b, x[0], wide), deviation);
                        });
  int64_t rank = ::mlir::cast<RankedTensorType>(input.getType()).getRank();
  AffineMap channel = AffineMap::get(
      rank, 0, l.b.getAffineDimExpr(rank > 1 ? 1 : 0), l.b.getContext());
  return l.parallelGeneric(
      {input, mean, factor, bias},
      {l.identity(rank), channel, channel, channel}, l.sizesOf(input), element,
      [&](ImplicitLocOpBuilder &b, ValueRange x) {
        ScalarMath s(b, false);
        auto widen = [&](Value value) { return convertScalar(b, value, wide); };
        Value centred = s.sub(widen(x[0]), widen(x[1]));
        return convertScalar(b, s.add(s.mul(centred, x[2]), widen(x[3])),
                             element);
      });
}

static Results lowerBatchNorm(Lowering &l, Operation *op) {
  auto norm = ::mlir::cast<onnx::BatchNormalizationOp>(op);
  Value input = l.operand(op, 0);
  Value mean = l.operand(op, 3), variance = l.operand(op, 4);
  if (norm.getTrainingMode() == 0) {
    Value result = normaliseChannels(l, op, input, mean, variance);
    return SmallVector<Value>{result, mean, variance};
  }
  Sizes sizes = l.sizesOf(input);
  if (sizes.size() < 2) {
    op->emitError("needs channels");
    return failure();
  }
  Size rest = l.sizes.product(ArrayRef<Size>(sizes).drop_front(2));
  Type element = getElementTypeOrSelf(mean);
  Moments moments =
      momentsOf(l, l.reshape(input, {sizes[0], sizes[1], rest}), element);
  double momentum = norm.getMomentum().convertToDouble();
  return SmallVector<Value>{
      normaliseChannels(l, op, input, moments.mean, moments.variance),
      running(l, mean, moments.mean, momentum, element),
      running(l, variance, moments.variance, momentum, element)};
}

//===----------------------------------------------------------------------===//
// InstanceNormalization, GroupNormalization
//===----------------------------------------------------------------------===//

/// Each of `groups` groups of channels of each batch element by itself, then
/// a scale and a bias a channel.
static Value normaliseGroups(Lowering &l, Operation *op, Size groups,
                             double epsilon) {
  Value input = l.operand(op, 0);
  Sizes sizes = l.sizesOf(input);
  Type element = resultElement(op), wide = wideType(element);
  Size members = l.sizes.floorDiv(sizes[1], groups);
  Size rest = l.sizes.product(ArrayRef<Size>(sizes).drop_front(2));
  Value rows = l.reshape(input, {sizes[0], groups, l.sizes.mul(members, rest)});
  auto [means, inverses] = rowStatistics(l, rows, epsilon);
  Value split = l.reshape(input, {sizes[0], groups, members, rest});
  Value scale = l.reshape(l.operand(op, 1), {groups, members});
  Value bias = l.reshape(l.operand(op, 2), {groups, members});
  AffineExpr n, g, c, p;
  bindDims(l.b.getContext(), n, g, c, p);
  AffineMap group = AffineMap::get(4, 0, {n, g}, l.b.getContext());
  AffineMap channel = AffineMap::get(4, 0, {g, c}, l.b.getContext());
  Value result = l.parallelGeneric(
      {split, means, inverses, scale, bias},
      {l.identity(4), group, group, channel, channel}, l.sizesOf(split),
      element, [&](ImplicitLocOpBuilder &b, ValueRange x) {
        ScalarMath s(b, false);
        auto widen = [&](Value value) { return convertScalar(b, value, wide); };
        Value y = s.mul(s.sub(widen(x[0]), x[1]), x[2]);
        return convertScalar(b, s.add(s.mul(y, widen(x[3])), widen(x[4])),
                             element);
      });
  return l.reshape(result, sizes);
}

static Results lowerInstanceNorm(Lowering &l, Operation *op) {
  auto norm = ::mlir::cast<onnx::InstanceNormalizationOp>(op);
  return SmallVector<Value>{
      normaliseGroups(l, op, l.sizeOf(l.operand(op, 0), 1),
                      norm.getEpsilon().convertToDouble())};
}

static Results lowerGroupNorm(Lowering &l, Operation *op) {
  auto norm = ::mlir::cast<onnx::GroupNormalizationOp>(op);
  return SmallVector<Value>{
      normaliseGroups(l, op, l.sizes.constant(norm.getNumGroups()),
                      norm.getEpsilon().convertToDouble())};
}

void lowering::addImageNorms(LoweringTable &table) {
  table["BatchNormalization"] = lowerBatchNorm;
  table["InstanceNormalization"] = lowerInstanceNorm;
  table["GroupNormalization"] = lowerGroupNorm;
}

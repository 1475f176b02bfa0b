//===- Norms.cpp - Softmax, layer and RMS normalisation
//---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Reduce.h"
#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

//===----------------------------------------------------------------------===//
// Softmax and its kin
//===----------------------------------------------------------------------===//

static Results lowerSoftmax(Lowering &l, Operation *op) {
  auto softmax = ::mlir::cast<onnx::SoftmaxOp>(op);
  Value input = l.operand(op, 0);
  Type element = resultElement(op);
  auto axis = normaliseAxis(op, softmax.getAxis(), rankOf(input));
  if (failed(axis))
    return failure();
  Value wide = l.convertElements(input, wideType(element));
  Value init = l.empty(l.sizesOf(wide), wideType(element));
  Value result = linalg::SoftmaxOp::create(l.b, TypeRange{init.getType()}, wide,
                                           init, l.b.getI64IntegerAttr(*axis))
                     .getResults()[0];
  return SmallVector<Value>{l.convertElements(result, element)};
}

/// The maximum along `axis`, and the map that reads it from full loops.
static Value maximumAlong(Lowering &l, Value input, int64_t axis,
                          AffineMap &map) {
  map = l.identity(rankOf(input)).dropResult(axis);
  return reduce(l, input, {axis}, {}, maximum());
}

/// x - max - log(sum(exp(x - max)))
Value lowering::logSoftmax(Lowering &l, Value input, int64_t axis) {
  int64_t rank = rankOf(input);
  Type element = wideType(getElementTypeOrSelf(input));
  Value wide = l.convertElements(input, element);
  AffineMap row;
  Value top = maximumAlong(l, wide, axis, row);
  Value shifted = l.parallelGeneric(
      {wide, top}, {l.identity(rank), row}, l.sizesOf(wide), element,
      [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::SubFOp::create(b, x[0], x[1]);
      });
  Reduction logSum = sum();
  logSum.map = [](ScalarMath &s, Value x) { return s.exp(x); };
  logSum.finish = [](ScalarMath &s, Value x, Value) {
    return s.call<math::LogOp>(x);
  };
  Value rows = reduce(l, shifted, {axis}, {}, logSum);
  return l.parallelGeneric(
      {shifted, rows}, {l.identity(rank), row}, l.sizesOf(wide), element,
      [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        return arith::SubFOp::create(b, x[0], x[1]);
      });
}

static Results lowerLogSoftmax(Lowering &l, Operation *op) {
  Value input = l.operand(op, 0);
  auto axis = normaliseAxis(
      op, ::mlir::cast<onnx::LogSoftmaxOp>(op).getAxis(), rankOf(input));
  if (failed(axis))
    return failure();
  return SmallVector<Value>{
      l.convertElements(logSoftmax(l, input, *axis), resultElement(op))};
}

/// 1 at the first maximum along the axis, 0 elsewhere.
static Results lowerHardmax(Lowering &l, Operation *op) {
  Value input = l.operand(op, 0);
  int64_t rank = rankOf(input);
  auto axis =
      normaliseAxis(op, ::mlir::cast<onnx::HardmaxOp>(op).getAxis(), rank);
  if (failed(axis))
    return failure();
  Type element = resultElement(op);
  Value first = argReduce(l, input, *axis, /*largest=*/true, /*last=*/false,
                          onnxElement(op));
  AffineMap row = l.identity(rank).dropResult(*axis);
  Value result = l.parallelGeneric(
      first, row, l.sizesOf(input), element,
      [&](ImplicitLocOpBuilder &b, ValueRange x) {
        Value here = arith::IndexCastOp::create(
            b, x[0].getType(), linalg::IndexOp::create(b, *axis));
        ScalarMath s(b, false);
        Value one = s.compare(ScalarMath::Order::EQ, here, x[0]);
        return convertScalar(b, one, element, true);
      });
  return SmallVector<Value>{result};
}

//===----------------------------------------------------------------------===//
// LayerNormalization, RMSNormalization
//===----------------------------------------------------------------------===//

namespace {
/// Dimensions from `axis` on are one row.
struct Rows {
  Value matrix; // rank 2: rows x units
  Sizes sizes;  // of the input
};
} // namespace

static Rows asRows(Lowering &l, Value input, int64_t axis) {
  Rows rows;
  rows.sizes = l.sizesOf(input);
  ArrayRef<Size> all(rows.sizes);
  rows.matrix = l.reshape(input, {l.sizes.product(all.take_front(axis)),
                                  l.sizes.product(all.drop_front(axis))});
  return rows;
}

/// Scale or bias with one value a unit; null if its shape is another one.
static Value perUnit(Lowering &l, Value value, const Rows &rows, int64_t axis) {
  Sizes units(ArrayRef<Size>(rows.sizes).drop_front(axis));
  if (rankOf(value) > static_cast<int64_t>(units.size()))
    return nullptr;
  return l.reshape(l.broadcastTo(value, units), {l.sizes.product(units)});
}

static Results notPerUnit(Operation *op) {
  op->emitError("scale and bias must have the shape of the normalised "
                "dimensions, or one that broadcasts to it");
  return failure();
}

/// Mean and 1 / sqrt(variance + epsilon) along the row, sizes 1 from axis on.
static void statistics(Lowering &l, const Rows &rows, int64_t axis,
                       double epsilon, Type stash, Value &mean, Value &invStd) {
  auto [means, inverse] = rowStatistics(l, rows.matrix, epsilon);
  Sizes kept(rows.sizes);
  for (Size &size : MutableArrayRef<Size>(kept).drop_front(axis))
    size = l.sizes.constant(1);
  mean = l.reshape(l.convertElements(means, stash), kept);
  invStd = l.reshape(l.convertElements(inverse, stash), kept);
}

std::pair<Value, Value> lowering::rowStatistics(Lowering &l, Value rows,
                                                double epsilon) {
  int64_t rank = rankOf(rows), last = rank - 1;
  Type wide = wideType(getElementTypeOrSelf(rows));
  Value matrix = l.convertElements(rows, wide);
  AffineMap id = l.identity(rank), row = id.dropResult(last);
  Value means = reduce(l, matrix, {last}, {}, average());
  Value centred =
      l.parallelGeneric({matrix, means}, {id, row}, l.sizesOf(matrix), wide,
                        [](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                          return arith::SubFOp::create(b, x[0], x[1]);
                        });
  Reduction variance = average();
  variance.map = [](ScalarMath &s, Value x) { return s.mul(x, x); };
  variance.finish = [epsilon](ScalarMath &s, Value x, Value count) {
    Value v = s.add(s.div(x, count), s.constant(x, epsilon));
    return s.div(s.constant(x, 1), s.call<math::SqrtOp>(v));
  };
  return {means, reduce(l, centred, {last}, {}, variance)};
}

static Results lowerLayerNorm(Lowering &l, Operation *op) {
  auto norm = ::mlir::cast<onnx::LayerNormalizationOp>(op);
  auto axis = normaliseAxis(op, norm.getAxis(), rankOf(l.operand(op, 0)));
  if (failed(axis))
    return failure();
  Rows rows = asRows(l, l.operand(op, 0), *axis);
  Value scale = perUnit(l, l.operand(op, 1), rows, *axis);
  Value bias = l.operand(op, 2);
  if (bias)
    bias = perUnit(l, bias, rows, *axis);
  if (!scale || (l.operand(op, 2) && !bias))
    return notPerUnit(op);
  Value init = l.empty(l.sizesOf(rows.matrix), resultElement(op));
  double epsilon = norm.getEpsilon().convertToDouble();
  Value result =
      nn::LayerNormOp::create(l.b, init.getType(), rows.matrix, scale, bias,
                              init, l.b.getF64FloatAttr(epsilon))
          .getResult();
  SmallVector<Value> results = {l.reshape(result, rows.sizes), Value(),
                                Value()};
  auto isUsed = [](Value v) { return v && !v.use_empty(); };
  if (isUsed(norm.getMean()) || isUsed(norm.getInvStdDev())) {
    Value used = isUsed(norm.getMean()) ? norm.getMean() : norm.getInvStdDev();
    statistics(l, rows, *axis, epsilon, storageType(getElementTypeOrSelf(used)),
               results[1], results[2]);
  }
  results.resize(op->getNumResults());
  return results;
}

static Results lowerRMSNorm(Lowering &l, Operation *op) {
  auto norm = ::mlir::cast<onnx::RMSNormalizationOp>(op);
  auto axis = normaliseAxis(op, norm.getAxis(), rankOf(l.operand(op, 0)));
  if (failed(axis))
    return failure();
  Rows rows = asRows(l, l.operand(op, 0), *axis);
  Value scale = perUnit(l, l.operand(op, 1), rows, *axis);
  if (!scale)
    return notPerUnit(op);
  Value init = l.empty(l.sizesOf(rows.matrix), resultElement(op));
  Value result = nn::RMSNormOp::create(
                     l.b, init.getType(), rows.matrix, scale, init,
                     l.b.getF64FloatAttr(norm.getEpsilon().convertToDouble()))
                     .getResult();
  return SmallVector<Value>{l.reshape(result, rows.sizes)};
}

void lowering::addNorms(LoweringTable &table) {
  table["Softmax"] = lowerSoftmax;
  table["LogSoftmax"] = lowerLogSoftmax;
  table["Hardmax"] = lowerHardmax;
  table["LayerNormalization"] = lowerLayerNorm;
  table["RMSNormalization"] = lowerRMSNorm;
}

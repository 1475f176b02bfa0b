//===- AttentionCore.cpp - What every attention comes to ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "AttentionCore.h"

#include <limits>

using namespace mlir;
using namespace twist::onnx;

static constexpr double kMinusInfinity =
    -std::numeric_limits<double>::infinity();

// Query heads of one group stand one after another, so that they are rows of
// one product with the group's keys:
//
//   q [B, groups · queries, S, width] = [B, groups, queries · S, width]
//   scores [B, groups, queries · S, T] = [B, groups · queries, S, T]
void AttentionCore::build(GraphBuilder &b) {
  Type element = b.elementOf(q);
  bool grouped = sizes.queries > 1;
  auto byGroup = [&](Value x, int64_t last) {
    return grouped ? b.reshape(x, {0, sizes.groups, -1, last}) : x;
  };
  auto byHead = [&](Value x, int64_t last) {
    return grouped ? b.reshape(x, {0, sizes.heads(), -1, last}) : x;
  };
  Value scaled = scale == 1 ? q : b.mul(q, b.number(scale, element));
  Value scores =
      b.matmul(byGroup(scaled, sizes.width), b.transpose(k, {0, 1, 3, 2}));
  products = byHead(scores, 0);
  capped = products;
  if (softcap != 0) {
    Value cap = b.number(softcap, element);
    capped = b.mul(b.unary<TanhOp>(b.binary<DivOp>(products, cap)), cap);
  }
  biased = capped;
  Value bias;
  for (Value next : biases)
    bias = bias ? b.add(bias, next) : next;
  if (bias)
    biased = b.add(capped, bias);
  Value precise = softmaxType ? b.cast(biased, softmaxType) : biased;
  weights = b.softmax(precise);
  if (bias && zeroMaskedRows) {
    Value most = b.reduceMaxLast(bias);
    Value masked =
        b.compare<EqualOp>(most, b.number(kMinusInfinity, b.elementOf(bias)));
    weights = b.where(masked, b.number(0, b.elementOf(weights)), weights);
  }
  weights = b.cast(weights, element);
  output = byHead(b.matmul(byGroup(weights, 0), v), sizes.valueWidth);
}

Value twist::onnx::splitHeads(GraphBuilder &b, Value x, int64_t heads,
                              int64_t width) {
  return b.transpose(b.reshape(x, {0, 0, heads, width}), {0, 2, 1, 3});
}

Value twist::onnx::joinHeads(GraphBuilder &b, Value x, int64_t heads,
                             int64_t width) {
  return b.reshape(b.transpose(x, {0, 2, 1, 3}), {0, 0, heads * width});
}

Value twist::onnx::biasOf(GraphBuilder &b, Value allowed, Type element,
                          double otherwise) {
  return b.where(allowed, b.number(0, element), b.number(otherwise, element));
}

Places::Places(GraphBuilder &b, Value rows, Value total, Value offset) {
  columns = b.unsqueeze(b.range(total), {0});
  at = b.sub(columns, b.unsqueeze(b.range(rows), {1}));
  if (offset)
    at = b.sub(at, offset);
}

Value Places::upTo(GraphBuilder &b, int64_t distance) {
  return b.compare<LessOrEqualOp>(at, b.scalar(distance));
}

Value Places::from(GraphBuilder &b, int64_t distance) {
  return b.compare<GreaterOrEqualOp>(at, b.scalar(-distance));
}

// (a, b) becomes (a · cos - b · sin, a · sin + b · cos); the two are halves of
// what is turned, or neighbours. Source: Su et al., "RoFormer", 2021, eq. 34.
Value twist::onnx::rotate(GraphBuilder &b, Value x, Value cosines, Value sines,
                          const RotarySizes &sizes, bool interleaved,
                          bool headsFirst) {
  int64_t half = sizes.rotary / 2;
  bool partial = sizes.rotary < sizes.width;
  SmallVector<int64_t> headsAxis = {headsFirst ? 1 : 2};
  Value cos = b.unsqueeze(cosines, headsAxis);
  Value sin = b.unsqueeze(sines, headsAxis);
  Value turned = partial ? b.slice(x, 3, 0, sizes.rotary) : x;
  SmallVector<Value> pair;
  if (interleaved) {
    pair = b.split(b.reshape(turned, {0, 0, 0, half, 2}), {1, 1}, 4);
    for (Value &part : pair)
      part = b.squeeze(part, {4});
  } else {
    pair = b.split(turned, {half, half}, 3);
  }
  Value first = b.sub(b.mul(pair[0], cos), b.mul(pair[1], sin));
  Value second = b.add(b.mul(pair[0], sin), b.mul(pair[1], cos));
  Value result;
  if (interleaved)
    result = b.reshape(
        b.concat({b.unsqueeze(first, {4}), b.unsqueeze(second, {4})}, 4),
        {0, 0, 0, sizes.rotary});
  else
    result = b.concat({first, second}, 3);
  if (partial)
    result = b.concat({result, b.slice(x, 3, sizes.rotary, sizes.width)}, 3);
  return result;
}

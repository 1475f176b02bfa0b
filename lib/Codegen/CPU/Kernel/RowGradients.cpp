//===- RowGradients.cpp - Rows of losses and gradients --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "RowWalker.h"

#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace twist;
using namespace twist::cpu;

/// The element of the row at `from` whose number is `label`, if it `isInside`,
/// else NaN.
static Value pickTarget(RowWalker &w, const Buffer &rows, Value from,
                        Value label, Value isInside) {
  Emitter &e = w.e;
  Value position =
      arith::IndexCastOp::create(e.b, e.loc, e.b.getIndexType(), label);
  position =
      arith::SelectOp::create(e.b, e.loc, isInside, position, e.index(0));
  Value picked =
      e.convert(e.loadScalar(rows, w.at(rows, from, position)), w.compute);
  Value none = e.constant(w.compute, std::numeric_limits<double>::quiet_NaN());
  return arith::SelectOp::create(e.b, e.loc, isInside, picked, none);
}

void twist::cpu::writeCrossEntropyRow(RowWalker &w, nn::CrossEntropyOp op,
                                      ArrayRef<Buffer> buffers, ValueRange at) {
  Emitter &e = w.e;
  const Buffer &logits = buffers[0], &targets = buffers[1],
               &losses = buffers[2], &normalisers = buffers[3];
  Value from = w.rowStart(logits, at);
  auto load = [&](Value i, Mask mask) {
    return w.loadAt(logits, from, i, mask);
  };
  auto sum = [&](Value x, Value y) { return w.sum(x, y); };
  Value largest = w.fold(-std::numeric_limits<double>::infinity(), load,
                         [&](Value x, Value y) { return w.larger(x, y); });
  Value shift = e.splat(largest, w.lanes);
  Value total = w.fold(
      0,
      [&](Value i, Mask mask) -> Value {
        return math::ExpOp::create(e.b, e.loc,
                                   w.make<arith::SubFOp>(load(i, mask), shift));
      },
      sum);
  Value normaliser = w.sum(math::LogOp::create(e.b, e.loc, total), largest);

  double smoothing = op.getSmoothing().convertToDouble();
  Value label = e.loadScalar(targets, w.rowStart(targets, at));
  Value isInside = nn::isClass(e.b, e.loc, label, w.plan.length);
  Value kept =
      w.make<arith::MulFOp>(e.constant(w.compute, 1 - smoothing),
                            pickTarget(w, logits, from, label, isInside));
  Value loss = w.make<arith::SubFOp>(normaliser, kept);
  if (smoothing > 0) {
    Value mean = w.make<arith::DivFOp>(w.fold(0, load, sum), w.lengthAsFloat());
    loss = w.make<arith::SubFOp>(
        loss, w.make<arith::MulFOp>(e.constant(w.compute, smoothing), mean));
  }
  if (Value ignored = nn::isIgnored(e.b, e.loc, op, label))
    loss = arith::SelectOp::create(e.b, e.loc, ignored,
                                   e.constant(w.compute, 0), loss);
  e.storeScalar(loss, losses, w.rowStart(losses, at));
  e.storeScalar(normaliser, normalisers, w.rowStart(normalisers, at));
}

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

/// Along a dimension that is not the last: each lane sums a column.
static void writeSoftmaxGradientColumns(RowWalker &w, int64_t dim,
                                        const Buffer &softmax,
                                        const Buffer &cotangent,
                                        ValueRange at) {
  Emitter &e = w.e;
  Value y = w.rowStart(softmax, at), g = w.rowStart(cotangent, at);
  Value count = softmax.sizes[dim], zero = e.index(0), one = e.index(1);
  auto start = [&](const Buffer &buffer, Value row, Value k) {
    return e.add(row, e.mul(k, buffer.strides[dim]));
  };
  w.forEach([&](Value i, Mask mask) {
    auto load = [&](const Buffer &buffer, Value row, Value k) {
      return w.loadAt(buffer, start(buffer, row, k), i, mask);
    };
    Value dot = e.loop(zero, count, one, w.splat(0),
                       [&](Value k, ValueRange sum) -> SmallVector<Value> {
                         Value product = w.make<arith::MulFOp>(
                             load(softmax, y, k), load(cotangent, g, k));
                         return {w.sum(product, sum[0])};
                       })[0];
    e.loop(zero, count, one, [&](Value k) {
      Value less = w.make<arith::SubFOp>(load(cotangent, g, k), dot);
      w.storeAt(w.make<arith::MulFOp>(load(softmax, y, k), less), cotangent,
                start(cotangent, g, k), i, mask);
    });
  });
}

void twist::cpu::writeSoftmaxGradientRow(RowWalker &w, nn::SoftmaxGradientOp op,
                                         const Buffer &softmax,
                                         const Buffer &cotangent,
                                         ValueRange at) {
  Emitter &e = w.e;
  int64_t dim = op.getDimension();
  if (dim != w.plan.vectorDim)
    return writeSoftmaxGradientColumns(w, dim, softmax, cotangent, at);
  Value y = w.rowStart(softmax, at), g = w.rowStart(cotangent, at);
  Value dot = w.fold(
      0,
      [&](Value i, Mask mask) {
        return w.make<arith::MulFOp>(w.loadAt(softmax, y, i, mask),
                                     w.loadAt(cotangent, g, i, mask));
      },
      [&](Value x, Value z) { return w.sum(x, z); });
  dot = e.splat(dot, w.lanes);
  w.forEach([&](Value i, Mask mask) {
    Value less = w.make<arith::SubFOp>(w.loadAt(cotangent, g, i, mask), dot);
    w.storeAt(w.make<arith::MulFOp>(w.loadAt(softmax, y, i, mask), less),
              cotangent, g, i, mask);
  });
}

//===----------------------------------------------------------------------===//
// Norms
//===----------------------------------------------------------------------===//

void twist::cpu::writeNormGradientRow(RowWalker &w, nn::NormGradientOp op,
                                      ArrayRef<Buffer> buffers, ValueRange at) {
  Emitter &e = w.e;
  const Buffer &input = buffers[0], &scale = buffers[1],
               &cotangent = buffers[2], &output = buffers[3],
               &means = buffers[4], &factors = buffers[5];
  Value x = w.rowStart(input, at), g = w.rowStart(cotangent, at),
        to = w.rowStart(output, at);
  Value length = w.lengthAsFloat();
  auto sum = [&](Value x, Value y) { return w.sum(x, y); };
  auto average = [&](function_ref<Value(Value, Mask)> term) {
    return w.make<arith::DivFOp>(w.fold(0, term, sum), length);
  };
  auto load = [&](Value i, Mask mask) { return w.loadAt(input, x, i, mask); };
  Value mean = op.getCentred() ? average(load) : e.constant(w.compute, 0);
  Value middle = e.splat(mean, w.lanes);
  auto centred = [&](Value i, Mask mask) {
    Value value = load(i, mask);
    return op.getCentred() ? w.make<arith::SubFOp>(value, middle) : value;
  };
  Value squares = w.fold(
      0,
      [&](Value i, Mask mask) {
        Value value = centred(i, mask);
        return w.make<arith::MulFOp>(value, value);
      },
      sum);
  Value factor =
      inverseRoot(w, squares, length, op.getEpsilon().convertToDouble());
  Value spread = e.splat(factor, w.lanes);
  auto normed = [&](Value i, Mask mask) {
    return w.make<arith::MulFOp>(centred(i, mask), spread);
  };
  auto scaled = [&](Value i, Mask mask) {
    return w.make<arith::MulFOp>(w.loadAt(cotangent, g, i, mask),
                                 w.loadAt(scale, scale.offset, i, mask));
  };
  Value along =
      e.splat(average([&](Value i, Mask mask) {
                return w.make<arith::MulFOp>(scaled(i, mask), normed(i, mask));
              }),
              w.lanes);
  Value shift;
  if (op.getCentred())
    shift = e.splat(average(scaled), w.lanes);
  w.forEach([&](Value i, Mask mask) {
    Value value = scaled(i, mask);
    if (shift)
      value = w.make<arith::SubFOp>(value, shift);
    value = w.make<arith::SubFOp>(
        value, w.make<arith::MulFOp>(normed(i, mask), along));
    w.storeAt(w.make<arith::MulFOp>(value, spread), output, to, i, mask);
  });
  e.storeScalar(mean, means, w.rowStart(means, at));
  e.storeScalar(factor, factors, w.rowStart(factors, at));
}

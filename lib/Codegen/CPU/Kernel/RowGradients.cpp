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

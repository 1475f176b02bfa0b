//===- Rows.cpp - Kernels of softmax, the norms and gather
//------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"
#include "RowWalker.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist;
using namespace twist::cpu;

/// Elements a task should have at least.
static constexpr int64_t rowTaskElements = 8192;

bool twist::cpu::isRowOp(Operation *op) {
  return isa<linalg::SoftmaxOp, nn::CausalSoftmaxOp, nn::LayerNormOp,
             nn::RMSNormOp, nn::GatherOp, nn::CrossEntropyOp,
             nn::SoftmaxGradientOp, nn::NormGradientOp>(op);
}

/// The operand whose rows are walked.
static Value rowsOf(Operation *op) {
  if (auto crossEntropy = dyn_cast<nn::CrossEntropyOp>(op))
    return crossEntropy.getLogits();
  return cast<DestinationStyleOpInterface>(op).getDpsInits().front();
}

RowWalker::RowWalker(Emitter &e, Operation *op, RowPlan plan)
    : e(e), plan(std::move(plan)) {
  element = cast<MemRefType>(rowsOf(op).getType()).getElementType();
  compute = element.isF64() ? element : Type(e.b.getF32Type());
  lanes = e.target.lanes(compute);
}

/// The dimension a softmax sums over.
static int64_t softmaxDim(linalg::SoftmaxOp op) { return op.getDimension(); }

static RowPlan makePlan(Emitter &e, Operation *op) {
  RowPlan plan;
  Value output = rowsOf(op);
  int64_t rank = cast<MemRefType>(output.getType()).getRank();
  plan.vectorDim = rank - 1;
  int64_t inner = -1;
  if (auto softmax = dyn_cast<linalg::SoftmaxOp>(op))
    inner = softmaxDim(softmax);
  if (auto gradient = dyn_cast<nn::SoftmaxGradientOp>(op))
    inner = gradient.getDimension();
  if (auto gather = dyn_cast<nn::GatherOp>(op)) {
    auto data = cast<MemRefType>(gather.getData().getType());
    if (static_cast<int64_t>(gather.getAxis()) == data.getRank() - 1)
      plan.vectorDim = -1;
  }
  plan.length =
      plan.vectorDim < 0 ? e.index(1) : e.size(output, plan.vectorDim);
  Value work = plan.length;
  for (int64_t d = 0; d < rank; ++d) {
    if (d == plan.vectorDim)
      continue;
    Value extent = e.size(output, d);
    if (d == inner) {
      work = e.mul(work, extent);
      continue;
    }
    plan.rowDims.push_back(d);
    plan.rowExtents.push_back(extent);
  }
  plan.rows = e.product(plan.rowExtents);
  plan.rowsPerTask = e.max(
      e.div(e.index(rowTaskElements), e.max(work, e.index(1))), e.index(1));
  plan.tasks = e.ceilDiv(plan.rows, plan.rowsPerTask);
  return plan;
}

Value twist::cpu::countRowTasks(Emitter &e, Operation *op) {
  return makePlan(e, op).tasks;
}

void RowWalker::forEach(function_ref<void(Value, Mask)> body) {
  Value width = e.index(lanes);
  Value whole = e.mul(e.div(plan.length, width), width);
  e.loop(e.index(0), whole, width, [&](Value i) { body(i, Mask()); });
  e.branch(e.less(whole, plan.length),
           [&] { body(whole, e.mask(e.sub(plan.length, whole), lanes)); });
}

Value RowWalker::fold(double neutral, function_ref<Value(Value, Mask)> term,
                      function_ref<Value(Value, Value)> combine) {
  Value width = e.index(lanes);
  Value whole = e.mul(e.div(plan.length, width), width);
  Value start = splat(neutral);
  Value sum =
      e.loop(e.index(0), whole, width, start, [&](Value i, ValueRange carried) {
        return SmallVector<Value>{combine(term(i, Mask()), carried[0])};
      })[0];
  Value rest = e.sub(plan.length, whole);
  if (constantOf(rest) != 0) {
    Mask mask = e.mask(rest, lanes);
    Value last = term(whole, mask);
    last = arith::SelectOp::create(e.b, e.loc, mask, last, start);
    sum = combine(last, sum);
  }
  return e.reduce(sum, combine);
}

void RowWalker::clearFrom(Value from, const Buffer &buffer, Value start) {
  e.loop(from, plan.length, e.index(lanes), [&](Value i) {
    storeAt(splat(0), buffer, start, i, e.mask(e.sub(plan.length, i), lanes));
  });
}

//===----------------------------------------------------------------------===//
// Softmax
//===----------------------------------------------------------------------===//

static void writeSoftmaxRow(RowWalker &w, const Buffer &input,
                            const Buffer &output, ValueRange at) {
  Emitter &e = w.e;
  Value from = w.rowStart(input, at), to = w.rowStart(output, at);
  auto sum = [&](Value x, Value y) { return w.make<arith::AddFOp>(x, y); };
  Value largest = w.fold(
      -std::numeric_limits<double>::infinity(),
      [&](Value i, Mask mask) { return w.loadAt(input, from, i, mask); },
      [&](Value x, Value y) { return w.larger(x, y); });
  Value shift = e.splat(largest, w.lanes);
  auto exponential = [&](Value i, Mask mask) -> Value {
    Value shifted =
        w.make<arith::SubFOp>(w.loadAt(input, from, i, mask), shift);
    return math::ExpOp::create(e.b, e.loc, shifted);
  };
  // Narrow outputs are rounded once, so their exponentials are made twice.
  bool keeps = w.element == w.compute;
  Value total = w.fold(
      0,
      [&](Value i, Mask mask) {
        Value value = exponential(i, mask);
        if (keeps)
          w.storeAt(value, output, to, i, mask);
        return value;
      },
      sum);
  // The sum is at least 1, that of the largest element: its reciprocal is
  // normal, and a product costs a tenth of a quotient.
  Value one = e.constant(total.getType(), 1);
  Value factor = e.splat(w.make<arith::DivFOp>(one, total), w.lanes);
  w.forEach([&](Value i, Mask mask) {
    Value value = keeps ? w.loadAt(output, to, i, mask) : exponential(i, mask);
    w.storeAt(w.make<arith::MulFOp>(value, factor), output, to, i, mask);
  });
}

/// Softmax over a dimension that is not the last: each lane sums a column.
static void writeSoftmaxColumns(RowWalker &w, const Buffer &input,
                                const Buffer &output, int64_t dim,
                                ValueRange at) {
  Emitter &e = w.e;
  Value from = w.rowStart(input, at), to = w.rowStart(output, at);
  Value count = output.sizes[dim], zero = e.index(0), one = e.index(1);
  w.forEach([&](Value i, Mask mask) {
    auto load = [&](Value k) {
      Value start = e.add(from, e.mul(k, input.strides[dim]));
      return w.loadAt(input, start, i, mask);
    };
    auto over = [&](Value start, function_ref<Value(Value, Value)> body) {
      return e.loop(zero, count, one, start, [&](Value k, ValueRange carried) {
        return SmallVector<Value>{body(k, carried[0])};
      })[0];
    };
    Value largest =
        over(w.splat(-std::numeric_limits<double>::infinity()),
             [&](Value k, Value sum) { return w.larger(load(k), sum); });
    auto exponential = [&](Value k) -> Value {
      return math::ExpOp::create(e.b, e.loc,
                                 w.make<arith::SubFOp>(load(k), largest));
    };
    Value total = over(w.splat(0), [&](Value k, Value sum) {
      return w.make<arith::AddFOp>(exponential(k), sum);
    });
    e.loop(zero, count, one, [&](Value k) {
      Value start = e.add(to, e.mul(k, output.strides[dim]));
      w.storeAt(w.make<arith::DivFOp>(exponential(k), total), output, start, i,
                mask);
    });
  });
}

//===----------------------------------------------------------------------===//
// Norms
//===----------------------------------------------------------------------===//

Value twist::cpu::inverseRoot(RowWalker &w, Value sum, Value length,
                              double epsilon) {
  Emitter &e = w.e;
  Value mean = w.make<arith::DivFOp>(sum, length);
  Value shifted = w.make<arith::AddFOp>(mean, e.constant(w.compute, epsilon));
  Value root = math::SqrtOp::create(e.b, e.loc, shifted);
  return w.make<arith::DivFOp>(e.constant(w.compute, 1), root);
}

Value RowWalker::lengthAsFloat() {
  Value wide =
      arith::IndexCastOp::create(e.b, e.loc, e.b.getI64Type(), plan.length);
  return arith::SIToFPOp::create(e.b, e.loc, compute, wide);
}

static void writeNormRow(RowWalker &w, Operation *op, ArrayRef<Buffer> buffers,
                         ValueRange at) {
  Emitter &e = w.e;
  auto layerNorm = dyn_cast<nn::LayerNormOp>(op);
  const Buffer &input = buffers.front(), &scale = buffers[1],
               &output = buffers.back();
  Value from = w.rowStart(input, at), to = w.rowStart(output, at);
  Value length = w.lengthAsFloat();
  auto sum = [&](Value x, Value y) { return w.make<arith::AddFOp>(x, y); };
  auto load = [&](Value i, Mask mask) {
    return w.loadAt(input, from, i, mask);
  };
  Value mean;
  if (layerNorm)
    mean =
        e.splat(w.make<arith::DivFOp>(w.fold(0, load, sum), length), w.lanes);
  auto centred = [&](Value i, Mask mask) {
    Value value = load(i, mask);
    return mean ? w.make<arith::SubFOp>(value, mean) : value;
  };
  Value squares = w.fold(
      0,
      [&](Value i, Mask mask) {
        Value value = centred(i, mask);
        return w.make<arith::MulFOp>(value, value);
      },
      sum);
  double epsilon = layerNorm
                       ? layerNorm.getEpsilon().convertToDouble()
                       : cast<nn::RMSNormOp>(op).getEpsilon().convertToDouble();
  Value inverse = e.splat(inverseRoot(w, squares, length, epsilon), w.lanes);
  w.forEach([&](Value i, Mask mask) {
    Value value = w.make<arith::MulFOp>(centred(i, mask), inverse);
    value =
        w.make<arith::MulFOp>(value, w.loadAt(scale, scale.offset, i, mask));
    if (layerNorm && layerNorm.getBias()) {
      const Buffer &bias = buffers[2];
      value =
          w.make<arith::AddFOp>(value, w.loadAt(bias, bias.offset, i, mask));
    }
    w.storeAt(value, output, to, i, mask);
  });
}

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

Value twist::cpu::pickPosition(Emitter &e, const Buffer &indices, Value offset,
                               Value size) {
  Value raw = e.loadScalar(indices, offset);
  Type indexType = e.b.getIndexType();
  Value index = arith::IndexCastOp::create(e.b, e.loc, indexType, raw);
  Value zero = e.index(0);
  Value negative =
      arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::slt, index, zero);
  Value wrapped = arith::AddIOp::create(e.b, e.loc, index, size);
  index = arith::SelectOp::create(e.b, e.loc, negative, wrapped, index);
  index = arith::MaxSIOp::create(e.b, e.loc, index, zero);
  return arith::MinSIOp::create(e.b, e.loc, index, e.sub(size, e.index(1)));
}

static void writeGatherRow(RowWalker &w, nn::GatherOp op, const Buffer &data,
                           const Buffer &indices, const Buffer &output,
                           ValueRange at) {
  Emitter &e = w.e;
  int64_t axis = op.getAxis(), picks = indices.strides.size();
  Value to = w.rowStart(output, at), from = data.offset;
  Value offset = indices.offset;
  for (auto [dim, index] : llvm::zip_equal(w.plan.rowDims, at)) {
    if (dim < axis)
      from = e.add(from, e.mul(index, data.strides[dim]));
    else if (dim < axis + picks)
      offset = e.add(offset, e.mul(index, indices.strides[dim - axis]));
    else
      from = e.add(from, e.mul(index, data.strides[dim - picks + 1]));
  }
  Value picked = pickPosition(e, indices, offset, data.sizes[axis]);
  from = e.add(from, e.mul(picked, data.strides[axis]));
  if (w.plan.vectorDim < 0) {
    e.storeScalar(e.loadScalar(data, from), output, to);
    return;
  }
  w.forEach([&](Value i, Mask mask) {
    Value value =
        e.load(data, w.at(data, from, i), data.strides.back(), w.lanes, mask);
    e.store(value, output, w.at(output, to, i), output.strides.back(), mask);
  });
}

LogicalResult twist::cpu::lowerRows(Emitter &e, Operation *op, Value task) {
  RowWalker w(e, op, makePlan(e, op));
  SmallVector<Buffer> buffers;
  for (Value operand : op->getOperands())
    buffers.push_back(e.buffer(operand));
  Value first = e.mul(task, w.plan.rowsPerTask);
  Value last = e.min(e.add(first, w.plan.rowsPerTask), w.plan.rows);
  e.loop(first, last, e.index(1), [&](Value row) {
    SmallVector<Value> at = e.delinearize(row, w.plan.rowExtents);
    TypeSwitch<Operation *>(op)
        .Case([&](nn::GatherOp gather) {
          writeGatherRow(w, gather, buffers[0], buffers[1], buffers[2], at);
        })
        .Case([&](nn::CrossEntropyOp losses) {
          writeCrossEntropyRow(w, losses, buffers, at);
        })
        .Case([&](nn::SoftmaxGradientOp gradient) {
          if (!gradient.getCausal())
            return writeSoftmaxGradientRow(w, gradient, buffers[0], buffers[1],
                                           at);
          RowWalker live = w.upTo(at.back(), *gradient.getCausal());
          writeSoftmaxGradientRow(live, gradient, buffers[0], buffers[1], at);
          w.clearFrom(live.plan.length, buffers[1], w.rowStart(buffers[1], at));
        })
        .Case([&](nn::NormGradientOp gradient) {
          writeNormGradientRow(w, gradient, buffers, at);
        })
        .Case([&](nn::CausalSoftmaxOp causal) {
          RowWalker live = w.upTo(at.back(), causal.getOffset());
          writeSoftmaxRow(live, buffers[0], buffers[1], at);
          w.clearFrom(live.plan.length, buffers[1], w.rowStart(buffers[1], at));
        })
        .Case([&](linalg::SoftmaxOp softmax) {
          if (softmaxDim(softmax) == w.plan.vectorDim)
            writeSoftmaxRow(w, buffers[0], buffers[1], at);
          else
            writeSoftmaxColumns(w, buffers[0], buffers[1], softmaxDim(softmax),
                                at);
        })
        .Default([&](Operation *norm) { writeNormRow(w, norm, buffers, at); });
  });
  return success();
}

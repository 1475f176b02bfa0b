//===- Scatter.cpp - Kernel of scatter_add
//----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Rows that meet are added in the order of their indices, so a task takes a run
// of columns of the table and goes through all indices.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"
#include "twist/Dialect/NN/NN.h"

using namespace mlir;
using namespace twist;
using namespace twist::cpu;

/// Columns of one task: a few cache lines, so that no line has two writers.
static constexpr int64_t taskColumns = 64;

namespace {
/// The dimensions of the table but `axis`; the last of them, if it lies behind
/// `axis`, is cut into runs of columns.
struct ScatterPlan {
  SmallVector<int64_t> tableDims, updateDims;
  SmallVector<Value> extents;
  int64_t columnDim = -1;
  Value columns, runs, tasks;
};
} // namespace

static ScatterPlan makePlan(Emitter &e, nn::ScatterAddOp op) {
  ScatterPlan plan;
  Value table = op.getInit();
  int64_t axis = op.getAxis(),
          rank = cast<MemRefType>(table.getType()).getRank();
  int64_t picks = cast<MemRefType>(op.getIndices().getType()).getRank();
  if (axis != rank - 1)
    plan.columnDim = rank - 1;
  for (int64_t d = 0; d < rank; ++d) {
    if (d == axis || d == plan.columnDim)
      continue;
    plan.tableDims.push_back(d);
    plan.updateDims.push_back(d < axis ? d : d - 1 + picks);
    plan.extents.push_back(e.size(table, d));
  }
  plan.columns =
      plan.columnDim < 0 ? e.index(1) : e.size(table, plan.columnDim);
  plan.runs = e.ceilDiv(plan.columns, e.index(taskColumns));
  plan.tasks = e.mul(e.product(plan.extents), plan.runs);
  return plan;
}

Value twist::cpu::countScatterTasks(Emitter &e, nn::ScatterAddOp op) {
  return makePlan(e, op).tasks;
}

/// table[to + i] += updates[from + i] for the columns i in [first, last).
static void addRun(Emitter &e, const Buffer &updates, Value from,
                   Value updateStride, const Buffer &table, Value to,
                   Value tableStride, Value first, Value last) {
  int64_t lanes = e.target.lanes(table.element);
  auto add = [&](Value i, Mask mask) {
    Value source = e.add(from, e.mul(i, updateStride));
    Value target = e.add(to, e.mul(i, tableStride));
    Value sum = arith::AddFOp::create(
        e.b, e.loc, e.load(table, target, tableStride, lanes, mask),
        e.load(updates, source, updateStride, lanes, mask));
    e.store(sum, table, target, tableStride, mask);
  };
  Value width = e.index(lanes);
  Value whole = e.add(first, e.mul(e.div(e.sub(last, first), width), width));
  e.loop(first, whole, width, [&](Value i) { add(i, Mask()); });
  e.branch(e.less(whole, last),
           [&] { add(whole, e.mask(e.sub(last, whole), lanes)); });
}

LogicalResult twist::cpu::lowerScatter(Emitter &e, nn::ScatterAddOp op,
                                       Value task) {
  ScatterPlan plan = makePlan(e, op);
  Buffer updates = e.buffer(op.getUpdates()),
         indices = e.buffer(op.getIndices()), table = e.buffer(op.getInit());
  int64_t axis = op.getAxis();
  Value to = table.offset, from = updates.offset;
  SmallVector<Value> at = e.delinearize(e.div(task, plan.runs), plan.extents);
  for (auto [i, t, u] : llvm::zip_equal(at, plan.tableDims, plan.updateDims)) {
    to = e.add(to, e.mul(i, table.strides[t]));
    from = e.add(from, e.mul(i, updates.strides[u]));
  }
  Value first = e.mul(e.rem(task, plan.runs), e.index(taskColumns));
  Value last = e.min(e.add(first, e.index(taskColumns)), plan.columns);
  e.loop(e.index(0), e.product(indices.sizes), e.index(1), [&](Value row) {
    Value picked = indices.offset, source = from;
    SmallVector<Value> j = e.delinearize(row, indices.sizes);
    for (auto [d, i] : llvm::enumerate(j)) {
      picked = e.add(picked, e.mul(i, indices.strides[d]));
      source = e.add(source, e.mul(i, updates.strides[axis + d]));
    }
    Value position = pickPosition(e, indices, picked, table.sizes[axis]);
    Value target = e.add(to, e.mul(position, table.strides[axis]));
    if (plan.columnDim < 0) {
      Value sum = arith::AddFOp::create(e.b, e.loc, e.loadScalar(table, target),
                                        e.loadScalar(updates, source));
      e.storeScalar(sum, table, target);
      return;
    }
    addRun(e, updates, source, updates.strides.back(), table, target,
           table.strides.back(), first, last);
  });
  return success();
}

//===- Pack.cpp - Kernels of cpu.pack ---------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

using namespace mlir;
using namespace twist::cpu;

namespace {
struct PackPlan {
  Buffer source, packed;
  SmallVector<Value> batchExtents, batchSteps;
  Value columns, columnStep, depth, depthStep, panels, batches;
};
} // namespace

static PackPlan makePlan(Emitter &e, PackOp op) {
  PackPlan plan;
  plan.source = e.buffer(op.getSource());
  plan.packed = e.buffer(op.getInit());
  PackingAttr packing = op.getPacking();
  AffineMap map = packing.getMap();
  auto dimOf = [&](unsigned d) {
    return *map.getResultPosition(getAffineDimExpr(d, map.getContext()));
  };
  for (unsigned d = 0, n = map.getNumDims() - 2; d < n; ++d) {
    plan.batchExtents.push_back(plan.source.sizes[dimOf(d)]);
    plan.batchSteps.push_back(plan.source.strides[dimOf(d)]);
  }
  int64_t column = packing.getColumnDim(), k = packing.getKDim();
  plan.columns = plan.source.sizes[column];
  plan.columnStep = plan.source.strides[column];
  plan.depth = plan.source.sizes[k];
  plan.depthStep = plan.source.strides[k];
  plan.panels = e.ceilDiv(plan.columns, e.index(packing.getPanel()));
  plan.batches = e.product(plan.batchExtents);
  return plan;
}

Value twist::cpu::countPackTasks(Emitter &e, PackOp op) {
  PackPlan plan = makePlan(e, op);
  return e.mul(plan.batches, plan.panels);
}

/// A task is one panel of one batch element.
LogicalResult twist::cpu::lowerPack(Emitter &e, PackOp op, Value task) {
  PackPlan plan = makePlan(e, op);
  int64_t panel = op.getPacking().getPanel();
  int64_t lanes = std::min<int64_t>(panel, e.target.lanes(plan.source.element));
  Value panelIndex = e.rem(task, plan.panels);
  Value batch = e.div(task, plan.panels);
  SmallVector<Value> at = e.delinearize(batch, plan.batchExtents);
  Value firstColumn = e.mul(panelIndex, e.index(panel));
  Value from = e.add(e.dot(plan.source.offset, at, plan.batchSteps),
                     e.mul(firstColumn, plan.columnStep));
  unsigned rank = plan.packed.strides.size();
  Value to = e.dot(plan.packed.offset, at,
                   ArrayRef<Value>(plan.packed.strides).take_front(rank - 3));
  to = e.add(to, e.mul(panelIndex, plan.packed.strides[rank - 3]));
  Value left = e.sub(plan.columns, firstColumn);
  auto type = e.vector(plan.source.element, lanes);
  Value zero = e.constant(type, 0);
  SmallVector<Mask> masks;
  std::optional<int64_t> columns = constantOf(plan.columns);
  bool whole = columns && *columns % panel == 0;
  for (int64_t j = 0; j < panel; j += lanes)
    masks.push_back(whole ? Mask() : e.mask(e.sub(left, e.index(j)), lanes));

  e.loop(e.index(0), plan.depth, e.index(1), [&](Value k) {
    Value row = e.add(from, e.mul(k, plan.depthStep));
    Value target = e.add(to, e.mul(k, plan.packed.strides[rank - 2]));
    for (int64_t j = 0; j < panel; j += lanes) {
      Mask mask = masks[j / lanes];
      Value value = e.load(plan.source, e.add(row, e.mul(e.index(j), plan.columnStep)),
                           plan.columnStep, lanes, mask);
      if (mask)
        value = arith::SelectOp::create(e.b, e.loc, mask, value, zero);
      e.store(value, plan.packed, e.add(target, e.index(j)), e.index(1), Mask());
    }
  });
  return success();
}

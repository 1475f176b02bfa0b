//===- GemmStage.cpp - Copies of operands for the loops of a gemm
//-----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "GemmPlan.h"

using namespace mlir;
using namespace twist::cpu;

/// Steps of k of rows that are copied together, so that a line of the source is
/// used up while it is near.
static constexpr int64_t tileDepth = 16;

/// Loads columns of k and stores them as rows of columns:
///   lanes × lanes tiles, transposed in registers.
static void stageTransposed(Emitter &e, const GemmPlan &plan,
                            const Buffer &source, Value from, Value columnStep,
                            Value columns, Value depth, const Buffer &panel) {
  int64_t lanes = plan.lanes;
  Value one = e.index(1), tile = e.index(lanes);
  // Beyond the last column the last one stands.
  Value last = e.sub(columns, one);
  auto tileAt = [&](Value k, Mask mask) {
    for (int64_t j = 0; j < plan.panelColumns(); j += lanes) {
      SmallVector<Value> vectors;
      for (int64_t c = 0; c < lanes; ++c) {
        Value column = e.min(e.index(j + c), last);
        Value at = e.add(e.add(from, k), e.mul(column, columnStep));
        vectors.push_back(e.load(source, at, one, lanes, mask));
      }
      for (auto [i, vector] : llvm::enumerate(e.transpose(vectors)))
        e.store(vector, panel,
                e.add(e.mul(e.add(k, e.index(i)), e.index(plan.panelColumns())),
                      e.index(j)),
                one, Mask());
    }
  };
  Value whole = e.mul(e.div(depth, tile), tile);
  e.loop(e.index(0), whole, tile, [&](Value k) { tileAt(k, Mask()); });
  e.branch(e.less(whole, depth),
           [&] { tileAt(whole, e.mask(e.sub(depth, whole), lanes)); });
}

void twist::cpu::stagePanel(Emitter &e, const GemmPlan &plan,
                            const Buffer &source, Value from, Value columnStep,
                            Value depthStep, Value columns, Value depth,
                            const Buffer &panel) {
  // A register of narrower elements has more of them than a tile is high.
  bool fillsRegister = source.element.getIntOrFloatBitWidth() * plan.lanes ==
                       e.target.vectorBits;
  if (constantOf(columnStep) != 1 && constantOf(depthStep) == 1 &&
      fillsRegister)
    return stageTransposed(e, plan, source, from, columnStep, columns, depth,
                           panel);
  SmallVector<Mask> masks;
  std::optional<int64_t> all = constantOf(plan.columns);
  for (int64_t j = 0; j < plan.vectors; ++j)
    masks.push_back(
        all && *all % plan.panelColumns() == 0
            ? Mask()
            : e.mask(e.sub(columns, e.index(j * plan.lanes)), plan.lanes));
  e.loop(e.index(0), depth, e.index(1), [&](Value k) {
    for (int64_t j = 0; j < plan.vectors; ++j) {
      Value at = e.add(e.add(from, e.mul(k, depthStep)),
                       e.mul(e.index(j * plan.lanes), columnStep));
      Value vector = e.load(source, at, columnStep, plan.lanes, masks[j]);
      e.store(vector, panel,
              e.add(e.mul(k, e.index(plan.panelColumns())),
                    e.index(j * plan.lanes)),
              e.index(1), Mask());
    }
  });
}

void twist::cpu::stageRows(Emitter &e, const GemmPlan &plan,
                           const Buffer &source, Value from, Value depthStep,
                           Value rows, Value depth, const Buffer &blocks) {
  int64_t height = plan.blockRows;
  Value block = e.index(height), tile = e.index(tileDepth);
  Value whole = e.div(rows, block), left = e.rem(rows, block);
  auto copy = [&](Value number, Value k, Mask mask) {
    Value at = e.add(e.add(from, e.mul(number, block)), e.mul(k, depthStep));
    Value to = e.add(e.mul(number, e.index(height * plan.stagedDepth())),
                     e.mul(k, block));
    e.store(e.load(source, at, e.index(1), height, mask), blocks, to,
            e.index(1), Mask());
  };
  e.loop(e.index(0), depth, tile, [&](Value start) {
    Value end = e.min(e.add(start, tile), depth);
    auto overTile = [&](Value number, Mask mask) {
      e.loop(start, end, e.index(1), [&](Value k) { copy(number, k, mask); });
    };
    e.loop(e.index(0), whole, e.index(1),
           [&](Value number) { overTile(number, Mask()); });
    e.branch(e.less(e.index(0), left),
             [&] { overTile(whole, e.mask(left, height)); });
  });
}

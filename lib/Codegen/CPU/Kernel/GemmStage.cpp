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

/// Runs `body` for each group of steps of k in [from, to), where `from` starts
/// one; of an odd last step only the first is there.
static void overGroups(Emitter &e, const GemmPlan &plan, Value from, Value to,
                       llvm::function_ref<void(Value k, bool isOdd)> body) {
  Value group = e.index(plan.group);
  Value whole = e.add(from, e.mul(e.div(e.sub(to, from), group), group));
  e.loop(from, whole, group, [&](Value k) { body(k, false); });
  if (plan.group > 1)
    e.branch(e.less(whole, to), [&] { body(whole, true); });
}

/// The vector of a group of steps, from what `load` gives for each, or of one,
/// widened.
static Value joinGroup(Emitter &e, const GemmPlan &plan, Value k, bool isOdd,
                       bool isUnsigned,
                       llvm::function_ref<Value(Value k)> load) {
  Value first = load(k);
  if (plan.group == 1)
    return e.convert(first, plan.accumulator, isUnsigned);
  Value second =
      isOdd ? e.constant(first.getType(), 0) : load(e.add(k, e.index(1)));
  return vector::InterleaveOp::create(e.b, e.loc, first, second);
}

/// Loads columns of k and stores them as rows of columns:
///   lanes × lanes tiles of elements, or of pairs, transposed in registers.
static void stageTransposed(Emitter &e, const GemmPlan &plan,
                            const Buffer &source, Value from, Value columnStep,
                            Value columns, Value depth, const Buffer &panel) {
  int64_t lanes = plan.lanes, run = lanes * plan.group;
  Value one = e.index(1), tile = e.index(run);
  auto wide = e.vector(source.element, run);
  auto lane = e.vector(e.b.getI32Type(), lanes);
  auto cast = [&](Type type, Value vector) {
    return plan.group == 1
               ? vector
               : Value(vector::BitCastOp::create(e.b, e.loc, type, vector));
  };
  // Beyond the last column the last one stands.
  Value last = e.sub(columns, one);
  auto tileAt = [&](Value k, Mask mask) {
    for (int64_t j = 0; j < plan.panelColumns(); j += lanes) {
      SmallVector<Value> vectors;
      for (int64_t c = 0; c < lanes; ++c) {
        Value column = e.min(e.index(j + c), last);
        Value at = e.add(e.add(from, k), e.mul(column, columnStep));
        Value vector = e.load(source, at, one, run, mask);
        vectors.push_back(
            cast(lane, e.convert(vector, plan.stagedType(source.element),
                                 plan.rhsUnsigned)));
      }
      for (auto [i, vector] : llvm::enumerate(e.transpose(vectors))) {
        Value at = e.add(e.mul(e.add(k, e.index(i * plan.group)),
                               e.index(plan.panelColumns())),
                         e.index(j * plan.group));
        e.store(cast(wide, vector), panel, at, one, Mask());
      }
    }
  };
  Value whole = e.mul(e.div(depth, tile), tile);
  e.loop(e.index(0), whole, tile, [&](Value k) { tileAt(k, Mask()); });
  e.branch(e.less(whole, depth),
           [&] { tileAt(whole, e.mask(e.sub(depth, whole), run)); });
}

void twist::cpu::stagePanel(Emitter &e, const GemmPlan &plan,
                            const Buffer &source, Value from, Value columnStep,
                            Value depthStep, Value columns, Value depth,
                            const Buffer &panel) {
  if (constantOf(columnStep) != 1 && constantOf(depthStep) == 1)
    return stageTransposed(e, plan, source, from, columnStep, columns, depth,
                           panel);
  SmallVector<Mask> masks;
  std::optional<int64_t> all = constantOf(plan.columns);
  for (int64_t j = 0; j < plan.vectors; ++j)
    masks.push_back(
        all && *all % plan.panelColumns() == 0
            ? Mask()
            : e.mask(e.sub(columns, e.index(j * plan.lanes)), plan.lanes));
  overGroups(e, plan, e.index(0), depth, [&](Value k, bool isOdd) {
    for (int64_t j = 0; j < plan.vectors; ++j) {
      Value start = e.add(from, e.mul(e.index(j * plan.lanes), columnStep));
      Value vector =
          joinGroup(e, plan, k, isOdd, plan.rhsUnsigned, [&](Value at) {
            return e.load(source, e.add(start, e.mul(at, depthStep)),
                          columnStep, plan.lanes, masks[j]);
          });
      e.store(vector, panel,
              e.add(e.mul(k, e.index(plan.panelColumns())),
                    e.index(j * plan.lanes * plan.group)),
              e.index(1), Mask());
    }
  });
}

/// Rows of which each is a run along k: tiles of a block's height, widened and
/// transposed in registers.
static void stageRuns(Emitter &e, const GemmPlan &plan, const Buffer &source,
                      Value from, Value rowStep, Value rows, Value depth,
                      const Buffer &blocks) {
  int64_t height = plan.blockRows, lanes = llvm::PowerOf2Ceil(height);
  Value one = e.index(1), block = e.index(height), tile = e.index(lanes);
  Value last = e.sub(rows, one);
  auto tileAt = [&](Value number, Value k, Mask mask) {
    SmallVector<Value> vectors;
    for (int64_t r = 0; r < lanes; ++r) {
      // Beyond the last row the last one stands.
      Value row = e.add(e.mul(number, block), e.index(std::min(r, height - 1)));
      Value at = e.add(e.add(from, k), e.mul(e.min(row, last), rowStep));
      vectors.push_back(e.convert(e.load(source, at, one, lanes, mask),
                                  plan.accumulator, plan.lhsUnsigned));
    }
    Value to = e.add(e.mul(number, e.index(height * plan.stagedDepth())),
                     e.mul(k, block));
    for (auto [i, vector] : llvm::enumerate(e.transpose(vectors))) {
      Value part = vector;
      if (height != lanes)
        part = vector::ExtractStridedSliceOp::create(
            e.b, e.loc, vector, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{height},
            ArrayRef<int64_t>{1});
      e.store(part, blocks, e.add(to, e.index(i * height)), one, Mask());
    }
  };
  Value whole = e.mul(e.div(depth, tile), tile);
  e.loop(e.index(0), e.ceilDiv(rows, block), one, [&](Value number) {
    e.loop(e.index(0), whole, tile,
           [&](Value k) { tileAt(number, k, Mask()); });
    e.branch(e.less(whole, depth), [&] {
      tileAt(number, whole, e.mask(e.sub(depth, whole), lanes));
    });
  });
}

void twist::cpu::stageRows(Emitter &e, const GemmPlan &plan,
                           const Buffer &source, Value from, Value rowStep,
                           Value depthStep, Value rows, Value depth,
                           const Buffer &blocks,
                           llvm::function_ref<Value(Value)> needed) {
  if (constantOf(depthStep) == 1)
    return stageRuns(e, plan, source, from, rowStep, rows, depth, blocks);
  int64_t height = plan.blockRows;
  Value block = e.index(height), tile = e.index(tileDepth);
  Value whole = e.div(rows, block), left = e.rem(rows, block);
  auto copy = [&](Value number, Value k, bool isOdd, Mask mask) {
    Value start = e.add(from, e.mul(number, block));
    Value vector =
        joinGroup(e, plan, k, isOdd, plan.lhsUnsigned, [&](Value at) {
          return e.load(source, e.add(start, e.mul(at, depthStep)), e.index(1),
                        height, mask);
        });
    e.store(vector, blocks,
            e.add(e.mul(number, e.index(height * plan.stagedDepth())),
                  e.mul(k, block)),
            e.index(1), Mask());
  };
  e.loop(e.index(0), depth, tile, [&](Value start) {
    Value end = e.min(e.add(start, tile), depth);
    auto overTile = [&](Value number, Mask mask) {
      overGroups(e, plan, start, end,
                 [&](Value k, bool isOdd) { copy(number, k, isOdd, mask); });
    };
    Value blocksNeeded = whole;
    if (needed)
      blocksNeeded = e.min(whole, e.ceilDiv(needed(end), block));
    e.loop(e.index(0), blocksNeeded, e.index(1),
           [&](Value number) { overTile(number, Mask()); });
    e.branch(e.less(e.index(0), left),
             [&] { overTile(whole, e.mask(left, height)); });
  });
}

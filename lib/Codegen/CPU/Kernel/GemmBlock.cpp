//===- GemmBlock.cpp - Blocks of rows × panel in registers
//------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "GemmWriter.h"

#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

using namespace mlir;
using namespace twist::cpu;

/// Steps of k from a load to the prefetch of what it will need later, where few
/// rows share a panel.
static constexpr int64_t stepsAhead = 40;

/// Steps of an inner k that are written one after the other.
static constexpr int64_t maxWrittenOut = 4;

Value GemmWriter::multiplyAdd(Value x, Value y, Value sum) {
  if (plan.group == 2)
    return x86vector::DotBF16Op::create(e.b, e.loc, sum.getType(), sum, x, y);
  if (isa<FloatType>(plan.accumulator))
    return vector::FMAOp::create(e.b, e.loc, x, y, sum);
  Value product = arith::MulIOp::create(e.b, e.loc, x, y);
  return arith::AddIOp::create(e.b, e.loc, sum, product);
}

/// Into the cache of this level.
void GemmWriter::prefetch(Value offset, unsigned level) {
  memref::PrefetchOp::create(e.b, e.loc, plan.rhs().buffer.flat, offset,
                             /*isWrite=*/false, /*localityHint=*/4 - level,
                             /*isDataCache=*/true);
}

void GemmWriter::fetchAhead(Value rowStart, Fetch fetch, Value fetchAt) {
  if (fetch == Fetch::NextPanel)
    prefetch(e.add(e.add(rowStart, plan.panelStep), fetchAt), /*level=*/2);
  // Panels follow each other: what is ahead may be of the next one.
  if (fetch == Fetch::Ahead)
    for (int64_t j = 0; j < plan.vectors; ++j)
      prefetch(e.add(rowStart, e.index((stepsAhead * plan.panelColumns() +
                                        j * plan.lanes) *
                                       plan.group)),
               /*level=*/1);
}

/// One line of the sums that start at `row`, another one every block of steps,
/// so that their loads and stores find them near.
void GemmWriter::fetchSums(Value row, Value k) {
  const NestOperand &init = plan.init();
  if (plan.rowDims != 1 || constantOf(init.steps[plan.columnDim()]) != 1)
    return;
  Value vector =
      e.min(e.div(k, e.index(plan.blockRows)), e.index(plan.vectors - 1));
  Value column = e.add(firstColumn, e.mul(vector, e.index(plan.lanes)));
  Value at = e.add(rowOffset(plan.nest.operands.size() - 1, row), column);
  memref::PrefetchOp::create(e.b, e.loc, init.buffer.flat, at,
                             /*isWrite=*/true, /*localityHint=*/3,
                             /*isDataCache=*/true);
}

/// A register of the panel's row at `rowStart`.
Value GemmWriter::loadPanel(Value rowStart, int64_t vector) {
  bool isWhole = plan.packed || plan.stagesRhs;
  Value columnStep =
      isWhole ? e.index(plan.group) : plan.rhs().steps[plan.columnDim()];
  Value at = e.add(rowStart, e.mul(e.index(vector * plan.lanes), columnStep));
  if (plan.group > 1)
    return e.load(panelBuffer, at, e.index(1), plan.lanes * plan.group, Mask());
  Value lanes = e.load(panelBuffer, at, columnStep, plan.lanes,
                       isWhole ? Mask() : masks[vector]);
  return e.convert(lanes, plan.accumulator, op.getRhsUnsigned());
}

/// An element of the left-hand side, or a pair of them, in every lane; of an
/// odd step the second is zero.
Value GemmWriter::loadRow(Value at, bool isOdd) {
  if (plan.group == 1)
    return e.splat(e.convert(e.loadScalar(rowsBuffer, at), plan.accumulator,
                             op.getLhsUnsigned()),
                   plan.lanes);
  Value step = plan.lhs().steps[plan.depthDim()];
  Value pair;
  if (!isOdd && (plan.stagesLhs || constantOf(step) == 1)) {
    pair = e.load(rowsBuffer, at, e.index(1), 2, Mask());
  } else {
    Value second = isOdd ? e.constant(rowsBuffer.element, 0)
                         : e.loadScalar(rowsBuffer, e.add(at, step));
    pair = vector::FromElementsOp::create(
        e.b, e.loc, e.vector(rowsBuffer.element, 2),
        ValueRange{e.loadScalar(rowsBuffer, at), second});
  }
  Type word = e.b.getI32Type();
  Value bits = vector::ExtractOp::create(
      e.b, e.loc,
      vector::BitCastOp::create(e.b, e.loc, e.vector(word, 1), pair),
      ArrayRef<int64_t>{0});
  return vector::BitCastOp::create(e.b, e.loc,
                                   e.vector(rowsBuffer.element, 2 * plan.lanes),
                                   e.splat(bits, plan.lanes));
}

/// One group of k: where the panel's row and those of the left-hand side start.
void GemmWriter::multiplyRow(Value rowStart, ArrayRef<Value> lhsAt, bool isOdd,
                             Fetch fetch, Value fetchAt,
                             MutableArrayRef<Value> sums) {
  int64_t vectors = plan.vectors;
  SmallVector<Value> panel;
  for (int64_t j = 0; j < vectors; ++j)
    panel.push_back(loadPanel(rowStart, j));
  fetchAhead(rowStart, fetch, fetchAt);
  for (auto [r, at] : llvm::enumerate(lhsAt)) {
    Value row = loadRow(at, isOdd);
    for (int64_t j = 0; j < vectors; ++j)
      sums[r * vectors + j] = multiplyAdd(row, panel[j], sums[r * vectors + j]);
  }
}

/// Adds the sums of later runs of k to the first `count`, pairwise.
void GemmWriter::joinSums(SmallVectorImpl<Value> &sums, int64_t count) {
  for (int64_t left = sums.size() / 2; left >= count; left /= 2)
    for (int64_t i = 0; i < left; ++i) {
      Value other = sums[left + i];
      sums[i] = isa<FloatType>(plan.accumulator)
                    ? Value(arith::AddFOp::create(e.b, e.loc, sums[i], other))
                    : Value(arith::AddIOp::create(e.b, e.loc, sums[i], other));
    }
  sums.resize(count);
}

/// The steps that a triangle leaves, as whole tiles: of the first ones those
/// that rows reach, of the last ones those that they look back to.
std::pair<Value, Value> GemmWriter::neededDepth(Value row, int64_t rows) {
  using Dim = GemmPlan::Dim;
  Value from = e.index(0), to = depth;
  if (!plan.triangle)
    return {from, to};
  Value tile = e.index(tileDepth), offset = e.index(plan.triangle->offset);
  auto reach = [&](Value end) {
    Value steps = above(e.add(end, offset), firstDepth);
    to = e.min(depth, e.mul(e.ceilDiv(steps, tile), tile));
  };
  auto lookBack = [&](Value first) {
    Value steps = above(above(first, offset), firstDepth);
    from = arith::SelectOp::create(e.b, e.loc, e.less(steps, depth),
                                   e.mul(e.div(steps, tile), tile), depth);
  };
  if (plan.hasTriangle(Dim::Row, Dim::Depth))
    reach(e.add(row, e.index(rows)));
  if (plan.hasTriangle(Dim::Column, Dim::Depth))
    reach(e.add(firstColumn, e.index(plan.panelColumns())));
  if (plan.hasTriangle(Dim::Depth, Dim::Row))
    lookBack(row);
  if (plan.hasTriangle(Dim::Depth, Dim::Column))
    lookBack(firstColumn);
  return {from, to};
}

/// Sums over the steps `depths` of k; with `unroll` > 1 in that many
/// accumulators per vector, which hides the latency of a block with few rows.
GemmWriter::Block GemmWriter::accumulate(ArrayRef<Value> lhsOffsets,
                                         SmallVector<Value> start,
                                         std::pair<Value, Value> depths,
                                         int64_t unroll, Fetch fetch,
                                         Value fetchAt) {
  int64_t rows = lhsOffsets.size(), count = start.size();
  start.resize(count * unroll,
               e.constant(e.vector(plan.accumulator, plan.lanes), 0));
  auto stepAt = [&](Value rowStart, Value lhsStart, bool isOdd,
                    MutableArrayRef<Value> sums) {
    SmallVector<Value> lhsAt;
    for (Value offset : lhsOffsets)
      lhsAt.push_back(e.add(offset, lhsStart));
    multiplyRow(rowStart, lhsAt, isOdd, fetch, fetchAt, sums);
  };
  if (plan.walksDepth())
    return toBlock(rows, overDepth(0, panelStart, e.index(0), start,
                                   [&](Value rhsAt, Value lhsAt,
                                       MutableArrayRef<Value> sums) {
                                     stepAt(rhsAt, lhsAt, false, sums);
                                   }));

  auto step = [&](Value k, MutableArrayRef<Value> sums, bool isOdd = false) {
    stepAt(e.add(panelStart, e.mul(k, panelDepthStep)), e.mul(k, lhsDepthStep),
           isOdd, sums);
  };
  // Staged rows have zeros beside an odd last step.
  Value group = e.index(plan.group);
  Value first = e.div(depths.first, group), from = first;
  Value steps = plan.stagesLhs ? e.ceilDiv(depths.second, group)
                               : e.div(depths.second, group);
  if (fetch == Fetch::NextSums) {
    // Written out, so that a load goes through the panel in long steps: the
    // processor fetches what is a step of that load ahead.
    Value out = e.index(plan.blockRows);
    from = e.add(first, e.mul(e.div(e.sub(steps, first), out), out));
    start = e.loop(first, from, out, start, [&](Value k, ValueRange sums) {
      SmallVector<Value> inner(sums);
      for (int64_t u = 0; u < plan.blockRows; ++u) {
        fetchSums(e.add(fetchAt, e.index(u)), e.sub(k, first));
        step(e.add(k, e.index(u)), inner);
      }
      return inner;
    });
    if (constantOf(e.sub(steps, from)) == 0 && plan.group == 1)
      return toBlock(rows, start);
  }
  // Each accumulator has a run of k of its own: several streams through the
  // panel are what keeps memory busy where a row reads it once.
  Value run = e.div(steps, e.index(unroll));
  SmallVector<Value> sums =
      e.loop(from, run, e.index(1), start, [&](Value k, ValueRange carried) {
        SmallVector<Value> inner(carried);
        for (int64_t u = 0; u < unroll; ++u)
          step(e.add(k, e.mul(e.index(u), run)),
               MutableArrayRef<Value>(inner).slice(u * count, count));
        return inner;
      });
  if (unroll > 1) {
    joinSums(sums, count);
    sums = e.loop(e.mul(run, e.index(unroll)), steps, e.index(1), sums,
                  [&](Value k, ValueRange carried) {
                    SmallVector<Value> inner(carried);
                    step(k, inner);
                    return inner;
                  });
  }
  if (plan.group > 1 && !plan.stagesLhs)
    sums = e.choose(
        e.less(e.mul(steps, group), depths.second),
        [&] {
          SmallVector<Value> inner(sums);
          step(steps, inner, /*isOdd=*/true);
          return inner;
        },
        [&] { return sums; });
  return toBlock(rows, sums);
}

GemmWriter::Block GemmWriter::toBlock(int64_t rows, ArrayRef<Value> sums) {
  Block block;
  for (int64_t r = 0; r < rows; ++r)
    block.emplace_back(sums.slice(r * plan.vectors, plan.vectors));
  return block;
}

/// Loops over the ks from number `depth` on; an inner one of few is written
/// out.
SmallVector<Value> GemmWriter::overDepth(int64_t depth, Value rhsAt,
                                         Value lhsAt, ValueRange sums,
                                         DepthBody body) {
  if (depth == plan.depthDims) {
    SmallVector<Value> inner(sums);
    body(rhsAt, lhsAt, inner);
    return inner;
  }
  int64_t dim = plan.depthDim() + depth;
  Value extent = plan.nest.dims[dim].extent;
  bool tapped = op.getTaps() && depth + 1 == plan.depthDims;
  auto next = [&](Value k, ValueRange carried) {
    Value distance =
        tapped ? e.loadScalar(plan.taps().buffer, e.add(plan.taps().offset, k))
               : e.mul(k, plan.rhs().steps[dim]);
    return overDepth(depth + 1, e.add(rhsAt, distance),
                     e.add(lhsAt, e.mul(k, plan.lhs().steps[dim])), carried,
                     body);
  };
  std::optional<int64_t> count = constantOf(extent);
  if (!count || *count > (depth + 1 == plan.depthDims ? maxWrittenOut : 1))
    return e.loop(e.index(0), extent, e.index(1), sums, next);
  SmallVector<Value> inner(sums);
  for (int64_t k = 0; k < *count; ++k)
    inner = next(e.index(k), inner);
  return inner;
}

Value GemmWriter::runEpilogue(Value sum, ArrayRef<Value> offsets,
                              int64_t vector) {
  mlir::Block &body = op.getEpilogue().front();
  IRMapping map;
  map.map(body.getArgument(0), sum);
  for (auto [i, extra] : llvm::enumerate(op.getExtras())) {
    NestOperand &access = plan.nest.operands[2 + i];
    BlockArgument argument = body.getArgument(1 + i);
    if (!access.buffer.flat) {
      map.map(argument, e.splat(extra, plan.lanes));
      continue;
    }
    Value step = access.steps[plan.columnDim()];
    Value column = e.add(firstColumn, e.index(vector * plan.lanes));
    map.map(argument,
            e.load(access.buffer, e.add(offsets[2 + i], e.mul(column, step)),
                   step, plan.lanes, masks[vector]));
  }
  auto noIndex = [](int64_t) { return Value(); };
  auto results =
      vectorizeBody(e, body, map, plan.lanes, masks[vector], noIndex);
  if (mlir::failed(results)) {
    failed = true;
    return sum;
  }
  return results->front();
}

void GemmWriter::storeRow(Value row, ArrayRef<Value> sums) {
  SmallVector<Value> offsets;
  for (int64_t i = 0, n = plan.nest.operands.size(); i < n; ++i)
    offsets.push_back(i < 2 ? Value() : rowOffset(i, row));
  Value step = plan.init().steps[plan.columnDim()];
  for (auto [j, sum] : llvm::enumerate(sums)) {
    Value result = runEpilogue(sum, offsets, j);
    if (failed)
      return;
    Value column = e.add(firstColumn, e.index(j * plan.lanes));
    e.store(result, plan.init().buffer,
            e.add(offsets.back(), e.mul(column, step)), step, masks[j]);
  }
}

/// Where the sums of a block's vectors wait between blocks of k.
void GemmWriter::overPartialSums(
    Value row, int64_t rows,
    function_ref<void(int64_t, const Buffer &, Value, Value, Mask)> body) {
  for (int64_t r = 0; r < rows; ++r) {
    Value at = e.add(row, e.index(r));
    Value step = e.index(1), offset;
    if (plan.sumsInInit) {
      step = plan.init().steps[plan.columnDim()];
      offset = e.add(rowOffset(plan.nest.operands.size() - 1, at),
                     e.mul(firstColumn, step));
    } else {
      offset = e.mul(e.sub(at, fromRow), e.index(plan.panelColumns()));
    }
    for (int64_t j = 0; j < plan.vectors; ++j)
      body(r * plan.vectors + j,
           plan.sumsInInit ? plan.init().buffer : partialSums,
           e.add(offset, e.mul(e.index(j * plan.lanes), step)), step,
           plan.sumsInInit ? masks[j] : Mask());
  }
}

/// Zeros, or what earlier blocks of k left.
SmallVector<Value> GemmWriter::startSums(Value row, int64_t rows) {
  auto type = e.vector(plan.accumulator, plan.lanes);
  SmallVector<Value> zeros(rows * plan.vectors, e.constant(type, 0));
  if (!plan.depthBlock)
    return zeros;
  return e.choose(
      isFirst, [&] { return zeros; },
      [&] {
        SmallVector<Value> sums(rows * plan.vectors);
        overPartialSums(row, rows,
                        [&](int64_t index, const Buffer &buffer, Value offset,
                            Value step, Mask mask) {
                          sums[index] =
                              e.load(buffer, offset, step, plan.lanes, mask);
                        });
        return sums;
      });
}

void GemmWriter::finishBlock(Value row, const Block &block) {
  int64_t rows = block.size();
  if (!scratch.flat || rows == 1) {
    for (int64_t r = 0; r < rows; ++r)
      storeRow(e.add(row, e.index(r)), block[r]);
    return;
  }
  // A long epilogue is written once, in a loop over the rows of the block.
  Value one = e.index(1), width = e.index(plan.panelColumns());
  auto place = [&](Value r, int64_t j) {
    return e.add(e.mul(r, width), e.index(j * plan.lanes));
  };
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < plan.vectors; ++j)
      e.store(block[r][j], scratch, place(e.index(r), j), one, Mask());
  e.loop(e.index(0), e.index(rows), one, [&](Value r) {
    SmallVector<Value> sums;
    for (int64_t j = 0; j < plan.vectors; ++j)
      sums.push_back(e.load(scratch, place(r, j), one, plan.lanes, Mask()));
    storeRow(e.add(row, r), sums);
  });
}

void GemmWriter::writeBlock(Value row, int64_t rows, Fetch fetch,
                            Value fetchAt) {
  int64_t unroll = rows * plan.vectors < 6 && !plan.walksDepth() ? 4 : 1;
  // Where k is cut into runs, where they end decides the order of sums.
  auto depths =
      unroll == 1 ? neededDepth(row, rows) : std::pair(e.index(0), depth);
  Block block = accumulate(lhsOffsets(row, rows), startSums(row, rows), depths,
                           unroll, fetch, fetchAt);
  auto keep = [&] {
    overPartialSums(row, rows,
                    [&](int64_t index, const Buffer &buffer, Value offset,
                        Value step, Mask mask) {
                      e.store(block[index / plan.vectors][index % plan.vectors],
                              buffer, offset, step, mask);
                    });
  };
  if (!plan.depthBlock)
    finishBlock(row, block);
  else if (plan.sumsInInit && op.isPlain())
    keep();
  else
    e.branch(isLast, [&] { finishBlock(row, block); }, keep);
}

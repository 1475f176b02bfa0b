//===- Gemm.cpp - Kernels of cpu.gemm ---------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// One task is a batch element, a group of rows and a group of panels. Its panels
// are outside, their rows inside: a block of rows × panel stays in registers
// over all of k, with one load per panel vector and one broadcast per row.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

using namespace mlir;
using namespace twist::cpu;

namespace {
/// What is known of a gemm before its code is written.
struct GemmPlan {
  Nest nest;
  int64_t batch, rowDims, depthDims;
  int64_t lanes, vectors, blockRows;
  bool packed, tapped;
  Type accumulator;
  SmallVector<Value> batchExtents, rowExtents;
  Value batches, rows, columns, depth, panels;
  Value rowGroups, panelsPerTask, panelGroups, batchesPerTask;
  /// Steps of the right-hand side: from panel to panel and along k.
  Value panelStep, depthStep;

  int64_t panelColumns() const { return lanes * vectors; }
  int64_t columnDim() const { return batch + rowDims; }
  /// The first k.
  int64_t depthDim() const { return batch + rowDims + 1; }
  /// Whether k is more than steps of one size.
  bool walksDepth() const { return depthDims > 1 || tapped; }
  NestOperand &lhs() { return nest.operands[0]; }
  NestOperand &rhs() { return nest.operands[1]; }
  NestOperand &taps() { return nest.operands[nest.operands.size() - 2]; }
  NestOperand &init() { return nest.operands.back(); }
};
} // namespace

/// Multiply-adds that outweigh the start of a task.
static constexpr int64_t taskWork = 1 << 18;
/// Rows of the left-hand side that a task should not exceed, and the tasks that
/// balance up to eight threads.
static constexpr int64_t taskRows = 1024, balancedTasks = 16;
/// Steps of k from a load to the prefetch of what it will need later, where few
/// rows share a panel.
static constexpr int64_t stepsAhead = 40;

/// Steps of an inner k that are written one after the other.
static constexpr int64_t maxWrittenOut = 4;

static void splitTasks(Emitter &e, GemmPlan &plan) {
  Value one = e.index(1), block = e.index(plan.blockRows);
  Value blocks = e.max(e.div(plan.rows, block), one);
  Value units = e.max(e.mul(plan.batches, plan.panels), one);
  // Rows are split where they are many, or panels too few to balance threads.
  Value byRows = e.ceilDiv(plan.rows, e.index(taskRows));
  Value byBalance = e.min(e.ceilDiv(e.index(balancedTasks), units),
                          e.max(e.div(blocks, e.index(6)), one));
  plan.rowGroups = e.min(e.max(e.max(byRows, byBalance), one), blocks);
  Value work = e.max(
      e.mul(e.mul(e.ceilDiv(plan.rows, plan.rowGroups), plan.depth),
            e.index(plan.panelColumns())),
      one);
  Value wanted = e.ceilDiv(e.index(taskWork), work);
  plan.panelsPerTask = e.max(e.min(wanted, plan.panels), one);
  plan.panelGroups = e.ceilDiv(plan.panels, plan.panelsPerTask);
  plan.batchesPerTask = one;
  if (!plan.walksDepth())
    return;
  // Channels of a depthwise convolution are small work each.
  Value own = e.max(e.mul(work, plan.panels), one);
  plan.batchesPerTask =
      e.max(e.min(e.ceilDiv(e.index(taskWork), own),
                  e.ceilDiv(plan.batches, e.index(balancedTasks))),
            one);
}

static FailureOr<GemmPlan> makePlan(Emitter &e, GemmOp op) {
  GemmPlan plan;
  plan.batch = op.getBatch();
  plan.rowDims = op.getRows();
  plan.depthDims = op.getDepth();
  plan.packed = op.getPanel().has_value();
  plan.tapped = bool(op.getTaps());
  plan.accumulator = op.getAccumulator();
  plan.lanes = e.target.lanes(plan.accumulator);

  SmallVector<Value> shaped(op->getOperands());
  SmallVector<AffineMap> nestMaps;
  for (unsigned i = 0, n = shaped.size(); i < n; ++i)
    nestMaps.push_back(op.getMap(i));
  SmallVector<utils::IteratorType> kinds(op.getNumDims(),
                                         utils::IteratorType::parallel);
  std::fill(kinds.end() - plan.depthDims, kinds.end(),
            utils::IteratorType::reduction);
  if (plan.packed) {
    // Its layout is no linear map; init stands in its place in the nest.
    shaped[1] = op.getInit();
    nestMaps[1] = op.getInitMap();
  }
  FailureOr<Nest> nest = buildNest(e, shaped, nestMaps, kinds);
  if (failed(nest))
    return op.emitOpError("has accesses that are not linear");
  plan.nest = std::move(*nest);
  // Columns may run beyond a row of the right-hand side.
  if (plan.walksDepth())
    plan.nest.dims[plan.columnDim()].extent =
        e.buffer(op.getInit()).sizes.back();
  if (plan.packed) {
    NestOperand &rhs = plan.rhs();
    AffineMap map = op.getRhsMap();
    unsigned rank = map.getNumResults();
    Buffer packed = e.buffer(op.getRhs());
    rhs.buffer = packed;
    rhs.offset = packed.offset;
    rhs.steps.assign(op.getNumDims(), e.index(0));
    for (unsigned r = 0; r + 2 < rank; ++r)
      if (auto dim = dyn_cast<AffineDimExpr>(map.getResult(r)))
        rhs.steps[dim.getPosition()] = packed.strides[r];
    plan.panelStep = packed.strides[rank - 2];
    plan.depthStep = packed.strides[rank - 1];
  }

  // Rows that every operand walks as one run need one step only.
  SmallVector<bool> keep(op.getNumDims(), true);
  for (int64_t d = 0; d < plan.rowDims; ++d)
    keep[plan.batch + d] = false;
  int64_t before = plan.nest.dims.size();
  joinLoops(e, plan.nest, shaped, nestMaps, keep);
  plan.rowDims -= before - static_cast<int64_t>(plan.nest.dims.size());

  for (int64_t d = 0; d < plan.batch; ++d)
    plan.batchExtents.push_back(plan.nest.dims[d].extent);
  for (int64_t d = 0; d < plan.rowDims; ++d)
    plan.rowExtents.push_back(plan.nest.dims[plan.batch + d].extent);
  plan.batches = e.product(plan.batchExtents);
  plan.rows = e.product(plan.rowExtents);
  plan.columns = plan.nest.dims[plan.columnDim()].extent;
  plan.depth = e.index(1);
  for (int64_t d = 0; d < plan.depthDims; ++d)
    plan.depth = e.mul(plan.depth, plan.nest.dims[plan.depthDim() + d].extent);

  int64_t panel = plan.packed
                      ? *op.getPanel()
                      : e.target.panelColumns(
                            constantOf(plan.columns).value_or(
                                ShapedType::kDynamic),
                            plan.accumulator);
  plan.vectors = llvm::divideCeil(panel, plan.lanes);
  plan.blockRows = e.target.blockRows(plan.vectors);
  if (!plan.packed) {
    plan.panelStep =
        e.mul(e.index(panel), plan.rhs().steps[plan.columnDim()]);
    plan.depthStep = plan.rhs().steps[plan.depthDim()];
  }
  plan.panels = e.ceilDiv(plan.columns, e.index(panel));
  splitTasks(e, plan);
  return plan;
}

Value twist::cpu::countGemmTasks(Emitter &e, GemmOp op) {
  FailureOr<GemmPlan> plan = makePlan(e, op);
  if (failed(plan))
    return e.index(0);
  return e.mul(e.ceilDiv(plan->batches, plan->batchesPerTask),
               e.mul(plan->rowGroups, plan->panelGroups));
}

namespace {
class GemmWriter {
public:
  GemmWriter(Emitter &e, GemmOp op, GemmPlan &plan) : e(e), op(op), plan(plan) {}

  LogicalResult write(Value task);

private:
  Emitter &e;
  GemmOp op;
  GemmPlan &plan;
  /// Offsets of each operand at the task's batch element.
  SmallVector<Value> base;
  /// The panel at hand: its first column, the masks of its vectors (null: whole),
  /// and where it starts in the right-hand side.
  Value firstColumn, panelStart;
  SmallVector<Mask> masks;
  /// What a block fetches for later: nothing; one vector a step of the next
  /// panel, which many blocks share; or what itself will read soon.
  enum class Fetch { None, NextPanel, Ahead };

  /// Accumulators on their way through a long epilogue.
  Buffer scratch;
  bool failed = false;

  using Block = SmallVector<SmallVector<Value>>;

  Value rowOffset(int64_t operand, Value row);
  void startBatch(Value batch);
  void startPanel(Value panel);
  void overRows(Value from, Value to);
  void overBlocks(Value from, Value to, int64_t rows, Fetch fetch);
  void writeBlock(Value row, int64_t rows, Fetch fetch, Value fetchColumn);
  Block accumulate(ArrayRef<Value> lhsOffsets, int64_t unroll, Fetch fetch,
                   Value fetchColumn);
  using DepthBody = function_ref<void(Value rhsAt, Value lhsAt,
                                      MutableArrayRef<Value> sums)>;
  SmallVector<Value> overDepth(int64_t depth, Value rhsAt, Value lhsAt,
                               ValueRange sums, DepthBody body);
  Block toBlock(int64_t rows, ArrayRef<Value> sums);
  void prefetch(Value offset, unsigned level);
  Value multiplyAdd(Value x, Value y, Value sum);
  void storeRow(Value row, ArrayRef<Value> sums);
  Value runEpilogue(Value sum, ArrayRef<Value> offsets, int64_t vector);
  bool isLongEpilogue() {
    mlir::Block &body = op.getEpilogue().front();
    return isHeavy(body) || body.getOperations().size() > 8;
  }
};
} // namespace

Value GemmWriter::rowOffset(int64_t operand, Value row) {
  NestOperand &access = plan.nest.operands[operand];
  if (!access.buffer.flat)
    return Value();
  SmallVector<Value> at = e.delinearize(row, plan.rowExtents);
  return e.dot(base[operand], at,
               ArrayRef<Value>(access.steps).slice(plan.batch, plan.rowDims));
}

Value GemmWriter::multiplyAdd(Value x, Value y, Value sum) {
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

/// Sums over k; with `unroll` > 1 in that many accumulators per vector, which
/// hides the latency of a block with few rows.
GemmWriter::Block GemmWriter::accumulate(ArrayRef<Value> lhsOffsets,
                                         int64_t unroll, Fetch fetch,
                                         Value fetchColumn) {
  int64_t rows = lhsOffsets.size(), vectors = plan.vectors;
  auto type = e.vector(plan.accumulator, plan.lanes);
  SmallVector<Value> zeros(rows * vectors * unroll, e.constant(type, 0));
  Value lhsStep = plan.lhs().steps[plan.depthDim()];
  Value columnStep = plan.packed ? e.index(1)
                                 : plan.rhs().steps[plan.columnDim()];

  // One k: where the panel's row and the column of the left-hand side start.
  auto stepAt = [&](Value rowStart, Value lhsStart,
                    MutableArrayRef<Value> sums) {
    SmallVector<Value> panel;
    for (int64_t j = 0; j < vectors; ++j) {
      Value at = e.add(rowStart, e.mul(e.index(j * plan.lanes), columnStep));
      Value lanes = e.load(plan.rhs().buffer, at, columnStep, plan.lanes,
                           plan.packed ? Mask() : masks[j]);
      panel.push_back(e.convert(lanes, plan.accumulator, op.getRhsUnsigned()));
    }
    if (fetch == Fetch::NextPanel)
      prefetch(e.add(e.add(rowStart, plan.panelStep), fetchColumn),
               /*level=*/2);
    // Panels follow each other: what is ahead may be of the next one.
    if (fetch == Fetch::Ahead)
      for (int64_t j = 0; j < vectors; ++j)
        prefetch(e.add(rowStart, e.index(stepsAhead * plan.panelColumns() +
                                         j * plan.lanes)),
                 /*level=*/1);
    for (int64_t r = 0; r < rows; ++r) {
      Value scalar =
          e.loadScalar(plan.lhs().buffer, e.add(lhsOffsets[r], lhsStart));
      scalar = e.convert(scalar, plan.accumulator, op.getLhsUnsigned());
      Value row = e.splat(scalar, plan.lanes);
      for (int64_t j = 0; j < vectors; ++j)
        sums[r * vectors + j] = multiplyAdd(row, panel[j], sums[r * vectors + j]);
    }
  };
  auto step = [&](Value k, MutableArrayRef<Value> sums) {
    stepAt(e.add(panelStart, e.mul(k, plan.depthStep)), e.mul(k, lhsStep), sums);
  };
  if (plan.walksDepth())
    return toBlock(rows, overDepth(0, panelStart, e.index(0), zeros, stepAt));

  int64_t count = rows * vectors;
  // Each accumulator has a run of k of its own: several streams through the
  // panel are what keeps memory busy where a row reads it once.
  Value run = e.div(plan.depth, e.index(unroll));
  Value whole = e.mul(run, e.index(unroll));
  SmallVector<Value> sums = e.loop(
      e.index(0), run, e.index(1), zeros, [&](Value k, ValueRange carried) {
        SmallVector<Value> inner(carried);
        for (int64_t u = 0; u < unroll; ++u)
          step(e.add(k, e.mul(e.index(u), run)),
               MutableArrayRef<Value>(inner).slice(u * count, count));
        return inner;
      });
  if (unroll > 1) {
    for (int64_t u = unroll / 2; u > 0; u /= 2)
      for (int64_t i = 0; i < u * count; ++i) {
        Value other = sums[u * count + i];
        sums[i] = isa<FloatType>(plan.accumulator)
                      ? Value(arith::AddFOp::create(e.b, e.loc, sums[i], other))
                      : Value(arith::AddIOp::create(e.b, e.loc, sums[i], other));
      }
    sums.resize(count);
    sums = e.loop(whole, plan.depth, e.index(1), sums,
                  [&](Value k, ValueRange carried) {
                    SmallVector<Value> inner(carried);
                    step(k, inner);
                    return inner;
                  });
  }
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
    Value distance = tapped ? e.loadScalar(plan.taps().buffer,
                                           e.add(plan.taps().offset, k))
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
    Value column =
        e.add(firstColumn, e.index(vector * plan.lanes));
    map.map(argument, e.load(access.buffer,
                             e.add(offsets[2 + i], e.mul(column, step)), step,
                             plan.lanes, masks[vector]));
  }
  auto noIndex = [](int64_t) { return Value(); };
  auto results = vectorizeBody(e, body, map, plan.lanes, masks[vector], noIndex);
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

void GemmWriter::writeBlock(Value row, int64_t rows, Fetch fetch,
                            Value fetchColumn) {
  SmallVector<Value> lhsOffsets;
  for (int64_t r = 0; r < rows; ++r)
    lhsOffsets.push_back(rowOffset(0, e.add(row, e.index(r))));
  int64_t unroll = rows * plan.vectors < 6 && !plan.walksDepth() ? 4 : 1;
  Block block = accumulate(lhsOffsets, unroll, fetch, fetchColumn);
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

/// Blocks over [from, to), which holds at least one; the last overlaps the one
/// before it, and computes the same values again.
void GemmWriter::overBlocks(Value from, Value to, int64_t rows,
                            Fetch fetch) {
  Value last = e.sub(to, e.index(rows));
  e.loop(from, to, e.index(rows), [&](Value at) {
    Value row = rows == 1 ? at : e.min(at, last);
    Value column;
    if (fetch == Fetch::NextPanel) {
      Value turn = e.rem(e.div(e.sub(at, from), e.index(rows)),
                         e.index(plan.vectors));
      column = e.mul(turn, e.index(plan.lanes));
    }
    writeBlock(row, rows, fetch, column);
  });
}

void GemmWriter::overRows(Value from, Value to) {
  Value count = e.sub(to, from);
  int64_t rows = plan.blockRows;
  Fetch ahead = plan.packed ? Fetch::Ahead : Fetch::None;
  auto fewRows = [&] {
    auto single = [&] { overBlocks(from, to, 1, ahead); };
    if (rows <= 4)
      return single();
    e.branch(e.less(count, e.index(4)), single,
             [&] { overBlocks(from, to, 4, ahead); });
  };
  // Too few blocks fetch too little of the next panel.
  auto manyRows = [&] {
    if (!plan.packed)
      return overBlocks(from, to, rows, Fetch::None);
    e.branch(e.less(count, e.index(rows * plan.vectors)),
             [&] { overBlocks(from, to, rows, ahead); },
             [&] { overBlocks(from, to, rows, Fetch::NextPanel); });
  };
  e.branch(e.less(count, e.index(rows)), fewRows, manyRows);
}

void GemmWriter::startBatch(Value batch) {
  SmallVector<Value> at = e.delinearize(batch, plan.batchExtents);
  base.clear();
  for (NestOperand &operand : plan.nest.operands)
    base.push_back(operand.buffer.flat
                       ? e.dot(operand.offset, at,
                               ArrayRef<Value>(operand.steps).take_front(plan.batch))
                       : Value());
}

void GemmWriter::startPanel(Value panel) {
  panelStart = e.add(base[1], e.mul(panel, plan.panelStep));
  firstColumn = e.mul(panel, e.index(plan.panelColumns()));
  masks.assign(plan.vectors, Mask());
  std::optional<int64_t> columns = constantOf(plan.columns);
  if (columns && *columns % plan.panelColumns() == 0)
    return;
  Value left = e.sub(plan.columns, firstColumn);
  for (int64_t j = 0; j < plan.vectors; ++j) {
    // Vectors wholly beyond the last column have an empty mask: create_mask
    // takes a negative count for 0.
    masks[j] = e.mask(e.sub(left, e.index(j * plan.lanes)), plan.lanes);
  }
}

LogicalResult GemmWriter::write(Value task) {
  Value panelGroup = e.rem(task, plan.panelGroups);
  Value rest = e.div(task, plan.panelGroups);
  Value rowGroup = e.rem(rest, plan.rowGroups);
  Value batchGroup = e.div(rest, plan.rowGroups);
  // Groups of whole blocks, as even as can be; the last takes the odd rows.
  Value block = e.index(plan.blockRows);
  Value blocks = e.div(plan.rows, block);
  auto start = [&](Value group) {
    return e.mul(e.div(e.mul(group, blocks), plan.rowGroups), block);
  };
  Value from = e.index(0), to = plan.rows;
  if (constantOf(plan.rowGroups) != 1) {
    from = start(rowGroup);
    Value next = e.add(rowGroup, e.index(1));
    Value inner = start(next);
    Value isLast = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq,
                                         next, plan.rowGroups);
    to = arith::SelectOp::create(e.b, e.loc, isLast, plan.rows, inner);
  }
  if (isLongEpilogue()) {
    auto type = MemRefType::get({plan.blockRows * plan.panelColumns()},
                                plan.accumulator);
    scratch = e.buffer(memref::AllocaOp::create(e.b, e.loc, type,
                                                e.b.getI64IntegerAttr(64)));
  }
  Value firstPanel = e.mul(panelGroup, plan.panelsPerTask);
  Value lastPanel =
      e.min(e.add(firstPanel, plan.panelsPerTask), plan.panels);
  auto overPanels = [&](Value batch) {
    startBatch(batch);
    e.loop(firstPanel, lastPanel, e.index(1), [&](Value panel) {
      startPanel(panel);
      overRows(from, to);
    });
  };
  if (constantOf(plan.batchesPerTask) == 1) {
    overPanels(batchGroup);
  } else {
    Value firstBatch = e.mul(batchGroup, plan.batchesPerTask);
    Value lastBatch =
        e.min(e.add(firstBatch, plan.batchesPerTask), plan.batches);
    e.loop(firstBatch, lastBatch, e.index(1), overPanels);
  }
  return failure(failed);
}

LogicalResult twist::cpu::lowerGemm(Emitter &e, GemmOp op, Value task) {
  FailureOr<GemmPlan> plan = makePlan(e, op);
  if (failed(plan))
    return failure();
  return GemmWriter(e, op, *plan).write(task);
}

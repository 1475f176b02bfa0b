//===- Gemm.cpp - Kernels of cpu.gemm
//---------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// One task is a batch element, a group of rows and a group of panels. Its
// panels are outside, their rows inside: a block of rows × panel stays in
// registers over k, with one load per panel vector and one broadcast per row.
// What does not lie as these loops read it is copied before (staged), k in
// blocks then, outside of the panels.
//
//===----------------------------------------------------------------------===//

#include "GemmWriter.h"

using namespace mlir;
using namespace twist::cpu;

Value GemmWriter::rowOffset(int64_t operand, Value row) {
  NestOperand &access = plan.nest.operands[operand];
  if (!access.buffer.flat)
    return Value();
  SmallVector<Value> at = e.delinearize(row, plan.rowExtents);
  return e.dot(base[operand], at,
               ArrayRef<Value>(access.steps).slice(plan.batch, plan.rowDims));
}

/// Blocks over [from, to), which holds at least one; the last overlaps the one
/// before it, and computes the same values again (unless rows are owned: the
/// range is whole blocks then).
void GemmWriter::overBlocks(Value from, Value to, int64_t rows, Fetch fetch) {
  Value last = e.sub(to, e.index(rows));
  e.loop(from, to, e.index(rows), [&](Value at) {
    Value row = rows == 1 || plan.ownsRows() ? at : e.min(at, last);
    Value fetchAt;
    if (fetch == Fetch::NextPanel) {
      Value turn =
          e.rem(e.div(e.sub(at, from), e.index(rows)), e.index(plan.vectors));
      fetchAt = e.mul(turn, e.index(plan.lanes * plan.group));
    } else if (fetch == Fetch::NextSums) {
      fetchAt = e.add(row, e.index(rows));
    }
    writeBlock(row, rows, fetch, fetchAt);
  });
}

/// The rows of the panel at hand that a triangle leaves, as whole blocks.
void GemmWriter::findNeededRows() {
  using Dim = GemmPlan::Dim;
  fromNeeded = fromRow;
  toNeeded = toRow;
  if (!plan.triangle)
    return;
  Value block = e.index(plan.blockRows),
        offset = e.index(plan.triangle->offset);
  if (plan.hasTriangle(Dim::Row, Dim::Column))
    fromNeeded =
        e.max(fromRow, e.mul(e.div(above(firstColumn, offset), block), block));
  if (plan.hasTriangle(Dim::Column, Dim::Row)) {
    Value end = e.add(e.add(firstColumn, e.index(plan.panelColumns())), offset);
    toNeeded = e.min(toRow, e.mul(e.ceilDiv(end, block), block));
  }
}

/// Whole blocks, then smaller ones for the rest.
void GemmWriter::overOwnRows() {
  Value from = fromNeeded;
  for (int64_t rows = plan.blockRows; rows >= 1;
       rows = rows > 4 ? 4 : rows / 4) {
    Value count = plan.triangle ? above(toNeeded, from) : e.sub(toNeeded, from);
    Value to = e.add(from, e.mul(e.div(count, e.index(rows)), e.index(rows)));
    Fetch fetch = rows != plan.blockRows ? Fetch::None
                  : plan.packed          ? Fetch::NextPanel
                                         : Fetch::NextSums;
    overBlocks(from, to, rows, fetch);
    from = to;
  }
}

void GemmWriter::overRows() {
  if (plan.ownsRows())
    return overOwnRows();
  Value from = fromRow, to = toRow;
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
    from = fromNeeded;
    to = toNeeded;
    if (!plan.packed)
      return overBlocks(from, to, rows, Fetch::NextSums);
    e.branch(
        e.less(count, e.index(rows * plan.vectors)),
        [&] { overBlocks(from, to, rows, ahead); },
        [&] { overBlocks(from, to, rows, Fetch::NextPanel); });
  };
  e.branch(e.less(count, e.index(rows)), fewRows, manyRows);
}

void GemmWriter::startBatch(Value batch) {
  SmallVector<Value> at = e.delinearize(batch, plan.batchExtents);
  base.clear();
  for (NestOperand &operand : plan.nest.operands)
    base.push_back(
        operand.buffer.flat
            ? e.dot(operand.offset, at,
                    ArrayRef<Value>(operand.steps).take_front(plan.batch))
            : Value());
}

/// The task's rows: groups of whole blocks, as even as can be; the last takes
/// the odd rows.
void GemmWriter::findRows(Value rowGroup) {
  fromRow = e.index(0);
  toRow = plan.rows;
  if (constantOf(plan.rowGroups) == 1)
    return;
  Value block = e.index(plan.blockRows);
  Value blocks = e.div(plan.rows, block);
  auto start = [&](Value group) {
    return e.mul(e.div(e.mul(group, blocks), plan.rowGroups), block);
  };
  fromRow = start(rowGroup);
  Value next = e.add(rowGroup, e.index(1));
  Value inner = start(next);
  Value isLast = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq,
                                       next, plan.rowGroups);
  toRow = arith::SelectOp::create(e.b, e.loc, isLast, plan.rows, inner);
}

Buffer GemmWriter::allocate(int64_t elements, Type type) {
  return e.buffer(memref::AllocaOp::create(e.b, e.loc,
                                           MemRefType::get({elements}, type),
                                           e.b.getI64IntegerAttr(64)));
}

void GemmWriter::makeBuffers() {
  if (isLongEpilogue())
    scratch = allocate(plan.blockRows * plan.panelColumns(), plan.accumulator);
  panelBuffer = plan.rhs().buffer;
  panelDepthStep = plan.depthStep;
  if (plan.stagesRhs) {
    stagedPanel = panelBuffer =
        allocate(plan.stagedDepth() * plan.panelColumns(),
                 plan.stagedType(plan.rhs().buffer.element));
    panelDepthStep = e.index(plan.panelColumns() * plan.group);
  }
  rowsBuffer = plan.lhs().buffer;
  lhsDepthStep = e.mul(plan.lhs().steps[plan.depthDim()], e.index(plan.group));
  // Odd rows have a block beyond the last whole one.
  int64_t rows = plan.taskRows + plan.blockRows;
  if (plan.stagesLhs) {
    stagedRows = rowsBuffer = allocate(
        plan.stagedDepth() * rows, plan.stagedType(plan.lhs().buffer.element));
    lhsDepthStep = e.index(plan.blockRows * plan.group);
  }
  if (plan.depthBlock && !plan.sumsInInit)
    partialSums = allocate(rows * plan.panelColumns(), plan.accumulator);
}

/// Runs `body` for each block of k.
void GemmWriter::overDepthBlocks(function_ref<void()> body) {
  firstDepth = e.index(0);
  depth = plan.depth;
  if (!plan.depthBlock)
    return body();
  Value step = e.index(plan.depthBlock);
  // A k of no steps is one block too: init is written.
  e.loop(firstDepth, e.max(plan.depth, e.index(1)), step, [&](Value k) {
    Value left = e.sub(plan.depth, k);
    firstDepth = k;
    std::optional<int64_t> all = constantOf(plan.depth);
    depth = all && *all % plan.depthBlock == 0 ? step : e.min(left, step);
    isFirst = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, k,
                                    e.index(0));
    isLast = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ule, left,
                                   step);
    body();
  });
}

void GemmWriter::stageLhs() {
  if (!plan.stagesLhs)
    return;
  const NestOperand &lhs = plan.lhs();
  Value from = e.add(rowOffset(0, fromRow),
                     e.mul(firstDepth, lhs.steps[plan.depthDim()]));
  auto needed = [&](Value end) {
    Value last = e.add(e.add(firstDepth, end), e.index(plan.triangle->offset));
    return above(last, fromRow);
  };
  bool isBounded = plan.hasTriangle(GemmPlan::Dim::Depth, GemmPlan::Dim::Row);
  stageRows(e, plan, lhs.buffer, from, lhs.steps[plan.batch],
            lhs.steps[plan.depthDim()], e.sub(toRow, fromRow), depth,
            stagedRows,
            isBounded ? llvm::function_ref<Value(Value)>(needed) : nullptr);
}

/// Where the rows of a block start.
SmallVector<Value> GemmWriter::lhsOffsets(Value row, int64_t rows) {
  SmallVector<Value> offsets;
  Value start;
  if (plan.stagesLhs) {
    // Blocks of fewer rows lie within one of the others.
    Value at = e.sub(row, fromRow), block = e.index(plan.blockRows);
    start = e.add(
        e.mul(e.div(at, block), e.index(plan.blockRows * plan.stagedDepth())),
        e.mul(e.rem(at, block), e.index(plan.group)));
  }
  for (int64_t r = 0; r < rows; ++r)
    offsets.push_back(
        start ? e.add(start, e.index(r * plan.group))
              : e.add(rowOffset(0, e.add(row, e.index(r))),
                      e.mul(firstDepth, plan.lhs().steps[plan.depthDim()])));
  return offsets;
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

void GemmWriter::stageRhs() {
  if (!plan.stagesRhs) {
    // Read where it lies, from this block of k on.
    if (plan.depthBlock)
      panelStart =
          e.add(panelStart,
                e.mul(e.div(firstDepth, e.index(plan.group)), panelDepthStep));
    return;
  }
  const NestOperand &rhs = plan.rhs();
  stagePanel(e, plan, rhs.buffer,
             e.add(panelStart, e.mul(firstDepth, plan.depthStep)),
             rhs.steps[plan.columnDim()], plan.depthStep,
             e.sub(plan.columns, firstColumn), depth, stagedPanel);
  panelStart = e.index(0);
}

LogicalResult GemmWriter::write(Value task) {
  Value panelGroup = e.rem(task, plan.panelGroups);
  Value rest = e.div(task, plan.panelGroups);
  Value rowGroup = e.rem(rest, plan.rowGroups);
  Value batchGroup = e.div(rest, plan.rowGroups);
  findRows(rowGroup);
  makeBuffers();
  Value firstPanel = e.mul(panelGroup, plan.panelsPerTask);
  Value lastPanel = e.min(e.add(firstPanel, plan.panelsPerTask), plan.panels);
  auto onePanel = [&](Value panel) {
    startPanel(panel);
    findNeededRows();
    auto body = [&] {
      stageRhs();
      overRows();
    };
    // Of rows that are not cut each panel needs some.
    if (fromNeeded == fromRow && toNeeded == toRow)
      body();
    else
      e.branch(e.less(fromNeeded, toNeeded), body);
  };
  auto overPanels = [&](Value batch) {
    startBatch(batch);
    // Sums that wait in a buffer are of one panel.
    if (partialSums.flat)
      return e.loop(firstPanel, lastPanel, e.index(1), [&](Value panel) {
        overDepthBlocks([&] {
          stageLhs();
          onePanel(panel);
        });
      });
    overDepthBlocks([&] {
      stageLhs();
      e.loop(firstPanel, lastPanel, e.index(1), onePanel);
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
  FailureOr<GemmPlan> plan = planGemm(e, op);
  if (failed(plan))
    return failure();
  return GemmWriter(e, op, *plan).write(task);
}

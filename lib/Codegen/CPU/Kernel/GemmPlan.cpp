//===- GemmPlan.cpp - How a gemm is cut into tasks and blocks
//---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "GemmPlan.h"

using namespace mlir;
using namespace twist::cpu;

/// Multiply-adds that outweigh the start of a task.
static constexpr int64_t taskWork = 1 << 18;
/// Tasks that balance up to eight threads.
static constexpr int64_t balancedTasks = 16;
/// Elements of the left-hand side that stay near while panels pass.
static constexpr int64_t nearElements = 3 << 17;
static constexpr int64_t mostRows = 1024;
/// Steps of k of a staged panel; of staged rows, and their elements: both fit
/// the second cache together.
static constexpr int64_t panelDepth = 512, rowsDepth = 256,
                         stagedElements = 3 << 15;
/// Steps of k up to which rows are widened once.
static constexpr int64_t wideDepth = 2048;
/// Panels over which the copy of staged rows pays.
static constexpr int64_t panelsPerStage = 8;
/// Columns up to which a right-hand side is read in place, unless many rows
/// would widen it again and again, or jump from page to page for it.
static constexpr int64_t directColumns = 128, fewRows = 64;

int64_t GemmPlan::stagedDepth() const {
  int64_t steps = depthBlock ? depthBlock : *constantOf(depth);
  // Copies go by whole registers, of pairs twice as many steps.
  return llvm::alignTo(std::max<int64_t>(steps, 1), lanes * group);
}

/// Whether the left-hand side, with runs along k, is staged to be widened once
/// and not for each panel.
static bool widensRuns(const GemmPlan &plan, const NestOperand &lhs) {
  auto isFrom = [](Value extent, int64_t least, int64_t most) {
    std::optional<int64_t> known = constantOf(extent);
    return known && *known >= least && *known <= most;
  };
  return plan.group == 1 &&
         lhs.buffer.element.getIntOrFloatBitWidth() <
             plan.accumulator.getIntOrFloatBitWidth() &&
         isFrom(plan.rows, 64, INT64_MAX) &&
         isFrom(plan.panels, 4, INT64_MAX) && isFrom(plan.depth, 1, wideDepth);
}

/// Whether few columns are copied all the same, for all the rows of a task.
static bool paysToCopy(GemmPlan &plan, int64_t columns) {
  std::optional<int64_t> rows = constantOf(plan.rows),
                         step = constantOf(plan.depthStep);
  bool isNarrow = plan.rhs().buffer.element.getIntOrFloatBitWidth() <
                  plan.accumulator.getIntOrFloatBitWidth();
  bool isScattered = step && *step > 4 * columns;
  return rows && *rows >= fewRows && (isNarrow || isScattered);
}

/// Decides what is staged, and how k is cut.
static void planStaging(GemmOp op, GemmPlan &plan) {
  plan.taskRows = mostRows;
  if (plan.walksDepth())
    return;
  auto isOne = [](Value step) { return constantOf(step) == 1; };
  std::optional<int64_t> depth = constantOf(plan.depth),
                         columns = constantOf(plan.columns);
  bool isDirect = columns && plan.group == 1 && *columns <= directColumns &&
                  isOne(plan.rhs().steps[plan.columnDim()]) &&
                  !paysToCopy(plan, *columns);
  plan.stagesRhs = !plan.packed && !isDirect;
  bool isWidened = false;
  if (plan.rowDims == 1) {
    bool hasRuns = isOne(plan.lhs().steps[plan.depthDim()]);
    isWidened = hasRuns && widensRuns(plan, plan.lhs());
    plan.stagesLhs =
        isWidened || (!hasRuns && isOne(plan.lhs().steps[plan.batch]));
  }
  if (!plan.stagesRhs && !plan.stagesLhs)
    return;
  // The limits are those of 32-bit elements.
  int64_t bits =
      plan.stagedType(plan.rhs().buffer.element).getIntOrFloatBitWidth();
  int64_t most = (plan.stagesLhs ? rowsDepth : panelDepth) * 32 / bits;
  if (isWidened)
    most = wideDepth;
  if (!depth || *depth > most) {
    int64_t steps = depth.value_or(most);
    plan.depthBlock = llvm::alignTo(
        llvm::divideCeil(steps, llvm::divideCeil(steps, most)), plan.lanes);
  }
  plan.sumsInInit =
      getElementTypeOrSelf(op.getInit().getType()) == plan.accumulator;
  bool isBuffered = plan.depthBlock && !plan.sumsInInit;
  int64_t near =
      (plan.stagesLhs || isBuffered ? stagedElements : nearElements) * 32 /
      bits;
  plan.taskRows = std::clamp<int64_t>(
      llvm::alignDown(near / plan.stagedDepth(), plan.blockRows),
      8 * plan.blockRows, mostRows);
}

/// Rows and k that are one dimension each can be bounded.
static void planTriangle(GemmOp op, GemmPlan &plan) {
  std::optional<ArrayRef<int64_t>> at = op.getTriangle();
  if (!at || op.getRows() != 1 || plan.walksDepth())
    return;
  auto dimOf = [&](int64_t d) -> std::optional<GemmPlan::Dim> {
    if (d < op.getBatch())
      return std::nullopt;
    return d < op.getColumnDim() ? GemmPlan::Dim::Row
           : d < op.getKDim()    ? GemmPlan::Dim::Column
                                 : GemmPlan::Dim::Depth;
  };
  std::optional<GemmPlan::Dim> first = dimOf((*at)[0]),
                               second = dimOf((*at)[1]);
  if (first && second)
    plan.triangle = GemmPlan::Triangle{*first, *second, (*at)[2]};
}

static void splitTasks(Emitter &e, GemmPlan &plan) {
  Value one = e.index(1), block = e.index(plan.blockRows);
  Value blocks = e.max(e.div(plan.rows, block), one);
  Value units = e.max(e.mul(plan.batches, plan.panels), one);
  // Rows are split where they are many, or panels too few to balance threads.
  Value byRows = e.ceilDiv(plan.rows, e.index(plan.taskRows));
  Value byBalance = e.min(e.ceilDiv(e.index(balancedTasks), units),
                          e.max(e.div(blocks, e.index(6)), one));
  plan.rowGroups = e.min(e.max(e.max(byRows, byBalance), one), blocks);
  Value work =
      e.max(e.mul(e.mul(e.ceilDiv(plan.rows, plan.rowGroups), plan.depth),
                  e.index(plan.panelColumns())),
            one);
  Value wanted = e.ceilDiv(e.index(taskWork), work);
  if (plan.stagesLhs)
    wanted = e.max(wanted, e.index(panelsPerStage));
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

FailureOr<GemmPlan> twist::cpu::planGemm(Emitter &e, GemmOp op) {
  GemmPlan plan;
  plan.batch = op.getBatch();
  plan.rowDims = op.getRows();
  plan.depthDims = op.getDepth();
  plan.packed = op.getPanel().has_value();
  plan.tapped = bool(op.getTaps());
  plan.accumulator = op.getAccumulator();
  plan.lhsUnsigned = op.getLhsUnsigned();
  plan.rhsUnsigned = op.getRhsUnsigned();
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

  int64_t panel =
      plan.packed ? *op.getPanel()
                  : e.target.panelColumns(
                        constantOf(plan.columns).value_or(ShapedType::kDynamic),
                        plan.accumulator, /*manyRows=*/true);
  plan.vectors = llvm::divideCeil(panel, plan.lanes);
  if (plan.packed)
    plan.group =
        cast<ShapedType>(op.getRhs().getType()).getShape().back() / panel;
  else if (!plan.walksDepth())
    plan.group = e.target.depthGroup(
        plan.lhs().buffer.element, plan.rhs().buffer.element, plan.accumulator);
  plan.blockRows = e.target.blockRows(plan.vectors);
  if (!plan.packed) {
    plan.panelStep = e.mul(e.index(panel), plan.rhs().steps[plan.columnDim()]);
    plan.depthStep = plan.rhs().steps[plan.depthDim()];
  }
  plan.panels = e.ceilDiv(plan.columns, e.index(panel));
  planStaging(op, plan);
  planTriangle(op, plan);
  splitTasks(e, plan);
  return plan;
}

Value twist::cpu::countGemmTasks(Emitter &e, GemmOp op) {
  FailureOr<GemmPlan> plan = planGemm(e, op);
  if (failed(plan))
    return e.index(0);
  return e.mul(e.ceilDiv(plan->batches, plan->batchesPerTask),
               e.mul(plan->rowGroups, plan->panelGroups));
}

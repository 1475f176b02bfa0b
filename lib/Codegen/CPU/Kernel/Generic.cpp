//===- Generic.cpp - Kernels of linalg.generic
//------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// The rows of a nest (its parallel loops but one) are split over tasks, and one
// loop runs on vectors: a parallel one where the operands are contiguous along
// it, each lane then doing its reduction in the order of the op; or else an
// inner reduction, whose lanes are combined at its end.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"

using namespace mlir;
using namespace twist::cpu;

namespace {
/// How one linalg.generic is run.
struct Plan {
  enum Kind { Scalar, Lanes, Reduction } kind = Scalar;
  Nest nest;
  int64_t lanes = 1;
  int64_t vectorDim = -1;
  SmallVector<int64_t> rowDims, innerDims;
  /// Rows and runs of the vector loop of one task, and how many there are.
  Value rows, rowsPerTask, rowTasks, run, runTasks;
};
} // namespace

/// Elements a task should have at least: enough to outweigh its start.
static int64_t taskElements(Block &body) {
  return isHeavy(body) ? 4096 : 16384;
}

/// Vectors of columns that are summed together: what is read of a row is a run
/// of whole lines then.
static constexpr int64_t columnVectors = 4;

static int64_t lanesOf(Emitter &e, linalg::GenericOp op) {
  auto isWide = [](Type type) {
    return getElementTypeOrSelf(type).isF64() ||
           getElementTypeOrSelf(type).isInteger(64);
  };
  bool wide = llvm::any_of(op->getOperandTypes(), isWide);
  op.getBody()->walk([&](Operation *inner) {
    wide |= llvm::any_of(inner->getResultTypes(), isWide);
  });
  return wide ? e.target.vectorBits / 64 : e.target.lanes();
}

/// The op that folds into each result, if all are of that kind.
static FailureOr<SmallVector<Operation *>> combinersOf(linalg::GenericOp op) {
  SmallVector<Operation *> result;
  for (unsigned i = 0, e = op.getNumDpsInits(); i < e; ++i) {
    SmallVector<Operation *> combiners;
    if (!matchReduction(op.getRegionOutputArgs(), i, combiners) ||
        combiners.size() != 1 || combiners[0]->getNumOperands() != 2 ||
        !arith::getNeutralElement(combiners[0]))
      return failure();
    result.push_back(combiners[0]);
  }
  return result;
}

/// Operands that must be gathered where this loop runs on vectors.
static int64_t countGathers(const Nest &nest, int64_t dim) {
  int64_t count = constantOf(nest.dims[dim].extent) == 1 ? 100 : 0;
  for (const NestOperand &operand : nest.operands) {
    if (!operand.buffer.flat)
      continue;
    std::optional<int64_t> step = constantOf(operand.steps[dim]);
    count += !step || *step > 1 || *step < 0;
  }
  return count;
}

static void chooseVectorDim(linalg::GenericOp op, Plan &plan) {
  int64_t best = std::numeric_limits<int64_t>::max();
  auto consider = [&](bool reduction, Plan::Kind kind) {
    for (int64_t d = plan.nest.dims.size() - 1; d >= 0; --d) {
      if (plan.nest.dims[d].reduction != reduction)
        continue;
      int64_t gathers = countGathers(plan.nest, d);
      if (gathers < best) {
        best = gathers;
        plan.vectorDim = d;
        plan.kind = kind;
      }
    }
  };
  if (!isVectorizable(*op.getBody()))
    return;
  consider(false, Plan::Lanes);
  if (op.getNumReductionLoops() && succeeded(combinersOf(op)))
    consider(true, Plan::Reduction);
}

static void splitRows(Emitter &e, linalg::GenericOp op, Plan &plan) {
  SmallVector<Value> rowExtents;
  Value inner = e.index(1);
  for (auto [d, dim] : llvm::enumerate(plan.nest.dims)) {
    if (static_cast<int64_t>(d) == plan.vectorDim)
      continue;
    if (dim.reduction) {
      plan.innerDims.push_back(d);
      inner = e.mul(inner, dim.extent);
    } else {
      plan.rowDims.push_back(d);
      rowExtents.push_back(dim.extent);
    }
  }
  plan.rows = e.product(rowExtents);
  Value grain = e.index(taskElements(*op.getBody()));
  Value extent = plan.nest.dims[plan.vectorDim].extent;
  plan.run = extent;
  plan.runTasks = e.index(1);
  if (plan.kind == Plan::Lanes) {
    // Long rows are cut too, and columns that are summed; a run stays a
    // multiple of the vectors that go together.
    Value width = e.index(plan.lanes * columnVectors);
    Value columns = e.max(e.div(grain, e.max(inner, e.index(1))), e.index(1));
    plan.run = e.min(extent, e.mul(e.ceilDiv(columns, width), width));
    plan.runTasks =
        e.max(e.ceilDiv(extent, e.max(plan.run, e.index(1))), e.index(1));
  }
  Value work = e.max(e.mul(plan.run, inner), e.index(1));
  plan.rowsPerTask = e.max(e.div(grain, work), e.index(1));
  plan.rowTasks = e.ceilDiv(plan.rows, plan.rowsPerTask);
}

static FailureOr<Plan> makePlan(Emitter &e, linalg::GenericOp op) {
  Plan plan;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  if (kinds.empty())
    return plan;
  FailureOr<Nest> nest = buildNest(e, op->getOperands(), maps, kinds);
  if (failed(nest))
    return plan;
  plan.nest = std::move(*nest);
  SmallVector<bool> keep(kinds.size(), false);
  op.getBody()->walk(
      [&](linalg::IndexOp index) { keep[index.getDim()] = true; });
  joinLoops(e, plan.nest, op->getOperands(), maps, keep);
  plan.lanes = lanesOf(e, op);
  chooseVectorDim(op, plan);
  if (plan.kind != Plan::Scalar)
    splitRows(e, op, plan);
  return plan;
}

Value twist::cpu::countGenericTasks(Emitter &e, linalg::GenericOp op) {
  FailureOr<Plan> plan = makePlan(e, op);
  if (failed(plan) || plan->kind == Plan::Scalar)
    return e.index(1);
  return e.mul(plan->rowTasks, plan->runTasks);
}

namespace {
/// Writes the vectors of one row.
class RowWriter {
public:
  RowWriter(Emitter &e, linalg::GenericOp op, Plan &plan)
      : e(e), op(op), plan(plan), position(plan.nest.dims.size()) {}

  LogicalResult writeRow(Value row, Value from, Value to);

private:
  Emitter &e;
  linalg::GenericOp op;
  Plan &plan;
  /// The current iteration.
  SmallVector<Value> position;
  bool failed = false;

  int64_t numInputs() { return op.getNumDpsInputs(); }
  int64_t numInits() { return op.getNumDpsInits(); }
  NestOperand &init(int64_t i) { return plan.nest.operands[numInputs() + i]; }

  Value offsetOf(const NestOperand &operand) {
    Value offset = operand.offset;
    for (auto [at, step] : llvm::zip(position, operand.steps))
      if (at)
        offset = e.add(offset, e.mul(at, step));
    return offset;
  }
  Value loadLanes(const NestOperand &operand, Mask mask) {
    return e.load(operand.buffer, offsetOf(operand),
                  operand.steps[plan.vectorDim], plan.lanes, mask);
  }
  SmallVector<Value> runBody(ValueRange accumulators, Mask mask);
  SmallVector<Value>
  overInner(unsigned depth, ValueRange carried,
            function_ref<SmallVector<Value>(ValueRange)> leaf);
  /// The vectors at hand and after it, `count` of them.
  void writeLanes(Mask mask, int64_t count = 1);
  void writeReduction(Value from, Value to);
  SmallVector<Value> reduceRun(Value from, Value to, ValueRange carried);
  /// Runs over whole vectors, then over the rest with a mask.
  void overRun(Value from, Value to, function_ref<void(Mask)> body);
};
} // namespace

SmallVector<Value> RowWriter::runBody(ValueRange accumulators, Mask mask) {
  IRMapping map;
  Block &body = *op.getBody();
  for (int64_t i = 0; i < numInputs(); ++i) {
    BlockArgument argument = body.getArgument(i);
    if (argument.use_empty())
      continue;
    NestOperand &operand = plan.nest.operands[i];
    Value value = operand.buffer.flat ? loadLanes(operand, mask)
                                      : e.splat(op->getOperand(i), plan.lanes);
    map.map(argument, value);
  }
  for (auto [i, value] : llvm::enumerate(accumulators))
    if (value)
      map.map(body.getArgument(numInputs() + i), value);
  auto index = [&](int64_t dim) -> Value {
    auto found = llvm::find_if(plan.nest.dims, [&](const LoopDim &loop) {
      return loop.origin == dim;
    });
    int64_t at = found - plan.nest.dims.begin();
    if (at != plan.vectorDim)
      return position[at];
    auto type = e.vector(e.b.getIndexType(), plan.lanes);
    Value lane = vector::StepOp::create(e.b, e.loc, type);
    return arith::AddIOp::create(e.b, e.loc, lane,
                                 e.splat(position[at], plan.lanes));
  };
  auto results = vectorizeBody(e, body, map, plan.lanes, mask, index);
  if (mlir::failed(results)) {
    failed = true;
    return SmallVector<Value>(accumulators);
  }
  return *results;
}

SmallVector<Value>
RowWriter::overInner(unsigned depth, ValueRange carried,
                     function_ref<SmallVector<Value>(ValueRange)> leaf) {
  if (depth == plan.innerDims.size())
    return leaf(carried);
  int64_t dim = plan.innerDims[depth];
  return e.loop(e.index(0), plan.nest.dims[dim].extent, e.index(1), carried,
                [&](Value at, ValueRange inner) {
                  position[dim] = at;
                  return overInner(depth + 1, inner, leaf);
                });
}

void RowWriter::writeLanes(Mask mask, int64_t count) {
  Value first = position[plan.vectorDim];
  auto at = [&](int64_t vector) {
    position[plan.vectorDim] = e.add(first, e.index(vector * plan.lanes));
  };
  auto leaveInner = [&] {
    for (int64_t dim : plan.innerDims)
      position[dim] = Value();
  };
  leaveInner();
  SmallVector<Value> accumulators;
  for (int64_t vector = 0; vector < count; ++vector) {
    at(vector);
    for (int64_t i = 0; i < numInits(); ++i) {
      bool isRead =
          !plan.innerDims.empty() || !op.getRegionOutputArgs()[i].use_empty();
      accumulators.push_back(isRead ? loadLanes(init(i), mask) : Value());
    }
  }
  auto run = [&](ArrayRef<Value> carried) {
    SmallVector<Value> results;
    for (int64_t vector = 0; vector < count; ++vector) {
      at(vector);
      llvm::append_range(
          results,
          runBody(carried.slice(vector * numInits(), numInits()), mask));
    }
    return results;
  };
  SmallVector<Value> results =
      plan.innerDims.empty()
          ? run(accumulators)
          : overInner(0, accumulators, [&](ValueRange carried) {
              return run(SmallVector<Value>(carried));
            });
  leaveInner();
  if (failed)
    return;
  for (int64_t vector = 0; vector < count; ++vector) {
    at(vector);
    for (int64_t i = 0; i < numInits(); ++i)
      e.store(results[vector * numInits() + i], init(i).buffer,
              offsetOf(init(i)), init(i).steps[plan.vectorDim], mask);
  }
  position[plan.vectorDim] = first;
}

void RowWriter::overRun(Value from, Value to, function_ref<void(Mask)> body) {
  Value lanes = e.index(plan.lanes);
  if (plan.kind == Plan::Lanes && !plan.innerDims.empty()) {
    Value width = e.index(plan.lanes * columnVectors);
    Value whole = e.add(from, e.mul(e.div(e.sub(to, from), width), width));
    e.loop(from, whole, width, [&](Value at) {
      position[plan.vectorDim] = at;
      writeLanes(Mask(), columnVectors);
    });
    from = whole;
  }
  Value whole = e.add(from, e.mul(e.div(e.sub(to, from), lanes), lanes));
  e.loop(from, whole, lanes, [&](Value at) {
    position[plan.vectorDim] = at;
    body(Mask());
  });
  e.branch(e.less(whole, to), [&] {
    position[plan.vectorDim] = whole;
    body(e.mask(e.sub(to, whole), plan.lanes));
  });
}

/// The combiner on other operands, scalars or vectors.
static Value combine(Emitter &e, Operation *combiner, Value x, Value y) {
  OperationState state(e.loc, combiner->getName());
  state.addAttributes(combiner->getAttrs());
  state.propertiesAttr = combiner->getPropertiesAsAttribute();
  state.addOperands({x, y});
  state.addTypes(x.getType());
  return e.b.create(state)->getResult(0);
}

SmallVector<Value> RowWriter::reduceRun(Value from, Value to,
                                        ValueRange carried) {
  Value lanes = e.index(plan.lanes);
  Value whole = e.add(from, e.mul(e.div(e.sub(to, from), lanes), lanes));
  SmallVector<Value> sums =
      e.loop(from, whole, lanes, carried, [&](Value at, ValueRange inner) {
        position[plan.vectorDim] = at;
        return runBody(inner, Mask());
      });
  Value rest = e.sub(to, whole);
  if (constantOf(rest) == 0)
    return sums;
  position[plan.vectorDim] = whole;
  Mask mask = e.mask(rest, plan.lanes);
  SmallVector<Value> last = runBody(sums, mask);
  for (auto [sum, value] : llvm::zip_equal(sums, last))
    value = arith::SelectOp::create(e.b, e.loc, mask, value, sum);
  return last;
}

void RowWriter::writeReduction(Value from, Value to) {
  SmallVector<Operation *> combiners = *combinersOf(op);
  SmallVector<Value> neutral;
  for (Operation *combiner : combiners) {
    TypedAttr value = *arith::getNeutralElement(combiner);
    auto type = e.vector(value.getType(), plan.lanes);
    neutral.push_back(arith::ConstantOp::create(
        e.b, e.loc, DenseElementsAttr::get(type, Attribute(value))));
  }
  SmallVector<Value> sums = overInner(0, neutral, [&](ValueRange carried) {
    return reduceRun(from, to, carried);
  });
  for (int64_t dim : plan.innerDims)
    position[dim] = Value();
  position[plan.vectorDim] = Value();
  for (int64_t i = 0; i < numInits(); ++i) {
    auto join = [&](Value x, Value y) {
      return combine(e, combiners[i], x, y);
    };
    Value sum = e.reduce(sums[i], join);
    Value offset = offsetOf(init(i));
    e.storeScalar(join(e.loadScalar(init(i).buffer, offset), sum),
                  init(i).buffer, offset);
  }
}

LogicalResult RowWriter::writeRow(Value row, Value from, Value to) {
  SmallVector<Value> extents;
  for (int64_t dim : plan.rowDims)
    extents.push_back(plan.nest.dims[dim].extent);
  SmallVector<Value> at = e.delinearize(row, extents);
  for (auto [dim, value] : llvm::zip_equal(plan.rowDims, at))
    position[dim] = value;
  if (plan.kind == Plan::Reduction)
    writeReduction(from, to);
  else
    overRun(from, to, [&](Mask mask) { writeLanes(mask); });
  return failure(failed);
}

LogicalResult twist::cpu::lowerGeneric(Emitter &e, linalg::GenericOp op,
                                       Value task) {
  FailureOr<Plan> plan = makePlan(e, op);
  if (failed(plan))
    return failure();
  if (plan->kind == Plan::Scalar) {
    IRRewriter rewriter(e.b);
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPoint(op);
    return failure(failed(linalg::linalgOpToLoops(rewriter, op)));
  }
  Value rowTask = e.div(task, plan->runTasks);
  Value firstRow = e.mul(rowTask, plan->rowsPerTask);
  Value lastRow = e.min(e.add(firstRow, plan->rowsPerTask), plan->rows);
  Value from = e.index(0), to = plan->nest.dims[plan->vectorDim].extent;
  if (constantOf(plan->runTasks) != 1) {
    from = e.mul(e.rem(task, plan->runTasks), plan->run);
    to = e.min(e.add(from, plan->run), to);
  }
  LogicalResult result = success();
  RowWriter writer(e, op, *plan);
  e.loop(firstRow, lastRow, e.index(1), [&](Value row) {
    if (failed(writer.writeRow(row, from, to)))
      result = failure();
  });
  return result;
}

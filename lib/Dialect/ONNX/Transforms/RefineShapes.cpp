//===- RefineShapes.cpp - Write down what symbolic sizes say --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/SymbolicShapes.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"

namespace twist::onnx {
#define GEN_PASS_DEF_ONNXREFINESHAPES
#define GEN_PASS_DEF_ONNXPRINTSYMBOLICSHAPES
#include "twist/Dialect/ONNX/Transforms/Passes.h.inc"
} // namespace twist::onnx

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

namespace {
/// One round over a function with one analysis; rounds go on while one changes
/// what the next would find.
class Refiner {
public:
  Refiner(func::FuncOp function, RefinementCounts &counts)
      : function(function), shapes(SymbolicShapes::compute(function)),
        counts(counts) {}

  LogicalResult reportConflicts();
  bool refine();

private:
  bool refineTypes(Operation *op);
  bool foldConstants(Operation *op);
  bool inlineBranch(NodeOp op);
  bool foldReshapeTarget(ReshapeOp op);
  bool foldExpandTarget(ExpandOp op);
  bool bypass(Operation *op);
  bool bypassSizes(Operation *op);
  bool changesNothing(Operation *op);
  bool eraseUnused(Region &region);
  std::optional<SmallVector<int64_t>> constants(Value value);

  func::FuncOp function;
  SymbolicShapes shapes;
  RefinementCounts &counts;
};
} // namespace

static bool isONNX(Operation *op) {
  return isa_and_nonnull<ONNXDialect>(op->getDialect());
}

static std::string describe(ArrayRef<SizeExpr> dims) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << '[';
  llvm::interleaveComma(dims, os);
  os << ']';
  return text;
}

LogicalResult Refiner::reportConflicts() {
  for (const SymbolicShapes::Conflict &conflict : shapes.conflicts())
    conflict.result.getOwner()->emitError("result #")
        << conflict.result.getResultNumber() << " has sizes "
        << describe(conflict.dims) << ", but its type says "
        << conflict.result.getType();
  return success(shapes.conflicts().empty());
}

std::optional<SmallVector<int64_t>> Refiner::constants(Value value) {
  auto contents = shapes.contentsOf(value);
  if (!contents)
    return std::nullopt;
  SmallVector<int64_t> values;
  for (const SizeExpr &element : *contents) {
    if (!element.constant())
      return std::nullopt;
    values.push_back(*element.constant());
  }
  return values;
}

static Type elementOf(Value value) {
  auto tensor = dyn_cast<TensorType>(value.getType());
  return tensor ? tensor.getElementType() : Type();
}

/// The element type a typed op gives its first result, where the file gives no
/// type (behind nodes of unknown domains).
static Type inferElementType(Operation *op) {
  Builder builder(op->getContext());
  if (isa<EqualOp, GreaterOp, GreaterOrEqualOp, LessOp, LessOrEqualOp, IsNaNOp,
          IsInfOp>(op))
    return builder.getI1Type();
  if (isa<ShapeOp, SizeOp, ArgMaxOp, ArgMinOp, NonZeroOp>(op))
    return builder.getI64Type();
  if (isa<OneHotOp>(op))
    return elementOf(op->getOperand(2));
  if (isa<DequantizeLinearOp>(op))
    return elementOf(op->getOperand(1));
  if (auto cast = dyn_cast<CastOp>(op))
    return elementTypeOf(op->getContext(), cast.getTo());
  if (auto filled = dyn_cast<ConstantOfShapeOp>(op))
    return filled.getValue() ? filled.getValue()->getElementType()
                             : builder.getF32Type();
  if (auto embed = dyn_cast<MSEmbedLayerNormalizationOp>(op))
    return elementOf(embed.getWordEmbedding());
  if (auto where = dyn_cast<WhereOp>(op))
    return elementOf(where.getX());
  bool typed = isONNX(op) && !isa<NodeOp>(op) && op->getNumOperands();
  return typed ? elementOf(op->getOperand(0)) : Type();
}

/// The element type of `value`, inferred if it has none yet.
static Type elementTypeOf(OpResult value) {
  if (auto tensor = dyn_cast<TensorType>(value.getType()))
    return tensor.getElementType();
  auto opaque = dyn_cast<onnx::OpaqueType>(value.getType());
  bool norm = isa<LayerNormalizationOp>(value.getOwner());
  bool isMaskIndex = isa<MSEmbedLayerNormalizationOp>(value.getOwner()) &&
                     value.getResultNumber() == 1;
  if (opaque && isMaskIndex)
    return IntegerType::get(value.getContext(), 32);
  if (!opaque || !opaque.getProto().empty() ||
      (norm && value.getResultNumber()))
    return nullptr;
  return inferElementType(value.getOwner());
}

bool Refiner::refineTypes(Operation *op) {
  bool changed = false;
  for (OpResult result : op->getResults()) {
    Type element = elementTypeOf(result);
    if (!element || !shapes.hasRank(result))
      continue;
    SmallVector<int64_t> sizes;
    for (const SizeExpr &size : shapes.dimsOf(result))
      sizes.push_back(size.constant() && *size.constant() >= 0
                          ? *size.constant()
                          : ShapedType::kDynamic);
    auto refined = RankedTensorType::get(sizes, element);
    if (refined == result.getType())
      continue;
    result.setType(refined);
    ++counts.types;
    changed = true;
  }
  return changed;
}

/// Whether a float type holds each of these integers exactly.
static bool holdsExactly(FloatType type, ArrayRef<int64_t> elements) {
  unsigned precision = APFloat::semanticsPrecision(type.getFloatSemantics());
  return llvm::all_of(elements, [&](int64_t element) {
    return precision < 63 && std::abs(element) <= (int64_t(1) << precision);
  });
}

/// A constant of these elements.
static Value createConstant(OpBuilder &builder, Location loc,
                            RankedTensorType type, ArrayRef<int64_t> elements) {
  if (auto element = dyn_cast<FloatType>(type.getElementType())) {
    SmallVector<APFloat> values;
    for (int64_t value : elements) {
      values.push_back(APFloat(element.getFloatSemantics()));
      values.back().convertFromAPInt(APInt(64, value, /*isSigned=*/true),
                                     /*IsSigned=*/true,
                                     APFloat::rmNearestTiesToEven);
    }
    return ConstantOp::create(builder, loc, type,
                              DenseElementsAttr::get(type, values));
  }
  SmallVector<APInt> bits;
  unsigned width = type.getElementType().getIntOrFloatBitWidth();
  for (int64_t element : elements)
    bits.push_back(APInt(64, element, /*isSigned=*/true).trunc(width));
  return ConstantOp::create(builder, loc, type,
                            DenseElementsAttr::get(type, bits));
}

/// %s = Shape/Gather/Concat/... of sizes that are known  ->  %s = Constant
bool Refiner::foldConstants(Operation *op) {
  if (!isONNX(op) || isa<ConstantOp, NodeOp>(op))
    return false;
  bool changed = false;
  for (Value result : op->getResults()) {
    auto type = dyn_cast<RankedTensorType>(result.getType());
    if (result.use_empty() || !type || !type.hasStaticShape())
      continue;
    auto elements = constants(result);
    // Of floats only what comes from sizes: a computed zero may be negative.
    auto element = dyn_cast<FloatType>(type.getElementType());
    bool fromSizes =
        isa<CastOp>(op) && element && elements &&
        isa_and_nonnull<IntegerType>(elementOf(op->getOperand(0))) &&
        holdsExactly(element, *elements);
    if (!elements || !(isa<IntegerType>(type.getElementType()) || fromSizes))
      continue;
    OpBuilder builder(op);
    result.replaceAllUsesWith(
        createConstant(builder, op->getLoc(), type, *elements));
    ++counts.constants;
    changed = true;
  }
  return changed;
}

/// If(true) { a } else { b }  ->  a
bool Refiner::inlineBranch(NodeOp op) {
  if (op.getOpType() != "If" || !op.getDomain().empty() ||
      op.getNumOperands() != 1 || op->getNumRegions() != 2)
    return false;
  auto condition = constants(op.getOperand(0));
  if (!condition || condition->size() != 1)
    return false;
  StringRef wanted = condition->front() ? "then_branch" : "else_branch";
  for (auto [name, region] : llvm::zip(
           op.getRegionNames().getAsRange<StringAttr>(), op->getRegions())) {
    if (name.getValue() != wanted || !region.hasOneBlock() ||
        region.getNumArguments())
      continue;
    Block &branch = region.front();
    Operation *yield = branch.getTerminator();
    if (yield->getNumOperands() != op->getNumResults())
      return false;
    op->getBlock()->getOperations().splice(
        op->getIterator(), branch.getOperations(), branch.begin(),
        yield->getIterator());
    op->replaceAllUsesWith(yield->getOperands());
    op->erase();
    ++counts.branches;
    return true;
  }
  return false;
}

/// A target made of constants, 0 (as in the input) and one -1 (what is left).
bool Refiner::foldReshapeTarget(ReshapeOp op) {
  if (constantOf(op.getShape()) || !shapes.contentsOf(op.getShape()) ||
      !shapes.hasRank(op.getData()))
    return false;
  ArrayRef<SizeExpr> input = shapes.dimsOf(op.getData());
  SmallVector<int64_t> target;
  bool inferred = false;
  for (auto [index, size] : llvm::enumerate(shapes.dimsOf(op.getReshaped()))) {
    std::optional<int64_t> constant = size.constant();
    if (constant == 0)
      return false;
    if (constant)
      target.push_back(*constant);
    else if (index < input.size() && input[index] == size)
      target.push_back(0);
    else if (!std::exchange(inferred, true))
      target.push_back(-1);
    else
      return false;
  }
  OpBuilder builder(op);
  auto type =
      RankedTensorType::get({int64_t(target.size())}, builder.getI64Type());
  op.getShapeMutable().assign(
      createConstant(builder, op.getLoc(), type, target));
  op.setAllowzero(0);
  ++counts.targets;
  return true;
}

/// A target made of constants and 1 (as in the input).
bool Refiner::foldExpandTarget(ExpandOp op) {
  if (constantOf(op.getShape()) || !shapes.contentsOf(op.getShape()) ||
      !shapes.hasRank(op.getInput()))
    return false;
  ArrayRef<SizeExpr> input = shapes.dimsOf(op.getInput());
  ArrayRef<SizeExpr> result = shapes.dimsOf(op.getOutput());
  size_t added = result.size() - input.size();
  SmallVector<int64_t> target;
  for (auto [index, size] : llvm::enumerate(result)) {
    if (std::optional<int64_t> constant = size.constant())
      target.push_back(*constant);
    else if (index >= added && input[index - added] == size)
      target.push_back(1);
    else
      return false;
  }
  OpBuilder builder(op);
  auto type =
      RankedTensorType::get({int64_t(target.size())}, builder.getI64Type());
  op.getShapeMutable().assign(
      createConstant(builder, op.getLoc(), type, target));
  ++counts.targets;
  return true;
}

/// Whether the op's one result is its first operand, its sizes being equal.
bool Refiner::changesNothing(Operation *op) {
  if (isa<ReshapeOp, ExpandOp, TileOp>(op))
    return true;
  auto slice = dyn_cast<SliceOp>(op);
  if (!slice)
    return false;
  if (isa<NoneType>(slice.getSteps().getType()))
    return true;
  auto steps = constants(slice.getSteps());
  return steps && llvm::all_of(*steps, [](int64_t step) { return step == 1; });
}

/// Where(false, a, sizes) and the like  ->  sizes
bool Refiner::bypassSizes(Operation *op) {
  if (!isONNX(op) || op->getNumResults() != 1 || isa<NodeOp>(op))
    return false;
  Value result = op->getResult(0);
  auto sizes = shapes.contentsOf(result);
  if (result.use_empty() || !sizes || sizes->empty() ||
      !isa_and_nonnull<IntegerType>(elementOf(result)))
    return false;
  for (Value operand : op->getOperands()) {
    auto same = shapes.contentsOf(operand);
    if (same && *same == *sizes && operand.getType() == result.getType()) {
      result.replaceAllUsesWith(operand);
      return true;
    }
  }
  return false;
}

bool Refiner::bypass(Operation *op) {
  if (!changesNothing(op) || op->getResult(0).use_empty())
    return false;
  Value from = op->getOperand(0), to = op->getResult(0);
  if (!shapes.hasRank(from) || !shapes.hasRank(to) ||
      shapes.dimsOf(from) != shapes.dimsOf(to) ||
      from.getType() != to.getType())
    return false;
  to.replaceAllUsesWith(from);
  return true;
}

bool Refiner::eraseUnused(Region &region) {
  bool changed = false;
  for (Block &block : region)
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
      if (isONNX(&op) && isOpTriviallyDead(&op)) {
        op.erase();
        changed = true;
        continue;
      }
      for (Region &nested : op.getRegions())
        changed |= eraseUnused(nested);
    }
  return changed;
}

bool Refiner::refine() {
  bool changed = false;
  SmallVector<Operation *> ops;
  function.getBody().walk([&](Operation *op) { ops.push_back(op); });
  for (Operation *op : ops)
    changed |= refineTypes(op);
  for (Operation *op : ops) {
    changed |= foldConstants(op) || bypass(op) || bypassSizes(op);
    if (auto reshape = dyn_cast<ReshapeOp>(op))
      changed |= foldReshapeTarget(reshape);
    if (auto expand = dyn_cast<ExpandOp>(op))
      changed |= foldExpandTarget(expand);
  }
  // Last, as it erases what `ops` holds.
  for (Operation *op : ops)
    if (auto node = dyn_cast<NodeOp>(op); node && inlineBranch(node)) {
      changed = true;
      break;
    }
  return eraseUnused(function.getBody()) || changed;
}

/// The function's result types are those of what it returns.
static void updateSignature(func::FuncOp function) {
  Operation *terminator = function.getBody().front().getTerminator();
  SmallVector<Type> results(terminator->getOperandTypes());
  function.setFunctionType(FunctionType::get(
      function.getContext(), function.getArgumentTypes(), results));
}

/// Typed ops whose operands have ranks and whose results have none. What an
/// unknown node gives may have none, nor what follows from that.
static LogicalResult checkRanks(func::FuncOp function) {
  auto hasNone = [](Value value) {
    return isa<UnrankedTensorType, onnx::OpaqueType>(value.getType());
  };
  bool ok = true;
  for (BlockArgument argument : function.getArguments())
    if (isa<UnrankedTensorType>(argument.getType())) {
      unsigned number = argument.getArgNumber();
      auto name = function.getArgAttrOfType<StringAttr>(number, "onnx.name");
      InFlightDiagnostic error = function.emitError();
      if (name)
        error << "input '" << name.getValue() << "' has no rank";
      else
        error << "argument #" << number << " has no rank";
      ok = false;
    }
  function.getBody().walk([&](Operation *op) {
    if (isa<NodeOp>(op) || llvm::none_of(op->getResults(), hasNone) ||
        llvm::any_of(op->getOperands(), hasNone))
      return;
    op->emitError("the rank of its result does not follow from the graph");
    ok = false;
  });
  return success(ok);
}

LogicalResult twist::onnx::refineShapes(func::FuncOp function,
                                        RefinementCounts &counts) {
  if (function.isExternal())
    return success();
  while (true) {
    Refiner refiner(function, counts);
    if (failed(refiner.reportConflicts()))
      return failure();
    if (!refiner.refine())
      break;
  }
  updateSignature(function);
  return checkRanks(function);
}

//===----------------------------------------------------------------------===//
// Passes
//===----------------------------------------------------------------------===//

namespace {
struct RefineShapes : onnx::impl::ONNXRefineShapesBase<RefineShapes> {
  void runOnOperation() override {
    RefinementCounts counts;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (failed(refineShapes(function, counts)))
        signalPassFailure();
    numTypes += counts.types;
    numConstants += counts.constants;
    numTargets += counts.targets;
    numBranches += counts.branches;
  }
};

struct PrintSymbolicShapes
    : onnx::impl::ONNXPrintSymbolicShapesBase<PrintSymbolicShapes> {
  void runOnOperation() override {
    SymbolicShapes shapes = SymbolicShapes::compute(getOperation());
    Builder builder(&getContext());
    getOperation().getBody().walk([&](Operation *op) {
      SmallVector<Attribute> dims, contents;
      if (!isONNX(op) || op->getNumResults() == 0)
        return;
      for (Value result : op->getResults()) {
        dims.push_back(builder.getStringAttr(
            shapes.hasRank(result) ? describe(shapes.dimsOf(result)) : "?"));
        auto elements = shapes.contentsOf(result);
        contents.push_back(
            builder.getStringAttr(elements ? describe(*elements) : "?"));
      }
      op->setAttr("dims", builder.getArrayAttr(dims));
      if (llvm::any_of(contents, [&](Attribute text) {
            return text != builder.getStringAttr("?");
          }))
        op->setAttr("contents", builder.getArrayAttr(contents));
    });
  }
};
} // namespace

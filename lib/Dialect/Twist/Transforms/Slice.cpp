//===- Slice.cpp - Smaller dense ops in place of masks --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/Transforms/Slice.h"

#include "DimensionCuts.h"
#include "MergeCopies.h"
#include "RemoveEmpty.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/Transforms/Passes.h"
#include "twist/Dialect/Weights/Reader.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

static FailureOr<func::FuncOp> mainFunction(ModuleOp module) {
  auto function = module.lookupSymbol<func::FuncOp>("main");
  if (!function || !llvm::hasSingleElement(function.getBody()))
    return module.emitError("has no function @main of one block");
  return function;
}

/// The cuts of a function in which no two uses of a weight differ.
static FailureOr<DimensionCuts> computeCuts(func::FuncOp function,
                                            const SliceOptions &options,
                                            const CutAxes &cuts) {
  AxisAnalysisOptions analysisOptions;
  analysisOptions.state = options.state;
  FailureOr<AxisAnalysis> analysis =
      AxisAnalysis::compute(function, analysisOptions);
  if (failed(analysis))
    return failure();
  if (shareNothing(function, *analysis) > 0) {
    analysis = AxisAnalysis::compute(function, analysisOptions);
    if (failed(analysis))
      return failure();
  }
  return DimensionCuts::of(function, *analysis, cuts);
}

namespace {

/// What ops see of the cut while they rewrite their sizes.
class Update : public SliceUpdate {
public:
  Update(const DimensionCuts &cuts, MLIRContext *context)
      : cuts(cuts), at(context) {}

  OpBuilder &builder() override { return at; }
  std::pair<int64_t, int64_t> ratio(Value value, int64_t dim) override {
    const DimCut *cut = cuts.find(value, dim);
    if (!cut)
      return {1, 1};
    return {cut->numerator, cut->denominator};
  }
  std::optional<ArrayRef<int64_t>> kept(Value value, int64_t dim) override {
    const DimCut *cut = cuts.find(value, dim);
    if (!cut || !cut->kept)
      return std::nullopt;
    return ArrayRef<int64_t>(*cut->kept);
  }
  void replace(Value from, Value to) override {
    replaced.emplace_back(from, to);
  }

  LogicalResult visit(DimensionRelationsOpInterface op) {
    // Where a rank is unknown all is barred, and so whole.
    auto unranked = [](Type type) {
      return !isa<RankedTensorType, NoneType>(type);
    };
    if (llvm::any_of(op->getOperandTypes(), unranked) ||
        llvm::any_of(op->getResultTypes(), unranked))
      return success();
    at.setInsertionPoint(op);
    return op.updateForSlice(*this);
  }
  void finish() {
    for (auto [from, to] : replaced) {
      Operation *maker = to.getDefiningOp();
      from.replaceUsesWithIf(to, [&](OpOperand &use) {
        return !maker->isProperAncestor(use.getOwner()) &&
               use.getOwner() != maker;
      });
    }
  }

private:
  const DimensionCuts &cuts;
  OpBuilder at;
  SmallVector<std::pair<Value, Value>> replaced;
};

} // namespace

/// The kept elements of a constant.
static FailureOr<DenseElementsAttr>
selectElements(onnx::ConstantOp op, ArrayRef<DimCut> cuts, Type newType) {
  auto type = cast<RankedTensorType>(op.getType());
  FailureOr<std::vector<char>> bytes =
      weights::toStored(op.getValue(), op.getLoc());
  if (failed(bytes))
    return failure();
  auto source = FlatSymbolRefAttr::get(op.getContext(), "constant");
  auto view = weights::ViewAttr::get(op.getContext(), source, 0, type, {}, {});
  for (auto [dim, cut] : llvm::enumerate(cuts))
    if (cut.kept)
      view = weights::select(view, dim, *cut.kept);
  auto result = cast<RankedTensorType>(newType);
  std::vector<char> out(
      weights::storedBytes(result.getElementType(), result.getNumElements()));
  if (failed(weights::readView(view, *bytes, result.getElementType(), out,
                               op.getLoc())))
    return failure();
  return weights::fromStored(result, out);
}

/// Cuts what holds the data of a value, if the value is a weight or constant.
static LogicalResult cutData(Value value, ArrayRef<DimCut> cuts, Type newType) {
  Operation *op = value.getDefiningOp();
  if (auto load = dyn_cast_or_null<weights::LoadOp>(op)) {
    weights::ViewAttr view = load.getView();
    for (auto [dim, cut] : llvm::enumerate(cuts))
      if (cut.kept)
        view = weights::select(view, dim, *cut.kept);
    load.setViewAttr(view);
  } else if (auto constant = dyn_cast_or_null<onnx::ConstantOp>(op)) {
    FailureOr<DenseElementsAttr> data = selectElements(constant, cuts, newType);
    if (failed(data))
      return failure();
    constant.setValueAttr(*data);
  }
  return success();
}

static void countWeights(func::FuncOp function, int64_t &bytes,
                         int64_t &elements) {
  function.walk([&](Operation *op) {
    if (!isa<weights::LoadOp, onnx::ConstantOp>(op))
      return;
    auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
    if (!type)
      return;
    int64_t size =
        weights::storedBytes(type.getElementType(), type.getNumElements());
    bytes += std::max<int64_t>(size, 0);
    if (isa<FloatType>(type.getElementType()))
      elements += type.getNumElements();
  });
}

/// What further views of the same stored tensor take.
static int64_t countCopies(func::FuncOp function) {
  llvm::DenseSet<std::pair<Attribute, int64_t>> stored;
  int64_t bytes = 0;
  function.walk([&](weights::LoadOp load) {
    weights::ViewAttr view = load.getView();
    if (stored.insert({view.getSource(), view.getOffset()}).second)
      return;
    auto type = cast<RankedTensorType>(load.getType());
    bytes += std::max<int64_t>(
        weights::storedBytes(type.getElementType(), type.getNumElements()), 0);
  });
  return bytes;
}

static StringRef interfaceName(func::FuncOp function, unsigned number,
                               bool isResult) {
  auto name =
      isResult ? function.getResultAttrOfType<StringAttr>(number, "onnx.name")
               : function.getArgAttrOfType<StringAttr>(number, "onnx.name");
  return name ? name.getValue() : StringRef();
}

/// Notes which inputs and outputs get smaller, for whoever compares them.
static void noteInterface(func::FuncOp function, const DimensionCuts &cuts,
                          SliceReport &report) {
  auto note = [&](Value value, unsigned number, bool isResult) {
    const SmallVector<DimCut> *dims = cuts.find(value);
    if (!dims)
      return;
    CutInterface entry{isResult,
                       interfaceName(function, number, isResult).str()};
    for (const DimCut &dim : *dims)
      entry.kept.push_back(dim.kept);
    entry.gone = cuts.isEmpty(value);
    report.interface.push_back(std::move(entry));
  };
  for (auto [i, value] : llvm::enumerate(function.getArguments()))
    note(value, i, false);
  Operation *end = function.getBody().front().getTerminator();
  for (auto [i, value] : llvm::enumerate(end->getOperands()))
    note(value, i, true);
}

/// Uses see the gates' operands. The gates stay, dead, as long as values are
/// looked up by their address: a new op could get theirs.
static void bypassGates(ModuleOp module) {
  module.walk([](GateOp gate) {
    gate.getOutput().replaceAllUsesWith(gate.getInput());
  });
}

static void eraseGates(ModuleOp module) {
  bypassGates(module);
  module.walk([](GateOp gate) { gate.erase(); });
}

/// Makes the function's type that of its values.
static void updateFunctionType(func::FuncOp function) {
  Block &body = function.getBody().front();
  function.setFunctionType(
      FunctionType::get(function.getContext(), body.getArgumentTypes(),
                        body.getTerminator()->getOperandTypes()));
}

/// Cuts sizes, data and types of every value.
static LogicalResult cutValues(func::FuncOp function,
                               const DimensionCuts &cuts) {
  Update update(cuts, function.getContext());
  SmallVector<DimensionRelationsOpInterface> ops;
  function.walk([&](DimensionRelationsOpInterface op) { ops.push_back(op); });
  for (DimensionRelationsOpInterface op : ops)
    if (failed(update.visit(op)))
      return failure();
  SmallVector<std::pair<Value, Type>> types;
  for (const auto &[value, dims] : cuts.all()) {
    types.emplace_back(value, cuts.newType(value));
    if (failed(cutData(value, dims, types.back().second)))
      return failure();
  }
  for (auto [value, type] : types)
    value.setType(cast<RankedTensorType>(type));
  update.finish();
  return success();
}

LogicalResult twist::axes::slice(ModuleOp module, const SliceOptions &options,
                                 SliceReport &report) {
  FailureOr<CutAxes> axes = CutAxes::of(module);
  FailureOr<func::FuncOp> function = mainFunction(module);
  if (failed(axes) || failed(function))
    return failure();
  countWeights(*function, report.bytesBefore, report.elementsBefore);
  if (!axes->empty()) {
    FailureOr<DimensionCuts> cuts = computeCuts(*function, options, *axes);
    if (failed(cuts))
      return failure();
    auto dense = onnx::SymbolicShapes::compute(*function);
    noteInterface(*function, *cuts, report);
    if (failed(cutValues(*function, *cuts)))
      return failure();
    bypassGates(module);
    updateFunctionType(*function);
    if (failed(removeEmpty(*function, *cuts, dense)))
      return failure();
  }
  for (const auto &entry : axes->all()) {
    ++report.axes;
    report.units += entry.second.kept.size() - entry.second.kept.count();
  }
  eraseGates(module);
  eraseAxes(module);
  mergeCopies(*function);
  countWeights(*function, report.bytesAfter, report.elementsAfter);
  report.bytesCopied = countCopies(*function);
  return success();
}

/// NaN where a removed unit's element lies, else the weight:
///   Where(keep along dim 0, Where(keep along dim 1, w, NaN), NaN)
static Value poisonWeight(OpBuilder &builder, Value weight,
                          ArrayRef<DimCut> cuts, bool tagMasks) {
  auto type = cast<RankedTensorType>(weight.getType());
  auto element = cast<FloatType>(type.getElementType());
  Location loc = weight.getLoc();
  auto scalar = RankedTensorType::get({}, element);
  Attribute nan = builder.getFloatAttr(
      element, APFloat::getNaN(element.getFloatSemantics()));
  Value poison = onnx::ConstantOp::create(builder, loc, scalar,
                                          DenseElementsAttr::get(scalar, nan));
  for (auto [dim, cut] : llvm::enumerate(cuts)) {
    if (!cut.kept)
      continue;
    SmallVector<bool> keep(type.getDimSize(dim), false);
    for (int64_t index : *cut.kept)
      keep[index] = true;
    SmallVector<int64_t> shape(type.getRank() - dim, 1);
    shape[0] = keep.size();
    auto maskType = RankedTensorType::get(shape, builder.getI1Type());
    Value mask = onnx::ConstantOp::create(
        builder, loc, maskType, DenseElementsAttr::get(maskType, keep));
    if (tagMasks)
      mask.getDefiningOp()->setAttr(kMaskAttr, builder.getStringAttr("poison"));
    weight = onnx::WhereOp::create(builder, loc, type, mask, weight, poison);
  }
  return weight;
}

LogicalResult twist::axes::poison(ModuleOp module, const SliceOptions &options,
                                  int64_t &poisoned, bool tagMasks) {
  FailureOr<CutAxes> axes = CutAxes::of(module);
  FailureOr<func::FuncOp> function = mainFunction(module);
  if (failed(axes) || failed(function))
    return failure();
  FailureOr<DimensionCuts> cuts = computeCuts(*function, options, *axes);
  if (failed(cuts))
    return failure();
  for (const auto &[key, dims] : cuts->all()) {
    Value value = key;
    Operation *op = value.getDefiningOp();
    auto type = cast<RankedTensorType>(value.getType());
    if (!op || !isa<weights::LoadOp, onnx::ConstantOp>(op) ||
        !isa<FloatType>(type.getElementType()))
      continue;
    OpBuilder builder(op->getContext());
    builder.setInsertionPointAfter(op);
    SmallPtrSet<Operation *, 4> readers;
    for (Operation *user : value.getUsers())
      readers.insert(user);
    Value poisonedWeight = poisonWeight(builder, value, dims, tagMasks);
    value.replaceUsesWithIf(poisonedWeight, [&](OpOperand &use) {
      return readers.contains(use.getOwner());
    });
    int64_t left = 1;
    for (auto [size, dim] : llvm::zip_equal(type.getShape(), dims))
      left *= dim.kept ? int64_t(dim.kept->size()) : size;
    poisoned += type.getNumElements() - left;
  }
  return success();
}

namespace twist::axes {
#define GEN_PASS_DEF_TWISTSLICE
#define GEN_PASS_DEF_TWISTPOISON
#include "twist/Dialect/Twist/Transforms/Passes.h.inc"
} // namespace twist::axes

namespace {
struct Slice : axes::impl::TwistSliceBase<Slice> {
  using TwistSliceBase::TwistSliceBase;

  void runOnOperation() override {
    SliceOptions options;
    options.state.assign(state.begin(), state.end());
    SliceReport report;
    if (failed(slice(getOperation(), options, report)))
      return signalPassFailure();
    numAxes += report.axes;
    numUnits += report.units;
    bytesSaved += report.bytesBefore - report.bytesAfter;
  }
};

struct Poison : axes::impl::TwistPoisonBase<Poison> {
  using TwistPoisonBase::TwistPoisonBase;

  void runOnOperation() override {
    SliceOptions options;
    options.state.assign(state.begin(), state.end());
    int64_t poisoned = 0;
    if (failed(poison(getOperation(), options, poisoned)))
      return signalPassFailure();
    numElements += poisoned;
  }
};
} // namespace

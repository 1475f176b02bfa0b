//===- Gates.cpp - What flows through a model's gates ---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Gates.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/Transforms/Subnetwork.h"
#include "twist/Pipeline/Compile.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

static bool isCutByDefault(StringRef kind) {
  return kind == "head" || kind == "kv_group" || kind == "ffn" ||
         kind == "channel";
}

static Value stripGates(Value value) {
  while (auto gate = value.getDefiningOp<GateOp>())
    value = gate.getInput();
  return value;
}

namespace {
/// A contraction's two gated operands, and the dimension of each.
struct Place {
  OpOperand *data, *weight;
  int64_t dataDim, weightDim;
  SmallVector<GateOp> gates; ///< of the data, on dataDim
};

/// Finds sites in one function, and makes functions of what lies there.
class Exposer {
public:
  Exposer(ModuleOp module, ArrayRef<std::string> kinds) : kinds(kinds) {
    for (const AxisInfo &axis : axesOf(module))
      axes[axis.symbol] = axis;
  }
  /// Of a module; its places are valid while the module is.
  FailureOr<SmallVector<Place>> find(func::FuncOp function);
  prune::Site describe(Place &place);

private:
  void markData(func::FuncOp function);
  bool isWanted(const AxisInfo &axis) const {
    return kinds.empty() ? isCutByDefault(axis.kind)
                         : llvm::is_contained(kinds, axis.kind);
  }
  /// The gates on an operand that name wanted axes, if they are of one
  /// dimension.
  SmallVector<GateOp> gatesOn(Value value) const;

  ArrayRef<std::string> kinds;
  llvm::StringMap<AxisInfo> axes;
  llvm::DenseSet<Value> data;
};
} // namespace

void Exposer::markData(func::FuncOp function) {
  data.clear();
  for (BlockArgument argument : function.getArguments())
    data.insert(argument);
  for (Operation &op : function.getBody().front())
    if (llvm::any_of(op.getOperands(),
                     [&](Value v) { return data.contains(v); }))
      data.insert(op.result_begin(), op.result_end());
}

SmallVector<GateOp> Exposer::gatesOn(Value value) const {
  SmallVector<GateOp> gates;
  for (auto gate = value.getDefiningOp<GateOp>(); gate;
       gate = gate.getInput().getDefiningOp<GateOp>())
    if (isWanted(axes.lookup(gate.getAxis())) &&
        (gates.empty() || gates[0].getDim() == gate.getDim()))
      gates.push_back(gate);
  return gates;
}

FailureOr<SmallVector<Place>> Exposer::find(func::FuncOp function) {
  markData(function);
  SmallVector<Place> places;
  for (Operation &op : function.getBody().front()) {
    if (isa<GateOp>(op))
      continue;
    for (OpOperand &operand : op.getOpOperands()) {
      SmallVector<GateOp> gates = gatesOn(operand.get());
      if (gates.empty() || !data.contains(stripGates(operand.get())))
        continue;
      for (OpOperand &other : op.getOpOperands()) {
        SmallVector<GateOp> rows = gatesOn(other.get());
        if (rows.empty() || data.contains(stripGates(other.get())) ||
            rows[0].getAxis() != gates[0].getAxis())
          continue;
        auto type = dyn_cast<RankedTensorType>(gates[0].getType());
        if (!type || type.isDynamicDim(gates[0].getDim()))
          return op.emitError()
                 << "axis '" << axes[gates[0].getAxis()].name()
                 << "' is summed over a dimension of unknown size";
        places.push_back({&operand, &other, int64_t(gates[0].getDim()),
                          int64_t(rows[0].getDim()), gates});
        break;
      }
    }
  }
  if (places.empty())
    return function.emitError("no weight is summed over units of an axis: "
                              "there is nothing to measure");
  return places;
}

prune::Site Exposer::describe(Place &place) {
  prune::Site site;
  Operation *op = place.data->getOwner();
  if (auto name = dyn_cast<NameLoc>(op->getLoc()))
    site.node = name.getName().str();
  auto type = cast<RankedTensorType>(place.gates[0].getType());
  site.width = type.getDimSize(place.dataDim);
  auto weight = cast<RankedTensorType>(place.weight->get().getType());
  site.isMatrix = weight.getRank() == 2 && weight.hasStaticShape();
  for (GateOp gate : place.gates) {
    const AxisInfo &info = axes[gate.getAxis()];
    prune::SiteAxis axis{info.name(), info.kind, info.units, {}};
    for (auto at : gate.getPlaces().getAsRange<PlaceAttr>())
      axis.places.push_back(
          {at.getOffset(), at.getOuter(), at.getUnits(), at.getInner()});
    site.axes.push_back(std::move(axis));
  }
  return site;
}

/// `value` with dimension `dim` moved to place `to`.
static Value moved(OpBuilder &builder, Value value, int64_t dim, int64_t to) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> order =
      llvm::to_vector(llvm::seq<int64_t>(type.getRank()));
  order.erase(order.begin() + dim);
  order.insert(order.begin() + to, dim);
  if (llvm::is_sorted(order))
    return value;
  SmallVector<int64_t> shape;
  for (int64_t d : order)
    shape.push_back(type.getDimSize(d));
  return onnx::TransposeOp::create(
      builder, value.getLoc(),
      RankedTensorType::get(shape, type.getElementType()), value,
      builder.getDenseI64ArrayAttr(order));
}

/// Makes @main return `results`, and nothing else of it.
static void setResults(func::FuncOp function, ArrayRef<Value> results,
                       StringRef name) {
  Block &body = function.getBody().front();
  body.getTerminator()->setOperands(results);
  Builder builder(function.getContext());
  SmallVector<Type> types;
  SmallVector<DictionaryAttr> names;
  for (auto [i, value] : llvm::enumerate(results)) {
    types.push_back(value.getType());
    names.push_back(builder.getDictionaryAttr(builder.getNamedAttr(
        "onnx.name", builder.getStringAttr(name + Twine(i)))));
  }
  function.setFunctionType(FunctionType::get(
      function.getContext(), function.getArgumentTypes(), types));
  function.setAllResultAttrs(names);
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (&op != body.getTerminator() && op.use_empty())
      op.erase();
}

/// The weights' rows: what a program without inputs says they are.
static LogicalResult readWeights(ModuleOp module, Exposer &exposer,
                                 std::vector<prune::Site> &sites) {
  OwningOpRef<ModuleOp> copy = module.clone();
  auto function = copy->lookupSymbol<func::FuncOp>("main");
  FailureOr<SmallVector<Place>> places = exposer.find(function);
  if (failed(places))
    return failure();
  OpBuilder builder(function.getBody().front().getTerminator());
  SmallVector<Value> results;
  for (const Place &place : *places) {
    Value weight =
        moved(builder, stripGates(place.weight->get()), place.weightDim, 0);
    // An op of the model's, for what is computed with them to be f64.
    results.push_back(onnx::IdentityOp::create(builder, weight.getLoc(),
                                               weight.getType(), weight));
  }
  setResults(function, results, "weight");
  function.getBody().front().eraseArguments([](BlockArgument) { return true; });
  function.setArgAttrsAttr({});
  function.setFunctionType(
      FunctionType::get(copy->getContext(), {}, function.getResultTypes()));
  eraseAxes(*copy);
  FailureOr<std::vector<std::vector<double>>> values = evaluateNatively(*copy);
  if (failed(values))
    return failure();
  for (auto [site, value] : llvm::zip_equal(sites, *values)) {
    site.columns = int64_t(value.size()) / site.width;
    site.weight = std::move(value);
  }
  return success();
}

FailureOr<ExposedGates> twist::exposeGates(ModuleOp module,
                                           ArrayRef<std::string> kinds) {
  ExposedGates result;
  Exposer exposer(module, kinds);
  result.values = module.clone();
  auto function = result.values->lookupSymbol<func::FuncOp>("main");
  if (!function)
    return module.emitError("has no function @main");
  FailureOr<SmallVector<Place>> places = exposer.find(function);
  if (failed(places))
    return failure();
  OpBuilder builder(function.getBody().front().getTerminator());
  SmallVector<Value> results;
  for (Place &place : *places) {
    result.sites.push_back(exposer.describe(place));
    Value value = stripGates(place.data->get());
    int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
    results.push_back(moved(builder, value, place.dataDim, rank - 1));
  }
  setResults(function, results, "gate");
  GateCounts gates;
  if (failed(lowerGates(*result.values, gates)) ||
      failed(readWeights(module, exposer, result.sites)))
    return failure();
  return result;
}

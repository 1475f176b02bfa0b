//===- Gates.cpp - What flows through a model's gates ---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Gates.h"

#include "GateSites.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/Transforms/Subnetwork.h"
#include "twist/Pipeline/Compile.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

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
static LogicalResult readWeights(ModuleOp module, GateFinder &finder,
                                 SiteChoice choice,
                                 std::vector<prune::Site> &sites) {
  OwningOpRef<ModuleOp> copy = module.clone();
  auto function = copy->lookupSymbol<func::FuncOp>("main");
  FailureOr<SmallVector<GatePlace>> places =
      findSites(finder, function, choice);
  if (failed(places))
    return failure();
  OpBuilder builder(function.getBody().front().getTerminator());
  SmallVector<Value> results;
  for (const GatePlace &place : *places) {
    Value weight =
        moveDim(builder, stripGates(place.weight->get()), place.weightDim, 0);
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
                                           ArrayRef<std::string> kinds,
                                           SiteChoice choice) {
  ExposedGates result;
  GateFinder finder(module, kinds);
  result.values = module.clone();
  auto function = result.values->lookupSymbol<func::FuncOp>("main");
  if (!function)
    return module.emitError("has no function @main");
  FailureOr<SmallVector<GatePlace>> places =
      findSites(finder, function, choice);
  if (failed(places))
    return failure();
  OpBuilder builder(function.getBody().front().getTerminator());
  SmallVector<Value> results;
  for (GatePlace &place : *places) {
    result.sites.push_back(finder.describe(place));
    Value value = stripGates(place.data->get());
    int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
    results.push_back(moveDim(builder, value, place.dataDim, rank - 1));
  }
  setResults(function, results, "gate");
  GateCounts gates;
  if (failed(lowerGates(*result.values, gates)) ||
      failed(readWeights(module, finder, choice, result.sites)))
    return failure();
  return result;
}

//===- Corrections.cpp - A corrected model --------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Corrections.h"

#include "GateSites.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Weights/Weights.h"
#include "twist/Prune/Correction.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

using Tensors = llvm::StringMap<prune::StoredTensor>;

namespace {
/// Puts the tensors of one file into a model.
class Corrector {
public:
  Corrector(ModuleOp module, Tensors tensors, StringRef path, Location loc)
      : module(module), tensors(std::move(tensors)), path(path), loc(loc) {}
  LogicalResult run();

private:
  LogicalResult correct(GatePlace &place);
  LogicalResult check(const prune::StoredTensor &tensor, StringRef name,
                      ArrayRef<int64_t> shape);
  /// A load of a stored tensor, its dimensions swapped if `transposed`.
  Value load(OpBuilder &builder, StringRef name, Type element, bool transposed);
  FlatSymbolRefAttr source();

  ModuleOp module;
  Tensors tensors;
  StringRef path;
  Location loc;
  FlatSymbolRefAttr file;
};
} // namespace

FlatSymbolRefAttr Corrector::source() {
  if (file)
    return file;
  std::string name = "correction";
  for (int i = 0; module.lookupSymbol(name); ++i)
    name = "correction" + std::to_string(i);
  OpBuilder builder(module.getContext());
  builder.setInsertionPointToStart(module.getBody());
  while (builder.getInsertionPoint() != module.getBody()->end() &&
         isa<weights::SourceOp>(*builder.getInsertionPoint()))
    builder.setInsertionPointAfter(&*builder.getInsertionPoint());
  weights::SourceOp::create(builder, loc, name, path, nullptr);
  return file = FlatSymbolRefAttr::get(module.getContext(), name);
}

LogicalResult Corrector::check(const prune::StoredTensor &tensor,
                               StringRef name, ArrayRef<int64_t> shape) {
  uint64_t bytes = sizeof(float);
  for (int64_t size : shape)
    bytes *= uint64_t(size);
  if (tensor.type != "F32" || ArrayRef(tensor.shape) != shape ||
      tensor.bytes != bytes)
    return emitError(loc) << path << ": tensor '" << name << "' is "
                          << tensor.type << " [" << tensor.shape
                          << "], the model takes F32 [" << shape << "]";
  return success();
}

Value Corrector::load(OpBuilder &builder, StringRef name, Type element,
                      bool transposed) {
  const prune::StoredTensor &tensor = tensors[name];
  auto stored = RankedTensorType::get(tensor.shape, builder.getF32Type());
  auto order =
      transposed ? builder.getDenseI64ArrayAttr({1, 0}) : DenseI64ArrayAttr();
  auto view = weights::ViewAttr::get(module.getContext(), source(),
                                     int64_t(tensor.offset), stored,
                                     ArrayAttr(), order);
  return weights::LoadOp::create(
      builder, NameLoc::get(builder.getStringAttr(name)),
      RankedTensorType::get(view.getShape(), element), view);
}

/// Erases the ops that make a value nobody takes any more.
static void eraseUnused(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !op->use_empty())
    return;
  SmallVector<Value> operands(op->getOperands());
  op->erase();
  for (Value operand : operands)
    eraseUnused(operand);
}

/// The weight under the gates becomes the file's, and a sum follows:
///
///   y = x · gate(W)        y = x · gate(W') + b'
///
LogicalResult Corrector::correct(GatePlace &place) {
  Operation *op = place.data->getOwner();
  auto type = cast<RankedTensorType>(place.weight->get().getType());
  if (!canCorrect(place))
    return op->emitError("is corrected by the ticket, but is no product with a "
                         "matrix on its right");
  int64_t width = type.getDimSize(place.weightDim);
  int64_t columns = type.getDimSize(1 - place.weightDim);
  std::string weight = place.key + ".weight", bias = place.key + ".bias";
  if (!tensors.contains(bias))
    return emitError(loc) << path << ": no tensor '" << bias << "'";
  if (failed(check(tensors[weight], weight, {width, columns})) ||
      failed(check(tensors[bias], bias, {columns})))
    return failure();
  auto gate = place.weight->get().getDefiningOp<GateOp>();
  while (auto next = gate.getInput().getDefiningOp<GateOp>())
    gate = next;
  OpBuilder builder(gate);
  Value before = gate.getInput();
  gate.getInputMutable().assign(
      load(builder, weight, type.getElementType(), place.weightDim == 1));
  eraseUnused(before);
  builder.setInsertionPointAfter(op);
  Value result = op->getResult(0);
  auto sum = onnx::AddOp::create(
      builder, op->getLoc(), result.getType(), result,
      load(builder, bias, type.getElementType(), /*transposed=*/false));
  result.replaceAllUsesExcept(sum.getResult(), sum);
  return success();
}

LogicalResult Corrector::run() {
  auto function = module.lookupSymbol<func::FuncOp>("main");
  FailureOr<SmallVector<GatePlace>> places =
      GateFinder(module, {"*"}).find(function);
  if (failed(places))
    return failure();
  size_t used = 0;
  for (GatePlace &place : *places) {
    if (!tensors.contains(place.key + ".weight"))
      continue;
    if (failed(correct(place)))
      return failure();
    used += 2;
  }
  if (used != tensors.size())
    return emitError(loc) << path << ": holds " << tensors.size()
                          << " tensors, of which the model's gates take "
                          << used;
  return success();
}

LogicalResult twist::applyCorrections(ModuleOp module, StringRef path,
                                      StringRef sha256, Location loc) {
  module.getContext()->getOrLoadDialect<weights::WeightsDialect>();
  auto tensors = prune::readSafetensors(path, sha256);
  if (!tensors)
    return emitError(loc) << toString(tensors.takeError());
  return Corrector(module, std::move(*tensors), path, loc).run();
}

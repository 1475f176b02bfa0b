//===- Card.cpp - What an artefact is, for people -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Target/Object/Card.h"

#include "twist/Codegen/CPU/Program/Passes.h"
#include "twist/Runtime/Program.h"

using namespace mlir;
using namespace twist;
using namespace twist::object;

/// {"name", "type", "dims": sizes and symbols}
static llvm::json::Value describe(DictionaryAttr tensor) {
  llvm::json::Array dims;
  auto symbols = tensor.getAs<ArrayAttr>("symbols");
  for (auto [index, size] :
       llvm::enumerate(tensor.getAs<DenseI64ArrayAttr>("dims").asArrayRef())) {
    StringRef symbol = cast<StringAttr>(symbols[index]).getValue();
    if (size >= 0)
      dims.push_back(size);
    else
      dims.push_back(symbol.empty() ? "?" : symbol);
  }
  llvm::json::Object result{
      {"name", tensor.getAs<StringAttr>("name").getValue()},
      {"type", tensor.getAs<StringAttr>("type").getValue()},
      {"dims", std::move(dims)}};
  if (tensor.contains("updated"))
    result["updated"] = true;
  return result;
}

static llvm::json::Array describeAll(ArrayAttr tensors) {
  llvm::json::Array result;
  for (Attribute tensor : tensors)
    result.push_back(describe(cast<DictionaryAttr>(tensor)));
  return result;
}

/// Elements of all weights; one in two layouts counts once.
static int64_t countParameters(ModuleOp module) {
  llvm::DenseSet<std::pair<Attribute, Attribute>> seen;
  int64_t count = 0;
  auto entries = module->getAttrOfType<ArrayAttr>(cpu::program::weightsAttr);
  for (Attribute attribute :
       entries ? entries.getValue() : ArrayRef<Attribute>()) {
    auto entry = cast<DictionaryAttr>(attribute);
    auto type = entry.getAs<TypeAttr>("type");
    if (seen.insert({entry.get("view"), type}).second)
      count += cast<RankedTensorType>(type.getValue()).getNumElements();
  }
  return count;
}

llvm::json::Object twist::object::makeCard(ModuleOp module,
                                           const WeightsFile &weights,
                                           const Target &target,
                                           const llvm::json::Object &extra) {
  auto interface =
      module->getAttrOfType<DictionaryAttr>(cpu::program::interfaceAttr);
  llvm::json::Object card{
      {"version", 1},
      {"abi_version", int64_t(TWIST_ABI_VERSION)},
      {"inputs", describeAll(interface.getAs<ArrayAttr>("inputs"))},
      {"outputs", describeAll(interface.getAs<ArrayAttr>("outputs"))},
      {"parameters", countParameters(module)},
      {"weights", llvm::json::Object{{"bytes", int64_t(weights.bytes)},
                                     {"sha256", toHex(weights.sha256)}}},
      {"target", llvm::json::Object{{"cpu", target.cpu},
                                    {"features", target.requiredFeatures},
                                    {"bf16", target.describeBF16()}}}};
  for (const auto &[key, value] : extra)
    card[key] = value;
  return card;
}

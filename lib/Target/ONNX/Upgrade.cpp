//===- Upgrade.cpp - What the onnx library does to whole models
//-------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// The onnx library inlines functions, converts to an operator set and infers
// shapes, but its converter forgets much of what a model says besides its
// nodes. So it gets a skeleton, and what it forgets is put back by name.
//
//===----------------------------------------------------------------------===//

#include "Precautions.h"
#include "RuntimeOps.h"

#include "twist/Support/Integers.h"
#include "twist/Target/ONNX/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

#include "onnx/inliner/inliner.h"
#include "onnx/shape_inference/implementation.h"
#include "onnx/version_converter/convert.h"

#include <cstring>

namespace twist {
#define GEN_PASS_DEF_ONNXUPGRADE
#include "twist/Target/ONNX/Passes.h.inc"
} // namespace twist

using namespace mlir;
using namespace twist;
using namespace twist::detail;

namespace {

/// IR version that operator set 23 came with.
constexpr int64_t kMinIrVersion = 11;

/// Finds the data of a model that buildModel made.
class BuiltLocator final : public TensorLocator {
public:
  BuiltLocator(const Payloads &payloads, weights::SourceFiles &sources)
      : payloads(payloads), sources(sources) {}

  FailureOr<std::optional<TensorBytes>> locate(const pb::TensorProto &tensor,
                                               Location loc) override {
    TensorBytes found;
    found.storage = "raw_data";
    std::optional<uint64_t> index = payloadOf(tensor);
    if (!index) {
      if (!tensor.has_raw_data())
        return std::optional<TensorBytes>();
      found.bytes =
          ArrayRef<char>(tensor.raw_data().data(), tensor.raw_data().size());
      return std::optional(found);
    }
    if (*index >= payloads.size())
      return emitError(loc) << "its data was not found";
    const ExportPayload &payload = payloads[*index];
    auto view = dyn_cast<weights::ViewAttr>(payload.value);
    bool isTyped = elementTypeOf(tensor.data_type(), loc.getContext()) ==
                       payload.elementType &&
                   (!view || llvm::equal(view.getShape(), tensor.dims()));
    if (isTyped) {
      found.value = payload.value;
      return std::optional(found);
    }
    // Bytes of a tensor inside a function.
    FailureOr<ArrayRef<char>> bytes = sources.stored(view, loc);
    if (failed(bytes))
      return failure();
    found.source = view.getSource();
    found.offset = view.getOffset();
    found.bytes = *bytes;
    return std::optional(found);
  }

private:
  const Payloads &payloads;
  weights::SourceFiles &sources;
};

class Upgrade {
public:
  Upgrade(ModuleOp module, int64_t minOpset)
      : module(module), loc(module.getLoc()), minOpset(minOpset),
        sources(module) {}
  FailureOr<OwningOpRef<ModuleOp>> run();

private:
  LogicalResult build();
  void unifyDomain();
  LogicalResult fixDefaults();
  LogicalResult densify(TensorLocator &locator);
  LogicalResult inlineFunctions();
  LogicalResult checkOps();
  void setAside(bool restore);
  LogicalResult convert();
  LogicalResult inferShapes(pb::ModelProto &model);
  LogicalResult checkDeclarations();
  LogicalResult attempt(const char *what, llvm::function_ref<void()> action);
  FailureOr<OwningOpRef<ModuleOp>> reimport(TensorLocator &locator);
  void restoreModule(ModuleOp upgraded);
  void restorePorts(func::FuncOp from, func::FuncOp to);
  void restoreNodes(ModuleOp upgraded);

  ModuleOp module;
  Location loc;
  int64_t minOpset;
  weights::SourceFiles sources;
  BuiltModel built;
  /// Attributes of nodes outside the default domain, by first output.
  llvm::StringMap<std::vector<pb::AttributeProto>> aside;
};

} // namespace

//===----------------------------------------------------------------------===//
// Preparing
//===----------------------------------------------------------------------===//

/// Spells the default domain one way throughout.
template <typename Nodes> static void unifyNodes(Nodes &nodes) {
  for (pb::NodeProto &node : nodes) {
    if (node.domain() == "ai.onnx")
      node.clear_domain();
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        unifyNodes(*attribute.mutable_g()->mutable_node());
      for (pb::GraphProto &graph : *attribute.mutable_graphs())
        unifyNodes(*graph.mutable_node());
    }
  }
}

void Upgrade::unifyDomain() {
  auto unifyImports = [](auto &imports) {
    for (pb::OperatorSetIdProto &opset : imports)
      if (opset.domain() == "ai.onnx")
        opset.set_domain("");
  };
  unifyImports(*built.model.mutable_opset_import());
  unifyNodes(*built.model.mutable_graph()->mutable_node());
  for (pb::FunctionProto &function : *built.model.mutable_functions()) {
    unifyImports(*function.mutable_opset_import());
    unifyNodes(*function.mutable_node());
    // A domain that only a function uses stays in use when it is inlined.
    for (const pb::OperatorSetIdProto &opset : function.opset_import())
      if (llvm::none_of(built.model.opset_import(), [&](const auto &known) {
            return known.domain() == opset.domain();
          }))
        *built.model.add_opset_import() = opset;
  }
}

/// Inputs that have a default value become constants.
LogicalResult Upgrade::fixDefaults() {
  pb::GraphProto &graph = *built.model.mutable_graph();
  auto isDefault = [&](const std::string &name) {
    return llvm::any_of(graph.initializer(),
                        [&](const auto &t) { return t.name() == name; }) ||
           llvm::any_of(graph.sparse_initializer(), [&](const auto &t) {
             return t.values().name() == name;
           });
  };
  // Before IR version 4 every initializer had to be listed as an input.
  bool isHabit = built.model.ir_version() < 4;
  for (int i = graph.input_size() - 1; i >= 0; --i) {
    std::string name = graph.input(i).name();
    if (!isDefault(name))
      continue;
    if (!isHabit)
      emitWarning(NameLoc::get(StringAttr::get(module.getContext(), name)))
          << "the input's default value is taken as a constant";
    graph.mutable_input()->DeleteSubrange(i, 1);
  }
  return success();
}

/// Writes a sparse tensor out in full, as the data of `out`.
static LogicalResult densifyTensor(const pb::SparseTensorProto &sparse,
                                   ArrayRef<char> values,
                                   ArrayRef<int64_t> indices, unsigned width,
                                   pb::TensorProto &out, Location loc) {
  SmallVector<int64_t> dims(sparse.dims().begin(), sparse.dims().end());
  std::optional<int64_t> bytes = productOf(dims, width);
  if (!bytes)
    return emitError(loc) << "has impossible dimensions";
  // What a few bytes of a file may claim to be; the converter copies it twice.
  constexpr int64_t most = 256 << 20;
  if (*bytes > most)
    return emitError(loc) << "is a sparse tensor of " << *bytes
                          << " bytes in full; at most " << most
                          << " are supported";
  bool isFlat = sparse.indices().dims_size() == 1;
  // Flat indices are those of one dimension.
  if (isFlat)
    dims = {*bytes / width};
  int64_t stored = values.size() / width, perValue = dims.size();
  if (static_cast<int64_t>(indices.size()) != stored * perValue)
    return emitError(loc) << "has " << indices.size() << " indices for "
                          << stored << " values";
  std::string dense(*bytes, '\0');
  for (int64_t i = 0; i < stored; ++i) {
    int64_t at = 0;
    for (auto [d, size] : llvm::enumerate(dims)) {
      int64_t index = indices[i * perValue + d];
      if (index < 0 || index >= size)
        return emitError(loc) << "has an index outside its dimensions";
      at = at * size + index;
    }
    memcpy(dense.data() + at * width, values.data() + i * width, width);
  }
  out.set_raw_data(std::move(dense));
  return success();
}

LogicalResult Upgrade::densify(TensorLocator &locator) {
  pb::GraphProto &graph = *built.model.mutable_graph();
  for (const pb::SparseTensorProto &sparse : graph.sparse_initializer()) {
    Location at = NameLoc::get(
        StringAttr::get(module.getContext(), sparse.values().name()));
    auto bytesOf =
        [&](const pb::TensorProto &tensor) -> FailureOr<std::vector<char>> {
      FailureOr<ImportedTensor> imported = importTensor(tensor, locator, at);
      if (failed(imported))
        return failure();
      if (auto elements = dyn_cast<ElementsAttr>(imported->value))
        return weights::toStored(elements, at);
      auto view = cast<weights::ViewAttr>(imported->value);
      Type element = imported->type.getElementType();
      std::vector<char> out(
          weights::storedBytes(element, view.getNumElements()));
      if (failed(sources.read(view, element, out, at)))
        return failure();
      return out;
    };
    FailureOr<std::vector<char>> values = bytesOf(sparse.values());
    FailureOr<std::vector<char>> indices = bytesOf(sparse.indices());
    if (failed(values) || failed(indices))
      return failure();
    Type element =
        elementTypeOf(sparse.values().data_type(), module.getContext());
    if (weights::storedBits(element) < 8 ||
        sparse.indices().data_type() != pb::TensorProto::INT64)
      return emitError(at) << "a sparse tensor of this type is not supported";
    std::vector<int64_t> numbers(indices->size() / 8);
    memcpy(numbers.data(), indices->data(), numbers.size() * 8);
    pb::TensorProto &dense = *graph.add_initializer();
    dense.set_name(sparse.values().name());
    dense.set_data_type(sparse.values().data_type());
    *dense.mutable_dims() = sparse.dims();
    if (failed(densifyTensor(sparse, *values, numbers,
                             weights::storedBits(element) / 8, dense, at)))
      return failure();
  }
  graph.clear_sparse_initializer();
  return success();
}

//===----------------------------------------------------------------------===//
// Converting
//===----------------------------------------------------------------------===//

static pb::OperatorSetIdProto *defaultOpset(pb::ModelProto &model) {
  for (pb::OperatorSetIdProto &opset : *model.mutable_opset_import())
    if (opset.domain().empty())
      return &opset;
  return nullptr;
}

LogicalResult Upgrade::attempt(const char *what,
                               llvm::function_ref<void()> action) {
  try {
    action();
    return success();
  } catch (const std::exception &error) {
    return emitError(loc) << what << ": " << StringRef(error.what()).rtrim();
  }
}

LogicalResult Upgrade::inlineFunctions() {
  pb::ModelProto &model = built.model;
  if (model.functions_size() &&
      failed(attempt("functions cannot be inlined", [&] {
        ::onnx::inliner::InlineLocalFunctions(model, /*convert_version=*/true);
      })))
    return failure();
  for (const pb::FunctionProto &function : model.functions())
    return emitError(loc) << "function '" << function.name() << "' of domain '"
                          << function.domain() << "' cannot be inlined";
  return success();
}

/// The converter gives up at the first op it does not know; here all are named.
LogicalResult Upgrade::checkOps() {
  auto version = static_cast<int>(defaultOpset(built.model)->version());
  bool ok = true;
  forEachNode(*built.model.mutable_graph(), [&](pb::NodeProto &node) {
    if (!node.domain().empty())
      return;
    Location at = locationOf(node, module.getContext());
    const ::onnx::OpSchema *schema =
        ::onnx::OpSchemaRegistry::Schema(node.op_type(), version, "");
    if (!schema)
      emitError(at) << "operator '" << node.op_type()
                    << "' is unknown in operator set " << version;
    ok &= schema && succeeded(checkNode(node, *schema, at));
  });
  return success(ok);
}

/// Nodes of other domains pass through the converter without their attributes,
/// some kinds of which it cannot represent.
void Upgrade::setAside(bool restore) {
  forEachNode(*built.model.mutable_graph(), [&](pb::NodeProto &node) {
    if (node.domain().empty() || node.output().empty())
      return;
    auto *attributes = node.mutable_attribute();
    std::vector<pb::AttributeProto> &kept = aside[node.output(0)];
    if (restore) {
      for (pb::AttributeProto &attribute : kept)
        attributes->Add()->Swap(&attribute);
      return;
    }
    google::protobuf::RepeatedPtrField<pb::AttributeProto> graphs;
    for (pb::AttributeProto &attribute : *attributes)
      if (attribute.has_g())
        graphs.Add()->Swap(&attribute);
      else
        kept.push_back(std::move(attribute));
    attributes->Swap(&graphs);
  });
}

/// Whether a tensor of one type can be one of the other.
static bool isCompatible(const pb::TypeProto &a, const pb::TypeProto &b,
                         MLIRContext *context) {
  auto x = dyn_cast<TensorType>(importType(a, context));
  auto y = dyn_cast<TensorType>(importType(b, context));
  if (!x || !y)
    return true;
  return x.getElementType() == y.getElementType() &&
         (!x.hasRank() || !y.hasRank() ||
          succeeded(verifyCompatibleShape(x, y)));
}

/// Inference trusts what a file declares. So it runs once without, to compare:
/// every wrong declaration is an error.
LogicalResult Upgrade::checkDeclarations() {
  pb::ModelProto bare = built.model;
  pb::GraphProto &graph = *bare.mutable_graph();
  llvm::StringMap<pb::TypeProto> declared;
  for (pb::ValueInfoProto &info : *graph.mutable_output())
    if (info.has_type())
      declared[info.name()].Swap(info.mutable_type());
  for (pb::ValueInfoProto &info : *graph.mutable_value_info())
    if (info.has_type())
      declared[info.name()].Swap(info.mutable_type());
  for (pb::ValueInfoProto &info : *graph.mutable_output())
    info.clear_type();
  graph.clear_value_info();
  if (failed(inferShapes(bare)))
    return failure();
  MLIRContext *context = module.getContext();
  bool ok = true;
  auto check = [&](const pb::ValueInfoProto &info) {
    auto found = declared.find(info.name());
    if (found == declared.end() || !info.has_type() ||
        isCompatible(found->second, info.type(), context))
      return;
    emitError(NameLoc::get(StringAttr::get(context, info.name())))
        << "is declared as " << importType(found->second, context)
        << ", but its node gives " << importType(info.type(), context);
    ok = false;
  };
  llvm::for_each(graph.output(), check);
  llvm::for_each(graph.value_info(), check);
  return success(ok);
}

/// The library's ConvertVersion, which makes its table of adapters anew for
/// each model: half of the time that a small one takes.
static pb::ModelProto convertVersion(const pb::ModelProto &model, int64_t from,
                                     int64_t to) {
  static const ::onnx::version_conversion::DefaultVersionConverter converter;
  pb::ModelProto inferred = model;
  ::onnx::shape_inference::InferShapes(inferred);
  return converter.convert_version(inferred, ::onnx::OpSetID(from),
                                   ::onnx::OpSetID(to));
}

LogicalResult Upgrade::convert() {
  pb::ModelProto &model = built.model;
  if (failed(inlineFunctions()))
    return failure();
  if (!defaultOpset(model))
    model.add_opset_import()->set_version(minOpset);
  setRuntimeOpsAside(model);
  if (failed(checkOps()))
    return failure();
  forgetNegativeSizes(*model.mutable_graph());
  int64_t version = defaultOpset(model)->version();
  model.set_ir_version(std::max(model.ir_version(), kMinIrVersion));
  if (version < minOpset) {
    setAside(/*restore=*/false);
    if (failed(
            attempt("the model cannot be brought to a newer operator set", [&] {
              pb::ModelProto converted =
                  convertVersion(model, version, minOpset);
              model.Swap(&converted);
            })))
      return failure();
    setAside(/*restore=*/true);
    model.set_ir_version(std::max(model.ir_version(), kMinIrVersion));
  }
  if (failed(checkDeclarations()) || failed(inferShapes(model)))
    return failure();
  putRuntimeOpsBack(model);
  return success();
}

LogicalResult Upgrade::inferShapes(pb::ModelProto &model) {
  return attempt("shapes cannot be inferred", [&] {
    ::onnx::shape_inference::InferShapes(
        model, ::onnx::OpSchemaRegistry::Instance(),
        ::onnx::ShapeInferenceOptions(
            /*check_type_val=*/false,
            /*strict_mode_val=*/0,
            /*data_prop_val=*/!hasLongLists(model.graph())));
  });
}

//===----------------------------------------------------------------------===//
// Putting back
//===----------------------------------------------------------------------===//

void Upgrade::restoreModule(ModuleOp upgraded) {
  auto original = module->getAttrOfType<DictionaryAttr>(kModelAttr);
  if (!original)
    return;
  auto current = upgraded->getAttrOfType<DictionaryAttr>(kModelAttr);
  NamedAttrList fields(original);
  fields.erase("functions");
  // Its nodes would be read as of the new operator set.
  if (fields.erase("training_info"))
    emitWarning(loc) << "training_info is left out";
  fields.set("opset_import", current.get("opset_import"));
  fields.set("ir_version", current.get("ir_version"));
  if (auto graph = original.getAs<DictionaryAttr>("graph")) {
    NamedAttrList graphFields(graph);
    graphFields.erase("value_info");
    graphFields.erase("default_inputs");
    fields.set("graph", graphFields.getDictionary(module.getContext()));
  }
  upgraded->setAttr(kModelAttr, fields.getDictionary(module.getContext()));
}

/// Inputs and outputs as the file declares them; shapes it does not give are
/// the inferred ones.
void Upgrade::restorePorts(func::FuncOp from, func::FuncOp to) {
  if (from.getNumArguments() == to.getNumArguments())
    for (unsigned i = 0; i < to.getNumArguments(); ++i)
      if (DictionaryAttr port = from.getArgAttrDict(i))
        to.setArgAttrs(i, port);
  if (from.getNumResults() != to.getNumResults())
    return;
  for (unsigned i = 0; i < to.getNumResults(); ++i) {
    DictionaryAttr port = from.getResultAttrDict(i);
    if (!port)
      continue;
    NamedAttrList merged(port);
    auto before = dyn_cast<RankedTensorType>(from.getResultTypes()[i]);
    auto after = dyn_cast<RankedTensorType>(to.getResultTypes()[i]);
    if (after && (!before || before.getRank() != after.getRank()))
      if (Attribute dims = to.getResultAttr(i, kDimsAttr))
        merged.set(kDimsAttr, dims);
    to.setResultAttrs(i, merged.getDictionary(module.getContext()));
  }
}

/// First name that an op gives its results.
static StringRef firstOutput(Operation *op) {
  auto meta = op->getAttrOfType<DictionaryAttr>(ir::kMetaAttr);
  if (!meta)
    return "";
  if (auto outputs = meta.getAs<ArrayAttr>("outputs")) {
    for (Attribute output : outputs)
      if (auto name = dyn_cast<StringAttr>(output); name && !name.empty())
        return name.getValue();
    return "";
  }
  auto name = meta.getAs<StringAttr>("name");
  return name ? name.getValue() : "";
}

/// What a node keeps although its operands or even its op have changed.
static bool isKept(StringRef key) {
  return key == "name" || key == "doc_string" || key == "metadata_props" ||
         key == "device_configurations" || key == "unknown_fields";
}

static bool isConstant(Operation *op) {
  return isa<ir::ConstantOp, weights::LoadOp>(op);
}

/// Names and metadata of nodes and initializers, found by first output.
void Upgrade::restoreNodes(ModuleOp upgraded) {
  llvm::StringMap<Operation *> originals;
  module.walk([&](Operation *op) {
    if (StringRef name = firstOutput(op); !name.empty())
      originals.try_emplace(name, op);
  });
  upgraded.walk([&](Operation *op) {
    auto found = originals.find(firstOutput(op));
    if (firstOutput(op).empty() || found == originals.end())
      return;
    Operation *original = found->second;
    NamedAttrList meta(op->getAttrOfType<DictionaryAttr>(ir::kMetaAttr));
    auto restored = original->getAttrOfType<DictionaryAttr>(ir::kMetaAttr);
    if (isConstant(op) != isConstant(original)) {
      // A Constant node has become a constant: its name is that of the value.
      op->setLoc(original->getLoc());
      return;
    }
    for (NamedAttribute entry : restored)
      if (isConstant(op) || isKept(entry.getName()))
        meta.set(entry.getName(), entry.getValue());
    op->setAttr(ir::kMetaAttr, meta.getDictionary(op->getContext()));
    op->setLoc(original->getLoc());
  });
}

FailureOr<OwningOpRef<ModuleOp>> Upgrade::reimport(TensorLocator &locator) {
  OwningOpRef<ModuleOp> upgraded = ModuleOp::create(loc);
  OpBuilder builder = OpBuilder::atBlockEnd(upgraded->getBody());
  for (auto source : module.getOps<weights::SourceOp>())
    builder.clone(*source);
  ImportOptions options;
  options.normalising = true;
  if (failed(importModel(built.model, locator, *upgraded, loc, options)))
    return failure();
  restoreModule(*upgraded);
  restorePorts(module.lookupSymbol<func::FuncOp>("main"),
               upgraded->lookupSymbol<func::FuncOp>("main"));
  restoreNodes(*upgraded);
  return upgraded;
}

FailureOr<OwningOpRef<ModuleOp>> Upgrade::run() {
  FailureOr<BuiltModel> model = buildModel(module);
  if (failed(model))
    return failure();
  built = std::move(*model);
  BuiltLocator locator(built.payloads, sources);
  unifyDomain();
  if (failed(fixDefaults()) || failed(densify(locator)) || failed(convert()))
    return failure();
  return reimport(locator);
}

FailureOr<OwningOpRef<ModuleOp>> twist::upgradeToOpset(ModuleOp module,
                                                       int64_t minOpset) {
  try {
    return Upgrade(module, minOpset).run();
  } catch (const std::exception &error) {
    return module.emitError()
           << "the model cannot be upgraded: " << error.what();
  }
}

namespace {
class ONNXUpgrade : public twist::impl::ONNXUpgradeBase<ONNXUpgrade> {
public:
  using ONNXUpgradeBase::ONNXUpgradeBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (auto model = module->getAttrOfType<DictionaryAttr>(kModelAttr))
      if (auto functions = model.getAs<ArrayAttr>("functions"))
        numFunctions += functions.size();
    FailureOr<OwningOpRef<ModuleOp>> upgraded = upgradeToOpset(module, opset);
    if (failed(upgraded))
      return signalPassFailure();
    module.getBodyRegion().takeBody((*upgraded)->getBodyRegion());
    // What others have noted about the module stays.
    for (NamedAttribute attribute : (*upgraded)->getOperation()->getAttrs())
      module->setAttr(attribute.getName(), attribute.getValue());
    module.walk([&](ir::NodeOp) { ++numNodes; });
  }
};
} // namespace

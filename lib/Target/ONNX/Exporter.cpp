//===- Exporter.cpp - Modules as models
//-------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Detail.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

#include <set>

using namespace mlir;
using namespace twist;
using namespace twist::detail;

namespace {

/// IR version and operator set of a module that comes from no file.
constexpr int64_t kIrVersion = 11, kOpset = 23;

/// Names in use in one graph and those around it.
struct NameScope {
  NameScope *outer = nullptr;
  llvm::StringSet<> names;

  bool isTaken(StringRef name) const {
    for (const NameScope *scope = this; scope; scope = scope->outer)
      if (scope->names.contains(name))
        return true;
    return false;
  }
};

class GraphExporter {
public:
  explicit GraphExporter(ModuleOp module) : module(module) {}
  FailureOr<BuiltModel> run();

private:
  LogicalResult exportMain(func::FuncOp func, DictionaryAttr fields,
                           pb::GraphProto &graph);
  LogicalResult exportGraph(Block &block, DictionaryAttr fields,
                            ArrayRef<DictionaryAttr> inputs,
                            ArrayRef<DictionaryAttr> outputs, NameScope &scope,
                            pb::GraphProto &graph);
  void assignNames(Block &block, ArrayRef<DictionaryAttr> inputs,
                   ArrayRef<DictionaryAttr> outputs, NameScope &scope);
  void assignName(Value value, StringRef wanted, NameScope &scope);
  LogicalResult exportOp(Operation &op, NameScope &scope,
                         pb::GraphProto &graph);
  LogicalResult exportInitializer(Operation &op, pb::GraphProto &graph);
  LogicalResult exportSparse(ir::NodeOp op, pb::GraphProto &graph);
  LogicalResult exportNode(Operation &op, NameScope &scope,
                           pb::NodeProto &node);
  LogicalResult exportAttributes(Operation &op, NameScope &scope,
                                 pb::NodeProto &node);
  LogicalResult exportRegions(Operation &op, StringRef name,
                              DictionaryAttr residual, NameScope &scope,
                              pb::AttributeProto &proto);
  LogicalResult exportOutputs(Block &block, ArrayRef<DictionaryAttr> outputs,
                              pb::GraphProto &graph);
  LogicalResult exportPort(Value value, StringRef name, DictionaryAttr port,
                           pb::ValueInfoProto &info, Location loc);
  LogicalResult exportValueInfos(Block &block, DictionaryAttr fields,
                                 pb::GraphProto &graph);
  void completeOpsets(pb::ModelProto &model);
  StringRef nameOf(Value value) { return names[value]; }

  ModuleOp module;
  Payloads payloads;
  DenseMap<Value, std::string> names;
  /// Next number to try for a name that is taken, and domains in use.
  llvm::StringMap<int> suffixes;
  std::set<std::string> domains;
};

} // namespace

static DictionaryAttr metaOf(Operation &op) {
  return op.getAttrOfType<DictionaryAttr>(ir::kMetaAttr);
}

template <typename T> static T getMeta(DictionaryAttr meta, StringRef key) {
  return meta ? meta.getAs<T>(key) : T();
}

static bool isInitializer(Operation &op) {
  return isa<ir::ConstantOp, weights::LoadOp>(op);
}

/// Name and domain of a typed op: `onnx.MatMul`, `onnx.com.microsoft.Gelu`.
static std::pair<StringRef, StringRef> opTypeOf(Operation &op) {
  if (auto node = dyn_cast<ir::NodeOp>(op))
    return {node.getOpType(), node.getDomain()};
  StringRef name = op.getName().stripDialect();
  auto [domain, opType] = name.rsplit('.');
  return opType.empty() ? std::pair(name, StringRef())
                        : std::pair(opType, domain);
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

void GraphExporter::assignName(Value value, StringRef wanted,
                               NameScope &scope) {
  std::string name = wanted.empty() ? "value" : wanted.str();
  for (int &n = suffixes[wanted]; scope.isTaken(name);)
    name =
        (wanted.empty() ? "value" : wanted.str()) + "_" + std::to_string(++n);
  scope.names.insert(name);
  names[value] = name;
}

static StringRef portName(DictionaryAttr port) {
  auto name = port ? port.getAs<StringAttr>(kNameAttr) : nullptr;
  return name ? name.getValue() : "";
}

/// Inputs first, then outputs, then what nodes and weights call their values:
/// the interface keeps its names.
void GraphExporter::assignNames(Block &block, ArrayRef<DictionaryAttr> inputs,
                                ArrayRef<DictionaryAttr> outputs,
                                NameScope &scope) {
  for (auto [argument, port] : llvm::zip_equal(block.getArguments(), inputs)) {
    StringRef name = portName(port);
    assignName(argument, name.empty() ? "input" : name, scope);
  }
  for (auto [value, port] :
       llvm::zip_equal(block.getTerminator()->getOperands(), outputs)) {
    Operation *producer = value.getDefiningOp();
    if (!names.contains(value) && producer && producer->getBlock() == &block &&
        !isInitializer(*producer) && !isa<NoneType>(value.getType()))
      assignName(value, portName(port).empty() ? "output" : portName(port),
                 scope);
    // A name of the interface is taken even where a copy will bear it.
    else if (!portName(port).empty())
      scope.names.insert(portName(port));
  }
  // A value that is returned and stored may bear the interface's name itself.
  for (auto [value, port] :
       llvm::zip_equal(block.getTerminator()->getOperands(), outputs)) {
    Operation *producer = value.getDefiningOp();
    if (producer && producer->getBlock() == &block &&
        isInitializer(*producer)) {
      auto name = getMeta<StringAttr>(metaOf(*producer), "name");
      if (name && name.getValue() == portName(port))
        names[value] = name.str();
    }
  }
  for (Operation &op : block) {
    DictionaryAttr meta = metaOf(op);
    auto outputNames = getMeta<ArrayAttr>(meta, "outputs");
    for (OpResult result : op.getResults()) {
      if (names.contains(result) || isa<NoneType>(result.getType()))
        continue;
      StringAttr wanted;
      if (isInitializer(op))
        wanted = getMeta<StringAttr>(meta, "name");
      else if (outputNames && result.getResultNumber() < outputNames.size())
        wanted = dyn_cast<StringAttr>(outputNames[result.getResultNumber()]);
      assignName(result, wanted ? wanted.getValue() : opTypeOf(op).first,
                 scope);
    }
  }
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

LogicalResult GraphExporter::exportRegions(Operation &op, StringRef name,
                                           DictionaryAttr residual,
                                           NameScope &scope,
                                           pb::AttributeProto &proto) {
  auto node = cast<ir::NodeOp>(op);
  auto graphs = getMeta<ArrayAttr>(metaOf(op), "graphs");
  bool isList = proto.type() == pb::AttributeProto::GRAPHS;
  if (!proto.has_type())
    proto.set_type(pb::AttributeProto::GRAPH);
  for (auto [i, regionName] : llvm::enumerate(node.getRegionNames())) {
    if (cast<StringAttr>(regionName).getValue() != name)
      continue;
    if (i >= op.getNumRegions() || !op.getRegion(i).hasOneBlock() ||
        !op.getRegion(i).front().mightHaveTerminator())
      return op.emitError() << "attribute '" << name
                            << "' needs a region of one block with a yield";
    DictionaryAttr fields;
    if (graphs && i < graphs.size())
      fields = dyn_cast<DictionaryAttr>(graphs[i]);
    Block &block = op.getRegion(i).front();
    auto ports = [&](StringRef key, unsigned count) {
      SmallVector<DictionaryAttr> list;
      if (auto array = getMeta<ArrayAttr>(fields, key))
        for (Attribute port : array)
          list.push_back(dyn_cast<DictionaryAttr>(port));
      list.resize(count);
      return list;
    };
    NameScope inner;
    inner.outer = &scope;
    pb::GraphProto *graph = isList ? proto.add_graphs() : proto.mutable_g();
    if (failed(exportGraph(
            block, fields, ports("inputs", block.getNumArguments()),
            ports("outputs", block.getTerminator()->getNumOperands()), inner,
            *graph)))
      return failure();
  }
  if (residual && residual.contains("untyped"))
    proto.clear_type();
  return success();
}

/// Attributes of the node by name, in the file's order where it is known.
static std::vector<std::pair<StringRef, Attribute>>
nodeAttributes(Operation &op, DictionaryAttr meta) {
  std::map<StringRef, Attribute> sorted;
  if (auto residuals = getMeta<DictionaryAttr>(meta, "attributes");
      residuals && isa<ir::NodeOp>(op))
    for (NamedAttribute entry : residuals)
      if (auto type = getMeta<IntegerAttr>(
              dyn_cast<DictionaryAttr>(entry.getValue()), "type");
          type && type.getValue() == pb::AttributeProto::GRAPHS)
        sorted[entry.getName().getValue()] = {};
  if (auto node = dyn_cast<ir::NodeOp>(op)) {
    for (NamedAttribute entry : node.getNodeAttributes())
      sorted[entry.getName().getValue()] = entry.getValue();
    for (Attribute name : node.getRegionNames())
      sorted[cast<StringAttr>(name).getValue()] = {};
  } else {
    for (NamedAttribute entry : op.getAttrs()) {
      StringRef name = entry.getName().getValue();
      if (!name.contains('.') && name != "operandSegmentSizes" &&
          name != "resultSegmentSizes")
        sorted[name] = entry.getValue();
    }
  }
  std::vector<std::pair<StringRef, Attribute>> list;
  if (auto order = getMeta<ArrayAttr>(meta, "attribute_order"))
    for (StringAttr name : order.getAsRange<StringAttr>())
      if (auto found = sorted.find(name.getValue()); found != sorted.end()) {
        list.push_back(*found);
        sorted.erase(found);
      }
  list.insert(list.end(), sorted.begin(), sorted.end());
  return list;
}

LogicalResult GraphExporter::exportAttributes(Operation &op, NameScope &scope,
                                              pb::NodeProto &node) {
  DictionaryAttr meta = metaOf(op);
  auto residuals = getMeta<DictionaryAttr>(meta, "attributes");
  for (auto [name, value] : nodeAttributes(op, meta)) {
    pb::AttributeProto &proto = *node.add_attribute();
    proto.set_name(name.str());
    auto residual = getMeta<DictionaryAttr>(residuals, name);
    if (residual && !isa_and_nonnull<DictionaryAttr>(value) &&
        failed(attrToMessage(residual, proto, payloads, op.getLoc(),
                             {"tensor", "untyped", "implicit"})))
      return failure();
    LogicalResult result =
        value ? exportAttribute(value, residual, proto, payloads, op.getLoc())
              : exportRegions(op, name, residual, scope, proto);
    if (failed(result))
      return failure();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Nodes and initializers
//===----------------------------------------------------------------------===//

LogicalResult GraphExporter::exportNode(Operation &op, NameScope &scope,
                                        pb::NodeProto &node) {
  DictionaryAttr meta = metaOf(op);
  if (meta && failed(attrToMessage(meta, node, payloads, op.getLoc(),
                                   {"outputs", "attributes", "attribute_order",
                                    "graphs", "dims"})))
    return failure();
  auto [opType, domain] = opTypeOf(op);
  node.set_op_type(opType.str());
  if (!domain.empty())
    node.set_domain(domain.str());
  domains.insert(domain.str());
  bool isTyped = !isa<ir::NodeOp>(op);
  for (Value operand : op.getOperands())
    node.add_input(isa<NoneType>(operand.getType()) ? ""
                                                    : nameOf(operand).str());
  for (Value result : op.getResults())
    node.add_output(isa<NoneType>(result.getType()) ? ""
                                                    : nameOf(result).str());
  auto trim = [](auto *list) {
    while (!list->empty() && list->Get(list->size() - 1).empty())
      list->RemoveLast();
  };
  if (isTyped) {
    trim(node.mutable_input());
    trim(node.mutable_output());
  }
  return exportAttributes(op, scope, node);
}

LogicalResult GraphExporter::exportInitializer(Operation &op,
                                               pb::GraphProto &graph) {
  Attribute value;
  if (auto load = dyn_cast<weights::LoadOp>(op))
    value = load.getView();
  else
    value = cast<ir::ConstantOp>(op).getValue();
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  pb::TensorProto &tensor = *graph.add_initializer();
  if (failed(
          exportTensor(type, value, metaOf(op), tensor, payloads, op.getLoc())))
    return failure();
  tensor.set_name(nameOf(op.getResult(0)).str());
  return success();
}

LogicalResult GraphExporter::exportSparse(ir::NodeOp op,
                                          pb::GraphProto &graph) {
  auto value = op.getNodeAttributes().getAs<DictionaryAttr>("sparse_value");
  pb::AttributeProto attribute;
  if (!value || failed(attrToMessage(value, attribute, payloads, op.getLoc())))
    return op.emitError("has no sparse_value");
  auto *sparse = graph.add_sparse_initializer();
  sparse->Swap(attribute.mutable_sparse_tensor());
  sparse->mutable_values()->set_name(nameOf(op.getResult(0)).str());
  return success();
}

LogicalResult GraphExporter::exportOp(Operation &op, NameScope &scope,
                                      pb::GraphProto &graph) {
  if (op.hasTrait<OpTrait::IsTerminator>() || isa<ir::NoneOp>(op))
    return success();
  if (isInitializer(op))
    return exportInitializer(op, graph);
  if (auto node = dyn_cast<ir::NodeOp>(op);
      node && getMeta<UnitAttr>(metaOf(op), "sparse_initializer"))
    return exportSparse(node, graph);
  if (!isa<ir::ONNXDialect>(op.getDialect()))
    return op.emitError() << "'" << op.getName()
                          << "' has no ONNX form and cannot be exported";
  return exportNode(op, scope, *graph.add_node());
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

/// The message of an input or output: as the file has it while the type is the
/// same, else with the new type written over it.
LogicalResult GraphExporter::exportPort(Value value, StringRef name,
                                        DictionaryAttr port,
                                        pb::ValueInfoProto &info,
                                        Location loc) {
  auto meta = getMeta<DictionaryAttr>(port, ir::kMetaAttr);
  bool isSame = false;
  if (auto whole = getMeta<DictionaryAttr>(meta, "value_info")) {
    if (failed(attrToMessage(whole, info, payloads, loc)))
      return failure();
    auto type = getMeta<TypeAttr>(meta, "type");
    isSame = type && type.getValue() == value.getType();
  }
  info.set_name(name.str());
  if (isSame)
    return success();
  SmallVector<StringRef> dims;
  if (auto list = getMeta<ArrayAttr>(port, kDimsAttr))
    for (Attribute dim : list)
      dims.push_back(isa<StringAttr>(dim) ? cast<StringAttr>(dim).getValue()
                                          : "");
  if (auto opaque = dyn_cast<ir::OpaqueType>(value.getType());
      opaque && opaque.getProto().empty())
    return success();
  auto tensor = dyn_cast<TensorType>(value.getType());
  bool hasForm =
      tensor ? dataTypeOf(tensor.getElementType()) != pb::TensorProto::UNDEFINED
             : isa<ir::OpaqueType>(value.getType());
  if (!hasForm)
    return emitError(loc) << "a value of type " << value.getType()
                          << " has no ONNX form";
  exportType(value.getType(), dims, *info.mutable_type());
  return success();
}

LogicalResult GraphExporter::exportOutputs(Block &block,
                                           ArrayRef<DictionaryAttr> outputs,
                                           pb::GraphProto &graph) {
  for (auto [value, port] :
       llvm::zip_equal(block.getTerminator()->getOperands(), outputs)) {
    std::string name = portName(port).str();
    bool isNone = isa<NoneType>(value.getType());
    if (name.empty() && !isNone)
      name = nameOf(value);
    // A value that is an input, a weight or another output already: a copy.
    if (!isNone && name != nameOf(value)) {
      pb::NodeProto &copy = *graph.add_node();
      copy.set_op_type("Identity");
      copy.add_input(nameOf(value).str());
      copy.add_output(name);
    }
    if (isNone) {
      graph.add_output()->set_name(name);
      continue;
    }
    if (failed(exportPort(value, name, port, *graph.add_output(),
                          block.getParentOp()->getLoc())))
      return failure();
  }
  return success();
}

/// The file's own entries, corrected where a type has changed, then one for
/// each tensor that has none.
LogicalResult GraphExporter::exportValueInfos(Block &block,
                                              DictionaryAttr fields,
                                              pb::GraphProto &graph) {
  llvm::StringMap<Value> values;
  for (Operation &op : block)
    for (Value result : op.getResults())
      if (!isa<NoneType>(result.getType()))
        values[nameOf(result)] = result;
  for (Value argument : block.getArguments())
    values[nameOf(argument)] = argument;
  if (auto infos = getMeta<ArrayAttr>(fields, "value_info"))
    for (Attribute entry : infos) {
      pb::ValueInfoProto &info = *graph.add_value_info();
      auto whole = dyn_cast<DictionaryAttr>(entry);
      if (!whole)
        return module.emitError("value_info is not a list of dictionaries");
      if (failed(attrToMessage(whole, info, payloads, module.getLoc())))
        return failure();
      auto found = values.find(info.name());
      if (found == values.end())
        continue;
      Type type = found->second.getType();
      if (isa<TensorType>(type) &&
          importType(info.type(), module.getContext()) != type)
        exportType(type, {}, *info.mutable_type());
      values.erase(found);
    }
  for (const auto &output : graph.output())
    values.erase(output.name());
  for (Operation &op : block) {
    if (isInitializer(op) ||
        getMeta<UnitAttr>(metaOf(op), "sparse_initializer"))
      continue;
    auto dims = getMeta<ArrayAttr>(metaOf(op), "dims");
    for (OpResult result : op.getResults()) {
      if (isa<NoneType>(result.getType()) || !values.contains(nameOf(result)) ||
          !isa<TensorType>(result.getType()))
        continue;
      pb::ValueInfoProto &info = *graph.add_value_info();
      info.set_name(nameOf(result).str());
      SmallVector<StringRef> symbols;
      if (dims && result.getResultNumber() < dims.size())
        if (auto list = dyn_cast<ArrayAttr>(dims[result.getResultNumber()]))
          for (StringAttr dim : list.getAsRange<StringAttr>())
            symbols.push_back(dim.getValue());
      exportType(result.getType(), symbols, *info.mutable_type());
    }
  }
  return success();
}

LogicalResult GraphExporter::exportGraph(Block &block, DictionaryAttr fields,
                                         ArrayRef<DictionaryAttr> inputs,
                                         ArrayRef<DictionaryAttr> outputs,
                                         NameScope &scope,
                                         pb::GraphProto &graph) {
  Location loc = block.getParentOp()->getLoc();
  if (fields && failed(attrToMessage(
                    fields, graph, payloads, loc,
                    {"inputs", "outputs", "default_inputs", "value_info"})))
    return failure();
  assignNames(block, inputs, outputs, scope);
  for (auto [argument, port] : llvm::zip_equal(block.getArguments(), inputs))
    if (failed(exportPort(argument, nameOf(argument), port, *graph.add_input(),
                          loc)))
      return failure();
  for (Operation &op : block)
    if (failed(exportOp(op, scope, graph)))
      return failure();
  if (failed(exportOutputs(block, outputs, graph)) ||
      failed(exportValueInfos(block, fields, graph)))
    return failure();
  auto defaults = getMeta<ArrayAttr>(fields, "default_inputs");
  if (!defaults)
    return success();
  // Inputs with a default value go back to their places.
  for (Attribute attr : defaults) {
    auto entry = dyn_cast<DictionaryAttr>(attr);
    auto whole = getMeta<DictionaryAttr>(entry, "value_info");
    auto place = getMeta<IntegerAttr>(entry, "index");
    if (!whole || !place)
      return module.emitError("default_inputs has no index or value_info");
    pb::ValueInfoProto info;
    if (failed(attrToMessage(whole, info, payloads, loc)))
      return failure();
    for (Operation &op : block)
      if (isInitializer(op) && nameOf(op.getResult(0)) == info.name() &&
          importType(info.type(), module.getContext()) !=
              op.getResult(0).getType())
        exportType(op.getResult(0).getType(), {}, *info.mutable_type());
    *graph.add_input() = info;
    int64_t index = std::max<int64_t>(place.getInt(), 0);
    for (int64_t i = graph.input_size() - 1; i > index; --i)
      graph.mutable_input()->SwapElements(i, i - 1);
  }
  return success();
}

LogicalResult GraphExporter::exportMain(func::FuncOp func,
                                        DictionaryAttr fields,
                                        pb::GraphProto &graph) {
  if (!func.getBody().hasOneBlock())
    return func.emitError("has control flow, which has no ONNX form");
  SmallVector<DictionaryAttr> inputs, outputs;
  for (unsigned i = 0; i < func.getNumArguments(); ++i)
    inputs.push_back(func.getArgAttrDict(i));
  for (unsigned i = 0; i < func.getNumResults(); ++i)
    outputs.push_back(func.getResultAttrDict(i));
  NameScope scope;
  if (failed(exportGraph(func.front(), fields, inputs, outputs, scope, graph)))
    return failure();
  if (!graph.has_name() && !fields)
    graph.set_name(func.getName().str());
  return success();
}

/// Every domain in use needs an operator set.
void GraphExporter::completeOpsets(pb::ModelProto &model) {
  for (const pb::OperatorSetIdProto &opset : model.opset_import()) {
    domains.erase(opset.domain());
    if (opset.domain().empty() || opset.domain() == "ai.onnx") {
      domains.erase("");
      domains.erase("ai.onnx");
    }
  }
  for (const std::string &domain : domains) {
    auto *opset = model.add_opset_import();
    opset->set_domain(domain);
    opset->set_version(domain.empty() ? kOpset : 1);
  }
}

FailureOr<BuiltModel> GraphExporter::run() {
  auto func = module.lookupSymbol<func::FuncOp>("main");
  if (!func || func.isExternal())
    return module.emitError("has no function @main to export");
  for (Operation &op : module.getOps())
    if (isa<func::FuncOp>(op) && &op != func.getOperation())
      return op.emitError("only @main can be exported to ONNX");
  BuiltModel built;
  auto fields = module->getAttrOfType<DictionaryAttr>(kModelAttr);
  if (!fields)
    built.model.set_ir_version(kIrVersion);
  else if (failed(attrToMessage(fields, built.model, payloads, module.getLoc(),
                                {"graph"})))
    return failure();
  if (failed(exportMain(func, getMeta<DictionaryAttr>(fields, "graph"),
                        *built.model.mutable_graph())))
    return failure();
  completeOpsets(built.model);
  built.payloads = std::move(payloads);
  return built;
}

FailureOr<BuiltModel> twist::detail::buildModel(ModuleOp module) {
  return GraphExporter(module).run();
}

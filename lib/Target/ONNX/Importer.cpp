//===- Importer.cpp - Models as modules -----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Detail.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace twist;
using namespace twist::detail;

namespace {

/// The values of one graph by name, inside those of the graphs around it.
struct Scope {
  Scope *outer = nullptr;
  llvm::StringMap<Value> values;
  llvm::StringMap<const pb::ValueInfoProto *> infos;
  Value none;

  Value lookup(StringRef name) const {
    for (const Scope *scope = this; scope; scope = scope->outer)
      if (auto found = scope->values.find(name); found != scope->values.end())
        return found->second;
    return nullptr;
  }
};

class GraphImporter {
public:
  GraphImporter(TensorLocator &locator, ModuleOp module, Location loc,
                const ImportOptions &options)
      : locator(locator), module(module), fileLoc(loc),
        context(loc.getContext()), builder(context), options(options) {}

  LogicalResult importModel(const pb::ModelProto &model);

private:
  FailureOr<DictionaryAttr> importGraph(const pb::GraphProto &graph,
                                        Block *block, Scope &scope,
                                        SmallVectorImpl<Value> &results,
                                        ArrayAttr &inputPorts,
                                        ArrayAttr &outputPorts);
  LogicalResult importInputs(const pb::GraphProto &graph, Block *block,
                             Scope &scope, NamedAttrList &fields,
                             ArrayAttr &ports);
  LogicalResult importInitializer(const pb::TensorProto &tensor, Scope &scope);
  LogicalResult importSparse(const pb::SparseTensorProto &sparse, Scope &scope);
  LogicalResult importNode(const pb::NodeProto &node, Scope &scope);
  LogicalResult importAttributes(const pb::NodeProto &node, Scope &scope,
                                 OperationState &state, NamedAttrList &meta);
  LogicalResult importSubgraph(const pb::GraphProto &graph, Scope &scope,
                               OperationState &state,
                               SmallVectorImpl<Attribute> &graphs);
  FailureOr<bool> importConstant(const pb::NodeProto &node, Scope &scope,
                                 Location loc);

  LogicalResult define(StringRef name, Value value, Scope &scope, Location loc);
  FailureOr<Value> use(StringRef name, Scope &scope, Location loc,
                       const Twine &what);
  Value createTensor(const ImportedTensor &tensor, DictionaryAttr meta,
                     Location loc);
  DictionaryAttr makePort(const pb::ValueInfoProto &info, Type type);
  Type typeOf(StringRef name, const Scope &scope);
  ArrayAttr outputDims(const pb::NodeProto &node, const Scope &scope);
  StringAttr str(StringRef text) { return builder.getStringAttr(text); }

  TensorLocator &locator;
  ModuleOp module;
  Location fileLoc;
  MLIRContext *context;
  OpBuilder builder;
  ImportOptions options;
};

} // namespace

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

LogicalResult GraphImporter::define(StringRef name, Value value, Scope &scope,
                                    Location loc) {
  if (!scope.values.try_emplace(name, value).second)
    return emitError(loc) << "value '" << name << "' is defined twice";
  return success();
}

FailureOr<Value> GraphImporter::use(StringRef name, Scope &scope, Location loc,
                                    const Twine &what) {
  if (Value value = scope.lookup(name))
    return value;
  if (!name.empty())
    return emitError(loc) << what << " '" << name
                          << "' is not defined before its use";
  if (!scope.none) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(builder.getInsertionBlock());
    scope.none =
        ir::NoneOp::create(builder, UnknownLoc::get(context),
                           builder.getNoneType(), builder.getUnitAttr());
  }
  return scope.none;
}

Type GraphImporter::typeOf(StringRef name, const Scope &scope) {
  if (name.empty())
    return builder.getNoneType();
  if (auto found = scope.infos.find(name);
      found != scope.infos.end() && found->second->has_type())
    return importType(found->second->type(), context);
  return ir::OpaqueType::get(context, "");
}

/// Name, symbolic dimensions, and the whole message where these and the type
/// do not say it all.
DictionaryAttr GraphImporter::makePort(const pb::ValueInfoProto &info,
                                       Type type) {
  SmallVector<std::string> dims;
  importType(info.type(), context, &dims);
  SmallVector<StringRef> refs(dims.begin(), dims.end());
  NamedAttrList port;
  port.set(kNameAttr, str(info.name()));
  port.set(kDimsAttr, builder.getStrArrayAttr(refs));
  pb::ValueInfoProto plain;
  plain.set_name(info.name());
  exportType(type, refs, *plain.mutable_type());
  if (serialise(plain) != serialise(info)) {
    FailureOr<DictionaryAttr> whole = messageToAttr(info, nullptr, fileLoc);
    port.set(ir::kMetaAttr,
             builder.getDictionaryAttr(
                 {builder.getNamedAttr("value_info", *whole),
                  builder.getNamedAttr("type", TypeAttr::get(type))}));
  }
  return port.getDictionary(context);
}

Value GraphImporter::createTensor(const ImportedTensor &tensor,
                                  DictionaryAttr meta, Location loc) {
  Operation *op;
  if (auto view = dyn_cast<weights::ViewAttr>(tensor.value))
    op = weights::LoadOp::create(builder, loc, tensor.type, view);
  else
    op = ir::ConstantOp::create(builder, loc, tensor.type,
                                cast<ElementsAttr>(tensor.value));
  op->setAttr(ir::kMetaAttr, meta);
  return op->getResult(0);
}

//===----------------------------------------------------------------------===//
// Initializers
//===----------------------------------------------------------------------===//

LogicalResult GraphImporter::importInitializer(const pb::TensorProto &tensor,
                                               Scope &scope) {
  Location loc = NameLoc::get(str(tensor.name()));
  if (tensor.name().empty())
    return emitError(fileLoc) << "an initializer has no name";
  FailureOr<ImportedTensor> imported = importTensor(tensor, locator, loc);
  if (failed(imported))
    return failure();
  Value value = createTensor(*imported, imported->residual, loc);
  return define(tensor.name(), value, scope, loc);
}

/// A sparse initializer is a Constant node marked as one.
LogicalResult GraphImporter::importSparse(const pb::SparseTensorProto &sparse,
                                          Scope &scope) {
  StringRef name = sparse.values().name();
  Location loc = NameLoc::get(str(name));
  pb::AttributeProto attribute;
  attribute.set_type(pb::AttributeProto::SPARSE_TENSOR);
  *attribute.mutable_sparse_tensor() = sparse;
  FailureOr<DictionaryAttr> value = messageToAttr(attribute, &locator, loc);
  if (failed(value))
    return failure();
  Type element = elementTypeOf(sparse.values().data_type(), context);
  if (!element)
    return emitError(loc) << "has unknown data type "
                          << sparse.values().data_type();
  SmallVector<int64_t> shape(sparse.dims().begin(), sparse.dims().end());
  if (llvm::any_of(shape, [](int64_t size) { return size < 0; }))
    return emitError(loc) << "has impossible dimensions";
  OperationState state(loc, ir::NodeOp::getOperationName());
  state.addTypes(RankedTensorType::get(shape, element));
  state.addAttribute("op_type", str("Constant"));
  state.addAttribute(
      "node_attributes",
      builder.getDictionaryAttr(builder.getNamedAttr("sparse_value", *value)));
  state.addAttribute(
      ir::kMetaAttr,
      builder.getDictionaryAttr(
          {builder.getNamedAttr("name", str(name)),
           builder.getNamedAttr("outputs", builder.getStrArrayAttr({name})),
           builder.getNamedAttr("sparse_initializer", builder.getUnitAttr())}));
  return define(name, builder.create(state)->getResult(0), scope, loc);
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

LogicalResult
GraphImporter::importSubgraph(const pb::GraphProto &graph, Scope &scope,
                              OperationState &state,
                              SmallVectorImpl<Attribute> &graphs) {
  OpBuilder::InsertionGuard guard(builder);
  Region *region = state.addRegion();
  Block *block = builder.createBlock(region);
  Scope inner;
  inner.outer = &scope;
  SmallVector<Value> results;
  ArrayAttr inputs, outputs;
  FailureOr<DictionaryAttr> fields =
      importGraph(graph, block, inner, results, inputs, outputs);
  if (failed(fields))
    return failure();
  builder.setInsertionPointToEnd(block);
  ir::YieldOp::create(builder, UnknownLoc::get(context), results);
  NamedAttrList list(*fields);
  list.set("inputs", inputs);
  list.set("outputs", outputs);
  graphs.push_back(list.getDictionary(context));
  return success();
}

LogicalResult GraphImporter::importAttributes(const pb::NodeProto &node,
                                              Scope &scope,
                                              OperationState &state,
                                              NamedAttrList &meta) {
  NamedAttrList values, residuals;
  SmallVector<Attribute> graphs, regionNames, order;
  llvm::StringSet<> seen;
  for (const pb::AttributeProto &a : node.attribute()) {
    if (!seen.insert(a.name()).second)
      return emitError(state.location)
             << "attribute '" << a.name() << "' stands twice";
    if (a.name().empty())
      return emitError(state.location) << "an attribute has no name";
    order.push_back(str(a.name()));
    FailureOr<Attribute> value =
        importAttribute(a, locator, state.location, residuals);
    if (failed(value))
      return failure();
    int kind = attributeKind(a);
    auto subgraph = [&](const pb::GraphProto &graph) {
      regionNames.push_back(str(a.name()));
      return importSubgraph(graph, scope, state, graphs);
    };
    if (kind == pb::AttributeProto::GRAPHS) {
      for (const pb::GraphProto &graph : a.graphs())
        if (failed(subgraph(graph)))
          return failure();
    } else if (kind == pb::AttributeProto::GRAPH) {
      if (failed(subgraph(a.g())))
        return failure();
    } else {
      values.set(a.name(), *value);
    }
  }
  state.addAttribute("node_attributes", values.getDictionary(context));
  state.addAttribute("region_names", builder.getArrayAttr(regionNames));
  if (!residuals.empty())
    meta.set("attributes", residuals.getDictionary(context));
  if (!graphs.empty())
    meta.set("graphs", builder.getArrayAttr(graphs));
  if (!llvm::is_sorted(order, [](Attribute a, Attribute b) {
        return cast<StringAttr>(a).getValue() < cast<StringAttr>(b).getValue();
      }))
    meta.set("attribute_order", builder.getArrayAttr(order));
  return success();
}

static std::string nodeName(const pb::NodeProto &node) {
  if (!node.name().empty())
    return node.name();
  for (const std::string &output : node.output())
    if (!output.empty())
      return node.op_type() + ":" + output;
  return node.op_type();
}

/// Symbolic dimensions of each output; null if there are none.
ArrayAttr GraphImporter::outputDims(const pb::NodeProto &node,
                                    const Scope &scope) {
  SmallVector<Attribute> all;
  bool any = false;
  for (const std::string &output : node.output()) {
    SmallVector<std::string> dims;
    if (auto found = scope.infos.find(output); found != scope.infos.end())
      importType(found->second->type(), context, &dims);
    any |= llvm::any_of(dims, [](const std::string &d) { return !d.empty(); });
    all.push_back(builder.getStrArrayAttr(
        SmallVector<StringRef>(dims.begin(), dims.end())));
  }
  return any ? builder.getArrayAttr(all) : ArrayAttr();
}

LogicalResult GraphImporter::importNode(const pb::NodeProto &node,
                                        Scope &scope) {
  Location loc = NameLoc::get(str(nodeName(node)));
  if (options.normalising && node.op_type() == "Constant" &&
      node.domain().empty()) {
    FailureOr<bool> done = importConstant(node, scope, loc);
    if (failed(done) || *done)
      return failure(failed(done));
  }
  OperationState state(loc, ir::NodeOp::getOperationName());
  for (const std::string &input : node.input()) {
    FailureOr<Value> value = use(input, scope, loc, "input");
    if (failed(value))
      return failure();
    state.operands.push_back(*value);
  }
  for (const std::string &output : node.output())
    state.addTypes(typeOf(output, scope));
  state.addAttribute("op_type", str(node.op_type()));
  if (!node.domain().empty())
    state.addAttribute("domain", str(node.domain()));
  FailureOr<DictionaryAttr> fields = messageToAttr(
      node, &locator, loc,
      {pb::NodeProto::kInputFieldNumber, pb::NodeProto::kOutputFieldNumber,
       pb::NodeProto::kOpTypeFieldNumber, pb::NodeProto::kAttributeFieldNumber,
       node.domain().empty() ? 0 : pb::NodeProto::kDomainFieldNumber});
  if (failed(fields))
    return failure();
  NamedAttrList meta(*fields);
  meta.set("outputs", builder.getStrArrayAttr(SmallVector<StringRef>(
                          node.output().begin(), node.output().end())));
  if (options.normalising)
    if (ArrayAttr dims = outputDims(node, scope))
      meta.set("dims", dims);
  if (failed(importAttributes(node, scope, state, meta)))
    return failure();
  state.addAttribute(ir::kMetaAttr, meta.getDictionary(context));
  Operation *op = builder.create(state);
  for (auto [name, result] : llvm::zip_equal(node.output(), op->getResults()))
    if (!name.empty() && failed(define(name, result, scope, loc)))
      return failure();
  return success();
}

/// A Constant node with numbers becomes a constant or a weight; false if it
/// has another form.
FailureOr<bool> GraphImporter::importConstant(const pb::NodeProto &node,
                                              Scope &scope, Location loc) {
  if (node.attribute_size() != 1 || node.output_size() != 1)
    return false;
  const pb::AttributeProto &a = node.attribute(0);
  ImportedTensor tensor;
  auto scalars = [&](Type element, auto values, bool isScalar) {
    SmallVector<int64_t> shape;
    if (!isScalar)
      shape.push_back(values.size());
    tensor.type = RankedTensorType::get(shape, element);
    tensor.value = DenseElementsAttr::get(tensor.type, llvm::ArrayRef(values));
  };
  Type i64 = builder.getI64Type(), f32 = builder.getF32Type();
  if (a.name() == "value" && a.has_t()) {
    FailureOr<ImportedTensor> imported = importTensor(a.t(), locator, loc);
    if (failed(imported))
      return failure();
    tensor = *imported;
  } else if (a.name() == "value_int") {
    scalars(i64, SmallVector<int64_t>{a.i()}, true);
  } else if (a.name() == "value_ints") {
    scalars(i64, SmallVector<int64_t>(a.ints().begin(), a.ints().end()), false);
  } else if (a.name() == "value_float") {
    scalars(f32, SmallVector<float>{a.f()}, true);
  } else if (a.name() == "value_floats") {
    scalars(f32, SmallVector<float>(a.floats().begin(), a.floats().end()),
            false);
  } else {
    return false;
  }
  DictionaryAttr meta = builder.getDictionaryAttr(
      builder.getNamedAttr("name", str(node.output(0))));
  Value value = createTensor(tensor, meta, loc);
  if (failed(define(node.output(0), value, scope, loc)))
    return failure();
  return true;
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

/// Inputs become block arguments. One that an initializer gives a default is
/// that constant; its place and message stay in `fields`.
LogicalResult GraphImporter::importInputs(const pb::GraphProto &graph,
                                          Block *block, Scope &scope,
                                          NamedAttrList &fields,
                                          ArrayAttr &ports) {
  llvm::StringSet<> initialised;
  for (const pb::TensorProto &tensor : graph.initializer())
    initialised.insert(tensor.name());
  for (const pb::SparseTensorProto &sparse : graph.sparse_initializer())
    initialised.insert(sparse.values().name());
  SmallVector<Attribute> list, defaults;
  for (auto [index, info] : llvm::enumerate(graph.input())) {
    if (initialised.contains(info.name())) {
      FailureOr<DictionaryAttr> whole = messageToAttr(info, nullptr, fileLoc);
      defaults.push_back(builder.getDictionaryAttr(
          {builder.getNamedAttr("index", builder.getI64IntegerAttr(index)),
           builder.getNamedAttr("value_info", *whole)}));
      continue;
    }
    Location loc = NameLoc::get(str(info.name()));
    if (info.name().empty())
      return emitError(fileLoc) << "input " << index << " has no name";
    Type type = info.has_type() ? importType(info.type(), context)
                                : ir::OpaqueType::get(context, "");
    Value argument = block->addArgument(type, loc);
    list.push_back(makePort(info, type));
    if (failed(define(info.name(), argument, scope, loc)))
      return failure();
  }
  if (!defaults.empty())
    fields.set("default_inputs", builder.getArrayAttr(defaults));
  ports = builder.getArrayAttr(list);
  return success();
}

/// Fills `block`; gives the fields of the graph that its ops and ports do not
/// hold.
FailureOr<DictionaryAttr>
GraphImporter::importGraph(const pb::GraphProto &graph, Block *block,
                           Scope &scope, SmallVectorImpl<Value> &results,
                           ArrayAttr &inputPorts, ArrayAttr &outputPorts) {
  FailureOr<DictionaryAttr> rest = messageToAttr(
      graph, &locator, fileLoc,
      {pb::GraphProto::kNodeFieldNumber,
       pb::GraphProto::kInitializerFieldNumber,
       pb::GraphProto::kSparseInitializerFieldNumber,
       pb::GraphProto::kInputFieldNumber, pb::GraphProto::kOutputFieldNumber});
  if (failed(rest))
    return failure();
  NamedAttrList fields(*rest);
  builder.setInsertionPointToEnd(block);
  for (const pb::ValueInfoProto &info : graph.value_info())
    scope.infos[info.name()] = &info;
  for (const pb::ValueInfoProto &info : graph.output())
    if (info.has_type())
      scope.infos[info.name()] = &info;
  if (failed(importInputs(graph, block, scope, fields, inputPorts)))
    return failure();
  for (const pb::TensorProto &tensor : graph.initializer())
    if (failed(importInitializer(tensor, scope)))
      return failure();
  for (const pb::SparseTensorProto &sparse : graph.sparse_initializer())
    if (failed(importSparse(sparse, scope)))
      return failure();
  for (const pb::NodeProto &node : graph.node())
    if (failed(importNode(node, scope)))
      return failure();
  SmallVector<Attribute> ports;
  for (const pb::ValueInfoProto &info : graph.output()) {
    if (info.name().empty())
      return emitError(fileLoc) << "output " << ports.size() << " has no name";
    FailureOr<Value> value = use(info.name(), scope, fileLoc, "output");
    if (failed(value))
      return failure();
    results.push_back(*value);
    ports.push_back(makePort(info, value->getType()));
  }
  outputPorts = builder.getArrayAttr(ports);
  if (options.normalising)
    fields.erase("value_info");
  return fields.getDictionary(context);
}

LogicalResult GraphImporter::importModel(const pb::ModelProto &model) {
  if (!model.has_graph())
    return emitError(fileLoc) << "the model has no graph";
  if (model.opset_import().empty())
    return emitError(fileLoc) << "the model names no operator set";
  FailureOr<DictionaryAttr> rest = messageToAttr(
      model, &locator, fileLoc, {pb::ModelProto::kGraphFieldNumber});
  if (failed(rest))
    return failure();
  builder.setInsertionPointToEnd(module.getBody());
  auto func = func::FuncOp::create(builder, fileLoc, "main",
                                   builder.getFunctionType({}, {}));
  Block *block = builder.createBlock(&func.getBody());
  Scope scope;
  SmallVector<Value> results;
  ArrayAttr inputs, outputs;
  FailureOr<DictionaryAttr> graph =
      importGraph(model.graph(), block, scope, results, inputs, outputs);
  if (failed(graph))
    return failure();
  builder.setInsertionPointToEnd(block);
  func::ReturnOp::create(builder, fileLoc, results);
  func.setFunctionType(builder.getFunctionType(block->getArgumentTypes(),
                                               ValueRange(results).getTypes()));
  func.setAllArgAttrs(
      SmallVector<DictionaryAttr>(inputs.getAsRange<DictionaryAttr>()));
  func.setAllResultAttrs(
      SmallVector<DictionaryAttr>(outputs.getAsRange<DictionaryAttr>()));
  NamedAttrList fields(*rest);
  fields.set("graph", *graph);
  module->setAttr(kModelAttr, fields.getDictionary(context));
  return success();
}

LogicalResult twist::detail::importModel(const pb::ModelProto &model,
                                         TensorLocator &locator,
                                         ModuleOp module, Location loc,
                                         const ImportOptions &options) {
  return GraphImporter(locator, module, loc, options).importModel(model);
}

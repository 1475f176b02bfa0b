//===- Precautions.cpp - What the onnx library does not look at -----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Precautions.h"

#include "twist/Dialect/ONNX/EinsumEquation.h"

using namespace mlir;
using namespace twist;
using namespace twist::detail;

Location twist::detail::locationOf(const pb::NodeProto &node,
                                   MLIRContext *context) {
  std::string name = node.name();
  if (name.empty())
    name = node.op_type() +
           (node.output_size() ? ":" + node.output(0) : std::string());
  return NameLoc::get(StringAttr::get(context, name));
}

LogicalResult twist::detail::checkNode(const pb::NodeProto &node,
                                       const ::onnx::OpSchema &schema,
                                       Location loc) {
  for (auto [i, input] : llvm::enumerate(schema.inputs()))
    if (input.GetOption() == ::onnx::OpSchema::Single &&
        (int(i) >= node.input_size() || node.input(i).empty()))
      return emitError(loc) << "operator '" << node.op_type()
                            << "' has no input '" << input.GetName() << "'";
  for (const pb::AttributeProto &attribute : node.attribute()) {
    auto known = schema.attributes().find(attribute.name());
    if (known != schema.attributes().end() &&
        known->second.type != attribute.type())
      return emitError(loc)
             << "attribute '" << attribute.name() << "' is of type "
             << pb::AttributeProto::AttributeType_Name(attribute.type())
             << ", not "
             << pb::AttributeProto::AttributeType_Name(known->second.type);
    if (attribute.name() == "axis" &&
        !llvm::isInt<32>(attribute.has_i() ? attribute.i() : 0))
      return emitError(loc) << "axis " << attribute.i() << " is out of range";
    if (node.op_type() == "Einsum" && attribute.name() == "equation" &&
        !ir::EinsumEquation::parse(attribute.s()))
      return emitError(loc) << "'" << attribute.s() << "' is no equation";
  }
  return success();
}

void twist::detail::forgetNegativeSizes(pb::GraphProto &graph) {
  for (auto *infos : {graph.mutable_input(), graph.mutable_output(),
                      graph.mutable_value_info()})
    for (pb::ValueInfoProto &info : *infos)
      if (info.type().tensor_type().has_shape())
        for (auto &dim : *info.mutable_type()
                              ->mutable_tensor_type()
                              ->mutable_shape()
                              ->mutable_dim())
          if (dim.dim_value() < 0)
            dim.clear_value();
  for (pb::NodeProto &node : *graph.mutable_node())
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        forgetNegativeSizes(*attribute.mutable_g());
      llvm::for_each(*attribute.mutable_graphs(), forgetNegativeSizes);
    }
}

bool twist::detail::hasLongLists(const pb::GraphProto &graph) {
  constexpr int64_t most = 1 << 20;
  auto isLong = [](const pb::ValueInfoProto &info) {
    const pb::TensorShapeProto &shape = info.type().tensor_type().shape();
    return shape.dim_size() == 1 && shape.dim(0).dim_value() > most;
  };
  auto isInside = [](const pb::NodeProto &node) {
    return llvm::any_of(node.attribute(), [](const auto &attribute) {
      return (attribute.has_g() && hasLongLists(attribute.g())) ||
             llvm::any_of(attribute.graphs(), hasLongLists);
    });
  };
  return llvm::any_of(graph.input(), isLong) ||
         llvm::any_of(graph.output(), isLong) ||
         llvm::any_of(graph.value_info(), isLong) ||
         llvm::any_of(graph.node(), isInside);
}

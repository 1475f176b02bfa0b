//===- RuntimeOps.cpp - Ops that only a runtime knows ---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "RuntimeOps.h"

#include "onnx/defs/schema.h"

using namespace mlir;
using namespace twist;
using namespace twist::detail;

void twist::detail::forEachNode(
    pb::GraphProto &graph, llvm::function_ref<void(pb::NodeProto &)> visit) {
  for (pb::NodeProto &node : *graph.mutable_node()) {
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        forEachNode(*attribute.mutable_g(), visit);
      for (pb::GraphProto &inner : *attribute.mutable_graphs())
        forEachNode(inner, visit);
    }
    visit(node);
  }
}

/// Where ops of the default domain wait that their operator set does not have,
/// and those of classical machine learning.
static constexpr char kWaitingDomain[] = "twist.waiting";
static constexpr char kClassicalDomain[] = "ai.onnx.ml";
static constexpr char kClassicalWaitingDomain[] = "twist.waiting.ml";

void twist::detail::setRuntimeOpsAside(pb::ModelProto &model) {
  int version = 0;
  for (pb::OperatorSetIdProto &opset : *model.mutable_opset_import())
    if (opset.domain().empty())
      version = static_cast<int>(opset.version());
    else if (opset.domain() == kClassicalDomain)
      opset.set_domain(kClassicalWaitingDomain);
  bool any = false;
  forEachNode(*model.mutable_graph(), [&](pb::NodeProto &node) {
    if (node.domain() == kClassicalDomain)
      node.set_domain(kClassicalWaitingDomain);
    StringRef name = node.op_type();
    bool isNorm =
        name == "LayerNormalization" || name == "SimplifiedLayerNormalization";
    bool isNewer = isNorm && !::onnx::OpSchemaRegistry::Schema(node.op_type(),
                                                               version, "");
    if (!node.domain().empty() || !(isNewer || name == "RegexFullMatch"))
      return;
    node.set_domain(kWaitingDomain);
    any = true;
  });
  if (!any)
    return;
  pb::OperatorSetIdProto &opset = *model.add_opset_import();
  opset.set_domain(kWaitingDomain);
  opset.set_version(1);
}

void twist::detail::putRuntimeOpsBack(pb::ModelProto &model) {
  forEachNode(*model.mutable_graph(), [&](pb::NodeProto &node) {
    if (node.domain() == kWaitingDomain)
      node.clear_domain();
    else if (node.domain() == kClassicalWaitingDomain)
      node.set_domain(kClassicalDomain);
  });
  auto *opsets = model.mutable_opset_import();
  for (pb::OperatorSetIdProto &opset : *opsets)
    if (opset.domain() == kClassicalWaitingDomain)
      opset.set_domain(kClassicalDomain);
  for (int i = opsets->size() - 1; i >= 0; --i)
    if (opsets->Get(i).domain() == kWaitingDomain)
      opsets->DeleteSubrange(i, 1);
}

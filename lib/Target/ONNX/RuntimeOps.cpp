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

/// Where ops of the default domain wait that their operator set does not have.
static constexpr char kWaitingDomain[] = "twist.waiting";

void twist::detail::setRuntimeOpsAside(pb::ModelProto &model) {
  int version = 0;
  for (const pb::OperatorSetIdProto &opset : model.opset_import())
    if (opset.domain().empty())
      version = static_cast<int>(opset.version());
  bool any = false;
  forEachNode(*model.mutable_graph(), [&](pb::NodeProto &node) {
    if (!node.domain().empty() ||
        ::onnx::OpSchemaRegistry::Schema(node.op_type(), version, "") ||
        !llvm::is_contained(
            {"LayerNormalization", "SimplifiedLayerNormalization"},
            StringRef(node.op_type())))
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
  });
  auto *opsets = model.mutable_opset_import();
  for (int i = opsets->size() - 1; i >= 0; --i)
    if (opsets->Get(i).domain() == kWaitingDomain)
      opsets->DeleteSubrange(i, 1);
}

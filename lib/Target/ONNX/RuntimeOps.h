//===- RuntimeOps.h - Ops that only a runtime knows -------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_TARGET_ONNX_RUNTIMEOPS_H
#define TWIST_LIB_TARGET_ONNX_RUNTIMEOPS_H

#include "Detail.h"

namespace twist::detail {

/// Visits the nodes of a graph and of the graphs in its nodes.
void forEachNode(pb::GraphProto &graph,
                 llvm::function_ref<void(pb::NodeProto &)> visit);

/// onnxruntime writes some ops of the default domain into models of any
/// operator set: norms that are newer, or that no operator set has. The
/// converter sees them in a domain of their own. So it does those of
/// ai.onnx.ml and RegexFullMatch: they are passed through, and the library's
/// inference trusts them blindly.
void setRuntimeOpsAside(pb::ModelProto &model);
void putRuntimeOpsBack(pb::ModelProto &model);

} // namespace twist::detail

#endif // TWIST_LIB_TARGET_ONNX_RUNTIMEOPS_H

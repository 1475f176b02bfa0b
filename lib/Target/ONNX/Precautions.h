//===- Precautions.h - What the onnx library does not look at ---*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// The library's converter and inference take much of a model for granted; these
// make sure of it, or take it out.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_TARGET_ONNX_PRECAUTIONS_H
#define TWIST_LIB_TARGET_ONNX_PRECAUTIONS_H

#include "Detail.h"

#include "onnx/defs/schema.h"

namespace twist::detail {

/// A node's name; its operator and first output where it has none.
mlir::Location locationOf(const pb::NodeProto &node,
                          mlir::MLIRContext *context);

/// What the library takes for granted of a node, and reads without looking:
/// that inputs which are not optional are there, that attributes are of their
/// types, that an axis is a C int, and Einsum's equation one.
mlir::LogicalResult checkNode(const pb::NodeProto &node,
                              const ::onnx::OpSchema &schema,
                              mlir::Location loc);

/// Sizes below 0 are not known; the library would count with them. Also those
/// of graphs inside nodes.
void forgetNegativeSizes(pb::GraphProto &graph);

/// Whether the model declares lists of numbers so long that following them
/// element by element, as if they were shapes, would not end; or graphs inside
/// its nodes do.
bool hasLongLists(const pb::GraphProto &graph);

} // namespace twist::detail

#endif // TWIST_LIB_TARGET_ONNX_PRECAUTIONS_H

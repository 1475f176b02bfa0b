//===- ONNXOps.cpp - ONNX ops ---------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"

#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

#define GET_OP_CLASSES
#include "twist/Dialect/ONNX/ONNXOps.cpp.inc"

OpFoldResult NoneOp::fold(FoldAdaptor) { return UnitAttr::get(getContext()); }

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

//===- WeightsOps.cpp - Weights ops -----------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Weights/Weights.h"

#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace twist::weights;

#define GET_OP_CLASSES
#include "twist/Dialect/Weights/WeightsOps.cpp.inc"

//===- NNOps.cpp - NN ops ---------------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/NN/NN.h"

#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace twist::nn;

#define GET_OP_CLASSES
#include "twist/Dialect/NN/NNOps.cpp.inc"

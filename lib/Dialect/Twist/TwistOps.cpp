//===- TwistOps.cpp - Twist ops ---------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/Twist.h"

#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace twist::axes;

#define GET_OP_CLASSES
#include "twist/Dialect/Twist/TwistOps.cpp.inc"

//===- WeightsDialect.cpp - The Weights dialect
//-----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Weights/Weights.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist::weights;

#include "twist/Dialect/Weights/WeightsDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "twist/Dialect/Weights/WeightsAttrs.cpp.inc"

void WeightsDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "twist/Dialect/Weights/WeightsAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "twist/Dialect/Weights/WeightsOps.cpp.inc"
      >();
}

//===- NNDialect.cpp - The NN dialect
//---------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/NN/NN.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist::nn;

#include "twist/Dialect/NN/NNDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "twist/Dialect/NN/NNAttrs.cpp.inc"

void NNDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "twist/Dialect/NN/NNAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "twist/Dialect/NN/NNOps.cpp.inc"
      >();
}

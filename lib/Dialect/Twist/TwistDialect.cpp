//===- TwistDialect.cpp - The Twist dialect ---------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/Twist.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist::axes;

#include "twist/Dialect/Twist/TwistDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "twist/Dialect/Twist/TwistAttrs.cpp.inc"

void TwistDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "twist/Dialect/Twist/TwistAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "twist/Dialect/Twist/TwistOps.cpp.inc"
      >();
}

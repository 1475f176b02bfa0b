//===- Twist.h - The Twist dialect ------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_TWIST_TWIST_H
#define TWIST_DIALECT_TWIST_TWIST_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "twist/Dialect/Twist/TwistDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "twist/Dialect/Twist/TwistAttrs.h.inc"

#define GET_OP_CLASSES
#include "twist/Dialect/Twist/TwistOps.h.inc"

#endif // TWIST_DIALECT_TWIST_TWIST_H

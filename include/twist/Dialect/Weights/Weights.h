//===- Weights.h - The Weights dialect
//--------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_WEIGHTS_WEIGHTS_H
#define TWIST_DIALECT_WEIGHTS_WEIGHTS_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "twist/Dialect/Weights/WeightsDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "twist/Dialect/Weights/WeightsAttrs.h.inc"

#define GET_OP_CLASSES
#include "twist/Dialect/Weights/WeightsOps.h.inc"

#endif // TWIST_DIALECT_WEIGHTS_WEIGHTS_H

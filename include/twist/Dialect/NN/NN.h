//===- NN.h - The NN dialect
//------------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_NN_NN_H
#define TWIST_DIALECT_NN_NN_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "twist/Dialect/NN/NNDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "twist/Dialect/NN/NNAttrs.h.inc"

#define GET_OP_CLASSES
#include "twist/Dialect/NN/NNOps.h.inc"

#endif // TWIST_DIALECT_NN_NN_H

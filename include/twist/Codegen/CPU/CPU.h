//===- CPU.h - The CPU dialect ----------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_CODEGEN_CPU_CPU_H
#define TWIST_CODEGEN_CPU_CPU_H

#include "twist/Dialect/Weights/Weights.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

#include "twist/Codegen/CPU/CPUDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "twist/Codegen/CPU/CPUAttrs.h.inc"

#define GET_OP_CLASSES
#include "twist/Codegen/CPU/CPUOps.h.inc"

#endif // TWIST_CODEGEN_CPU_CPU_H

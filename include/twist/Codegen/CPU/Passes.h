//===- Passes.h - Passes of the CPU target ----------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_CODEGEN_CPU_PASSES_H
#define TWIST_CODEGEN_CPU_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace twist::cpu {

/// Attaches the bufferisation of cpu.gemm.
void registerKernelBufferization(mlir::DialectRegistry &registry);

#define GEN_PASS_DECL
#include "twist/Codegen/CPU/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "twist/Codegen/CPU/Passes.h.inc"

} // namespace twist::cpu

#endif // TWIST_CODEGEN_CPU_PASSES_H

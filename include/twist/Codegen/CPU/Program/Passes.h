//===- Passes.h - From tensors to a program with an ABI ---------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_CODEGEN_CPU_PROGRAM_PASSES_H
#define TWIST_CODEGEN_CPU_PROGRAM_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace twist::cpu {

/// Names that the passes of a program and Target/Object share.
namespace program {
/// Module attributes.
inline constexpr llvm::StringLiteral interfaceAttr = "cpu.interface";
inline constexpr llvm::StringLiteral weightsAttr = "cpu.weights";
inline constexpr llvm::StringLiteral weightsBytesAttr = "cpu.weights_bytes";
inline constexpr llvm::StringLiteral sitesAttr = "cpu.sites";
inline constexpr llvm::StringLiteral checksAttr = "cpu.checks";
/// On an argument of @main: the number of the result, of the argument's type,
/// that is written to the argument's buffer and is no output then.
inline constexpr llvm::StringLiteral updatedByAttr = "cpu.updated_by";
/// Functions on the compiler's side, and their wrappers in the C ABI.
inline constexpr llvm::StringLiteral mainName = "main";
inline constexpr llvm::StringLiteral outputDimsName = "output_dims";
inline constexpr llvm::StringLiteral arenaBytesName = "arena_bytes";
inline constexpr llvm::StringLiteral runEntry = "twist_run";
inline constexpr llvm::StringLiteral outputDimsEntry = "twist_output_dims";
inline constexpr llvm::StringLiteral arenaBytesEntry = "twist_arena_bytes";
/// Alignment of weights and arena slots in bytes.
inline constexpr int64_t alignment = 64;
} // namespace program

#define GEN_PASS_DECL
#include "twist/Codegen/CPU/Program/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "twist/Codegen/CPU/Program/Passes.h.inc"

} // namespace twist::cpu

#endif // TWIST_CODEGEN_CPU_PROGRAM_PASSES_H

//===- ResolveDims.h - Sizes where they are made ----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CODEGEN_CPU_PROGRAM_RESOLVEDIMS_H
#define TWIST_LIB_CODEGEN_CPU_PROGRAM_RESOLVEDIMS_H

namespace mlir {
class Operation;
} // namespace mlir

namespace twist::cpu {

/// The pass cpu-resolve-dims on the regions of `root`.
void resolveDims(mlir::Operation *root);

} // namespace twist::cpu

#endif // TWIST_LIB_CODEGEN_CPU_PROGRAM_RESOLVEDIMS_H

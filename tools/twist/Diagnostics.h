//===- Diagnostics.h - How errors look to a user ---------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_DIAGNOSTICS_H
#define TWIST_TOOLS_TWIST_DIAGNOSTICS_H

namespace mlir {
class MLIRContext;
} // namespace mlir

namespace twist::tools {

/// Prints diagnostics as `FILE: error: …` and `error: node 'NAME': …`.
void printDiagnostics(mlir::MLIRContext &context);

} // namespace twist::tools

#endif // TWIST_TOOLS_TWIST_DIAGNOSTICS_H

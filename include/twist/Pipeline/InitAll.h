//===- InitAll.h - Every dialect and pass of the project
//--------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_INITALL_H
#define TWIST_PIPELINE_INITALL_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace twist {

/// Dialects of the project, those of MLIR it uses, and the external models of
/// their interfaces.
void registerAllDialects(mlir::DialectRegistry &registry);

/// Passes of the project, the passes of MLIR it uses, and the named pipelines.
void registerAllPasses();

} // namespace twist

#endif // TWIST_PIPELINE_INITALL_H

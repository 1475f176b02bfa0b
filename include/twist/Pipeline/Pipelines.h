//===- Pipelines.h - The order of passes on models --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_PIPELINES_H
#define TWIST_PIPELINE_PIPELINES_H

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace twist {

/// `onnx-normalise` on a module as imported: one function, one operator set
/// (>= 23), typed ops, sizes as static as they are known.
void populateNormalisePasses(mlir::OpPassManager &pm);

/// What follows the upgrade alone: typed ops and their sizes.
void populateTypingPasses(mlir::OpPassManager &pm);

/// Registers the pipelines by name.
void registerModelPipelines();

} // namespace twist

#endif // TWIST_PIPELINE_PIPELINES_H

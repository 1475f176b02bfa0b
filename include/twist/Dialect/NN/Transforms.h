//===- Transforms.h - Passes and models of the NN dialect -------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_NN_TRANSFORMS_H
#define TWIST_DIALECT_NN_TRANSFORMS_H

#include "twist/Dialect/NN/NN.h"

#include "mlir/Pass/Pass.h"

namespace twist::nn {

/// Attaches BufferizableOpInterface to the ops of the dialect.
void registerBufferizableOpInterfaceExternalModels(
    mlir::DialectRegistry &registry);

/// Writes `op`, an nn op or softmax on tensors, as linalg ops before it; returns the
/// value that takes the place of its result.
mlir::FailureOr<mlir::Value> decompose(mlir::RewriterBase &rewriter,
                                       mlir::Operation *op);

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "twist/Dialect/NN/Passes.h.inc"

} // namespace twist::nn

#endif // TWIST_DIALECT_NN_TRANSFORMS_H

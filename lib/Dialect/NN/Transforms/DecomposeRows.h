//===- DecomposeRows.h - Ops on rows as linalg ------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_NN_DECOMPOSEROWS_H
#define TWIST_LIB_DIALECT_NN_DECOMPOSEROWS_H

#include "twist/Dialect/NN/Transforms.h"

namespace twist::nn {

/// What takes the place of the op's results, written before it.
mlir::SmallVector<mlir::Value> decomposeRows(mlir::RewriterBase &b,
                                             LayerNormOp op);
mlir::SmallVector<mlir::Value> decomposeRows(mlir::RewriterBase &b,
                                             RMSNormOp op);
mlir::SmallVector<mlir::Value> decomposeRows(mlir::RewriterBase &b,
                                             CrossEntropyOp op);
mlir::SmallVector<mlir::Value> decomposeRows(mlir::RewriterBase &b,
                                             CausalSoftmaxOp op);
mlir::SmallVector<mlir::Value> decomposeRows(mlir::RewriterBase &b,
                                             SoftmaxGradientOp op);
mlir::SmallVector<mlir::Value> decomposeRows(mlir::RewriterBase &b,
                                             NormGradientOp op);

} // namespace twist::nn

#endif // TWIST_LIB_DIALECT_NN_DECOMPOSEROWS_H

//===- DecomposeFused.h - One function a fused op ---------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_ONNX_TRANSFORMS_DECOMPOSEFUSED_H
#define TWIST_LIB_DIALECT_ONNX_TRANSFORMS_DECOMPOSEFUSED_H

#include "GraphBuilder.h"
#include "twist/Dialect/ONNX/SymbolicShapes.h"

namespace twist::onnx {

/// One value per result, null for results nobody reads; failure after an error
/// at the op.
using Decomposed = llvm::FailureOr<llvm::SmallVector<mlir::Value>>;

Decomposed decompose(AttentionOp op, GraphBuilder &b, const SymbolicShapes &);
Decomposed decompose(MSAttentionOp op, GraphBuilder &b, const SymbolicShapes &);
Decomposed decompose(MSMultiHeadAttentionOp op, GraphBuilder &b,
                     const SymbolicShapes &);
Decomposed decompose(MSGroupQueryAttentionOp op, GraphBuilder &b,
                     const SymbolicShapes &);
Decomposed decompose(RotaryEmbeddingOp op, GraphBuilder &b,
                     const SymbolicShapes &);
Decomposed decompose(MSRotaryEmbeddingOp op, GraphBuilder &b,
                     const SymbolicShapes &);

/// An error that `what` is not supported.
inline mlir::LogicalResult unsupported(mlir::Operation *op,
                                       const llvm::Twine &what) {
  return op->emitError() << what << " is not supported in compiled programs";
}

} // namespace twist::onnx

#endif // TWIST_LIB_DIALECT_ONNX_TRANSFORMS_DECOMPOSEFUSED_H

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

/// On a contraction, an array [first, second, offset] of i64: terms whose loop
/// `second` is above loop `first` + offset are 0, or, where both loops are
/// parallel, belong to elements that nobody reads. nn-find-causal puts it
/// there.
inline constexpr llvm::StringLiteral triangleAttr = "nn.triangle";

/// Writes `op`, an nn op or softmax on tensors, as linalg ops before it;
/// returns the values that take the places of its results.
mlir::FailureOr<mlir::SmallVector<mlir::Value>>
decompose(mlir::RewriterBase &rewriter, mlir::Operation *op);

/// `op`, on tensors, as linalg.generic at the builder's place; `read` gives the
/// element of its data at a position, a number for each dimension.
mlir::Value decomposeGather(
    mlir::OpBuilder &b, GatherOp op,
    llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Location,
                                   mlir::ValueRange position)>
        read);

/// Whether `label`, an integer of any width, is one of `classes` (index)
/// classes, an i1: what cross_entropy counts.
mlir::Value isClass(mlir::OpBuilder &b, mlir::Location loc, mlir::Value label,
                    mlir::Value classes);
/// Whether `op` ignores `label`, an i1; null if it ignores none.
mlir::Value isIgnored(mlir::OpBuilder &b, mlir::Location loc, CrossEntropyOp op,
                      mlir::Value label);

/// The mean of the cross entropy of `logits` [rows.., classes] (f32 or f64) and
/// `targets` [rows..] (integers) over the rows whose target is not `ignore`; 0
/// if there is none. Rank 0, of `logits`' element type or f32 if that is
/// narrower.
mlir::Value meanCrossEntropy(mlir::OpBuilder &b, mlir::Location loc,
                             mlir::Value logits, mlir::Value targets,
                             std::optional<int64_t> ignore, double smoothing);

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "twist/Dialect/NN/Passes.h.inc"

} // namespace twist::nn

#endif // TWIST_DIALECT_NN_TRANSFORMS_H

//===- Contraction.h - Sums of products on tensors --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CODEGEN_CPU_KERNEL_CONTRACTION_H
#define TWIST_LIB_CODEGEN_CPU_KERNEL_CONTRACTION_H

#include "Emitter.h"
#include "twist/Codegen/CPU/CPU.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace twist::cpu {

/// A linalg op that sums lhs · rhs over dimensions of both. The maps are over
/// its loops; each is a projected permutation.
struct Contraction {
  Value lhs, rhs, init;
  mlir::AffineMap lhsMap, rhsMap, outMap;
  bool lhsUnsigned = false, rhsUnsigned = false;
  Type accumulator;
  /// Extents of the result, a static one where known.
  llvm::SmallVector<mlir::OpFoldResult> outSizes;
  /// Two loops and an offset, as nn::triangleAttr; empty: none.
  llvm::SmallVector<int64_t> triangle;
  /// How the result's dimensions were joined in the op this stands for.
  llvm::SmallVector<mlir::ReassociationIndices> joined;
};

/// The contraction that `op` is, with a column and at least one k; nothing
/// otherwise.
std::optional<Contraction> matchContraction(mlir::linalg::LinalgOp op);

/// Walks a joined batch dimension as the dimensions it was joined from, where
/// both operands were joined alike:
///   batch_matmul(collapse(x), collapse(y)) → contraction of x and y
void splitBatch(mlir::OpBuilder &b, Contraction &contraction);

/// Reads operands from before their transposition.
void foldTransposes(Contraction &contraction);

/// Lets elementwise ops between a joined tensor and contractions be done before
/// the joining, so that splitBatch sees it:
///   batch_matmul(map(collapse(x)), …) → batch_matmul(collapse(map(x)), …)
mlir::LogicalResult showJoinedBatches(mlir::Operation *root);

/// Writes the result as its one reader, a transposition that changes the last
/// dimension, wants it; returns the op that the contraction stands for then,
/// else `op`.
mlir::linalg::LinalgOp foldResultTranspose(mlir::linalg::LinalgOp op,
                                           Contraction &contraction);

/// Joins the summed dimensions to one, k. Fails where they do not follow each
/// other in both operands, or in a packed weight.
mlir::LogicalResult joinReductions(mlir::OpBuilder &b,
                                   Contraction &contraction);

/// Builds the cpu.gemm, with what packs its right-hand side; returns a value
/// of the matched op's type.
Value buildGemm(mlir::OpBuilder &b, mlir::linalg::LinalgOp op,
                Contraction &contraction, TargetInfo target);

/// Whether a body is out + widen(in0) · widen(in1), summed in `accumulator`.
bool isSumOfProducts(mlir::Block &body, Type &accumulator);

/// Whether a tensor is filled with zeros.
bool isZeroFill(Value value);

/// Replaces a convolution by a cpu.gemm; false for any other op.
bool formConvolution(mlir::linalg::LinalgOp op, TargetInfo target);

/// Moves the ops that follow cpu.gemms into their epilogues; returns how many.
unsigned fuseEpilogues(mlir::Operation *root);

/// Lets elementwise ops write over an operand that nothing reads after them.
void overwriteOperands(mlir::Operation *root);

/// Fuses elementwise ops into their only users, or into all of several where
/// that reads no more and writes less.
mlir::LogicalResult fuseElementwise(mlir::Operation *root);

} // namespace twist::cpu

#endif // TWIST_LIB_CODEGEN_CPU_KERNEL_CONTRACTION_H

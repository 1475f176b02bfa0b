//===- Rules.h - The families of gradient rules -----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIFFERENTIATE_RULES_H
#define TWIST_LIB_DIFFERENTIATE_RULES_H

#include "twist/Differentiate/Differentiate.h"

namespace twist {

void addScalarRules(GradientRules &rules);
void addGenericRule(GradientRules &rules);
void addTensorRules(GradientRules &rules);
void addRowRules(GradientRules &rules);
void addLoopRules(GradientRules &rules);

/// The floats on a path from `inputs` to `outputs` through ops of `body`.
llvm::DenseSet<mlir::Value> activeValues(mlir::Block &body,
                                         mlir::ValueRange inputs,
                                         mlir::ValueRange outputs);

/// Joins elementwise generics that only the next one reads. The gradient of the
/// whole reads what the first reads and computes the rest again, where those of
/// its parts would each read and write a tensor.
mlir::LogicalResult fuseChains(mlir::func::FuncOp function);

/// Applies the rules of `ops`, the last first; counts them in `applied`.
mlir::LogicalResult pullBack(llvm::ArrayRef<mlir::Operation *> ops,
                             Backward &backward, const GradientRules &rules,
                             unsigned &applied);

/// Erases ops whose results nobody reads; `mark` moves on if it was one.
void eraseDeadOps(mlir::Block &body, mlir::Operation **mark = nullptr);

/// x + into, written over `into` if that is possible.
mlir::Value sumOf(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x,
                  mlir::Value into);
/// Zeros of these sizes.
mlir::Value zerosOf(mlir::OpBuilder &b, mlir::Location loc,
                    llvm::ArrayRef<mlir::OpFoldResult> sizes,
                    mlir::Type element);
/// Zeros with the shape and type of `like`.
mlir::Value zerosLike(mlir::OpBuilder &b, mlir::Location loc, mlir::Value like);

} // namespace twist

#endif // TWIST_LIB_DIFFERENTIATE_RULES_H

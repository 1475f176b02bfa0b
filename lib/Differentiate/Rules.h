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

/// Zeros of these sizes.
mlir::Value zerosOf(mlir::OpBuilder &b, mlir::Location loc,
                    llvm::ArrayRef<mlir::OpFoldResult> sizes,
                    mlir::Type element);
/// Zeros with the shape and type of `like`.
mlir::Value zerosLike(mlir::OpBuilder &b, mlir::Location loc, mlir::Value like);

} // namespace twist

#endif // TWIST_LIB_DIFFERENTIATE_RULES_H

//===- MergeCopies.h - Undo copies that turned out equal --------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_TWIST_TRANSFORMS_MERGECOPIES_H
#define TWIST_LIB_DIALECT_TWIST_TRANSFORMS_MERGECOPIES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace twist::axes {

/// Merges equal ops, erases unused ones, and leaves a node's name to the first
/// of its copies that remain.
void mergeCopies(mlir::func::FuncOp function);

} // namespace twist::axes

#endif // TWIST_LIB_DIALECT_TWIST_TRANSFORMS_MERGECOPIES_H

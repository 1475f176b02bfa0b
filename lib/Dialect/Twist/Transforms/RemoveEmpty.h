//===- RemoveEmpty.h - Layers without a unit --------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_TWIST_TRANSFORMS_REMOVEEMPTY_H
#define TWIST_LIB_DIALECT_TWIST_TRANSFORMS_REMOVEEMPTY_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseSet.h"

namespace twist::axes {

/// Removes what touches the values in `empty`, which have lost every unit: the
/// consumer of a layer becomes its bias, state that holds nothing leaves the
/// interface. Errors are reported at the op that has no meaning without them.
llvm::LogicalResult removeEmpty(mlir::func::FuncOp function,
                                llvm::DenseSet<mlir::Value> &empty);

/// Erases what nothing uses, arguments apart.
void eraseDead(mlir::func::FuncOp function);

} // namespace twist::axes

#endif // TWIST_LIB_DIALECT_TWIST_TRANSFORMS_REMOVEEMPTY_H

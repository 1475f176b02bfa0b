//===- RemoveEmpty.h - Layers without a unit --------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_TWIST_TRANSFORMS_REMOVEEMPTY_H
#define TWIST_LIB_DIALECT_TWIST_TRANSFORMS_REMOVEEMPTY_H

#include "DimensionCuts.h"

#include "twist/Dialect/ONNX/SymbolicShapes.h"

namespace twist::axes {

/// Removes what touches values that have lost every unit: the consumer of a
/// layer becomes its bias, state that holds nothing leaves the interface.
/// `dense` are the sizes before the cut. Errors are reported at the op that has
/// no meaning without the units.
llvm::LogicalResult removeEmpty(mlir::func::FuncOp function,
                                const DimensionCuts &cuts,
                                const onnx::SymbolicShapes &dense);

/// Erases what nothing uses, arguments apart.
void eraseDead(mlir::func::FuncOp function);

} // namespace twist::axes

#endif // TWIST_LIB_DIALECT_TWIST_TRANSFORMS_REMOVEEMPTY_H

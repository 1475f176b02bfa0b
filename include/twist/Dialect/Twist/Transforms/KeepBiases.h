//===- KeepBiases.h - What zeroed rows leave in consumers -------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// A mask of site "weight" zeroes the rows that make a unit and keeps its bias,
// so a removed unit is a constant f(bias) and adds f(bias) · W to every op that
// sums it away. That constant goes into the op's bias; what is left is a mask
// of site "operand".
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_TWIST_TRANSFORMS_KEEPBIASES_H
#define TWIST_DIALECT_TWIST_TRANSFORMS_KEEPBIASES_H

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringSet.h"

#include <functional>
#include <vector>

namespace twist::axes {

/// Runs a module whose @main takes nothing and is of onnx ops on weights;
/// results in f64, in the function's order.
using EvaluateConstants =
    std::function<mlir::FailureOr<std::vector<std::vector<double>>>(
        mlir::ModuleOp)>;

/// Changes the biases behind the gates of `axes` (symbols with removed units in
/// the module's subnetwork). Fails at the node from which on a removed unit is
/// no constant: a product with data, a window with padding, an attention.
llvm::LogicalResult keepBiases(mlir::ModuleOp module,
                               const llvm::StringSet<> &axes,
                               const EvaluateConstants &evaluate);

} // namespace twist::axes

#endif // TWIST_DIALECT_TWIST_TRANSFORMS_KEEPBIASES_H

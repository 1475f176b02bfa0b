//===- Residuals.h - What the backward part keeps ---------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIFFERENTIATE_RESIDUALS_H
#define TWIST_DIFFERENTIATE_RESIDUALS_H

#include "twist/Differentiate/Recompute.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace twist {

/// What is kept between the forward and the backward part.
struct ResidualReport {
  struct Value {
    mlir::Location loc; ///< of the op that made it
    mlir::RankedTensorType type;
    std::optional<int64_t> bytes; ///< none where a size is not known
  };
  llvm::SmallVector<Value> kept;
  /// Ops computed again, and the bytes that need not be kept so.
  int64_t opsAgain = 0, bytesAgain = 0;
  /// Multiply-adds of products among them, where sizes are known.
  int64_t productsAgain = 0;

  int64_t bytes() const;
  /// "keeps 3 values, 1024 bytes: …", a line for each value.
  void print(llvm::raw_ostream &os) const;
};

/// The parts of a function with gradients: `backward` are the ops of its block
/// from the first that is no part of the original function.
struct GradientParts {
  mlir::func::FuncOp function;
  mlir::Operation *firstBackward;
  int64_t numOutputs; ///< results of the original function
  int64_t numInputs;  ///< operands of the original function
};

/// Computes again in the backward part what `recompute` allows and pays.
ResidualReport planResiduals(const GradientParts &parts, Recompute recompute);

/// The same as two functions in place of one. @FORWARD takes the original
/// operands and gives the original results and what is kept; @BACKWARD takes
/// the original operands, what is kept and the cotangents, and gives the
/// gradients.
std::pair<mlir::func::FuncOp, mlir::func::FuncOp>
splitGradient(const GradientParts &parts, Recompute recompute,
              llvm::StringRef forward, llvm::StringRef backward,
              ResidualReport &report);

} // namespace twist

#endif // TWIST_DIFFERENTIATE_RESIDUALS_H

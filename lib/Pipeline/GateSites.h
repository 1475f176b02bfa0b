//===- GateSites.h - Where weights meet gated data --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_PIPELINE_GATESITES_H
#define TWIST_LIB_PIPELINE_GATESITES_H

#include "twist/Dialect/Twist/Transforms/Subnetwork.h"
#include "twist/Pipeline/Gates.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace twist {

/// A contraction's two gated operands, and the dimension of each.
struct GatePlace {
  mlir::OpOperand *data, *weight;
  int64_t dataDim, weightDim;
  llvm::SmallVector<axes::GateOp> gates; ///< of the data, on dataDim
  std::string key; ///< the first gate's axis and a number: AXIS/0
};

/// The value under all gates.
mlir::Value stripGates(mlir::Value value);

/// Whether the place's op is a product with a matrix on its right.
bool canCorrect(const GatePlace &place);

/// `value` with dimension `dim` moved to place `to`.
mlir::Value moveDim(mlir::OpBuilder &builder, mlir::Value value, int64_t dim,
                    int64_t to);

/// Finds the places of one function, in graph order.
class GateFinder {
public:
  /// `kinds` empty: those cut by default. "*": all.
  GateFinder(mlir::ModuleOp module, llvm::ArrayRef<std::string> kinds);

  mlir::FailureOr<llvm::SmallVector<GatePlace>>
  find(mlir::func::FuncOp function);
  /// Every product of data with a matrix on its right, gated or not, but those
  /// of inputs as they are and those that make outputs; they have no gates.
  mlir::FailureOr<llvm::SmallVector<GatePlace>>
  findProducts(mlir::func::FuncOp function);
  prune::Site describe(GatePlace &place) const;

private:
  void markData(mlir::func::FuncOp function);
  bool isWanted(const AxisInfo &axis) const;
  /// The gates on an operand that name wanted axes, if they are of one
  /// dimension.
  llvm::SmallVector<axes::GateOp> gatesOn(mlir::Value value) const;

  std::vector<std::string> kinds;
  llvm::StringMap<AxisInfo> axes;
  llvm::DenseSet<mlir::Value> data;
};

mlir::FailureOr<llvm::SmallVector<GatePlace>>
findSites(GateFinder &finder, mlir::func::FuncOp function, SiteChoice choice);

} // namespace twist

#endif // TWIST_LIB_PIPELINE_GATESITES_H

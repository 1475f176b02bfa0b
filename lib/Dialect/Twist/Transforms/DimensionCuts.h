//===- DimensionCuts.h - What a subnetwork leaves of each value -*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_TWIST_TRANSFORMS_DIMENSIONCUTS_H
#define TWIST_LIB_DIALECT_TWIST_TRANSFORMS_DIMENSIONCUTS_H

#include "twist/Dialect/Twist/AxisAnalysis.h"
#include "twist/Dialect/Twist/Transforms/Subnetwork.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"

namespace twist::axes {

/// What is left of one dimension: new size : old size in lowest terms, and for
/// a static one the kept indices in dense numbers.
struct DimCut {
  int64_t numerator = 1, denominator = 1;
  std::optional<llvm::SmallVector<int64_t>> kept;

  bool whole() const { return numerator == denominator; }
};

/// The cut of every value of a function that loses something, taken before
/// anything is edited. Keys stay valid while values do.
class DimensionCuts {
public:
  /// `analysis` answers for each value (after shareNothing). An axis of the
  /// subnetwork that the analysis does not have is an error at the axis.
  static mlir::FailureOr<DimensionCuts> of(mlir::func::FuncOp function,
                                           const AxisAnalysis &analysis,
                                           const CutAxes &cuts);

  /// Null where the dimension is whole.
  const DimCut *find(mlir::Value value, int64_t dim) const;
  /// One entry per dimension; null for a value that loses nothing.
  const llvm::SmallVector<DimCut> *find(mlir::Value value) const {
    auto it = values.find(value);
    return it == values.end() ? nullptr : &it->second;
  }
  /// Whether a dimension of the value loses every unit.
  bool isEmpty(mlir::Value value) const;
  /// The type after the cut.
  mlir::Type newType(mlir::Value value) const;

  /// In program order.
  const llvm::MapVector<mlir::Value, llvm::SmallVector<DimCut>> &all() const {
    return values;
  }

private:
  llvm::MapVector<mlir::Value, llvm::SmallVector<DimCut>> values;
};

} // namespace twist::axes

#endif // TWIST_LIB_DIALECT_TWIST_TRANSFORMS_DIMENSIONCUTS_H

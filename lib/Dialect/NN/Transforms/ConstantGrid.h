//===- ConstantGrid.h - Elements known when compiling -----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// What is added to an attention's scores, or chosen in their place, follows
// from constants in a graph of fixed size. Here it is computed, over two
// dimensions, with one value that only the run will tell: the score.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_NN_CONSTANTGRID_H
#define TWIST_LIB_DIALECT_NN_CONSTANTGRID_H

#include "twist/Dialect/Weights/Reader.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace twist::nn {

/// Where an index of a tensor comes from: start + row · i + column · j. One
/// that runs over something else has no place.
struct Place {
  int64_t start = 0, row = 0, column = 0;
};
using Places = llvm::SmallVector<std::optional<Place>>;

/// Elements at (i, j), row-major, or one for all: a number, -inf for a score to
/// which a mask was added, or NaN for any other score.
struct Grid {
  std::vector<double> cells;
  double all = 0;

  double operator[](size_t n) const { return cells.empty() ? all : cells[n]; }
};

/// What is as low as this, added to a score or put in its place, has a softmax
/// of 0 beside scores that are numbers of any use. The lowest f16 counts.
inline constexpr double lowest = -30000;

/// Computes tensors of constants and one contraction.
class ConstantGrid {
public:
  ConstantGrid(weights::SourceFiles &files, int64_t rows, int64_t columns)
      : files(files), rows(rows), columns(columns) {}

  /// The elements of `value` whose index in dimension d is at[d]; nothing where
  /// they depend on more than constants and one contraction, or on other
  /// indices.
  std::optional<Grid> compute(mlir::Value value, const Places &at);

  /// The contraction that was met; null if none was.
  mlir::Operation *scores = nullptr;

private:
  std::optional<Grid> ofElements(mlir::RankedTensorType type,
                                 llvm::ArrayRef<double> elements,
                                 const Places &at);
  std::optional<Grid> ofConstant(mlir::Value value, const Places &at);
  std::optional<Grid> ofGeneric(mlir::linalg::LinalgOp op, const Places &at);
  std::optional<Grid> ofIndex(const std::optional<Place> &place);
  std::optional<Grid> ofScalar(mlir::Value value);
  std::optional<Grid>
  ofScalarOp(mlir::Operation *op,
             llvm::ArrayRef<std::shared_ptr<const Grid>> operands);
  using Known = llvm::DenseMap<mlir::Value, std::shared_ptr<const Grid>>;
  std::optional<Grid> ofBody(mlir::Block &body, const Places &loops,
                             Known &known);

  weights::SourceFiles &files;
  int64_t rows, columns;
};

/// The one dimension of those in `group` that has more than one element, or the
/// first; nothing where several have.
std::optional<int64_t> onlyDim(llvm::ArrayRef<int64_t> group,
                               llvm::ArrayRef<int64_t> shape);

} // namespace twist::nn

#endif // TWIST_LIB_DIALECT_NN_CONSTANTGRID_H

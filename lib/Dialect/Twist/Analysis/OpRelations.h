//===- OpRelations.h - What one op declares ---------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_TWIST_ANALYSIS_OPRELATIONS_H
#define TWIST_LIB_DIALECT_TWIST_ANALYSIS_OPRELATIONS_H

#include "twist/Dialect/ONNX/SymbolicShapes.h"
#include "twist/Interfaces/DimensionRelations.h"

namespace twist::axes {

/// One declaration, as in the vocabulary of Relations.
struct Relation {
  enum Kind {
    Same,
    Contract,
    Reduce,
    Window,
    Tree,
    Concat,
    Slice,
    Gather,
    Repeat,
    Source,
    Read,
    Barrier
  };
  Kind kind;
  /// Whole before part in Slice and Gather, parts before whole in Concat, the
  /// kernel second in Window.
  llvm::SmallVector<DimRef, 2> from, to;
  DimRole role = DimRole::Plain;
  ReduceKind reduction = ReduceKind::Sum;
  int64_t start = 0, step = 1;
  llvm::SmallVector<int64_t> indices;
  std::string text;
};

/// What an op declares, and a barrier for each dimension it leaves out.
/// Dimensions of size 1 are gone.
struct OpRelations {
  std::vector<Relation> list;
  /// Sizes of inner dimensions; DimRef::inner counts them from 1.
  llvm::SmallVector<int64_t> innerSizes;
  llvm::SmallDenseSet<unsigned> sizeOperands;
  /// Contracts or reduces something.
  bool absorbs = false;
  /// Reads nothing of its operands but their sizes.
  bool readsSizesOnly = false;
  /// Only `same`: unit for unit.
  bool elementwise = true;
  /// A dimension is a barrier or picked by number.
  bool picks = false;

  static OpRelations of(mlir::Operation *op,
                        const onnx::SymbolicShapes &shapes);
};

} // namespace twist::axes

#endif // TWIST_LIB_DIALECT_TWIST_ANALYSIS_OPRELATIONS_H

//===- DimensionRelations.h - How an op relates dimensions ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_INTERFACES_DIMENSIONRELATIONS_H
#define TWIST_INTERFACES_DIMENSIONRELATIONS_H

#include "mlir/IR/OpDefinition.h"

namespace twist {

/// Collects what ops declare about the dimensions of their operands and
/// results. Implemented by axis discovery; the vocabulary is the same for all.
class Relations {
public:
  virtual ~Relations() = default;

  /// Every dimension of every operand and result of `op` becomes a barrier.
  virtual void barrierAll(mlir::Operation *op, llvm::StringRef why) = 0;
};

/// Access to the cut sizes while an op rewrites its own size operands.
class SliceUpdate {
public:
  virtual ~SliceUpdate() = default;
};

} // namespace twist

#include "twist/Interfaces/DimensionRelations.h.inc"

#endif // TWIST_INTERFACES_DIMENSIONRELATIONS_H

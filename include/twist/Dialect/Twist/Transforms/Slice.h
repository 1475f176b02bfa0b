//===- Slice.h - Smaller dense ops in place of masks ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_TWIST_TRANSFORMS_SLICE_H
#define TWIST_DIALECT_TWIST_TRANSFORMS_SLICE_H

#include "twist/Dialect/Twist/Transforms/Subnetwork.h"

#include <string>

namespace twist::axes {

struct SliceOptions {
  /// State pairs `input=output`, as AxisAnalysisOptions::state.
  llvm::SmallVector<std::string> state;
};

/// An input or output of the model that the cut made smaller: what is left of
/// each dimension, in dense numbers (none: all of it). `gone` when nothing was
/// left and the interface lost it.
struct CutInterface {
  bool isResult = false;
  std::string name;
  llvm::SmallVector<std::optional<llvm::SmallVector<int64_t>>> kept;
  bool gone = false;
};

struct SliceReport {
  int64_t axes = 0;        ///< axes with a unit removed
  int64_t units = 0;       ///< units removed
  int64_t bytesBefore = 0; ///< of weights and constants
  int64_t bytesAfter = 0;
  int64_t elementsBefore = 0; ///< floats among them: parameters
  int64_t elementsAfter = 0;
  /// Bytes of weights that are there again because uses are cut differently.
  int64_t bytesCopied = 0;
  llvm::SmallVector<CutInterface> interface;
};

/// The pass twist-slice: a module with axes, gates and a subnetwork becomes the
/// smaller model, without any of them.
llvm::LogicalResult slice(mlir::ModuleOp module, const SliceOptions &options,
                          SliceReport &report);

/// The pass twist-poison: every element of a weight that belongs to a removed
/// unit becomes NaN, for each use of the weight on its own. Gates stay.
/// `tagMasks` puts `kMaskAttr` on masks.
llvm::LogicalResult poison(mlir::ModuleOp module, const SliceOptions &options,
                           int64_t &poisoned, bool tagMasks = false);

} // namespace twist::axes

#endif // TWIST_DIALECT_TWIST_TRANSFORMS_SLICE_H

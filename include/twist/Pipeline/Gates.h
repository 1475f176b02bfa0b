//===- Gates.h - What flows through a model's gates -------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_GATES_H
#define TWIST_PIPELINE_GATES_H

#include "twist/Prune/Calibration.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace twist {

/// A model's gates as programs. A *site* is a contraction over gated units of
/// data with a weight; q·k, where both sides are data, is none.
struct ExposedGates {
  /// Without statistics: names, widths, axes and the weights' rows.
  std::vector<prune::Site> sites;
  /// The model, whose outputs are now the data at each site: the gated
  /// dimension last, units still whole there, but cut wherever the module's
  /// subnetwork cuts before.
  mlir::OwningOpRef<mlir::ModuleOp> values;
};

/// Which contractions are sites.
enum class SiteChoice {
  Gated,   ///< those over gated units
  Products ///< every product with a matrix of weights, but those of outputs
};

/// Sites of axes of `kinds` (empty: heads, KV groups, FFN units, channels; "*":
/// all) in a module with axes and gates, which is left as it is. Reads all
/// weights at the sites. Errors: no site; a gated dimension of unknown size.
mlir::FailureOr<ExposedGates>
exposeGates(mlir::ModuleOp module, llvm::ArrayRef<std::string> kinds,
            SiteChoice choice = SiteChoice::Gated);

} // namespace twist

#endif // TWIST_PIPELINE_GATES_H

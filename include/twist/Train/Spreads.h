//===- Spreads.h - What least squares gains start from ----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_SPREADS_H
#define TWIST_TRAIN_SPREADS_H

#include "twist/Train/CompiledStep.h"

namespace twist::train {

/// V / A of each axis (prune::UnitMoments), summed over the sites behind its
/// gates, by the calibration in file `path`: TrainOptions::spreads. `group`:
/// units of axes with fine units that are dealt together. Errors: a file that
/// is none, of another model or unfinished; an axis that no site tells of.
llvm::Expected<std::vector<double>>
measuredSpreads(llvm::StringRef path, const ModelLayout &layout, int64_t group);

} // namespace twist::train

#endif // TWIST_TRAIN_SPREADS_H

//===- Scores.h - Which units a model needs most ----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PRUNE_SCORES_H
#define TWIST_PRUNE_SCORES_H

#include "twist/Prune/Calibration.h"

namespace twist::prune {

/// FLAP's fluctuation (An, Zhao, Yu, Tang, Wang: Fluctuation-based Adaptive
/// Structured Pruning for Large Language Models, AAAI 2024): per unit the
/// variances of its features, each times the square of the norm of the weight's
/// row, summed over the axis's sites. One score a unit.
llvm::Expected<std::vector<double>> fluctuations(const Calibration &calibration,
                                                 llvm::StringRef axis);

/// Per unit the square of the norm of the weight's rows, over all sites.
llvm::Expected<std::vector<double>> rowNorms(const Calibration &calibration,
                                             llvm::StringRef axis);

/// What greedy removal of an axis's groups costs.
struct Removal {
  /// Per unit the place of its group in the order of removal.
  std::vector<double> scores;
  /// losses[n]: with n groups kept, the part of the sites' results that is gone
  /// although the others make up for it: squared error over tr(Wᵀ H W).
  std::vector<double> losses;
};

/// Structured SparseGPT (after Frantar and Alistarh, ICML 2023; OBS: Hassibi
/// and Stork, 1992): groups of `group` neighbouring units are removed one by
/// one, each time the one g whose removal costs least after the others have
/// made up for it, tr(W_gᵀ [(H⁻¹)_gg]⁻¹ W_g) summed over sites; then W and H⁻¹
/// are updated. H is the centred Gram matrix plus lambda I, lambda = 1e-3 of
/// its mean diagonal. The score of a unit is the place of its group in the
/// order of removal. Errors: fewer samples than features; H singular; a weight
/// that is no matrix.
llvm::Expected<Removal> removalOrder(const Calibration &calibration,
                                     llvm::StringRef axis, int64_t group);

} // namespace twist::prune

#endif // TWIST_PRUNE_SCORES_H

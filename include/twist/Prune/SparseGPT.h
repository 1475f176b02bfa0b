//===- SparseGPT.h - Single weights to zero ---------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PRUNE_SPARSEGPT_H
#define TWIST_PRUNE_SPARSEGPT_H

#include "twist/Prune/Staged.h"

namespace twist::prune {

/// SparseGPT (Frantar and Alistarh, ICML 2023, algorithm 1) on one weight of
/// [width, columns]: H = Σ x xᵀ + 0.01 of its mean diagonal; in blocks of 128
/// features the weights with the least w² / U_ii² become zero, U the upper
/// Cholesky factor of H⁻¹, and those of later features make up for them. Of
/// each block floor((1 - density)·size + 1/2) weights are zero. Errors: a
/// weight that is no matrix; no more samples than features; H singular.
llvm::Expected<CorrectedSite> sparsify(const Site &site, double density);

/// `sites` get the weights of all sites, each made on data of those before it
/// as they are now. Returns the part of weights that are not zero.
llvm::Expected<double> sparsifyModel(const StagedModel &model, StagedRun &run,
                                     double density,
                                     std::vector<CorrectedSite> &sites);

} // namespace twist::prune

#endif // TWIST_PRUNE_SPARSEGPT_H

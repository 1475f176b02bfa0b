//===- Generate.h - Synthetic instances -------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// The generators of Elmachtoub and Grigas (2022) and of benchmarks after them:
// features x ~ N(0, I_p), a mixing matrix of fair coins B [costs, p], and noise
// uniform in (1 - w, 1 + w). All follow from the seed.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_GENERATE_H
#define TWIST_DFL_GENERATE_H

#include "twist/DFL/Data.h"

namespace twist::dfl {

struct GeneratorOptions {
  int64_t instances = 1000, features = 5, degree = 4;
  double noise = 0.5; ///< w; of portfolios: tau
  uint64_t seed = 0;
};

/// c = [(Bx/sqrt p + 3)^degree + 1] / 3.5^degree · noise.
llvm::Expected<Dataset> generatePaths(int64_t edges,
                                      const GeneratorOptions &options);

/// c = ceil(5 [(Bx/sqrt p + 3)^degree + 1] / 3.5^degree · noise).
llvm::Expected<Dataset> generateKnapsacks(int64_t items,
                                          const GeneratorOptions &options);
/// Weights of two decimals, 3.00 to 7.99: [capacities, items].
std::vector<double> generateWeights(int64_t items, int64_t capacities,
                                    uint64_t seed);

/// r = (.05 Bx/sqrt p + .1^(1/degree))^degree + L f + .01 tau n, with factors
/// L uniform within ± .0025 tau, f and n normal.
struct PortfolioData {
  Dataset data;
  std::vector<double> covariance; ///< L Lᵀ + (.01 tau)² I, [assets, assets]
};
llvm::Expected<PortfolioData>
generatePortfolios(int64_t assets, const GeneratorOptions &options);

} // namespace twist::dfl

#endif // TWIST_DFL_GENERATE_H

//===- Metrics.h - How good predictions and decisions are -------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_METRICS_H
#define TWIST_DFL_METRICS_H

#include "twist/DFL/Predictor.h"
#include "twist/DFL/Train.h"

namespace twist::dfl {

/// Per instance; regret = y·(s - v*(yh)) in gains, never below 0.
struct Judgement {
  std::vector<double> predicted; ///< costs [instances, items]
  std::vector<double> regret;    ///< absolute
  std::vector<double> relative;  ///< regret / |y·s|
  std::vector<double> error;     ///< |c^ - c|_2
  std::vector<double> optimum;   ///< |y·s|

  double meanRelative() const; ///< mean of ratios
  double ratioOfSums() const;  ///< sum of regrets / sum of optima
  double meanRegret() const;
  double meanError() const;
};

/// Judges predictions `costs` for instances. An instance whose optimum is worth
/// 0 has no relative regret: an error that names it.
llvm::Expected<Judgement> judge(const Problem &problem,
                                const Instances &instances,
                                std::vector<double> costs, Parallel &parallel);
/// Of the predictor at features `x` (those of the instances, or attacked ones).
llvm::Expected<Judgement> judge(const Problem &problem, Predictor &predictor,
                                const Instances &instances,
                                llvm::ArrayRef<double> x, Parallel &parallel);

/// Mean over instances of |a - b|_2: the fooling error of two predictions.
double meanDistance(llvm::ArrayRef<double> a, llvm::ArrayRef<double> b,
                    int64_t items);

/// The largest |x' - x| over instances, in the maximum norm and in the 2-norm.
struct Displacement {
  double inf = 0, two = 0;
};
Displacement displacement(llvm::ArrayRef<double> a, llvm::ArrayRef<double> b,
                          int64_t width);

/// Quantiles: the complementary distribution as (value, fraction above), one
/// point per distinct value, ascending.
std::vector<std::pair<double, double>>
complementaryDistribution(std::vector<double> values);

/// Places in ascending order, from 0; equal values share their mean.
std::vector<double> ranks(llvm::ArrayRef<double> values);

/// Spearman's rank correlation; ties share their mean rank. NaN if one side is
/// constant or there are fewer than two.
double rankCorrelation(llvm::ArrayRef<double> a, llvm::ArrayRef<double> b);

} // namespace twist::dfl

#endif // TWIST_DFL_METRICS_H

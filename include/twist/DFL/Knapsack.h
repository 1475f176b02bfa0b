//===- Knapsack.h - 0/1 knapsacks -------------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_KNAPSACK_H
#define TWIST_DFL_KNAPSACK_H

#include "twist/DFL/Problem.h"

namespace twist::dfl {

/// One constraint: an exact dynamic programme, O(items · capacity). Weights are
/// non-negative; those with decimals ("3.25") are scaled by the smallest power
/// of ten, up to 10^6, that makes them whole; others are an error. Items that
/// gain nothing are left out; of equal optima the one with the earlier items is
/// taken.
llvm::Expected<std::unique_ptr<Problem>>
makeKnapsack(llvm::ArrayRef<double> weights, double capacity);

/// Several constraints, `weights` [capacities, items]: branch and bound,
/// bounded by the fractional optimum of each constraint alone. Exact, or an
/// error that names the instance after `nodes` nodes.
llvm::Expected<std::unique_ptr<Problem>>
makeMultiKnapsack(llvm::ArrayRef<double> weights,
                  llvm::ArrayRef<double> capacities,
                  int64_t nodes = 50'000'000);

} // namespace twist::dfl

#endif // TWIST_DFL_KNAPSACK_H

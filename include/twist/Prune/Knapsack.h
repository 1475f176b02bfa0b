//===- Knapsack.h - One width per axis, within a budget ---------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PRUNE_KNAPSACK_H
#define TWIST_PRUNE_KNAPSACK_H

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace twist::prune {

/// A width of one axis: what it costs (parameters, FLOPs, nanoseconds) and what
/// is lost by it.
struct Choice {
  int64_t cost = 0;
  double loss = 0;
};

struct KnapsackSolution {
  std::vector<size_t> picks; ///< per row an index into its choices
  int64_t cost = 0;
  double loss = 0;
  /// No solution loses less: that of the linear relaxation, or `loss` itself if
  /// the search was complete.
  double bound = 0;
  bool isExact = false;
};

/// The multiple-choice knapsack problem: one choice of each row, costs within
/// `budget`, the least sum of losses. Dynamic programming over the (cost, loss)
/// pairs that no other one dominates, with those dropped whose linear
/// relaxation (Sinha and Zoltners, Operations Research 27, 1979) is worse than
/// a known solution. With more than `mostStates` pairs left after a row the
/// least loss of each of as many intervals of cost stays, and the solution may
/// not be the best: `bound` tells how far. None: the cheapest choices exceed
/// the budget. Rows are not empty; losses are finite.
std::optional<KnapsackSolution>
solveKnapsack(llvm::ArrayRef<std::vector<Choice>> rows, int64_t budget,
              size_t mostStates = 1 << 13);

} // namespace twist::prune

#endif // TWIST_PRUNE_KNAPSACK_H

//===- Pool.h - Solutions seen so far ---------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_POOL_H
#define TWIST_DFL_POOL_H

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>
#include <unordered_set>
#include <vector>

namespace twist::dfl {

/// to[i] += factor · values[i], not fused, for i < n: the same bytes on every
/// processor.
void addScaled(double factor, const double *values, double *to, int64_t n);

/// Different decisions of one problem, in the order they came in (Mulamba et
/// al.: Contrastive Losses and Solution Caching for Predict-and-Optimize, IJCAI
/// 2021): an inner approximation of the feasible set that costs no solving.
class Pool {
public:
  explicit Pool(int64_t items) : items(items), columns(size_t(items)) {}

  /// Adds those of `decisions` [count, items] that are not there yet.
  void add(llvm::ArrayRef<double> decisions);
  int64_t size() const { return count; }
  const double *decision(int64_t i) const { return rows.data() + i * items; }
  /// objective[i] = gains · decision(i), [size()].
  void objectives(const double *gains, double *objective) const;

private:
  int64_t items, count = 0;
  std::vector<double> rows;                 ///< [size, items]
  std::vector<std::vector<double>> columns; ///< [items][size]
  std::unordered_multiset<uint64_t> hashes;
};

} // namespace twist::dfl

#endif // TWIST_DFL_POOL_H

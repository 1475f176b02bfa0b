//===- Gram.h - Sums of products, in blocks ---------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_PRUNE_GRAM_H
#define TWIST_LIB_PRUNE_GRAM_H

#include <cstdint>

namespace twist::prune {

/// Features in a panel: values of one vector's features stand together.
inline constexpr int64_t kPanel = 64;

/// tile[i * kPanel + j] += Σ_r left[r * kPanel + i] right[r * kPanel + j], in
/// the order of r.
void addProducts(const double *left, const double *right, int64_t rows,
                 double *tile);

} // namespace twist::prune

#endif // TWIST_LIB_PRUNE_GRAM_H

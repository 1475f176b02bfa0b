//===- Gram.cpp - Sums of products, in blocks -----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Gram.h"

#include <cstring>

namespace {
typedef double Vector __attribute__((vector_size(64), aligned(8)));
} // namespace

/// Four rows by two vectors of the tile stay in registers.
__attribute__((target_clones("avx512f", "fma", "default"))) void
twist::prune::addProducts(const double *left, const double *right, int64_t rows,
                          double *tile) {
  for (int64_t i = 0; i < kPanel; i += 4)
    for (int64_t j = 0; j < kPanel; j += 16) {
      Vector sums[4][2] = {};
      for (int64_t r = 0; r < rows; ++r) {
        const double *a = left + r * kPanel + i;
        Vector b[2];
        std::memcpy(b, right + r * kPanel + j, sizeof(b));
        for (int k = 0; k < 4; ++k) {
          sums[k][0] += a[k] * b[0];
          sums[k][1] += a[k] * b[1];
        }
      }
      for (int k = 0; k < 4; ++k) {
        double *to = tile + (i + k) * kPanel + j;
        for (int v = 0; v < 2; ++v)
          for (int e = 0; e < 8; ++e)
            to[v * 8 + e] += sums[k][v][e];
      }
    }
}

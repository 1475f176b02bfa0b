//===- Random.h - Draws from distributions ----------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_RANDOM_H
#define TWIST_DFL_RANDOM_H

#include "twist/Support/Philox.h"

#include <cmath>
#include <numbers>

namespace twist::dfl {

/// What draws are for: the last word of their counters, so that no two uses
/// share any.
enum DrawFamily : uint32_t {
  DrawShuffle = 1,
  DrawNoise = 2,   ///< of methods
  DrawGrowth = 3,  ///< of the pool
  DrawInitial = 4, ///< of parameters
  DrawAttack = 5,
  DrawData = 6,
  DrawBootstrap = 7,
  DrawWidths = 8 ///< of layers
};

/// Exact draws of usual distributions from one counter's stream: two numbers a
/// counter.
class Draws {
public:
  Draws(uint64_t seed, uint32_t a, uint32_t b, DrawFamily family)
      : key{uint32_t(seed), uint32_t(seed >> 32)}, counter{a, b, family, 0} {}

  /// In (0, 1).
  double uniform() { return (double(next() >> 11) + 0.5) * 0x1p-53; }
  /// In [0, bound), bound > 0.
  uint64_t below(uint64_t bound) {
    return uint64_t((static_cast<unsigned __int128>(next()) * bound) >> 64);
  }
  /// Box, Muller 1958.
  double normal() {
    double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }
  /// The standard Gumbel distribution.
  double gumbel() { return -std::log(-std::log(uniform())); }
  /// Shape < 1, rate 1 (Marsaglia, Tsang 2000: of shape + 1, then a power;
  /// their squeeze accepts nearly all without a logarithm).
  double gamma(double shape) {
    double d = shape + 1 - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      double x = normal(), v = 1 + c * x;
      if (v <= 0)
        continue;
      v = v * v * v;
      double u = uniform(), square = x * x;
      if (u < 1 - 0.0331 * square * square ||
          std::log(u) < square / 2 + d * (1 - v + std::log(v)))
        return d * v * std::pow(uniform(), 1 / shape);
    }
  }

private:
  uint64_t next() {
    if (odd) {
      odd = false;
      return uint64_t(words[3]) << 32 | words[2];
    }
    words = philox4x32(counter, key);
    ++counter[3];
    odd = true;
    return uint64_t(words[1]) << 32 | words[0];
  }

  PhiloxKey key;
  PhiloxCounter counter, words = {};
  bool odd = false;
};

} // namespace twist::dfl

#endif // TWIST_DFL_RANDOM_H

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
  DrawBootstrap = 7
};

/// Exact draws of usual distributions from one counter's stream.
class Draws {
public:
  Draws(uint64_t seed, uint32_t a, uint32_t b, DrawFamily family)
      : stream(seed, a, b, family) {}

  double uniform() { return stream.uniform(); }
  uint64_t below(uint64_t bound) { return stream.below(bound); }
  /// Polar method's trigonometric form (Box, Muller 1958).
  double normal() {
    double radius = std::sqrt(-2 * std::log(stream.uniform()));
    return radius * std::cos(2 * std::numbers::pi * stream.uniform());
  }
  /// The standard Gumbel distribution.
  double gumbel() { return -std::log(-std::log(stream.uniform())); }
  /// Shape < 1, rate 1 (Marsaglia, Tsang 2000: of shape + 1, then a power).
  double gamma(double shape) {
    double d = shape + 1 - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      double x = normal(), v = 1 + c * x;
      if (v <= 0)
        continue;
      v = v * v * v;
      if (std::log(stream.uniform()) < x * x / 2 + d - d * v + d * std::log(v))
        return d * v * std::pow(stream.uniform(), 1 / shape);
    }
  }

private:
  PhiloxStream stream;
};

} // namespace twist::dfl

#endif // TWIST_DFL_RANDOM_H

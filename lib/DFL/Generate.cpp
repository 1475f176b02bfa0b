//===- Generate.cpp - Synthetic instances ---------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Generate.h"

#include "twist/DFL/Random.h"

#include <cmath>

using namespace llvm;
using namespace twist::dfl;

namespace {
/// Streams within the family of data.
enum Stream : uint32_t { Features, Mixing, Noise, Weights, Factors };

/// Features of all instances, and Bx / sqrt p for each cost.
struct Mixture {
  Dataset data;
  std::vector<double> mixed; ///< [instances, items]
};
} // namespace

static Error checkOptions(int64_t items, const GeneratorOptions &options,
                          double mostNoise) {
  if (items < 1 || options.instances < 1 || options.features < 1 ||
      options.degree < 1)
    return createStringError("instances, features, costs and degree of "
                             "generated data are at least 1");
  if (!(options.noise >= 0) || options.noise > mostNoise)
    return createStringError("the noise of generated data is out of range");
  return Error::success();
}

static Mixture mix(int64_t items, const GeneratorOptions &options) {
  Mixture result;
  Dataset &data = result.data;
  data.instances = options.instances;
  data.features = options.features;
  data.items = items;
  Draws coins(options.seed, Mixing, 0, DrawData);
  std::vector<double> matrix(size_t(items * options.features));
  for (double &entry : matrix)
    entry = double(coins.below(2));
  double scale = 1 / std::sqrt(double(options.features));
  for (int64_t i = 0; i < options.instances; ++i) {
    Draws draws(options.seed, Features, uint32_t(i), DrawData);
    for (int64_t f = 0; f < options.features; ++f)
      data.x.push_back(draws.normal());
    const double *x = data.x.data() + i * options.features;
    for (int64_t k = 0; k < items; ++k) {
      double sum = 0;
      for (int64_t f = 0; f < options.features; ++f)
        sum += matrix[size_t(k * options.features + f)] * x[f];
      result.mixed.push_back(sum * scale);
    }
  }
  return result;
}

/// scale · [(mixed + 3)^degree + 1] / 3.5^degree · noise.
static Expected<Dataset> polynomial(int64_t items, double scale,
                                    const GeneratorOptions &options) {
  if (Error error = checkOptions(items, options, 1))
    return error;
  Mixture mixture = mix(items, options);
  double degree = double(options.degree), unit = std::pow(3.5, degree);
  for (int64_t i = 0; i < options.instances; ++i) {
    Draws draws(options.seed, Noise, uint32_t(i), DrawData);
    for (int64_t k = 0; k < items; ++k) {
      double noise = 1 + options.noise * (2 * draws.uniform() - 1);
      double base = mixture.mixed[size_t(i * items + k)] + 3;
      mixture.data.c.push_back(scale * (std::pow(base, degree) + 1) / unit *
                               noise);
    }
  }
  return std::move(mixture.data);
}

Expected<Dataset> twist::dfl::generatePaths(int64_t edges,
                                            const GeneratorOptions &options) {
  return polynomial(edges, 1, options);
}

Expected<Dataset>
twist::dfl::generateKnapsacks(int64_t items, const GeneratorOptions &options) {
  auto data = polynomial(items, 5, options);
  if (data)
    for (double &cost : data->c)
      cost = std::ceil(cost);
  return data;
}

std::vector<double>
twist::dfl::generateWeights(int64_t items, int64_t capacities, uint64_t seed) {
  Draws draws(seed, Weights, 0, DrawData);
  std::vector<double> weights(size_t(items * capacities));
  for (double &weight : weights)
    weight = double(300 + draws.below(500)) / 100;
  return weights;
}

Expected<PortfolioData>
twist::dfl::generatePortfolios(int64_t assets,
                               const GeneratorOptions &options) {
  if (Error error = checkOptions(assets, options, HUGE_VAL))
    return error;
  if (options.noise == 0)
    return createStringError("the noise of portfolios is positive: their "
                             "covariance is made of it");
  constexpr int64_t factors = 4;
  Draws loads(options.seed, Factors, 0, DrawData);
  std::vector<double> l(size_t(assets * factors));
  for (double &load : l)
    load = 0.0025 * options.noise * (2 * loads.uniform() - 1);
  Mixture mixture = mix(assets, options);
  double degree = double(options.degree), own = 0.01 * options.noise;
  for (int64_t i = 0; i < options.instances; ++i) {
    Draws draws(options.seed, Noise, uint32_t(i), DrawData);
    double f[factors];
    for (double &factor : f)
      factor = draws.normal();
    for (int64_t k = 0; k < assets; ++k) {
      double base = 0.05 * mixture.mixed[size_t(i * assets + k)] +
                    std::pow(0.1, 1 / degree);
      double value = std::pow(base, degree) + own * draws.normal();
      for (int64_t j = 0; j < factors; ++j)
        value += l[size_t(k * factors + j)] * f[j];
      mixture.data.c.push_back(value);
    }
  }
  PortfolioData result{std::move(mixture.data), {}};
  for (int64_t a = 0; a < assets; ++a)
    for (int64_t b = 0; b < assets; ++b) {
      double sum = a == b ? own * own : 0;
      for (int64_t j = 0; j < factors; ++j)
        sum += l[size_t(a * factors + j)] * l[size_t(b * factors + j)];
      result.covariance.push_back(sum);
    }
  return result;
}

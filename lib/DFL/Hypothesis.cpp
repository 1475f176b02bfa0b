//===- Hypothesis.cpp - Does robustness go with quality? ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Report.h"

#include "twist/DFL/Metrics.h"
#include "twist/DFL/Random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace llvm;
using namespace twist::dfl;

Correlation twist::dfl::bootstrapCorrelation(ArrayRef<double> a,
                                             ArrayRef<double> b,
                                             int64_t samples, uint64_t seed) {
  Correlation result;
  result.value = rankCorrelation(a, b);
  std::vector<double> drawn, x(a.size()), y(a.size());
  for (int64_t sample = 0; sample < samples; ++sample) {
    Draws draws(seed, uint32_t(sample), 0, DrawBootstrap);
    for (size_t i = 0; i < a.size(); ++i) {
      size_t from = size_t(draws.below(a.size()));
      x[i] = a[from];
      y[i] = b[from];
    }
    double value = rankCorrelation(x, y);
    if (std::isfinite(value))
      drawn.push_back(value);
  }
  std::sort(drawn.begin(), drawn.end());
  auto quantile = [&](double q) {
    return drawn.empty() ? std::nan("")
                         : drawn[size_t(q * double(drawn.size() - 1))];
  };
  result.low = quantile(0.025);
  result.high = quantile(0.975);
  return result;
}

std::vector<double> twist::dfl::interaction(ArrayRef<double> a,
                                            ArrayRef<double> b) {
  std::vector<double> product(a.size(), 1.0);
  double middle = double(a.size() - 1) / 2;
  for (ArrayRef<double> values : {a, b}) {
    std::vector<double> rank = ranks(values);
    for (size_t i = 0; i < rank.size(); ++i)
      product[i] *= rank[i] - middle;
  }
  return product;
}

//===- Metrics.cpp - How good predictions and decisions are ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Metrics.h"

#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace llvm;
using namespace twist::dfl;

static double mean(ArrayRef<double> values) {
  double sum = 0;
  for (double value : values)
    sum += value;
  return values.empty() ? 0 : sum / double(values.size());
}

double Judgement::meanRelative() const { return mean(relative); }
double Judgement::meanRegret() const { return mean(regret); }
double Judgement::meanError() const { return mean(error); }
double Judgement::ratioOfSums() const { return mean(regret) / mean(optimum); }

Expected<Judgement> twist::dfl::judge(const Problem &problem,
                                      const Instances &instances,
                                      std::vector<double> costs,
                                      Parallel &parallel) {
  int64_t n = problem.size(), count = instances.data.instances;
  std::vector<double> gains(costs), decisions(costs.size());
  for (double &gain : gains)
    gain *= problem.sign();
  if (Error error = maximiseAll(problem, gains, decisions, parallel))
    return error;
  Judgement result;
  result.predicted = std::move(costs);
  for (int64_t i = 0; i < count; ++i) {
    const double *y = instances.gains.data() + i * n;
    const double *s = instances.optima.data() + i * n;
    double best = dot(y, s, n), got = dot(y, decisions.data() + i * n, n);
    if (best == 0)
      return createStringError(
          formatv("instance {0}: the optimum is worth 0, so that regret "
                  "relative to it means nothing",
                  instances.data.number(i))
              .str());
    // Equally good decisions differ by the rounding of their sums alone.
    double regret = best - got;
    if (regret < 1e-12 * std::abs(best))
      regret = 0;
    result.regret.push_back(regret);
    result.relative.push_back(regret / std::abs(best));
    result.optimum.push_back(std::abs(best));
    double squares = 0;
    for (int64_t k = i * n; k < (i + 1) * n; ++k) {
      double away = result.predicted[k] - instances.data.c[k];
      squares += away * away;
    }
    result.error.push_back(std::sqrt(squares));
  }
  return result;
}

Expected<Judgement> twist::dfl::judge(const Problem &problem,
                                      Predictor &predictor,
                                      const Instances &instances,
                                      ArrayRef<double> x, Parallel &parallel) {
  std::vector<double> costs(instances.data.c.size());
  if (Error error =
          predictor.forward(instances.data.instances * instances.data.rows,
                            x.data(), costs.data()))
    return error;
  return judge(problem, instances, std::move(costs), parallel);
}

double twist::dfl::meanDistance(ArrayRef<double> a, ArrayRef<double> b,
                                int64_t items) {
  std::vector<double> distances;
  for (size_t at = 0; at < a.size(); at += size_t(items)) {
    double squares = 0;
    for (size_t k = at; k < at + size_t(items); ++k)
      squares += (a[k] - b[k]) * (a[k] - b[k]);
    distances.push_back(std::sqrt(squares));
  }
  return mean(distances);
}

Displacement twist::dfl::displacement(ArrayRef<double> a, ArrayRef<double> b,
                                      int64_t width) {
  Displacement most;
  for (size_t at = 0; at < a.size(); at += size_t(width)) {
    double squares = 0;
    for (size_t k = at; k < at + size_t(width); ++k) {
      double away = a[k] - b[k];
      most.inf = std::max(most.inf, std::abs(away));
      squares += away * away;
    }
    most.two = std::max(most.two, std::sqrt(squares));
  }
  return most;
}

std::vector<std::pair<double, double>>
twist::dfl::complementaryDistribution(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  std::vector<std::pair<double, double>> points;
  for (size_t i = 0; i < values.size(); ++i)
    if (i + 1 == values.size() || values[i + 1] != values[i])
      points.push_back(
          {values[i], double(values.size() - i - 1) / double(values.size())});
  return points;
}

std::vector<double> twist::dfl::ranks(ArrayRef<double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (size_t begin = 0, end; begin < order.size(); begin = end) {
    for (end = begin;
         end < order.size() && values[order[end]] == values[order[begin]];)
      ++end;
    for (size_t i = begin; i < end; ++i)
      rank[order[i]] = double(begin + end - 1) / 2;
  }
  return rank;
}

double twist::dfl::rankCorrelation(ArrayRef<double> a, ArrayRef<double> b) {
  std::vector<double> x = ranks(a), y = ranks(b);
  double mx = mean(x), my = mean(y), xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  if (xx == 0 || yy == 0)
    return std::numeric_limits<double>::quiet_NaN();
  return xy / std::sqrt(xx * yy);
}

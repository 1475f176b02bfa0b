//===- SolverMethods.cpp - Methods that solve as they train ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Methods.h"

#include "twist/DFL/Random.h"
#include "twist/DFL/Relaxation.h"

#include <cmath>
#include <mutex>
#include <tuple>

using namespace llvm;
using namespace twist::dfl;

namespace {
using Vector = std::vector<double>;

/// What all formulas are written over: one flat run of count · size numbers.
struct Flat {
  Flat(const Problem &problem, const MethodBatch &batch)
      : n(problem.size()), total(batch.count * n) {}
  int64_t n, total;
};

/// L = |yh - y|² / n, gradient over the batch 2 (yh - y) / (n B).
class MSE final : public Method {
  Error differentiate(const Problem &problem, const Pool &,
                      const MethodBatch &batch, double *gradient,
                      double *losses) const override {
    Flat flat(problem, batch);
    double scale = 2 / (double(flat.n) * batch.batchSize);
    for (int64_t i = 0; i < flat.total; ++i)
      gradient[i] = scale * (batch.predicted[i] - batch.labels[i]);
    for (int64_t i = 0; losses && i < batch.count; ++i) {
      losses[i] = 0;
      for (int64_t at = i * flat.n; at < (i + 1) * flat.n; ++at) {
        double away = batch.predicted[at] - batch.labels[at];
        losses[i] += away * away / double(flat.n);
      }
    }
    return Error::success();
  }
};

/// L = -yh·s: what the prediction grants the optimum; gradient -s.
class NotOptimal final : public Method {
  Error differentiate(const Problem &problem, const Pool &,
                      const MethodBatch &batch, double *gradient,
                      double *losses) const override {
    Flat flat(problem, batch);
    for (int64_t i = 0; i < flat.total; ++i)
      gradient[i] = -batch.optima[i];
    for (int64_t i = 0; losses && i < batch.count; ++i)
      losses[i] =
          -dot(batch.predicted + i * flat.n, batch.optima + i * flat.n, flat.n);
    return Error::success();
  }
};

/// L = max_v (2yh - y)·v - 2yh·s + y·s, halved: gradient v*(2yh - y) - s.
class SPOPlus final : public Method {
  Error differentiate(const Problem &problem, const Pool &,
                      const MethodBatch &batch, double *gradient,
                      double *losses) const override {
    Flat flat(problem, batch);
    Vector gains(flat.total);
    for (int64_t i = 0; i < flat.total; ++i)
      gains[i] = 2 * batch.predicted[i] - batch.labels[i];
    if (Error error = problem.maximise(batch.count, gains.data(), gradient))
      return error;
    for (int64_t i = 0; losses && i < batch.count; ++i) {
      const double *s = batch.optima + i * flat.n;
      losses[i] = 0;
      for (int64_t k = 0; k < flat.n; ++k)
        losses[i] +=
            gains[i * flat.n + k] * (gradient[i * flat.n + k] - s[k]) / 2;
    }
    for (int64_t i = 0; i < flat.total; ++i)
      gradient[i] -= batch.optima[i];
    return Error::success();
  }
};

/// The loss of methods that have none of their own: regret y·(s - v).
void regrets(const MethodBatch &batch, int64_t n, const double *decisions,
             double *losses) {
  for (int64_t i = 0; losses && i < batch.count; ++i) {
    losses[i] = 0;
    for (int64_t at = i * n; at < (i + 1) * n; ++at)
      losses[i] += batch.labels[at] * (batch.optima[at] - decisions[at]);
  }
}

/// [v*(yh) - v*(yh + lambda y / B)] / lambda.
class DBB final : public Method {
public:
  explicit DBB(const MethodParameters &values) : lambda(values.at("lambda")) {}
  Error differentiate(const Problem &problem, const Pool &,
                      const MethodBatch &batch, double *gradient,
                      double *losses) const override {
    Flat flat(problem, batch);
    Vector gains(flat.total), moved(flat.total);
    for (int64_t i = 0; i < flat.total; ++i)
      gains[i] =
          batch.predicted[i] + lambda * batch.labels[i] / batch.batchSize;
    if (Error error = problem.maximise(batch.count, gains.data(), moved.data()))
      return error;
    if (Error error = problem.maximise(batch.count, batch.predicted, gradient))
      return error;
    regrets(batch, flat.n, gradient, losses);
    for (int64_t i = 0; i < flat.total; ++i)
      gradient[i] = (gradient[i] - moved[i]) / lambda;
    return Error::success();
  }

private:
  double lambda;
};

/// Noise by what its draws follow from. An attack asks for the same at each of
/// its sizes, and to draw it costs more than to solve a knapsack.
class NoiseMemo {
public:
  /// Noise [n] of one instance; `draw` fills it where it is not known.
  void get(const MethodBatch &batch, int64_t i, Vector &noise,
           function_ref<void(Draws &)> draw) {
    std::tuple key(batch.seed, batch.step, batch.first + uint32_t(i));
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (auto found = known.find(key); found != known.end()) {
        noise = found->second;
        return;
      }
    }
    Draws draws(batch.seed, batch.step, batch.first + uint32_t(i), DrawNoise);
    draw(draws);
    std::lock_guard<std::mutex> lock(mutex);
    if (known.size() * noise.size() >= kMost)
      known.clear();
    known.emplace(key, noise);
  }

private:
  static constexpr size_t kMost = size_t(1) << 22; ///< numbers: 32 MB
  std::mutex mutex;
  std::map<std::tuple<uint64_t, uint32_t, uint32_t>, Vector> known;
};

/// v*(yh + T g) - v*(yh + beta y / B + T g), g the same in both: the sum over
/// i <= terms of Gamma(1/k, rate i/k), less ln terms, over k.
class IMLE final : public Method {
public:
  explicit IMLE(const MethodParameters &values)
      : beta(values.at("beta")), temperature(values.at("temperature")),
        k(values.at("k")), terms(int64_t(values.at("terms"))) {}

  Error differentiate(const Problem &problem, const Pool &,
                      const MethodBatch &batch, double *gradient,
                      double *losses) const override {
    Flat flat(problem, batch);
    Vector gains(flat.total), moved(flat.total), g(flat.n);
    for (int64_t i = 0; i < batch.count; ++i) {
      memo.get(batch, i, g, [&](Draws &draws) {
        for (double &value : g)
          value = noise(draws);
      });
      for (int64_t k = 0; k < flat.n; ++k)
        gains[i * flat.n + k] =
            batch.predicted[i * flat.n + k] + temperature * g[k];
    }
    if (Error error = problem.maximise(batch.count, gains.data(), gradient))
      return error;
    for (int64_t i = 0; i < flat.total; ++i)
      gains[i] += beta * batch.labels[i] / batch.batchSize;
    if (Error error = problem.maximise(batch.count, gains.data(), moved.data()))
      return error;
    regrets(batch, flat.n, gradient, losses);
    for (int64_t i = 0; i < flat.total; ++i)
      gradient[i] -= moved[i];
    return Error::success();
  }

private:
  double noise(Draws &draws) const {
    double sum = -std::log(double(terms));
    for (int64_t i = 1; i <= terms; ++i)
      sum += draws.gamma(1 / k) * k / double(i);
    return sum / k;
  }
  double beta, temperature, k;
  int64_t terms;
  mutable NoiseMemo memo;
};

/// (mean of v*(yh + sigma Gumbel) - s) / B; L = mean max_v (yh + sigma g)·v -
/// yh·s.
class FenchelYoung final : public Method {
public:
  explicit FenchelYoung(const MethodParameters &values)
      : sigma(values.at("sigma")), samples(int64_t(values.at("samples"))) {}

  Error differentiate(const Problem &problem, const Pool &,
                      const MethodBatch &batch, double *gradient,
                      double *losses) const override {
    Flat flat(problem, batch);
    int64_t n = flat.n;
    Vector gains(samples * n), decisions(samples * n);
    for (int64_t i = 0; i < batch.count; ++i) {
      Draws draws(batch.seed, batch.step, batch.first + uint32_t(i), DrawNoise);
      const double *yh = batch.predicted + i * n, *s = batch.optima + i * n;
      for (int64_t at = 0; at < samples * n; ++at)
        gains[at] = yh[at % n] + sigma * draws.gumbel();
      if (Error error =
              problem.maximise(samples, gains.data(), decisions.data()))
        return renumber(std::move(error), [&](int64_t) { return i; });
      double *g = gradient + i * n;
      for (int64_t k = 0; k < n; ++k) {
        double sum = 0;
        for (int64_t sample = 0; sample < samples; ++sample)
          sum += decisions[sample * n + k];
        g[k] = (sum / double(samples) - s[k]) / batch.batchSize;
      }
      if (losses)
        losses[i] =
            dot(gains.data(), decisions.data(), samples * n) / double(samples) -
            dot(yh, s, n);
    }
    return Error::success();
  }

private:
  double sigma;
  int64_t samples;
};

/// L = y·(s - x(yh)) for a smooth x; gradient -(dx/dyh)ᵀ y / B.
template <typename Solve> class Relaxed final : public Method {
public:
  explicit Relaxed(Solve solve) : solve(solve) {}
  Error differentiate(const Problem &problem, const Pool &,
                      const MethodBatch &batch, double *gradient,
                      double *losses) const override {
    Flat flat(problem, batch);
    int64_t n = flat.n;
    auto relaxation = problem.relaxation();
    if (!relaxation)
      return relaxation.takeError();
    Vector x(n), cotangent(n);
    for (int64_t i = 0; i < batch.count; ++i) {
      const double *y = batch.labels + i * n;
      for (int64_t k = 0; k < n; ++k)
        cotangent[k] = -y[k] / batch.batchSize;
      if (Error error = solve(**relaxation, batch.predicted + i * n, x.data(),
                              cotangent.data(), gradient + i * n))
        return make_error<InstanceError>(i, ": " + toString(std::move(error)));
      if (losses)
        losses[i] = dot(y, batch.optima + i * n, n) - dot(y, x.data(), n);
    }
    return Error::success();
  }

private:
  Solve solve;
};
} // namespace

std::unique_ptr<Method> twist::dfl::makeMSE(const MethodParameters &) {
  return std::make_unique<MSE>();
}
std::unique_ptr<Method> twist::dfl::makeNotOptimal(const MethodParameters &) {
  return std::make_unique<NotOptimal>();
}
std::unique_ptr<Method> twist::dfl::makeSPOPlus(const MethodParameters &) {
  return std::make_unique<SPOPlus>();
}
std::unique_ptr<Method> twist::dfl::makeDBB(const MethodParameters &values) {
  return std::make_unique<DBB>(values);
}
std::unique_ptr<Method> twist::dfl::makeIMLE(const MethodParameters &values) {
  return std::make_unique<IMLE>(values);
}
std::unique_ptr<Method> twist::dfl::makeFY(const MethodParameters &values) {
  return std::make_unique<FenchelYoung>(values);
}

std::unique_ptr<Method> twist::dfl::makeHSD(const MethodParameters &values) {
  SelfDualOptions options{values.at("threshold"), values.at("damping")};
  auto solve = [options](const Relaxation &relaxation, const double *gains,
                         double *x, const double *v, double *pullback) {
    return relaxation.selfDual(gains, options, x, v, pullback);
  };
  return std::make_unique<Relaxed<decltype(solve)>>(solve);
}

std::unique_ptr<Method> twist::dfl::makeQPTL(const MethodParameters &values) {
  auto solve = [mu = values.at("mu")](const Relaxation &relaxation,
                                      const double *gains, double *x,
                                      const double *v, double *pullback) {
    return relaxation.quadratic(gains, mu, x, v, pullback);
  };
  return std::make_unique<Relaxed<decltype(solve)>>(solve);
}

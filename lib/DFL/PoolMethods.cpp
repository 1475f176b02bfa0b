//===- PoolMethods.cpp - Methods over solutions seen before ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Methods.h"

#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace twist::dfl;

namespace {
using Vector = std::vector<double>;

/// A method told instance by instance. `S` is the pool, |S| >= 1.
class PoolMethod : public Method {
public:
  bool needsPool() const final { return true; }
  Error differentiate(const Problem &problem, const Pool &pool,
                      const MethodBatch &batch, double *gradient,
                      double *losses) const final {
    int64_t n = problem.size();
    for (int64_t i = 0; i < batch.count; ++i) {
      Instance at(pool, n, batch, i);
      Vector made;
      if (batch.sides.empty())
        made = labelSide(at);
      const Vector &side =
          batch.sides.empty() ? made : batch.sides[batch.first + size_t(i)];
      std::fill(gradient + i * n, gradient + (i + 1) * n, 0.0);
      double loss = one(at, side, batch.batchSize, gradient + i * n);
      if (losses)
        losses[i] = loss;
    }
    return Error::success();
  }

  std::vector<Vector> labelSides(const Problem &problem, const Pool &pool,
                                 const MethodBatch &batch) const final {
    std::vector<Vector> sides;
    for (int64_t i = 0; i < batch.count && pool.size() > 0; ++i)
      sides.push_back(labelSide(Instance(pool, problem.size(), batch, i)));
    return sides;
  }

protected:
  struct Instance {
    Instance(const Pool &pool, int64_t n, const MethodBatch &batch, int64_t i)
        : pool(pool), n(n), predicted(batch.predicted + i * n),
          labels(batch.labels + i * n), optimum(batch.optima + i * n) {}

    const Pool &pool;
    int64_t n;
    const double *predicted, *labels, *optimum;

    Vector objectives(const double *gains) const {
      Vector values(pool.size());
      pool.objectives(gains, values.data());
      return values;
    }
    /// By how much gains are predicted too high: yh - y.
    Vector excess() const {
      Vector values(n);
      for (int64_t k = 0; k < n; ++k)
        values[k] = predicted[k] - labels[k];
      return values;
    }
    /// gradient += factor · decision v of the pool.
    void add(double factor, int64_t v, double *gradient) const {
      addScaled(factor, pool.decision(v), gradient, n);
    }
  };
  /// What `one` needs of labels and pool.
  virtual Vector labelSide(const Instance &) const { return {}; }
  /// Adds to `gradient` [n], divided by `batchSize`; returns the loss.
  virtual double one(const Instance &at, const Vector &side, double batchSize,
                     double *gradient) const = 0;
};

/// Where the largest is; of equal ones the first.
int64_t argmax(const Vector &values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

/// In place; the logarithm of the sum of exponentials of values / tau.
double softmax(Vector &values, double tau) {
  double most = values[argmax(values)], sum = 0;
  for (double &value : values)
    sum += value = std::exp((value - most) / tau);
  for (double &value : values)
    value /= sum;
  return most / tau + std::log(sum);
}

/// Cross-entropy of softmaxes of the objectives over S, divided by |S|:
/// sum over v of (p_yh - p_y)(v) v / (tau |S| B).
class Listwise final : public PoolMethod {
public:
  explicit Listwise(const MethodParameters &values) : tau(values.at("tau")) {}
  Vector labelSide(const Instance &at) const override {
    Vector q = at.objectives(at.labels);
    softmax(q, tau);
    return q;
  }
  double one(const Instance &at, const Vector &q, double batchSize,
             double *gradient) const override {
    Vector objective = at.objectives(at.predicted);
    Vector p = objective;
    double normaliser = softmax(p, tau), loss = 0;
    double size = double(p.size());
    for (size_t v = 0; v < p.size(); ++v) {
      if (p[v] != q[v])
        at.add((p[v] - q[v]) / (tau * size * batchSize), int64_t(v), gradient);
      if (q[v] > 0)
        loss -= q[v] * (objective[v] / tau - normaliser) / size;
    }
    return loss;
  }

private:
  double tau;
};

/// Over pairs of the best decision of S under y and each other one. A pool of
/// one has no pairs.
class PairMethod : public PoolMethod {
protected:
  Vector labelSide(const Instance &at) const final {
    return {double(argmax(at.objectives(at.labels)))};
  }
};

/// The mean of max(0, margin - yh·(best - v)).
class Pairwise final : public PairMethod {
public:
  explicit Pairwise(const MethodParameters &values)
      : margin(values.at("margin")) {}
  double one(const Instance &at, const Vector &side, double batchSize,
             double *gradient) const override {
    Vector objective = at.objectives(at.predicted);
    int64_t best = int64_t(side[0]), active = 0;
    double pairs = double(objective.size() - 1), loss = 0;
    if (pairs == 0)
      return 0;
    double factor = 1 / (pairs * batchSize);
    for (size_t v = 0; v < objective.size(); ++v) {
      double miss = margin - (objective[best] - objective[v]);
      if (int64_t(v) == best || miss <= 0)
        continue;
      loss += miss / pairs;
      at.add(factor, int64_t(v), gradient);
      ++active;
    }
    at.add(-factor * double(active), best, gradient);
    return loss;
  }

private:
  double margin;
};

/// The mean of ((best - v)·(yh - y))².
class PairwiseDiff final : public PairMethod {
public:
  double one(const Instance &at, const Vector &side, double batchSize,
             double *gradient) const override {
    Vector wrong = at.objectives(at.excess().data());
    int64_t best = int64_t(side[0]);
    double pairs = double(wrong.size() - 1), loss = 0, sum = 0;
    if (pairs == 0)
      return 0;
    double factor = 2 / (pairs * batchSize);
    for (size_t v = 0; v < wrong.size(); ++v) {
      double difference = wrong[best] - wrong[v];
      loss += difference * difference / pairs;
      if (difference == 0)
        continue;
      at.add(-factor * difference, int64_t(v), gradient);
      sum += factor * difference;
    }
    at.add(sum, best, gradient);
    return loss;
  }
};

/// (u - s) / B for u = argmax over v in S of (v - s)·(yh - y), which is the
/// loss.
class MAP final : public PoolMethod {
public:
  double one(const Instance &at, const Vector &, double batchSize,
             double *gradient) const override {
    Vector excess = at.excess(), wrong = at.objectives(excess.data());
    int64_t most = argmax(wrong);
    at.add(1 / batchSize, most, gradient);
    for (int64_t k = 0; k < at.n; ++k)
      gradient[k] -= at.optimum[k] / batchSize;
    return wrong[most] - dot(excess.data(), at.optimum, at.n);
  }
};
} // namespace

std::unique_ptr<Method>
twist::dfl::makeListwise(const MethodParameters &values) {
  return std::make_unique<Listwise>(values);
}
std::unique_ptr<Method>
twist::dfl::makePairwise(const MethodParameters &values) {
  return std::make_unique<Pairwise>(values);
}
std::unique_ptr<Method> twist::dfl::makePairwiseDiff(const MethodParameters &) {
  return std::make_unique<PairwiseDiff>();
}
std::unique_ptr<Method> twist::dfl::makeMAP(const MethodParameters &) {
  return std::make_unique<MAP>();
}

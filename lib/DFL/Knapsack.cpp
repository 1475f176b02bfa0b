//===- Knapsack.cpp - 0/1 knapsacks by dynamic programme ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Knapsack.h"

#include "LazyRelaxation.h"

#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace llvm;
using namespace twist::dfl;

/// Bytes of flags, one for each item and capacity, that an instance may take.
static constexpr int64_t kMostFlags = int64_t(1) << 31;

/// next[w] = max(now[w], now[w - weight] + gain) for w in [first, last]; flags
/// tell where the item was taken. The loop all time goes into: one vector add,
/// compare and two stores for each eight capacities.
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3",
                             "default"))) static void
addItem(const double *__restrict now, double *__restrict next,
        uint8_t *__restrict flags, int64_t first, int64_t last, int64_t weight,
        double gain) {
  for (int64_t w = first; w <= last; ++w) {
    double without = now[w], with = now[w - weight] + gain;
    flags[w] = with > without;
    next[w] = with > without ? with : without;
  }
}

namespace {
class Knapsack final : public Problem {
public:
  Knapsack(std::vector<int64_t> weights, int64_t capacity, double scale,
           std::unique_ptr<Relaxation> relaxation)
      : Problem(Sense::Maximise, int64_t(weights.size())),
        weights(std::move(weights)), capacity(capacity), scale(scale),
        lp(std::move(relaxation)) {
    behind.resize(this->weights.size());
    int64_t sum = 0;
    for (int64_t i = size() - 1; i >= 0; --i) {
      behind[i] = sum;
      sum += this->weights[i];
      if (this->weights[i] <= capacity)
        heaviest = std::max(heaviest, this->weights[i]);
    }
  }

  std::string describe() const override {
    return formatv("knapsack of {0} items, capacity {1}", size(),
                   printed(double(capacity) / scale));
  }
  Error maximise(int64_t count, const double *gains,
                 double *decisions) const override;
  Expected<const Relaxation *> relaxation() const override { return lp.get(); }

private:
  void solveOne(const double *gains, double *decision, double *now,
                double *next, uint8_t *flags) const;

  std::vector<int64_t> weights;
  std::vector<int64_t> behind; ///< weight of the items behind each
  int64_t capacity, heaviest = 0;
  double scale;
  std::unique_ptr<Relaxation> lp;
};
} // namespace

Error Knapsack::maximise(int64_t count, const double *gains,
                         double *decisions) const {
  // In front of capacity 0: what no load reaches.
  size_t row = size_t(heaviest + capacity + 1);
  std::vector<double> loads(2 * row, -std::numeric_limits<double>::infinity());
  std::vector<uint8_t> flags(size_t(size()) * size_t(capacity + 1));
  for (int64_t i = 0; i < count; ++i)
    solveOne(gains + i * size(), decisions + i * size(),
             loads.data() + heaviest, loads.data() + row + heaviest,
             flags.data());
  return Error::success();
}

/// now[w]: the most that items so far gain within a load of w. Item i is asked
/// only for loads from which the items behind it can still fill the capacity.
void Knapsack::solveOne(const double *gains, double *decision, double *now,
                        double *next, uint8_t *flags) const {
  std::fill(now, now + capacity + 1, 0.0);
  for (int64_t i = 0; i < size(); ++i) {
    decision[i] = 0;
    if (gains[i] <= 0 || weights[i] > capacity)
      continue;
    int64_t first = std::max<int64_t>(0, capacity - behind[i]);
    addItem(now, next, flags + i * (capacity + 1), first, capacity, weights[i],
            gains[i]);
    std::swap(now, next);
  }
  int64_t load = capacity;
  for (int64_t i = size() - 1; i >= 0; --i)
    if (gains[i] > 0 && weights[i] <= capacity &&
        flags[i * (capacity + 1) + load]) {
      decision[i] = 1;
      load -= weights[i];
    }
}

/// The smallest power of ten that makes all values whole; 0: none up to 10^6.
static double wholeScale(ArrayRef<double> values) {
  for (double scale = 1; scale <= 1e6; scale *= 10)
    if (all_of(values, [&](double value) {
          double scaled = value * scale;
          return std::abs(scaled - std::round(scaled)) <=
                 1e-9 * std::max(1.0, std::abs(scaled));
        }))
      return scale;
  return 0;
}

static Error checkKnapsack(ArrayRef<double> weights, double capacity,
                           int64_t items) {
  if (items == 0)
    return createStringError("a knapsack has no items");
  if (!(capacity > 0) || !std::isfinite(capacity))
    return createStringError(
        formatv("a knapsack's capacity is positive, not {0}", printed(capacity))
            .str());
  for (size_t i = 0; i < weights.size(); ++i)
    if (!(weights[i] >= 0) || !std::isfinite(weights[i]))
      return createStringError(formatv("weight {0} of a knapsack is {1}: "
                                       "weights are finite and not negative",
                                       i, printed(weights[i]))
                                   .str());
  return Error::success();
}

Expected<std::unique_ptr<Problem>>
twist::dfl::makeKnapsack(ArrayRef<double> weights, double capacity) {
  if (Error error = checkKnapsack(weights, capacity, int64_t(weights.size())))
    return error;
  double scale = wholeScale(weights);
  if (scale == 0)
    return createStringError("a knapsack's weights have at most 6 decimals: no "
                             "power of ten up to 10^6 makes these whole");
  double most = std::accumulate(weights.begin(), weights.end(), 0.0);
  // More than all weights together is no constraint.
  double bound = std::min(std::floor(capacity * scale * (1 + 1e-12)),
                          std::round(most * scale));
  if (bound * double(weights.size()) > double(kMostFlags))
    return createStringError(
        formatv("a knapsack of {0} items and {1} steps of capacity is too "
                "large for the dynamic programme",
                weights.size(), int64_t(bound))
            .str());
  std::vector<int64_t> whole;
  for (double weight : weights)
    whole.push_back(std::llround(weight * scale));
  auto relaxation = makeKnapsackRelaxation(
      std::vector<double>(weights.begin(), weights.end()), capacity);
  return std::make_unique<Knapsack>(std::move(whole), int64_t(bound), scale,
                                    std::move(relaxation));
}

//===----------------------------------------------------------------------===//
// Several constraints
//===----------------------------------------------------------------------===//

namespace {
class MultiKnapsack final : public Problem {
public:
  MultiKnapsack(ArrayRef<double> weights, ArrayRef<double> capacities,
                int64_t nodes);
  std::string describe() const override {
    return formatv("knapsack of {0} items, {1} capacities", size(),
                   capacities.size());
  }
  Error maximise(int64_t count, const double *gains,
                 double *decisions) const override;
  Expected<const Relaxation *> relaxation() const override {
    return lazy.get([this] { return relax(); });
  }

private:
  struct Search;
  Expected<std::unique_ptr<Relaxation>> relax() const;
  std::vector<double> weights; ///< [capacities, items]
  std::vector<double> capacities;
  int64_t nodes;
  LazyRelaxation lazy;
};
} // namespace

MultiKnapsack::MultiKnapsack(ArrayRef<double> weights,
                             ArrayRef<double> capacities, int64_t nodes)
    : Problem(Sense::Maximise, int64_t(weights.size() / capacities.size())),
      weights(weights.begin(), weights.end()),
      capacities(capacities.begin(), capacities.end()), nodes(nodes) {}

/// W v <= capacities, 0 <= v <= 1.
Expected<std::unique_ptr<Relaxation>> MultiKnapsack::relax() const {
  LinearConstraints constraints;
  constraints.lower.assign(size_t(size()), 0.0);
  constraints.upper.assign(size_t(size()), 1.0);
  constraints.rowLower.assign(capacities.size(),
                              -std::numeric_limits<double>::infinity());
  constraints.rowUpper = capacities;
  constraints.values = weights;
  for (size_t e = 0; e < weights.size(); ++e)
    constraints.indices.push_back(int64_t(e) % size());
  for (size_t k = 0; k <= capacities.size(); ++k)
    constraints.starts.push_back(int64_t(k) * size());
  return makeLinearRelaxation(constraints);
}

/// Depth first, items by gain for their share of the capacities.
struct MultiKnapsack::Search {
  const MultiKnapsack &problem;
  const double *gains;
  std::vector<int64_t> order;              ///< items worth branching on
  std::vector<std::vector<int64_t>> dense; ///< places in order, by gain/weight
  std::vector<double> left;
  std::vector<char> taken, best;
  double bestValue = 0;
  int64_t nodes = 0;

  Search(const MultiKnapsack &problem, const double *gains);
  double weight(size_t k, int64_t item) const {
    return problem.weights[k * size_t(problem.size()) + size_t(item)];
  }
  double bound(int64_t place) const;
  bool descend(int64_t place, double value);
};

MultiKnapsack::Search::Search(const MultiKnapsack &problem, const double *gains)
    : problem(problem), gains(gains), left(problem.capacities) {
  std::vector<double> share(size_t(problem.size()), 0.0);
  for (int64_t i = 0; i < problem.size(); ++i) {
    bool fits = gains[i] > 0;
    for (size_t k = 0; k < left.size(); ++k) {
      share[i] += weight(k, i) / left[k];
      fits &= weight(k, i) <= left[k];
    }
    if (fits)
      order.push_back(i);
  }
  llvm::sort(order, [&](int64_t a, int64_t b) {
    double left = gains[a] * share[b], right = gains[b] * share[a];
    return left != right ? left > right : a < b;
  });
  taken.assign(order.size(), 0);
  best = taken;
  for (size_t k = 0; k < left.size(); ++k) {
    std::vector<int64_t> places(order.size());
    std::iota(places.begin(), places.end(), 0);
    llvm::sort(places, [&](int64_t a, int64_t b) {
      double left = gains[order[a]] * weight(k, order[b]);
      double right = gains[order[b]] * weight(k, order[a]);
      return left != right ? left > right : a < b;
    });
    dense.push_back(std::move(places));
  }
}

/// The least of the constraints' fractional optima over items at `place` and
/// behind.
double MultiKnapsack::Search::bound(int64_t place) const {
  double least = std::numeric_limits<double>::infinity();
  for (size_t k = 0; k < left.size(); ++k) {
    double room = left[k], value = 0;
    for (int64_t at : dense[k]) {
      if (at < place)
        continue;
      double w = weight(k, order[at]), gain = gains[order[at]];
      if (w > room) {
        value += gain * room / w;
        break;
      }
      room -= w;
      value += gain;
    }
    least = std::min(least, value);
  }
  return least;
}

/// False where the allowed nodes did not do.
bool MultiKnapsack::Search::descend(int64_t place, double value) {
  if (++nodes > problem.nodes)
    return false;
  if (value > bestValue) {
    bestValue = value;
    best = taken;
  }
  if (place == int64_t(order.size()) || value + bound(place) <= bestValue)
    return true;
  int64_t item = order[place];
  bool fits = true;
  for (size_t k = 0; k < left.size(); ++k)
    fits &= weight(k, item) <= left[k];
  if (fits) {
    std::vector<double> before = left;
    for (size_t k = 0; k < left.size(); ++k)
      left[k] -= weight(k, item);
    taken[place] = 1;
    bool done = descend(place + 1, value + gains[item]);
    taken[place] = 0;
    left = std::move(before);
    if (!done)
      return false;
  }
  return descend(place + 1, value);
}

Error MultiKnapsack::maximise(int64_t count, const double *gains,
                              double *decisions) const {
  for (int64_t i = 0; i < count; ++i) {
    Search search(*this, gains + i * size());
    if (!search.descend(0, 0))
      return make_error<InstanceError>(
          i,
          formatv(" of a {0} is not solved within {1} nodes", describe(), nodes)
              .str());
    double *decision = decisions + i * size();
    std::fill(decision, decision + size(), 0.0);
    for (size_t at = 0; at < search.order.size(); ++at)
      decision[search.order[at]] = search.best[at];
  }
  return Error::success();
}

Expected<std::unique_ptr<Problem>>
twist::dfl::makeMultiKnapsack(ArrayRef<double> weights,
                              ArrayRef<double> capacities, int64_t nodes) {
  if (capacities.empty() || weights.size() % capacities.size())
    return createStringError(
        formatv("{0} weights do not divide among {1} capacities",
                weights.size(), capacities.size())
            .str());
  for (double capacity : capacities)
    if (Error error = checkKnapsack(
            weights, capacity, int64_t(weights.size() / capacities.size())))
      return error;
  return std::make_unique<MultiKnapsack>(weights, capacities, nodes);
}

//===- Knapsack.cpp - One width per axis, within a budget -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Knapsack.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>

using namespace llvm;
using namespace twist::prune;

namespace {
/// A choice and its place in the caller's row.
struct Option : Choice {
  size_t index = 0;
};

/// From one choice on the lower convex hull of a row to the next.
struct Step {
  size_t row = 0, place = 0; ///< in its row
  int64_t cost = 0;
  double gain = 0;
  double rate() const { return gain / double(cost); }
};

struct State : Choice {
  size_t before = 0, pick = 0;
};

class Solver {
public:
  Solver(ArrayRef<std::vector<Choice>> rows, int64_t budget, size_t most);
  std::optional<KnapsackSolution> solve();

private:
  void relax(size_t row);
  /// The least that rows from the one relaxed on can lose with so much left.
  double bound(int64_t left) const;
  void takeGreedily();
  std::vector<State> extend(const std::vector<State> &states, size_t row);
  void thin(std::vector<State> &states);

  std::vector<std::vector<Option>> rows; ///< undominated, by cost
  std::vector<Step> steps;               ///< of all rows, the best first
  int64_t budget;
  size_t most;
  KnapsackSolution best;
  bool isThinned = false;
  // Of the rows from the one relaxed on:
  int64_t leastCost = 0;
  double mostLoss = 0;
  std::vector<int64_t> costs; ///< sums over steps
  std::vector<double> gains;
};
} // namespace

static std::vector<Option> undominated(ArrayRef<Choice> choices) {
  std::vector<Option> all, kept;
  for (auto [i, choice] : llvm::enumerate(choices))
    all.push_back({{choice}, i});
  llvm::sort(all, [](const Option &a, const Option &b) {
    return std::tuple(a.cost, a.loss, a.index) <
           std::tuple(b.cost, b.loss, b.index);
  });
  for (const Option &option : all)
    if (kept.empty() || option.loss < kept.back().loss)
      kept.push_back(option);
  return kept;
}

/// The steps along the lower convex hull: rates fall.
static void addSteps(ArrayRef<Option> options, size_t row,
                     std::vector<Step> &steps) {
  std::vector<Step> hull;
  for (size_t i = 1; i < options.size(); ++i) {
    Step step{row, i, options[i].cost - options[i - 1].cost,
              options[i - 1].loss - options[i].loss};
    while (!hull.empty() && hull.back().rate() <= step.rate()) {
      step.cost += hull.back().cost;
      step.gain += hull.back().gain;
      hull.pop_back();
    }
    hull.push_back(step);
  }
  llvm::append_range(steps, hull);
}

Solver::Solver(ArrayRef<std::vector<Choice>> given, int64_t budget, size_t most)
    : budget(budget), most(most) {
  for (auto [i, row] : llvm::enumerate(given)) {
    rows.push_back(undominated(row));
    addSteps(rows.back(), i, steps);
  }
  // Steps of a row stay in their order, where rates are equal too.
  llvm::sort(steps, [](const Step &a, const Step &b) {
    return std::tuple(-a.rate(), a.row, a.place) <
           std::tuple(-b.rate(), b.row, b.place);
  });
}

void Solver::relax(size_t first) {
  leastCost = 0;
  mostLoss = 0;
  for (const auto &row : ArrayRef(rows).drop_front(first)) {
    leastCost += row.front().cost;
    mostLoss += row.front().loss;
  }
  costs.assign(1, 0);
  gains.assign(1, 0);
  for (const Step &step : steps)
    if (step.row >= first) {
      costs.push_back(costs.back() + step.cost);
      gains.push_back(gains.back() + step.gain);
    }
}

double Solver::bound(int64_t left) const {
  left -= leastCost;
  size_t at =
      std::upper_bound(costs.begin(), costs.end(), left) - costs.begin() - 1;
  double gain = gains[at];
  if (at + 1 < costs.size())
    gain += (gains[at + 1] - gains[at]) * double(left - costs[at]) /
            double(costs[at + 1] - costs[at]);
  return mostLoss - gain;
}

/// The relaxation's steps as far as they fit; a row that has had one that did
/// not stays where it is.
void Solver::takeGreedily() {
  std::vector<int64_t> cost;
  for (const auto &row : rows)
    cost.push_back(row.front().cost);
  int64_t left = budget - leastCost;
  std::vector<char> isDone(rows.size());
  for (const Step &step : steps) {
    if (isDone[step.row] || step.cost > left) {
      isDone[step.row] = true;
      continue;
    }
    left -= step.cost;
    cost[step.row] += step.cost;
  }
  best.cost = best.loss = 0;
  best.picks.clear();
  for (auto [row, c] : llvm::zip_equal(rows, cost)) {
    const Option &option = *llvm::find_if(
        row, [&](const Option &candidate) { return candidate.cost == c; });
    best.picks.push_back(option.index);
    best.cost += option.cost;
    best.loss += option.loss;
  }
}

/// All undominated states with one more row; the relaxation is of those after.
std::vector<State> Solver::extend(const std::vector<State> &states,
                                  size_t row) {
  // What rounding may make of equal sums.
  double limit = best.loss + 1e-12 * std::abs(best.loss);
  std::vector<State> next;
  for (auto [before, state] : llvm::enumerate(states))
    for (auto [pick, option] : llvm::enumerate(rows[row])) {
      State made{
          {state.cost + option.cost, state.loss + option.loss}, before, pick};
      if (made.cost + leastCost > budget)
        break;
      if (made.loss + bound(budget - made.cost) <= limit)
        next.push_back(made);
    }
  llvm::sort(next, [](const State &a, const State &b) {
    return std::tuple(a.cost, a.loss, a.before) <
           std::tuple(b.cost, b.loss, b.before);
  });
  std::vector<State> kept;
  for (const State &state : next)
    if (kept.empty() || state.loss < kept.back().loss)
      kept.push_back(state);
  if (kept.size() > most)
    thin(kept);
  return kept;
}

void Solver::thin(std::vector<State> &states) {
  isThinned = true;
  int64_t first = states.front().cost;
  int64_t width = (states.back().cost - first) / int64_t(most) + 1;
  std::vector<State> kept;
  // Losses fall with cost: the last of an interval is its best.
  for (auto [i, state] : llvm::enumerate(states))
    if (i + 1 == states.size() ||
        (states[i + 1].cost - first) / width != (state.cost - first) / width)
      kept.push_back(state);
  states = std::move(kept);
}

std::optional<KnapsackSolution> Solver::solve() {
  relax(0);
  if (leastCost > budget)
    return std::nullopt;
  double relaxed = bound(budget);
  takeGreedily();
  std::vector<std::vector<State>> layers{{State()}};
  for (size_t row = 0; row < rows.size(); ++row) {
    relax(row + 1);
    layers.push_back(extend(layers.back(), row));
  }
  // The least loss is the dearest state's.
  if (!layers.back().empty() && layers.back().back().loss < best.loss) {
    const State *state = &layers.back().back();
    best.cost = state->cost;
    best.loss = state->loss;
    for (size_t row = rows.size(); row-- > 0;) {
      best.picks[row] = rows[row][state->pick].index;
      state = &layers[row][state->before];
    }
  }
  best.isExact = !isThinned;
  best.bound = best.isExact ? best.loss : std::min(relaxed, best.loss);
  return best;
}

std::optional<KnapsackSolution>
twist::prune::solveKnapsack(ArrayRef<std::vector<Choice>> rows, int64_t budget,
                            size_t mostStates) {
  return Solver(rows, budget, std::max<size_t>(mostStates, 1)).solve();
}

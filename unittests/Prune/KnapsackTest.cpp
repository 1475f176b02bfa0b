//===- KnapsackTest.cpp - Against all combinations ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Knapsack.h"

#include "gtest/gtest.h"

#include <limits>
#include <random>

using namespace twist::prune;

using Rows = std::vector<std::vector<Choice>>;

/// The least loss of all combinations within the budget; infinity: none fits.
static double tryAll(const Rows &rows, int64_t budget, size_t row = 0) {
  if (budget < 0)
    return std::numeric_limits<double>::infinity();
  if (row == rows.size())
    return 0;
  double best = std::numeric_limits<double>::infinity();
  for (const Choice &choice : rows[row])
    best = std::min(best,
                    choice.loss + tryAll(rows, budget - choice.cost, row + 1));
  return best;
}

/// The same for many rows: over every budget up to the one asked for.
static double tabulate(const Rows &rows, int64_t budget) {
  std::vector<double> best(budget + 1, 0.0);
  for (const auto &row : rows) {
    std::vector<double> next(budget + 1,
                             std::numeric_limits<double>::infinity());
    for (int64_t b = 0; b <= budget; ++b)
      for (const Choice &choice : row)
        if (choice.cost <= b)
          next[b] = std::min(next[b], best[b - choice.cost] + choice.loss);
    best = std::move(next);
  }
  return best[budget];
}

static void expectHolds(const KnapsackSolution &found, const Rows &rows,
                        int64_t budget) {
  ASSERT_EQ(found.picks.size(), rows.size());
  int64_t cost = 0;
  double loss = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSERT_LT(found.picks[i], rows[i].size());
    cost += rows[i][found.picks[i]].cost;
    loss += rows[i][found.picks[i]].loss;
  }
  EXPECT_EQ(found.cost, cost);
  EXPECT_NEAR(found.loss, loss, 1e-12 * (1 + loss));
  EXPECT_LE(cost, budget);
  EXPECT_LE(found.bound, found.loss);
}

/// Rows as widths make them (loss falls with cost) or of any numbers.
static Rows randomRows(std::mt19937 &generator, size_t count, size_t most,
                       bool isCurve, int64_t largest) {
  std::uniform_int_distribution<int64_t> cost(0, largest);
  std::uniform_real_distribution<double> loss(0, 1);
  Rows rows(count);
  for (auto &row : rows) {
    size_t size = 1 + generator() % most;
    double scale = loss(generator);
    int64_t unit = 1 + cost(generator) / int64_t(most);
    for (size_t i = 0; i < size; ++i)
      row.push_back(isCurve ? Choice{int64_t(i) * unit,
                                     scale * std::pow(1 - double(i) / size, 2)}
                            : Choice{cost(generator), loss(generator)});
  }
  return rows;
}

TEST(Knapsack, EqualsAllCombinations) {
  std::mt19937 generator(1);
  int feasible = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    Rows rows = randomRows(generator, 1 + generator() % 5, 5, trial % 2, 20);
    int64_t budget = generator() % 70;
    double want = tryAll(rows, budget);
    auto found = solveKnapsack(rows, budget);
    ASSERT_EQ(found.has_value(), std::isfinite(want));
    if (!found)
      continue;
    ++feasible;
    EXPECT_TRUE(found->isExact);
    EXPECT_NEAR(found->loss, want, 1e-12);
    expectHolds(*found, rows, budget);
  }
  EXPECT_GT(feasible, 1000);
}

TEST(Knapsack, ManyRowsOfManyWidths) {
  std::mt19937 generator(2);
  Rows rows = randomRows(generator, 24, 48, /*isCurve=*/true, 400);
  for (int64_t budget : {200, 900, 2500}) {
    auto found = solveKnapsack(rows, budget);
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->isExact);
    EXPECT_NEAR(found->loss, tabulate(rows, budget), 1e-9);
    expectHolds(*found, rows, budget);
  }
}

/// With next to no memory a solution is still within the budget, and says how
/// far from the best it may be.
TEST(Knapsack, FewStates) {
  std::mt19937 generator(3);
  bool wasThinned = false;
  for (int trial = 0; trial < 200; ++trial) {
    Rows rows = randomRows(generator, 8, 6, /*isCurve=*/false, 1000);
    int64_t budget = 3000;
    auto found = solveKnapsack(rows, budget, /*mostStates=*/2);
    double best = tabulate(rows, budget);
    ASSERT_EQ(found.has_value(), std::isfinite(best));
    if (!found)
      continue;
    expectHolds(*found, rows, budget);
    EXPECT_GE(found->loss, best - 1e-9);
    EXPECT_LE(found->bound, best + 1e-9);
    wasThinned |= !found->isExact;
  }
  EXPECT_TRUE(wasThinned);
}

TEST(Knapsack, NothingFits) {
  EXPECT_FALSE(solveKnapsack(Rows{{{5, 0}}, {{6, 0}}}, 10));
  EXPECT_TRUE(solveKnapsack(Rows{{{5, 0}}, {{6, 0}}}, 11));
  EXPECT_TRUE(solveKnapsack(Rows{}, 0));
}

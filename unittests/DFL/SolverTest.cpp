//===- SolverTest.cpp - Exact solvers against brute force -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Generate.h"
#include "twist/DFL/Knapsack.h"
#include "twist/DFL/Portfolio.h"
#include "twist/DFL/Random.h"
#include "twist/DFL/Relaxation.h"
#include "twist/DFL/ShortestPath.h"

#include "gtest/gtest.h"

using namespace twist::dfl;

namespace {

std::string message(llvm::Error error) {
  return llvm::toString(std::move(error));
}

TEST(Knapsack, EqualsBruteForce) {
  for (uint32_t trial = 0; trial < 4000; ++trial) {
    Draws draws(1, trial, 0, DrawData);
    int64_t n = 1 + int64_t(draws.below(11));
    std::vector<double> weights(n), gains(n), decision(n);
    for (double &w : weights)
      w = double(draws.below(9)) / (trial % 3 ? 1 : 4); // 0 and decimals too
    for (double &g : gains)
      g = trial % 2 ? draws.normal() : double(draws.below(5)) - 1; // and ties
    double capacity = 0.25 + double(draws.below(100)) / 4;
    auto problem = makeKnapsack(weights, capacity);
    ASSERT_TRUE(bool(problem));
    double best = 0;
    for (int64_t set = 0; set < (1 << n); ++set) {
      double weight = 0, gain = 0;
      for (int64_t i = 0; i < n; ++i)
        if (set >> i & 1) {
          weight += weights[i];
          gain += gains[i];
        }
      if (weight <= capacity)
        best = std::max(best, gain);
    }
    ASSERT_FALSE(bool((*problem)->maximise(1, gains.data(), decision.data())));
    double load = dot(weights.data(), decision.data(), n);
    EXPECT_LE(load, capacity);
    EXPECT_NEAR(dot(gains.data(), decision.data(), n), best, 1e-12)
        << "trial " << trial;
  }
}

TEST(Knapsack, SeveralCapacitiesEqualBruteForce) {
  for (uint32_t trial = 0; trial < 1000; ++trial) {
    Draws draws(2, trial, 0, DrawData);
    int64_t n = 1 + int64_t(draws.below(10)), m = 1 + int64_t(draws.below(3));
    std::vector<double> weights(n * m), capacities(m), gains(n), decision(n);
    for (double &w : weights)
      w = draws.uniform() * 10;
    for (double &c : capacities)
      c = 1 + draws.uniform() * 30;
    for (double &g : gains)
      g = draws.normal() + 0.5;
    auto problem = makeMultiKnapsack(weights, capacities);
    ASSERT_TRUE(bool(problem));
    double best = 0;
    for (int64_t set = 0; set < (1 << n); ++set) {
      double gain = 0;
      std::vector<double> load(m, 0.0);
      bool fits = true;
      for (int64_t i = 0; i < n; ++i)
        if (set >> i & 1) {
          gain += gains[i];
          for (int64_t k = 0; k < m; ++k)
            load[k] += weights[k * n + i];
        }
      for (int64_t k = 0; k < m; ++k)
        fits &= load[k] <= capacities[k];
      if (fits)
        best = std::max(best, gain);
    }
    ASSERT_FALSE(bool((*problem)->maximise(1, gains.data(), decision.data())));
    EXPECT_NEAR(dot(gains.data(), decision.data(), n), best, 1e-12);
  }
}

TEST(Knapsack, SaysWhatIsWrong) {
  auto error = [](std::vector<double> weights, double capacity) {
    return message(makeKnapsack(weights, capacity).takeError());
  };
  EXPECT_EQ(error({1, 2}, 0), "a knapsack's capacity is positive, not 0");
  EXPECT_EQ(error({1, 2}, -3), "a knapsack's capacity is positive, not -3");
  EXPECT_EQ(error({1, -2}, 3), "weight 1 of a knapsack is -2: weights are "
                               "finite and not negative");
  EXPECT_EQ(error({}, 3), "a knapsack has no items");
  EXPECT_EQ(error({1.23456789}, 3),
            "a knapsack's weights have at most 6 decimals: no power of ten up "
            "to 10^6 makes these whole");
  EXPECT_EQ(error(std::vector<double>(1000, 999999.5), 4e9),
            "a knapsack of 1000 items and 9999995000 steps of capacity is too "
            "large for the dynamic programme");
  auto knapsack = llvm::cantFail(makeKnapsack({1, 2}, 2));
  EXPECT_EQ(message(solve(*knapsack, {1.0, std::nan("")}).takeError()),
            "cost of instance 0, item 1 is nan");
  EXPECT_EQ(message(solve(*knapsack, {1.0}).takeError()),
            "1 costs for a knapsack of 2 items, capacity 2");
  std::vector<double> weights(40), gains(40), decision(40);
  Draws draws(9, 0, 0, DrawData);
  for (size_t i = 0; i < 40; ++i)
    gains[i] = weights[i] = 1 + draws.uniform();
  auto hard = llvm::cantFail(makeMultiKnapsack(weights, {20.0}, 1000));
  EXPECT_EQ(message(hard->maximise(1, gains.data(), decision.data())),
            "instance 0 of a knapsack of 40 items, 1 capacities is not solved "
            "within 1000 nodes");
  EXPECT_EQ(message(makeMultiKnapsack({1, 2, 3}, {1.0, 1.0}).takeError()),
            "3 weights do not divide among 2 capacities");
}

/// Every path, by steps to the right and down.
double cheapest(const std::vector<double> &costs, int64_t rows, int64_t columns,
                int64_t row = 0, int64_t column = 0) {
  if (row == rows - 1 && column == columns - 1)
    return 0;
  double best = std::numeric_limits<double>::infinity();
  int64_t start = row * (2 * columns - 1);
  if (column + 1 < columns)
    best = costs[size_t(start + column)] +
           cheapest(costs, rows, columns, row, column + 1);
  if (row + 1 < rows)
    best = std::min(best, costs[size_t(start + columns - 1 + column)] +
                              cheapest(costs, rows, columns, row + 1, column));
  return best;
}

TEST(ShortestPath, EqualsAllPaths) {
  for (uint32_t trial = 0; trial < 2000; ++trial) {
    Draws draws(3, trial, 0, DrawData);
    int64_t rows = 1 + int64_t(draws.below(5)),
            columns = 2 + int64_t(draws.below(4));
    auto problem = llvm::cantFail(makeShortestPath(rows, columns));
    std::vector<double> costs(size_t(problem->size()));
    for (double &cost : costs) // of any sign; ties too
      cost = trial % 2 ? draws.normal() : double(draws.below(4)) - 1;
    auto solution = llvm::cantFail(solve(*problem, costs));
    EXPECT_NEAR(solution.value, cheapest(costs, rows, columns), 1e-12);
    double edges = 0;
    for (double taken : solution.decision)
      edges += taken;
    EXPECT_EQ(edges, double(rows + columns - 2));
  }
  EXPECT_EQ(llvm::cantFail(makeShortestPath(5, 5))->size(), 40);
  EXPECT_EQ(message(makeShortestPath(1, 1).takeError()),
            "a grid of 1 by 1 has no path");
}

TEST(ShortestPath, RelaxationIsThePath) {
  auto problem = llvm::cantFail(makeShortestPath(4, 3));
  const Relaxation *relaxation = llvm::cantFail(problem->relaxation());
  for (uint32_t trial = 0; trial < 50; ++trial) {
    Draws draws(4, trial, 0, DrawData);
    std::vector<double> gains(17), x(17), path(17);
    for (double &gain : gains)
      gain = draws.normal();
    ASSERT_FALSE(bool(problem->maximise(1, gains.data(), path.data())));
    ASSERT_FALSE(bool(relaxation->selfDual(gains.data(), {1e-9, 1e-8}, x.data(),
                                           nullptr, nullptr)));
    for (size_t i = 0; i < 17; ++i)
      EXPECT_NEAR(x[i], path[i], 1e-3) << "trial " << trial;
    // So little mu that the quadratic's optimum is the path too.
    ASSERT_FALSE(bool(
        relaxation->quadratic(gains.data(), 1e-3, x.data(), nullptr, nullptr)));
    EXPECT_NEAR(dot(gains.data(), x.data(), 17),
                dot(gains.data(), path.data(), 17), 0.02);
  }
}

/// The conditions of Karush, Kuhn and Tucker, for some price of risk and of the
/// budget: sufficient, for the problem is convex.
TEST(Portfolio, IsOptimal) {
  for (uint32_t trial = 0; trial < 300; ++trial) {
    Draws draws(5, trial, 0, DrawData);
    int64_t n = 1 + int64_t(draws.below(12));
    std::vector<double> root(n * n), covariance(n * n), gains(n), x(n);
    for (double &entry : root)
      entry = draws.normal();
    double mean = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        covariance[i * n + j] =
            (i == j ? 0.1 : 0) +
            dot(root.data() + i * n, root.data() + j * n, n);
        mean += covariance[i * n + j] / double(n * n);
      }
    for (double &gain : gains)
      gain = draws.normal() + 0.3;
    double risk = (0.05 + draws.uniform()) * std::abs(mean);
    auto problem = llvm::cantFail(makePortfolio(covariance, n, risk));
    ASSERT_FALSE(bool(problem->maximise(1, gains.data(), x.data())));
    double sum = 0, taken = 0, most = 0;
    std::vector<double> cx(n);
    for (int64_t i = 0; i < n; ++i) {
      cx[i] = dot(covariance.data() + i * n, x.data(), n);
      sum += x[i];
      taken += x[i] * cx[i];
      most = std::max(most, gains[i]);
      EXPECT_GE(x[i], 0);
    }
    EXPECT_LE(sum, 1 + 1e-9);
    EXPECT_LE(taken, risk * (1 + 1e-9));
    // gains = price · 2Cx + budget on assets held; least squares for both.
    double aa = 0, ab = 0, bb = 0, ag = 0, bg = 0;
    bool bound = sum > 1 - 1e-9, risky = taken > risk * (1 - 1e-9);
    for (int64_t i = 0; i < n; ++i)
      if (x[i] > 1e-12) {
        double a = risky ? 2 * cx[i] : 0, b = bound;
        aa += a * a, ab += a * b, bb += b * b;
        ag += a * gains[i], bg += b * gains[i];
      }
    double determinant = aa * bb - ab * ab, price = 0, budget = 0;
    if (determinant > 1e-12 * aa * bb && determinant > 0) {
      price = (ag * bb - bg * ab) / determinant;
      budget = (bg * aa - ag * ab) / determinant;
    } else if (aa > 0) {
      price = ag / aa;
    } else if (bb > 0) {
      budget = bg / bb;
    }
    EXPECT_GE(price, -1e-7) << "trial " << trial;
    EXPECT_GE(budget, -1e-7) << "trial " << trial;
    for (int64_t i = 0; i < n; ++i) {
      double left = gains[i] - price * 2 * cx[i] - budget;
      if (x[i] > 1e-12)
        EXPECT_NEAR(left, 0, 1e-7) << "trial " << trial;
      else
        EXPECT_LE(left, 1e-7) << "trial " << trial;
    }
  }
  EXPECT_EQ(message(makePortfolio({1, 2, 2, 1}, 2, 1).takeError()),
            "a covariance is positive definite: this is not");
  EXPECT_EQ(message(makePortfolio({1, 2, 3, 9}, 2, 1).takeError()),
            "a covariance is symmetric and finite");
  EXPECT_EQ(message(makePortfolio({1}, 1, 0).takeError()),
            "a portfolio's risk is positive, not 0");
}

TEST(Generate, HasTheShapesAndMomentsOfItsFormula) {
  GeneratorOptions options;
  options.degree = 1;
  options.instances = 4000;
  auto paths = llvm::cantFail(generatePaths(40, options));
  EXPECT_EQ(paths.x.size(), 4000u * 5);
  EXPECT_EQ(paths.c.size(), 4000u * 40);
  double sum = 0;
  for (double cost : paths.c)
    sum += cost / double(paths.c.size());
  EXPECT_NEAR(sum, 4 / 3.5, 0.03); // E[Bx] = 0, E[noise] = 1
  auto knapsacks = llvm::cantFail(generateKnapsacks(10, options));
  for (double cost : knapsacks.c)
    EXPECT_EQ(cost, std::ceil(cost));
  for (double weight : generateWeights(10, 2, 1))
    EXPECT_TRUE(weight >= 3 && weight < 8);
  options.noise = 2;
  EXPECT_EQ(message(generatePaths(4, options).takeError()),
            "the noise of generated data is out of range");
  auto portfolios = llvm::cantFail(generatePortfolios(6, options));
  options.noise = 0;
  EXPECT_EQ(message(generatePortfolios(6, options).takeError()),
            "the noise of portfolios is positive: their covariance is made of "
            "it");
  options.degree = 0;
  EXPECT_EQ(message(generatePaths(6, options).takeError()),
            "instances, features, costs and degree of generated data are at "
            "least 1");
  ASSERT_TRUE(bool(makePortfolio(portfolios.covariance, 6, 1)));
}
} // namespace

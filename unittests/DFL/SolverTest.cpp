//===- SolverTest.cpp - Exact solvers against brute force -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Knapsack.h"
#include "twist/DFL/Random.h"

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
} // namespace

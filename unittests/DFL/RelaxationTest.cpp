//===- RelaxationTest.cpp - Smooth optima and their derivatives -----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "FixedResiduals.h"

#include "twist/DFL/Problem.h"
#include "twist/DFL/Random.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <numeric>

using namespace twist::dfl;
using Vector = std::vector<double>;

namespace {

struct Case {
  Vector weights, gains, cotangent;
  double capacity;
};

Case draw(uint32_t trial, int64_t n) {
  Draws draws(3, trial, 0, DrawData);
  Case c{Vector(n), Vector(n), Vector(n), 0};
  double sum = 0;
  for (double &w : c.weights)
    sum += w = 1 + double(draws.below(9));
  for (double &g : c.gains)
    g = 3 * draws.normal() + 1;
  for (double &v : c.cotangent)
    v = draws.normal();
  c.capacity = sum * (0.2 + 0.6 * draws.uniform());
  return c;
}

/// The same constraints written out, for the solver of any system.
std::unique_ptr<NormalSystem> denseTwin(const Case &c) {
  size_t n = c.weights.size(), columns = 2 * n + 1;
  Vector a((n + 1) * columns, 0.0), b(n + 1, 1.0);
  b[0] = c.capacity;
  a[n] = 1;
  for (size_t i = 0; i < n; ++i) {
    a[i] = c.weights[i];
    a[(i + 1) * columns + i] = a[(i + 1) * columns + n + 1 + i] = 1;
  }
  return makeDenseSystem(a, b, int64_t(columns), int64_t(n));
}

TEST(Quadratic, KnapsackSearchEqualsInteriorPoint) {
  for (uint32_t trial = 0; trial < 100; ++trial) {
    Case c = draw(trial, 7);
    double mu = trial % 2 ? 0.05 : 1;
    auto search = makeKnapsackRelaxation(c.weights, c.capacity);
    Relaxation general(denseTwin(c));
    Vector x(7), back(7), y(7), other(7);
    ASSERT_FALSE(bool(search->quadratic(c.gains.data(), mu, x.data(),
                                        c.cotangent.data(), back.data())));
    ASSERT_FALSE(bool(general.quadratic(c.gains.data(), mu, y.data(),
                                        c.cotangent.data(), other.data())));
    for (size_t i = 0; i < 7; ++i) {
      EXPECT_NEAR(x[i], y[i], 1e-6) << "trial " << trial;
      EXPECT_NEAR(back[i], other[i], 1e-4 / mu) << "trial " << trial;
    }
  }
}

TEST(Quadratic, DerivativeIsThatOfDifferences) {
  for (uint32_t trial = 0; trial < 50; ++trial) {
    Case c = draw(100 + trial, 8);
    auto relaxation = makeKnapsackRelaxation(c.weights, c.capacity);
    Vector x(8), back(8), up(8), down(8);
    ASSERT_FALSE(bool(relaxation->quadratic(c.gains.data(), 0.5, x.data(),
                                            c.cotangent.data(), back.data())));
    for (size_t i = 0; i < 8; ++i) {
      double h = 1e-6, at = c.gains[i];
      c.gains[i] = at + h;
      ASSERT_FALSE(bool(relaxation->quadratic(c.gains.data(), 0.5, up.data(),
                                              nullptr, nullptr)));
      c.gains[i] = at - h;
      ASSERT_FALSE(bool(relaxation->quadratic(c.gains.data(), 0.5, down.data(),
                                              nullptr, nullptr)));
      c.gains[i] = at;
      double slope = (dot(c.cotangent.data(), up.data(), 8) -
                      dot(c.cotangent.data(), down.data(), 8)) /
                     (2 * h);
      EXPECT_NEAR(back[i], slope, 1e-7 * (1 + std::abs(slope)))
          << "trial " << trial << ", item " << i;
    }
  }
}

/// The fractional knapsack, by gain for weight.
double fractional(const Case &c) {
  std::vector<size_t> order(c.gains.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return c.gains[a] * c.weights[b] > c.gains[b] * c.weights[a];
  });
  double room = c.capacity, value = 0;
  for (size_t i : order) {
    double part = c.gains[i] <= 0 ? 0 : std::min(1.0, room / c.weights[i]);
    value += part * c.gains[i];
    room -= part * c.weights[i];
  }
  return value;
}

TEST(SelfDual, SolvesTheLinearProgramme) {
  for (uint32_t trial = 0; trial < 200; ++trial) {
    Case c = draw(200 + trial, 12);
    auto arrow = makeKnapsackRelaxation(c.weights, c.capacity);
    Relaxation dense(denseTwin(c));
    Vector x(12), y(12);
    SelfDualOptions options{1e-9, 1e-8};
    ASSERT_FALSE(bool(
        arrow->selfDual(c.gains.data(), options, x.data(), nullptr, nullptr)));
    ASSERT_FALSE(bool(
        dense.selfDual(c.gains.data(), options, y.data(), nullptr, nullptr)));
    EXPECT_NEAR(dot(c.gains.data(), x.data(), 12), fractional(c), 1e-4);
    for (size_t i = 0; i < 12; ++i)
      EXPECT_NEAR(x[i], y[i], 1e-5);
  }
}

TEST(SelfDual, DerivativeIsThatOfDifferences) {
  for (uint32_t trial = 0; trial < 6; ++trial) {
    Case c = draw(500 + trial, 4);
    auto system = makeKnapsackSystem(c.weights, c.capacity);
    SelfDual method(*system, c.gains.data());
    ASSERT_FALSE(bool(method.solve(0.05)));
    Vector back(4);
    method.pullback(c.cotangent.data(), /*damping=*/0, back.data());
    FixedResiduals around(*system, method, c.gains);
    for (size_t i = 0; i < 4; ++i) {
      Vector up = c.gains, down = c.gains;
      double h = 1e-5;
      up[i] += h;
      down[i] -= h;
      Vector high = around.solve(up), low = around.solve(down);
      double slope = (dot(c.cotangent.data(), high.data(), 4) -
                      dot(c.cotangent.data(), low.data(), 4)) /
                     (2 * h);
      EXPECT_NEAR(back[i], slope, 1e-6 * (1 + std::abs(slope)))
          << "trial " << trial << ", item " << i;
    }
  }
}

TEST(SelfDual, SaysThatThereIsNoOptimum) {
  // x - y = 1, maximise x + y: unbounded.
  Relaxation unbounded(makeDenseSystem({1, -1}, {1}, 2, 2));
  Vector gains{1, 1}, x(2);
  llvm::Error error = unbounded.selfDual(gains.data(), {1e-9, 1e-8}, x.data(),
                                         nullptr, nullptr);
  EXPECT_EQ(llvm::toString(std::move(error)),
            "the linear programme has no optimum: it is infeasible or "
            "unbounded");
}
} // namespace

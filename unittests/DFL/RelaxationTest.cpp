//===- RelaxationTest.cpp - Smooth optima and their derivatives -----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "SelfDual.h"

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
  return makeDenseSystem(a, b, int64_t(n));
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

/// Moves an iterate with new gains back to its residuals and products by
/// Newton's method on all equations at once, without any elimination.
class FixedResiduals {
public:
  FixedResiduals(const NormalSystem &system, const SelfDual &at, Vector gains)
      : system(system), m(system.rows()), n(system.columns()),
        point(at.primalPoint()), target(evaluatedAt(at, gains)) {}

  /// x / tau of the variables at other gains.
  Vector solve(const Vector &gains) {
    Vector u = point;
    for (int step = 0; step < 30; ++step) {
      Vector r = evaluate(u, gains);
      for (size_t i = 0; i < r.size(); ++i)
        r[i] = target[i] - r[i];
      Vector move = eliminate(jacobian(u, gains), r);
      for (size_t i = 0; i < u.size(); ++i)
        u[i] += move[i];
    }
    Vector x(u.begin(), u.begin() + system.variables());
    for (double &value : x)
      value /= u[2 * n + m];
    return x;
  }

private:
  Vector evaluatedAt(const SelfDual &at, const Vector &gains) {
    point.insert(point.end(), at.slackPoint().begin(), at.slackPoint().end());
    point.insert(point.end(), at.dualPoint().begin(), at.dualPoint().end());
    point.push_back(at.scale());
    point.push_back(at.certificate());
    return evaluate(point, gains);
  }
  Vector costs(const Vector &gains) const {
    Vector c(n, 0.0);
    for (size_t i = 0; i < gains.size(); ++i)
      c[i] = -gains[i];
    return c;
  }
  /// u = x, z, y, tau, kappa.
  Vector evaluate(const Vector &u, const Vector &gains) const {
    const double *x = u.data(), *z = x + n, *y = z + n;
    double tau = y[m], kappa = y[m + 1];
    Vector c = costs(gains), r(u.size()), ax(m), aty(n);
    system.apply(x, ax.data());
    system.applyTransposed(y, aty.data());
    for (int64_t k = 0; k < m; ++k)
      r[k] = ax[k] - system.rightSide()[k] * tau;
    for (int64_t i = 0; i < n; ++i) {
      r[m + i] = aty[i] + z[i] - c[i] * tau;
      r[m + n + i] = x[i] * z[i];
    }
    r[m + 2 * n] =
        dot(c.data(), x, n) - dot(system.rightSide().data(), y, m) + kappa;
    r[m + 2 * n + 1] = tau * kappa;
    return r;
  }
  /// Of evaluate, column by column: it is quadratic, so differences are exact.
  std::vector<Vector> jacobian(Vector u, const Vector &gains) const {
    std::vector<Vector> columns;
    for (double &value : u) {
      double at = value, h = 0.5;
      value = at + h;
      Vector up = evaluate(u, gains);
      value = at - h;
      Vector down = evaluate(u, gains);
      value = at;
      for (size_t i = 0; i < up.size(); ++i)
        up[i] = (up[i] - down[i]) / (2 * h);
      columns.push_back(up);
    }
    return columns;
  }
  /// Gauss with pivots; columns[j][i] is the matrix's entry (i, j).
  static Vector eliminate(std::vector<Vector> columns, Vector r) {
    size_t size = r.size();
    for (size_t k = 0; k < size; ++k) {
      size_t pivot = k;
      for (size_t i = k; i < size; ++i)
        if (std::abs(columns[k][i]) > std::abs(columns[k][pivot]))
          pivot = i;
      for (Vector &column : columns)
        std::swap(column[k], column[pivot]);
      std::swap(r[k], r[pivot]);
      for (size_t i = k + 1; i < size; ++i) {
        double factor = columns[k][i] / columns[k][k];
        for (size_t j = k; j < size; ++j)
          columns[j][i] -= factor * columns[j][k];
        r[i] -= factor * r[k];
      }
    }
    for (size_t k = size; k-- > 0;) {
      for (size_t j = k + 1; j < size; ++j)
        r[k] -= columns[j][k] * r[j];
      r[k] /= columns[k][k];
    }
    return r;
  }

  const NormalSystem &system;
  int64_t m, n;
  Vector point, target;
};

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
  Relaxation unbounded(makeDenseSystem({1, -1}, {1}, 2));
  Vector gains{1, 1}, x(2);
  llvm::Error error = unbounded.selfDual(gains.data(), {1e-9, 1e-8}, x.data(),
                                         nullptr, nullptr);
  EXPECT_EQ(llvm::toString(std::move(error)),
            "the linear programme has no optimum: it is infeasible or "
            "unbounded");
}
} // namespace

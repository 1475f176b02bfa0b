//===- Systems.cpp - Normal equations of relaxations ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Relaxation.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace twist::dfl;

//===----------------------------------------------------------------------===//
// The knapsack's
//===----------------------------------------------------------------------===//

namespace {
/// Columns: items, the slack of the capacity, slacks of x <= 1. Rows: the
/// capacity, then x_i + s_i = 1.
class KnapsackSystem final : public NormalSystem {
public:
  KnapsackSystem(std::vector<double> weights, double capacity)
      : NormalSystem(int64_t(weights.size()), 2 * int64_t(weights.size()) + 1,
                     rightSide(weights.size(), capacity)),
        weights(std::move(weights)) {}

  void apply(const double *x, double *y) const override {
    int64_t n = variables();
    y[0] = x[n];
    for (int64_t i = 0; i < n; ++i) {
      y[0] += weights[i] * x[i];
      y[1 + i] = x[i] + x[n + 1 + i];
    }
  }
  void applyTransposed(const double *y, double *x) const override {
    int64_t n = variables();
    x[n] = y[0];
    for (int64_t i = 0; i < n; ++i) {
      x[i] = weights[i] * y[0] + y[1 + i];
      x[n + 1 + i] = y[1 + i];
    }
  }
  std::unique_ptr<Factors> factors() const override;

  std::vector<double> weights;

private:
  static std::vector<double> rightSide(size_t items, double capacity) {
    std::vector<double> b(items + 1, 1.0);
    b[0] = capacity;
    return b;
  }
};

/// [corner border; borderᵀ diagonal], corner eliminated last.
class ArrowFactors final : public NormalSystem::Factors {
public:
  explicit ArrowFactors(const KnapsackSystem &system) : system(system) {}

  void refactor(const double *d, double damping) override {
    int64_t n = system.variables();
    border.resize(n);
    inverse.resize(n);
    corner = d[n] + damping;
    for (int64_t i = 0; i < n; ++i) {
      double w = system.weights[i], rest = d[n + 1 + i] + damping;
      border[i] = w * d[i];
      inverse[i] = 1 / (d[i] + rest);
      // w² d - (w d)² / (d + rest), without taking a difference.
      corner += w * w * d[i] * rest * inverse[i];
    }
  }
  void solve(double *r) const override {
    int64_t n = system.variables();
    for (int64_t i = 0; i < n; ++i)
      r[0] -= border[i] * inverse[i] * r[1 + i];
    r[0] /= corner;
    for (int64_t i = 0; i < n; ++i)
      r[1 + i] = inverse[i] * (r[1 + i] - border[i] * r[0]);
  }

private:
  const KnapsackSystem &system;
  std::vector<double> border, inverse;
  double corner = 0;
};
} // namespace

std::unique_ptr<NormalSystem::Factors> KnapsackSystem::factors() const {
  return std::make_unique<ArrowFactors>(*this);
}

std::unique_ptr<NormalSystem>
twist::dfl::makeKnapsackSystem(std::vector<double> weights, double capacity) {
  return std::make_unique<KnapsackSystem>(std::move(weights), capacity);
}

namespace {
/// x_i = clamp((g_i - dual w_i) / 2mu, 0, 1) for the least dual >= 0 that keeps
/// the capacity.
class KnapsackRelaxation final : public Relaxation {
public:
  KnapsackRelaxation(std::vector<double> weights, double capacity)
      : Relaxation(makeKnapsackSystem(weights, capacity)),
        weights(std::move(weights)), capacity(capacity) {}

  Error quadratic(const double *gains, double mu, double *x,
                  const double *cotangent, double *pullback) const override;

private:
  /// Fills x; the load of the knapsack.
  double load(const double *gains, double mu, double dual, double *x) const {
    double sum = 0, scale = 1 / (2 * mu);
    for (size_t i = 0; i < weights.size(); ++i) {
      x[i] = std::clamp((gains[i] - dual * weights[i]) * scale, 0.0, 1.0);
      sum += weights[i] * x[i];
    }
    return sum;
  }
  double searchDual(const double *gains, double mu, double *x) const;

  std::vector<double> weights;
  double capacity;
};
} // namespace

/// Halves an interval around the dual until there is no float between its ends.
double KnapsackRelaxation::searchDual(const double *gains, double mu,
                                      double *x) const {
  double low = 0, high = 0;
  for (size_t i = 0; i < weights.size(); ++i)
    if (weights[i] > 0)
      high = std::max(high, gains[i] / weights[i]);
  for (int step = 0; step < 200; ++step) {
    double middle = low + (high - low) / 2;
    if (!(middle > low && middle < high))
      break;
    (load(gains, mu, middle, x) > capacity ? low : high) = middle;
  }
  return high;
}

Error KnapsackRelaxation::quadratic(const double *gains, double mu, double *x,
                                    const double *cotangent,
                                    double *pullback) const {
  size_t n = weights.size();
  bool bound = load(gains, mu, 0, x) > capacity;
  if (bound)
    load(gains, mu, searchDual(gains, mu, x), x);
  if (!cotangent)
    return Error::success();
  // Items strictly between move by v / 2mu, less what the capacity takes back.
  double squares = 0, along = 0;
  for (size_t i = 0; i < n; ++i)
    if (x[i] > 0 && x[i] < 1) {
      squares += weights[i] * weights[i];
      along += weights[i] * cotangent[i];
    }
  double back = bound && squares > 0 ? along / squares : 0;
  for (size_t i = 0; i < n; ++i)
    pullback[i] = x[i] > 0 && x[i] < 1
                      ? (cotangent[i] - weights[i] * back) / (2 * mu)
                      : 0;
  return Error::success();
}

std::unique_ptr<Relaxation>
twist::dfl::makeKnapsackRelaxation(std::vector<double> weights,
                                   double capacity) {
  return std::make_unique<KnapsackRelaxation>(std::move(weights), capacity);
}

//===----------------------------------------------------------------------===//
// Any other
//===----------------------------------------------------------------------===//

namespace {
using Matrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Eigen::Map;
using Eigen::VectorXd;

/// Rows: those of the matrix, then x_j + s = u for each bounded column j.
/// Columns: the matrix's, then the slacks s.
class DenseSystem final : public NormalSystem {
public:
  DenseSystem(std::vector<double> matrix, int64_t rows, int64_t columns,
              std::vector<double> b, int64_t variables,
              ArrayRef<UpperBound> bounds)
      : NormalSystem(variables, columns + int64_t(bounds.size()), std::move(b)),
        matrixRows(rows), matrixColumns(columns), values(std::move(matrix)) {
    for (const UpperBound &bound : bounds)
      bounded.push_back(bound.column);
  }

  Map<const Matrix> matrix() const {
    return Map<const Matrix>(values.data(), matrixRows, matrixColumns);
  }
  void apply(const double *x, double *y) const override {
    Map<VectorXd>(y, matrixRows) =
        matrix() * Map<const VectorXd>(x, matrixColumns);
    for (size_t k = 0; k < bounded.size(); ++k)
      y[matrixRows + int64_t(k)] =
          x[bounded[k]] + x[matrixColumns + int64_t(k)];
  }
  void applyTransposed(const double *y, double *x) const override {
    Map<VectorXd>(x, matrixColumns) =
        matrix().transpose() * Map<const VectorXd>(y, matrixRows);
    for (size_t k = 0; k < bounded.size(); ++k) {
      x[bounded[k]] += y[matrixRows + int64_t(k)];
      x[matrixColumns + int64_t(k)] = y[matrixRows + int64_t(k)];
    }
  }
  std::unique_ptr<Factors> factors() const override;

  const int64_t matrixRows, matrixColumns;
  std::vector<int64_t> bounded; ///< columns with bounds, in order of the rows

private:
  std::vector<double> values;
};

/// Rows of bounds are eliminated first: what is left has the matrix's rows.
class DenseFactors final : public NormalSystem::Factors {
public:
  explicit DenseFactors(const DenseSystem &system)
      : system(system), border(system.bounded.size()),
        inverse(system.bounded.size()) {}

  void refactor(const double *d, double damping) override {
    VectorXd left = Map<const VectorXd>(d, system.matrixColumns);
    for (size_t k = 0; k < border.size(); ++k) {
      double at = d[system.bounded[k]];
      double rest = d[system.matrixColumns + int64_t(k)] + damping;
      border[k] = at;
      inverse[k] = 1 / (at + rest);
      left[system.bounded[k]] = at * rest * inverse[k];
    }
    auto a = system.matrix();
    Matrix scaled = a * left.asDiagonal();
    Eigen::MatrixXd normal = scaled * a.transpose();
    normal.diagonal().array() += damping;
    if (system.matrixRows)
      cholesky.compute(normal);
  }
  void solve(double *r) const override {
    auto a = system.matrix();
    Map<VectorXd> right(r, system.matrixRows);
    double *behind = r + system.matrixRows;
    VectorXd moved = VectorXd::Zero(system.matrixColumns);
    for (size_t k = 0; k < border.size(); ++k)
      moved[system.bounded[k]] = border[k] * inverse[k] * behind[k];
    right -= a * moved;
    if (system.matrixRows)
      right = cholesky.solve(right).eval();
    VectorXd back = a.transpose() * right;
    for (size_t k = 0; k < border.size(); ++k)
      behind[k] =
          inverse[k] * (behind[k] - border[k] * back[system.bounded[k]]);
  }

private:
  const DenseSystem &system;
  std::vector<double> border, inverse;
  Eigen::LDLT<Eigen::MatrixXd> cholesky;
};
} // namespace

std::unique_ptr<NormalSystem::Factors> DenseSystem::factors() const {
  return std::make_unique<DenseFactors>(*this);
}

std::unique_ptr<NormalSystem>
twist::dfl::makeDenseSystem(std::vector<double> matrix,
                            std::vector<double> rightSide, int64_t columns,
                            int64_t variables, ArrayRef<UpperBound> bounds) {
  auto rows = int64_t(rightSide.size());
  for (const UpperBound &bound : bounds)
    rightSide.push_back(bound.bound);
  return std::make_unique<DenseSystem>(std::move(matrix), rows, columns,
                                       std::move(rightSide), variables, bounds);
}

//===- Portfolio.cpp - Returns under a bound on risk ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Portfolio.h"

#include "llvm/Support/FormatVariadic.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace llvm;
using namespace twist::dfl;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {
class Portfolio final : public Problem {
public:
  Portfolio(MatrixXd covariance, double risk)
      : Problem(Sense::Maximise, covariance.rows()),
        covariance(std::move(covariance)), risk(risk) {}

  std::string describe() const override {
    return formatv("portfolio of {0} assets, risk {1}", size(), printed(risk));
  }
  Error maximise(int64_t count, const double *gains,
                 double *decisions) const override;

private:
  class Line;
  MatrixXd covariance;
  double risk;
};

/// What ends a stretch of the line, at `t`.
struct Event {
  enum Kind { None, Leave, Enter, Unbound } kind = None;
  double t = 0;
  int64_t asset = -1;
};
} // namespace

/// argmax c·x - xᵀCx / 2t for falling t = 1 / price of risk. Within a stretch
/// the assets held stay the same and x = alpha + t beta.
class Portfolio::Line {
public:
  Line(const Portfolio &problem, const double *gains)
      : problem(problem), c(Eigen::Map<const VectorXd>(gains, problem.size())) {
  }

  /// False where stretches go on without end.
  bool follow(double *x);

private:
  void solveStretch();
  Event next(double t) const;
  void apply(const Event &event);
  /// The largest t at or below `t` at which the risk is met.
  double meet(double t) const;
  double riskAt(double t) const {
    VectorXd x = alpha + t * beta;
    return x.dot(block * x);
  }

  const Portfolio &problem;
  VectorXd c, alpha, beta;
  MatrixXd block;             ///< of the covariance: the assets held
  std::vector<int64_t> held;  ///< ascending
  bool full = true;           ///< all is invested: sum x = 1
  double pull = 0, level = 0; ///< t · multiplier of the budget = pull t - level
};

void Portfolio::Line::solveStretch() {
  auto count = Eigen::Index(held.size());
  block.resize(count, count);
  VectorXd gains(count);
  for (Eigen::Index i = 0; i < count; ++i) {
    gains[i] = c[held[i]];
    for (Eigen::Index j = 0; j < count; ++j)
      block(i, j) = problem.covariance(held[i], held[j]);
  }
  Eigen::LLT<MatrixXd> factors(block);
  VectorXd d = factors.solve(gains);
  if (!full) {
    alpha = VectorXd::Zero(count);
    beta = d;
    pull = level = 0;
    return;
  }
  VectorXd e = factors.solve(VectorXd::Ones(count));
  double sum = e.sum();
  alpha = e / sum;
  beta = d - e * (d.sum() / sum);
  pull = d.sum() / sum;
  level = 1 / sum;
}

Event Portfolio::Line::next(double t) const {
  Event event;
  auto consider = [&](Event::Kind kind, double at, int64_t asset) {
    if (at > event.t && at < t)
      event = {kind, at, asset};
  };
  for (size_t i = 0; i < held.size(); ++i)
    if (beta[i] > 0)
      consider(Event::Leave, -alpha[i] / beta[i], held[i]);
  if (full && pull > 0)
    consider(Event::Unbound, level / pull, -1);
  for (int64_t j = 0; j < problem.size(); ++j) {
    if (std::binary_search(held.begin(), held.end(), j))
      continue;
    // t times what another unit of j gains: slope t + constant, at most 0.
    double slope = c[j] - pull, constant = level;
    for (size_t i = 0; i < held.size(); ++i) {
      slope -= problem.covariance(j, held[i]) * beta[i];
      constant -= problem.covariance(j, held[i]) * alpha[i];
    }
    if (slope < 0)
      consider(Event::Enter, -constant / slope, j);
  }
  return event;
}

void Portfolio::Line::apply(const Event &event) {
  auto at = std::lower_bound(held.begin(), held.end(), event.asset);
  switch (event.kind) {
  case Event::Leave:
    held.erase(at);
    break;
  case Event::Enter:
    held.insert(at, event.asset);
    break;
  case Event::Unbound:
    full = false;
    break;
  case Event::None:
    break;
  }
}

double Portfolio::Line::meet(double t) const {
  double a = beta.dot(block * beta), b = 2 * alpha.dot(block * beta),
         k = alpha.dot(block * alpha) - problem.risk;
  if (a == 0)
    return t;
  double root = std::sqrt(std::max(0.0, b * b - 4 * a * k));
  return std::min(t, b > 0 ? -2 * k / (b + root) : (root - b) / (2 * a));
}

bool Portfolio::Line::follow(double *x) {
  int64_t n = problem.size(), first = 0;
  std::fill(x, x + n, 0.0);
  for (int64_t i = 1; i < n; ++i)
    if (c[i] > c[first])
      first = i;
  if (c[first] <= 0)
    return true;
  held = {first};
  double t = std::numeric_limits<double>::infinity();
  if (problem.covariance(first, first) <= problem.risk) {
    x[first] = 1;
    return true;
  }
  for (int64_t stretch = 0; stretch < 20 * n + 20; ++stretch) {
    solveStretch();
    Event event = next(t);
    if (event.kind == Event::None || riskAt(event.t) <= problem.risk) {
      t = meet(t);
      for (size_t i = 0; i < held.size(); ++i)
        x[held[i]] = std::max(0.0, alpha[i] + t * beta[i]);
      return true;
    }
    t = event.t;
    apply(event);
  }
  return false;
}

Error Portfolio::maximise(int64_t count, const double *gains,
                          double *decisions) const {
  for (int64_t i = 0; i < count; ++i)
    if (!Line(*this, gains + i * size()).follow(decisions + i * size()))
      return make_error<InstanceError>(i, " of a " + describe() +
                                              ": the critical line has no end");
  return Error::success();
}

Expected<std::unique_ptr<Problem>>
twist::dfl::makePortfolio(ArrayRef<double> covariance, int64_t assets,
                          double risk) {
  if (assets < 1 || int64_t(covariance.size()) != assets * assets)
    return createStringError(formatv("{0} numbers are no covariance of {1} "
                                     "assets",
                                     covariance.size(), assets)
                                 .str());
  if (!(risk > 0) || !std::isfinite(risk))
    return createStringError("a portfolio's risk is positive, not " +
                             printed(risk));
  MatrixXd c = Eigen::Map<const MatrixXd>(covariance.data(), assets, assets);
  if (!c.allFinite() || (c - c.transpose()).cwiseAbs().maxCoeff() >
                            1e-12 * c.cwiseAbs().maxCoeff())
    return createStringError("a covariance is symmetric and finite");
  Eigen::LLT<MatrixXd> factors(c);
  if (factors.info() != Eigen::Success)
    return createStringError("a covariance is positive definite: this is not");
  return std::make_unique<Portfolio>(std::move(c), risk);
}

//===- SelfDual.cpp - The homogeneous self-dual method --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "SelfDual.h"

#include "twist/DFL/Problem.h"

#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace twist::dfl;

void SelfDual::solveSymmetric(const Vector &r1, ArrayRef<double> r2, Vector &u,
                              Vector &v) const {
  for (int64_t i = 0; i < n; ++i)
    u[i] = d[i] * r1[i];
  system.apply(u.data(), v.data());
  for (int64_t k = 0; k < m; ++k)
    v[k] += r2[k];
  factors->solve(v.data());
  system.applyTransposed(v.data(), u.data());
  for (int64_t i = 0; i < n; ++i)
    u[i] = d[i] * (u[i] - r1[i]);
}

/// Residuals of the embedding and mu; the largest residual relative to the
/// first.
double SelfDual::measure() {
  ArrayRef<double> b = system.rightSide();
  primal.resize(m);
  dual.resize(n);
  system.apply(x.data(), primal.data());
  system.applyTransposed(y.data(), dual.data());
  double squares = 0;
  for (int64_t k = 0; k < m; ++k) {
    primal[k] = b[k] * tau - primal[k];
    squares += primal[k] * primal[k];
  }
  for (int64_t i = 0; i < n; ++i) {
    dual[i] = c[i] * tau - dual[i] - z[i];
    squares += dual[i] * dual[i];
  }
  gap = dot(c.data(), x.data(), n) - dot(b.data(), y.data(), m) + kappa;
  mu = (dot(x.data(), z.data(), n) + tau * kappa) / double(n + 1);
  double residual = std::sqrt(squares + gap * gap);
  if (firstResidual == 0)
    firstResidual = std::max(1.0, residual);
  return residual / firstResidual;
}

double SelfDual::longestStep() const {
  double most = 1;
  auto limit = [&](double at, double along) {
    if (along < 0)
      most = std::min(most, -at / along);
  };
  for (int64_t i = 0; i < n; ++i) {
    limit(x[i], dx[i]);
    limit(z[i], dz[i]);
  }
  limit(tau, dtau);
  limit(kappa, dkappa);
  return most;
}

/// The search direction to residuals and products of gamma times now's; with
/// the second-order terms of the direction before.
void SelfDual::direction(double gamma, bool correct) {
  ArrayRef<double> b = system.rightSide();
  double eta = 1 - gamma;
  Vector products(n), r1(n);
  double tk = gamma * mu - tau * kappa - (correct ? dtau * dkappa : 0);
  Vector r2(m);
  for (int64_t i = 0; i < n; ++i) {
    products[i] = gamma * mu - x[i] * z[i] - (correct ? dx[i] * dz[i] : 0);
    r1[i] = eta * dual[i] - products[i] / x[i];
  }
  for (int64_t k = 0; k < m; ++k)
    r2[k] = eta * primal[k];
  solveSymmetric(r1, r2, u, v);
  double top = eta * gap + tk / tau + dot(c.data(), u.data(), n) -
               dot(b.data(), v.data(), m);
  double bottom =
      kappa / tau - dot(c.data(), p.data(), n) + dot(b.data(), q.data(), m);
  dtau = top / bottom;
  for (int64_t i = 0; i < n; ++i) {
    dx[i] = u[i] + p[i] * dtau;
    dz[i] = (products[i] - z[i] * dx[i]) / x[i];
  }
  for (int64_t k = 0; k < m; ++k)
    dy[k] = v[k] + q[k] * dtau;
  dkappa = (tk - kappa * dtau) / tau;
}

void SelfDual::move() {
  for (int64_t i = 0; i < n; ++i)
    d[i] = x[i] / z[i];
  factors->refactor(d.data(), 0);
  solveSymmetric(c, system.rightSide(), p, q);
  direction(0, false);
  double shortBy = 1 - longestStep();
  direction(shortBy * shortBy * std::min(0.1, shortBy), true);
  double alpha = 0.99995 * longestStep();
  for (int64_t i = 0; i < n; ++i) {
    x[i] += alpha * dx[i];
    z[i] += alpha * dz[i];
  }
  for (int64_t k = 0; k < m; ++k)
    y[k] += alpha * dy[k];
  tau += alpha * dtau;
  kappa += alpha * dkappa;
}

Error SelfDual::solve(double threshold) {
  for (int iteration = 0; iteration < 200; ++iteration) {
    double residual = measure();
    if (mu > threshold && residual > 1e-6) {
      move();
      continue;
    }
    // Of a programme without an optimum, tau vanishes before kappa.
    if (tau < 1e-3 * kappa)
      return createStringError("the linear programme has no optimum: it is "
                               "infeasible or unbounded");
    return Error::success();
  }
  return createStringError("the self-dual interior point method does not "
                           "converge");
}

/// ((tau dX - x dtauᵀ) / tau²)ᵀ v, with dX = W2 + w1 dtauᵀ,
/// W2 = tau (D Aᵀ M⁻¹ A D - D), which is symmetric.
void SelfDual::pullback(const double *cotangent, double damping,
                        double *result) {
  ArrayRef<double> b = system.rightSide();
  for (int64_t i = 0; i < n; ++i)
    d[i] = x[i] / z[i];
  factors->refactor(d.data(), damping);
  solveSymmetric(c, b, p, q); // w1 and t1
  auto timesW2 = [&](const Vector &in, Vector &out, Vector &dual) {
    Vector scaled(n);
    for (int64_t i = 0; i < n; ++i)
      scaled[i] = d[i] * in[i];
    system.apply(scaled.data(), dual.data());
    factors->solve(dual.data());
    system.applyTransposed(dual.data(), out.data());
    for (int64_t i = 0; i < n; ++i)
      out[i] = tau * (d[i] * out[i] - scaled[i]);
  };
  // T2ᵀ b = tau D Aᵀ M⁻¹ b.
  Vector byB(b.begin(), b.end()), tb(n), w2c(n), w2v(n), in(n, 0.0), work(m);
  factors->solve(byB.data());
  system.applyTransposed(byB.data(), tb.data());
  timesW2(c, w2c, work);
  std::copy(cotangent, cotangent + system.variables(), in.begin());
  timesW2(in, w2v, work);
  double bottom =
      dot(b.data(), q.data(), m) - dot(c.data(), p.data(), n) + kappa / tau;
  double along =
      tau * dot(p.data(), in.data(), n) - dot(x.data(), in.data(), n);
  for (int64_t i = 0; i < system.variables(); ++i) {
    double byCost = (x[i] + w2c[i] - tau * d[i] * tb[i]) / bottom;
    // Costs are gains with the other sign.
    result[i] = -(tau * w2v[i] + byCost * along) / (tau * tau);
  }
}

Error Relaxation::selfDual(const double *gains, const SelfDualOptions &options,
                           double *x, const double *cotangent,
                           double *pullback) const {
  SelfDual method(system(), gains);
  if (Error error = method.solve(options.threshold))
    return error;
  for (int64_t i = 0; i < system().variables(); ++i)
    x[i] = method.value(i);
  if (cotangent)
    method.pullback(cotangent, options.damping, pullback);
  return Error::success();
}

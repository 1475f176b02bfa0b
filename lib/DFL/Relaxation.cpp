//===- Relaxation.cpp - Differentiable linear programmes ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Relaxation.h"

#include "twist/DFL/Problem.h"

#include <algorithm>
#include <cmath>

using namespace llvm;
using namespace twist::dfl;

using Vector = std::vector<double>;

//===----------------------------------------------------------------------===//
// The quadratic programme of any system
//===----------------------------------------------------------------------===//

namespace {
/// min q/2·x² - g·x, A x = b, x >= 0 by the predictor-corrector interior point
/// method (Mehrotra 1992); q is 2 mu for the problem's variables and 0 for
/// slacks. The dual slacks are z = q x - g - Aᵀ y.
class QuadraticProgram {
public:
  QuadraticProgram(const NormalSystem &system, const double *gains, double mu)
      : system(system), factors(system.factors()), m(system.rows()),
        n(system.columns()), g(n, 0.0), q(n, 0.0), x(n), z(n), y(m, 0.0) {
    std::copy(gains, gains + system.variables(), g.begin());
    std::fill(q.begin(), q.begin() + system.variables(), 2 * mu);
  }

  Error solve();
  const Vector &solution() const { return x; }
  /// D - D Aᵀ (A D Aᵀ)⁻¹ A D for D = 1 / (q + z/x): columns at 0 have none.
  void pullback(const double *cotangent, double *result);

private:
  void direction(const Vector &complement, Vector &dx, Vector &dy, Vector &dz);
  static double step(const Vector &at, const Vector &along) {
    double most = 1;
    for (size_t i = 0; i < at.size(); ++i)
      if (along[i] < 0)
        most = std::min(most, -at[i] / along[i]);
    return most;
  }
  double complementarity() const { return dot(x.data(), z.data(), n) / n; }

  const NormalSystem &system;
  std::unique_ptr<NormalSystem::Factors> factors;
  int64_t m, n;
  Vector g, q, x, z, y, residual, dualResidual;
};
} // namespace

/// dx, dy, dz with A dx = residual, q dx - Aᵀ dy - dz = dualResidual,
/// z dx + x dz = complement.
void QuadraticProgram::direction(const Vector &complement, Vector &dx,
                                 Vector &dy, Vector &dz) {
  Vector d(n), r(n);
  for (int64_t i = 0; i < n; ++i) {
    d[i] = 1 / (q[i] + z[i] / x[i]);
    r[i] = d[i] * (dualResidual[i] + complement[i] / x[i]);
  }
  dy.resize(m);
  system.apply(r.data(), dy.data());
  for (int64_t k = 0; k < m; ++k)
    dy[k] = residual[k] - dy[k];
  factors->solve(dy.data());
  dx.resize(n);
  dz.resize(n);
  system.applyTransposed(dy.data(), dx.data());
  for (int64_t i = 0; i < n; ++i) {
    dx[i] = r[i] + d[i] * dx[i];
    dz[i] = (complement[i] - z[i] * dx[i]) / x[i];
  }
}

Error QuadraticProgram::solve() {
  double scale = 1;
  for (double gain : g)
    scale = std::max(scale, std::abs(gain));
  double extent = 1;
  for (double right : system.rightSide())
    extent = std::max(extent, std::abs(right));
  std::fill(x.begin(), x.end(), 1.0);
  std::fill(z.begin(), z.end(), scale);
  Vector d(n), dx, dy, dz, complement(n);
  for (int iteration = 0; iteration < 200; ++iteration) {
    // A x + residual = b; q x - g - Aᵀ y - z + dualResidual = 0.
    residual.resize(m);
    dualResidual.resize(n);
    system.apply(x.data(), residual.data());
    system.applyTransposed(y.data(), dualResidual.data());
    double primal = 0, dual = 0, mu = complementarity();
    for (int64_t k = 0; k < m; ++k) {
      residual[k] = system.rightSide()[k] - residual[k];
      primal = std::max(primal, std::abs(residual[k]));
    }
    for (int64_t i = 0; i < n; ++i) {
      dualResidual[i] = g[i] + dualResidual[i] + z[i] - q[i] * x[i];
      dual = std::max(dual, std::abs(dualResidual[i]));
      d[i] = 1 / (q[i] + z[i] / x[i]);
    }
    factors->refactor(d.data(), 0);
    if (primal <= 1e-10 * extent && dual <= 1e-10 * scale &&
        mu <= 1e-13 * scale)
      return Error::success();
    for (int64_t i = 0; i < n; ++i)
      complement[i] = -x[i] * z[i];
    direction(complement, dx, dy, dz);
    double alpha = std::min(step(x, dx), step(z, dz)), affine = 0;
    for (int64_t i = 0; i < n; ++i)
      affine += (x[i] + alpha * dx[i]) * (z[i] + alpha * dz[i]) / n;
    double sigma = std::pow(affine / mu, 3);
    // What is corrected is the step that can be taken: with all of it, the
    // method can go in circles (Colombo, Gondzio: Further development of
    // multiple centrality correctors, 2008, section 2).
    for (int64_t i = 0; i < n; ++i)
      complement[i] = sigma * mu - x[i] * z[i] - alpha * alpha * dx[i] * dz[i];
    direction(complement, dx, dy, dz);
    // One step for both: with a quadratic term, dual residuals see x.
    alpha = 0.9995 * std::min(step(x, dx), step(z, dz));
    for (int64_t i = 0; i < n; ++i) {
      x[i] += alpha * dx[i];
      z[i] += alpha * dz[i];
    }
    for (int64_t k = 0; k < m; ++k)
      y[k] += alpha * dy[k];
  }
  return createStringError("the interior point method does not converge on the "
                           "quadratic programme");
}

void QuadraticProgram::pullback(const double *cotangent, double *result) {
  Vector d(n), v(n, 0.0), r(m);
  for (int64_t i = 0; i < n; ++i)
    d[i] = 1 / (q[i] + z[i] / x[i]);
  for (int64_t i = 0; i < system.variables(); ++i)
    v[i] = d[i] * cotangent[i];
  system.apply(v.data(), r.data());
  factors->solve(r.data()); // of the last iterate, which is x
  Vector back(n);
  system.applyTransposed(r.data(), back.data());
  for (int64_t i = 0; i < system.variables(); ++i)
    result[i] = v[i] - d[i] * back[i];
}

Error Relaxation::quadratic(const double *gains, double mu, double *x,
                            const double *cotangent, double *pullback) const {
  QuadraticProgram program(system(), gains, mu);
  if (Error error = program.solve())
    return error;
  std::copy(program.solution().begin(),
            program.solution().begin() + system().variables(), x);
  if (cotangent)
    program.pullback(cotangent, pullback);
  return Error::success();
}

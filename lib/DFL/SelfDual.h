//===- SelfDual.h - The homogeneous self-dual method ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DFL_SELFDUAL_H
#define TWIST_LIB_DFL_SELFDUAL_H

#include "twist/DFL/Relaxation.h"

namespace twist::dfl {

/// min c·x, A x = b, x >= 0 and its dual in one (Andersen and Andersen: The
/// MOSEK Interior Point Optimizer for Linear Programming, 2000, section 3).
class SelfDual {
public:
  /// Gains [system.variables()].
  SelfDual(const NormalSystem &system, const double *gains)
      : system(system), factors(system.factors()), m(system.rows()),
        n(system.columns()), c(n, 0.0), x(n, 1.0), z(n, 1.0), y(m, 0.0), d(n),
        p(n), q(m), u(n), v(m), dx(n), dy(m), dz(n) {
    for (int64_t i = 0; i < system.variables(); ++i)
      c[i] = -gains[i];
  }

  /// Until the complementarity mu is at most `threshold`, or residuals are
  /// 10^-6 of the first.
  llvm::Error solve(double threshold);
  double value(int64_t i) const { return x[i] / tau; }
  /// (dx/dg)ᵀ v of the iterate: of the point with its residuals and products,
  /// as gains change.
  void pullback(const double *cotangent, double damping, double *result);

  // The iterate: columns, columns, rows, and the embedding's own pair.
  const std::vector<double> &primalPoint() const { return x; }
  const std::vector<double> &slackPoint() const { return z; }
  const std::vector<double> &dualPoint() const { return y; }
  double scale() const { return tau; }
  double certificate() const { return kappa; }

private:
  using Vector = std::vector<double>;
  double measure();
  void move();
  void direction(double gamma, bool correct);
  double longestStep() const;
  /// u = D (Aᵀ v - r1), v = (A D Aᵀ)⁻¹ (r2 + A D r1).
  void solveSymmetric(const Vector &r1, llvm::ArrayRef<double> r2, Vector &u,
                      Vector &v) const;

  const NormalSystem &system;
  std::unique_ptr<NormalSystem::Factors> factors;
  int64_t m, n;
  Vector c, x, z, y;
  double tau = 1, kappa = 1, mu = 1;
  Vector d, p, q, u, v, dx, dy, dz, primal, dual;
  double gap = 0, dtau = 0, dkappa = 0;
  double firstResidual = 0;
};

} // namespace twist::dfl

#endif // TWIST_LIB_DFL_SELFDUAL_H

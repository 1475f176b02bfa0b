//===- FixedResiduals.h - Iterates of the self-dual method ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_UNITTESTS_DFL_FIXEDRESIDUALS_H
#define TWIST_UNITTESTS_DFL_FIXEDRESIDUALS_H

#include "SelfDual.h"

#include "twist/DFL/Problem.h"

#include <cmath>

/// Moves an iterate with new gains back to its residuals and products by
/// Newton's method on all equations at once, without any elimination.
class FixedResiduals {
  using Vector = std::vector<double>;

public:
  FixedResiduals(const twist::dfl::NormalSystem &system,
                 const twist::dfl::SelfDual &at, Vector gains)
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
  Vector evaluatedAt(const twist::dfl::SelfDual &at, const Vector &gains) {
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
    r[m + 2 * n] = twist::dfl::dot(c.data(), x, n) -
                   twist::dfl::dot(system.rightSide().data(), y, m) + kappa;
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

  const twist::dfl::NormalSystem &system;
  int64_t m, n;
  Vector point, target;
};

#endif // TWIST_UNITTESTS_DFL_FIXEDRESIDUALS_H

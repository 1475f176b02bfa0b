//===- Relaxation.h - Differentiable linear programmes ----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// The linear relaxation of a problem,
//
//   max g·x   subject to   A x = b (rows with slacks),  x >= 0,
//
// in standard form: the first variables are the problem's, slacks follow. Two
// smooth versions of its optimum are differentiated with respect to g:
//
//   quadratic   argmax g·x - mu |x|^2 (QPTL: Wilder, Dilkina, Tambe: Melding
//               the Data-Decisions Pipeline, AAAI 2019)
//   self-dual   the iterate of the homogeneous self-dual interior point method
//               (Andersen and Andersen 2000) at which it is stopped (Mandi and
//               Guns: Interior Point Solving for LP-based prediction +
//               optimisation, NeurIPS 2020, section 3)
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_RELAXATION_H
#define TWIST_DFL_RELAXATION_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <vector>

namespace twist::dfl {

/// The constraints, and how to solve with A D Aᵀ for a diagonal D.
class NormalSystem {
public:
  virtual ~NormalSystem() = default;
  int64_t rows() const { return int64_t(b.size()); }
  int64_t columns() const { return columns_; }
  /// Columns that are the problem's variables: the first ones.
  int64_t variables() const { return variables_; }
  llvm::ArrayRef<double> rightSide() const { return b; }

  /// y = A x.
  virtual void apply(const double *x, double *y) const = 0;
  /// x = Aᵀ y.
  virtual void applyTransposed(const double *y, double *x) const = 0;

  /// A D Aᵀ + damping I, factored; `d` [columns()].
  class Factors {
  public:
    virtual ~Factors() = default;
    virtual void refactor(const double *d, double damping) = 0;
    /// In place; `r` [rows()].
    virtual void solve(double *r) const = 0;
  };
  virtual std::unique_ptr<Factors> factors() const = 0;

protected:
  NormalSystem(int64_t variables, int64_t columns, std::vector<double> b)
      : b(std::move(b)), variables_(variables), columns_(columns) {}

private:
  std::vector<double> b;
  int64_t variables_, columns_;
};

/// w·x + s = capacity, x_i + s_i = 1: A D Aᵀ is an arrow, solved in O(items).
std::unique_ptr<NormalSystem> makeKnapsackSystem(std::vector<double> weights,
                                                 double capacity);
struct UpperBound {
  int64_t column;
  double bound;
};
/// `matrix` [rows, columns] of full row rank by dense Cholesky; then a row and
/// a slack for each of `bounds`, at no such cost.
std::unique_ptr<NormalSystem>
makeDenseSystem(std::vector<double> matrix, std::vector<double> rightSide,
                int64_t columns, int64_t variables,
                llvm::ArrayRef<UpperBound> bounds = {});

struct SelfDualOptions {
  double threshold = 0.1; ///< stop where the complementarity mu is below
  double damping = 1e-8;  ///< of the backward step's normal equations
};

class Relaxation {
public:
  explicit Relaxation(std::unique_ptr<NormalSystem> system)
      : system_(std::move(system)) {}
  virtual ~Relaxation() = default;
  const NormalSystem &system() const { return *system_; }

  /// x = argmax g·x - mu |x|², mu > 0. With `cotangent` v also `pullback` =
  /// (dx/dg)ᵀ v. All arrays [variables].
  virtual llvm::Error quadratic(const double *gains, double mu, double *x,
                                const double *cotangent,
                                double *pullback) const;

  /// The interior point's x/tau when it stops, and its derivative likewise. A
  /// programme without an optimum is an error.
  virtual llvm::Error selfDual(const double *gains,
                               const SelfDualOptions &options, double *x,
                               const double *cotangent, double *pullback) const;

private:
  std::unique_ptr<NormalSystem> system_;
};

/// The knapsack's, its quadratic optimum by search for the dual of the
/// capacity.
std::unique_ptr<Relaxation> makeKnapsackRelaxation(std::vector<double> weights,
                                                   double capacity);

/// rowLower <= A v <= rowUpper, lower <= v <= upper; infinite where there is no
/// bound. Entry e of row k, for e from starts[k] to starts[k + 1], is values[e]
/// in column indices[e].
struct LinearConstraints {
  std::vector<double> lower, upper;       ///< [columns]
  std::vector<double> rowLower, rowUpper; ///< [rows]
  std::vector<int64_t> starts, indices;
  std::vector<double> values;
};
/// Any programme's, brought to the standard form above: columns are shifted to
/// their bounds, turned where they have only an upper one, and cut in two
/// halves where they have none; fixed ones, and equations that follow from
/// others, are left out. |x|² is that of the programme's own columns. Bounds or
/// equations that contradict each other, and systems too large for dense
/// equations, are an error.
llvm::Expected<std::unique_ptr<Relaxation>>
makeLinearRelaxation(const LinearConstraints &constraints);

} // namespace twist::dfl

#endif // TWIST_DFL_RELAXATION_H

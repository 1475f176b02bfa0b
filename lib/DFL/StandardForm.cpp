//===- StandardForm.cpp - The relaxation of any linear programme ----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Relaxation.h"

#include "llvm/Support/FormatVariadic.h"

#include <Eigen/QR>

#include <cmath>

using namespace llvm;
using namespace twist::dfl;

using Vector = std::vector<double>;

/// Numbers of a dense matrix: a gigabyte.
static constexpr int64_t kMostEntries = int64_t(1) << 27;
/// Relative error of equations that follow from others.
static constexpr double kRankTolerance = 1e-9;

namespace {
/// v = shift + sign · x[place] - x[negative] for x >= 0; -1: no such x.
struct ColumnMap {
  double shift = 0, sign = 1;
  int64_t place = -1, negative = -1;
};

class LinearRelaxation final : public Relaxation {
public:
  LinearRelaxation(std::unique_ptr<NormalSystem> system,
                   std::vector<ColumnMap> columns)
      : Relaxation(std::move(system)), columns(std::move(columns)) {}

  Error quadratic(const double *gains, double mu, double *v,
                  const double *cotangent, double *pullback) const override {
    // mu |shift + x|² has a linear part.
    Vector shifted(columns.size());
    for (size_t j = 0; j < columns.size(); ++j)
      shifted[j] = gains[j] - 2 * mu * columns[j].shift;
    return through(
        shifted.data(), v, cotangent, pullback,
        [&](const double *g, double *x, const double *in, double *out) {
          return Relaxation::quadratic(g, mu, x, in, out);
        });
  }
  Error selfDual(const double *gains, const SelfDualOptions &options, double *v,
                 const double *cotangent, double *pullback) const override {
    return through(
        gains, v, cotangent, pullback,
        [&](const double *g, double *x, const double *in, double *out) {
          return Relaxation::selfDual(g, options, x, in, out);
        });
  }

private:
  using Solve = function_ref<Error(const double *gains, double *x,
                                   const double *cotangent, double *pullback)>;
  Error through(const double *gains, double *v, const double *cotangent,
                double *pullback, Solve solve) const;
  /// By x what is given by v: gains and cotangents.
  Vector toStandard(const double *byColumn) const;

  std::vector<ColumnMap> columns;
};

/// Collects what the constraints are in standard form.
class StandardForm {
public:
  explicit StandardForm(const LinearConstraints &given) : given(given) {}
  Expected<std::unique_ptr<Relaxation>> make();

private:
  struct Row {
    Vector entries; ///< [variables]
    double right;
    double slack; ///< its factor; 0: an equation
  };
  Error mapColumns();
  Error addRow(int64_t k);
  /// Leaves out equations that follow from others.
  Error dropDependent();

  const LinearConstraints &given;
  std::vector<ColumnMap> columns;
  int64_t variables = 0;
  std::vector<UpperBound> bounds; ///< column -1: of the slack of `boundedRows`
  std::vector<size_t> boundedRows;
  std::vector<Row> equations, inequalities;
};
} // namespace

Vector LinearRelaxation::toStandard(const double *byColumn) const {
  Vector result(size_t(system().variables()));
  for (size_t j = 0; j < columns.size(); ++j) {
    if (columns[j].place >= 0)
      result[columns[j].place] = columns[j].sign * byColumn[j];
    if (columns[j].negative >= 0)
      result[columns[j].negative] = -byColumn[j];
  }
  return result;
}

Error LinearRelaxation::through(const double *gains, double *v,
                                const double *cotangent, double *pullback,
                                Solve solve) const {
  Vector x(size_t(system().variables())), back(x.size()), in;
  if (cotangent)
    in = toStandard(cotangent);
  if (Error error = solve(toStandard(gains).data(), x.data(),
                          cotangent ? in.data() : nullptr, back.data()))
    return error;
  auto toColumns = [&](const Vector &from, double shift, double *to) {
    for (size_t j = 0; j < columns.size(); ++j) {
      const ColumnMap &column = columns[j];
      to[j] = shift * column.shift;
      if (column.place >= 0)
        to[j] += column.sign * from[column.place];
      if (column.negative >= 0)
        to[j] -= from[column.negative];
    }
  };
  toColumns(x, 1, v);
  if (cotangent)
    toColumns(back, 0, pullback);
  return Error::success();
}

Error StandardForm::mapColumns() {
  for (size_t j = 0; j < given.lower.size(); ++j) {
    double lower = given.lower[j], upper = given.upper[j];
    ColumnMap column;
    if (lower > upper)
      return createStringError(
          formatv("the bounds of column {0} contradict each other", j).str());
    if (std::isfinite(lower)) {
      column.shift = lower;
    } else if (std::isfinite(upper)) {
      column.shift = upper;
      column.sign = -1;
    }
    if (lower != upper)
      column.place = variables++;
    if (std::isinf(lower) && std::isinf(upper))
      column.negative = variables++;
    else if (lower != upper && std::isfinite(lower) && std::isfinite(upper))
      bounds.push_back({column.place, upper - lower});
    columns.push_back(column);
  }
  return Error::success();
}

Error StandardForm::addRow(int64_t k) {
  double lower = given.rowLower[k], upper = given.rowUpper[k];
  if (lower > upper)
    return createStringError(
        formatv("the bounds of row {0} contradict each other", k).str());
  if (std::isinf(lower) && std::isinf(upper))
    return Error::success();
  Row row{Vector(size_t(variables), 0.0), 0, 0};
  double shift = 0;
  for (int64_t e = given.starts[k]; e < given.starts[k + 1]; ++e) {
    const ColumnMap &column = columns[given.indices[e]];
    shift += given.values[e] * column.shift;
    if (column.place >= 0)
      row.entries[column.place] += column.sign * given.values[e];
    if (column.negative >= 0)
      row.entries[column.negative] -= given.values[e];
  }
  row.right = (std::isfinite(lower) ? lower : upper) - shift;
  if (lower == upper) {
    equations.push_back(std::move(row));
    return Error::success();
  }
  row.slack = std::isfinite(lower) ? -1 : 1;
  if (std::isfinite(lower) && std::isfinite(upper)) {
    boundedRows.push_back(inequalities.size());
    bounds.push_back({-1, upper - lower});
  }
  inequalities.push_back(std::move(row));
  return Error::success();
}

Error StandardForm::dropDependent() {
  if (equations.empty())
    return Error::success();
  auto count = Eigen::Index(equations.size());
  // A column for each equation, its right side below, none larger than 1.
  Eigen::MatrixXd all(variables + 1, count);
  for (Eigen::Index k = 0; k < count; ++k) {
    Eigen::Map<const Eigen::VectorXd> entries(equations[k].entries.data(),
                                              variables);
    double most = variables ? entries.lpNorm<Eigen::Infinity>() : 0;
    double scale = most > 0 ? 1 / most : 1;
    all.col(k).head(variables) = scale * entries;
    all(variables, k) = scale * equations[k].right;
  }
  all.row(variables) /=
      std::max(1.0, all.row(variables).lpNorm<Eigen::Infinity>());
  auto rank = [](const Eigen::MatrixXd &matrix,
                 Eigen::ColPivHouseholderQR<Eigen::MatrixXd> &qr) {
    qr.setThreshold(kRankTolerance);
    qr.compute(matrix);
    return qr.rank();
  };
  Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr, withRight;
  Eigen::Index independent = rank(all.topRows(variables), qr);
  if (rank(all, withRight) != independent)
    return createStringError("the programme's equations contradict each other");
  std::vector<size_t> kept;
  for (Eigen::Index k = 0; k < independent; ++k)
    kept.push_back(size_t(qr.colsPermutation().indices()[k]));
  llvm::sort(kept);
  std::vector<Row> left;
  for (size_t k : kept)
    left.push_back(std::move(equations[k]));
  equations = std::move(left);
  return Error::success();
}

Expected<std::unique_ptr<Relaxation>> StandardForm::make() {
  if (Error error = mapColumns())
    return error;
  auto count = int64_t(given.rowLower.size());
  if (count * std::max(count, variables + count) > kMostEntries)
    return createStringError(
        formatv("a programme of {0} columns and {1} rows is too large for the "
                "dense equations of its relaxation",
                columns.size(), count)
            .str());
  for (int64_t k = 0; k < count; ++k)
    if (Error error = addRow(k))
      return error;
  if (Error error = dropDependent())
    return error;
  auto width = variables + int64_t(inequalities.size());
  Vector matrix, right;
  auto append = [&](const Row &row, int64_t slack) {
    matrix.insert(matrix.end(), row.entries.begin(), row.entries.end());
    matrix.resize(matrix.size() + inequalities.size(), 0.0);
    if (row.slack)
      matrix[matrix.size() - size_t(width - slack)] = row.slack;
    right.push_back(row.right);
  };
  for (const Row &row : equations)
    append(row, 0);
  for (size_t k = 0; k < inequalities.size(); ++k)
    append(inequalities[k], variables + int64_t(k));
  size_t next = 0;
  for (UpperBound &bound : bounds)
    if (bound.column < 0)
      bound.column = variables + int64_t(boundedRows[next++]);
  return std::make_unique<LinearRelaxation>(
      makeDenseSystem(std::move(matrix), std::move(right), width, variables,
                      bounds),
      std::move(columns));
}

Expected<std::unique_ptr<Relaxation>>
twist::dfl::makeLinearRelaxation(const LinearConstraints &constraints) {
  return StandardForm(constraints).make();
}

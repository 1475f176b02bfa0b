//===- Correction.cpp - What the kept units do for the removed ------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Correction.h"

#include "Dense.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"

#include <Eigen/Cholesky>
#include <cmath>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

using Matrix = RowMajor;
using Vector = Eigen::VectorXd;

std::optional<CorrectionKind> twist::prune::parseCorrection(StringRef name) {
  return StringSwitch<std::optional<CorrectionKind>>(name)
      .Case("none", CorrectionKind::None)
      .Case("gain", CorrectionKind::Gain)
      .Case("bias", CorrectionKind::Bias)
      .Case("bias+gain", CorrectionKind::BiasGain)
      .Case("ls", CorrectionKind::LeastSquares)
      .Case("relative", CorrectionKind::Relative)
      .Default(std::nullopt);
}

StringRef twist::prune::correctionName(CorrectionKind kind) {
  switch (kind) {
  case CorrectionKind::None:
    return "none";
  case CorrectionKind::Gain:
    return "gain";
  case CorrectionKind::Bias:
    return "bias";
  case CorrectionKind::BiasGain:
    return "bias+gain";
  case CorrectionKind::LeastSquares:
    return "ls";
  case CorrectionKind::Relative:
    return "relative";
  }
  llvm_unreachable("a kind of the enumeration");
}

Moments twist::prune::momentsFor(CorrectionKind kind) {
  return kind == CorrectionKind::None || kind == CorrectionKind::Bias
             ? Moments::Mean
         : kind == CorrectionKind::Relative ? Moments::Relative
                                            : Moments::Products;
}

UnitMoments twist::prune::unitMoments(const Site &site, const SiteAxis &axis,
                                      int64_t group) {
  std::vector<double> h = site.gram(), m = site.mean();
  Eigen::Map<const Vector> mean(m.data(), site.width);
  Eigen::Map<const Matrix> weight(site.weight.data(), site.width, site.columns);
  Matrix moment =
      Eigen::Map<const Matrix>(h.data(), site.width, site.width) / site.mass() +
      Matrix(mean * mean.transpose());
  Matrix rows = weight;
  double whole = rows.cwiseProduct(timesTransposed(moment, rows)).sum();
  double parts = 0;
  for (int64_t first = 0; first < axis.units; first += group) {
    std::vector<int64_t> features;
    for (int64_t u = first; u < std::min(first + group, axis.units); ++u)
      llvm::append_range(features, axis.features(u));
    for (int64_t a : features)
      for (int64_t b : features)
        parts += moment(a, b) * weight.row(a).dot(weight.row(b));
  }
  double k = double((axis.units + group - 1) / group);
  return {whole, k / (k - 1) * (parts - whole / k)};
}

namespace {
/// The numbers of one site as matrices.
class Solver {
public:
  Solver(const Site &site, ArrayRef<char> kept);
  double gain() const;
  /// The rows of S; fails if H_SS is singular or not known well enough.
  Expected<Matrix> leastSquares() const;
  CorrectedSite result(const Matrix &rows, bool withBias) const;
  std::optional<double> error(const CorrectedSite &result) const;

private:
  Matrix rows(const Matrix &of, ArrayRef<int64_t> which) const;

  const Site &site;
  std::vector<int64_t> keep; ///< features
  std::vector<char> kept;
  Matrix gram, weight;
  Vector mean;
};
} // namespace

Solver::Solver(const Site &site, ArrayRef<char> kept) : site(site), kept(kept) {
  std::vector<double> h = site.gram(), m = site.mean();
  if (!h.empty())
    gram = Eigen::Map<const Matrix>(h.data(), site.width, site.width);
  mean = Eigen::Map<const Vector>(m.data(), site.width);
  weight =
      Eigen::Map<const Matrix>(site.weight.data(), site.width, site.columns);
  for (int64_t i = 0; i < site.width; ++i)
    if (kept[i])
      keep.push_back(i);
}

Matrix Solver::rows(const Matrix &of, ArrayRef<int64_t> which) const {
  Matrix result(which.size(), of.cols());
  for (auto [i, row] : llvm::enumerate(which))
    result.row(i) = of.row(row);
  return result;
}

/// That of the axis that loses some.
double Solver::gain() const {
  const SiteAxis *axis = nullptr;
  int64_t left = 0;
  for (const SiteAxis &candidate : site.axes) {
    int64_t count = 0;
    for (int64_t u = 0; u < candidate.units; ++u)
      count += llvm::all_of(candidate.features(u),
                            [&](int64_t f) { return bool(kept[f]); });
    if (count < candidate.units && (!axis || candidate.units < axis->units)) {
      axis = &candidate;
      left = count;
    }
  }
  if (!axis || axis->units < 2)
    return 1;
  return unitMoments(site, *axis).gain(double(left) / double(axis->units));
}

Expected<Matrix> Solver::leastSquares() const {
  int64_t size = int64_t(keep.size());
  if (site.count <= uint64_t(size))
    return createStringError(
        "gate " + site.name() + " has " + Twine(site.count) + " samples for " +
        Twine(size) + " kept features: it takes at least " + Twine(size + 1));
  Matrix block(size, size);
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j < size; ++j)
      block(i, j) = gram(keep[i], keep[j]);
  double trace = block.trace();
  double squares = site.mass() * mean.squaredNorm();
  block.diagonal().array() += 1e-3 * trace / double(std::max<int64_t>(size, 1));
  Eigen::LLT<Eigen::MatrixXd> factor(block);
  // Constants leave only what rounding makes of them.
  if (size > 0 &&
      (!(trace > 1e-24 * squares) || factor.info() != Eigen::Success))
    return createStringError("the Gram matrix of gate " + site.name() +
                             " is singular: its kept values do not vary");
  if (size == 0)
    return Matrix(0, site.columns);
  Matrix columns = rows(gram, keep).transpose(); // gram is symmetric
  return Matrix(factor.solve(timesTransposed(columns, weight)));
}

std::optional<double> Solver::error(const CorrectedSite &result) const {
  if (gram.size() == 0)
    return std::nullopt;
  Eigen::Map<const Matrix> found(result.weight.data(), site.width,
                                 site.columns);
  Matrix lost = weight, cut = weight;
  for (int64_t feature : keep) {
    lost.row(feature) -= found.row(feature);
    cut.row(feature).setZero();
  }
  Eigen::RowVectorXd rest =
      mean.transpose() * lost -
      Eigen::Map<const Eigen::RowVectorXd>(result.bias.data(), site.columns);
  double left = lost.cwiseProduct(timesTransposed(gram, lost)).sum() +
                site.mass() * rest.squaredNorm();
  double removed = cut.cwiseProduct(timesTransposed(gram, cut)).sum() +
                   site.mass() * (mean.transpose() * cut).squaredNorm();
  return removed > 0 ? left / removed : 0;
}

CorrectedSite Solver::result(const Matrix &rows, bool withBias) const {
  CorrectedSite result;
  result.key = site.key;
  result.width = site.width;
  result.columns = site.columns;
  Matrix full = Matrix::Zero(site.width, site.columns);
  for (auto [i, feature] : llvm::enumerate(keep))
    full.row(feature) = rows.row(i);
  Eigen::RowVectorXd bias = Eigen::RowVectorXd::Zero(site.columns);
  if (withBias)
    bias = mean.transpose() * (weight - full);
  result.bias.assign(bias.data(), bias.data() + bias.size());
  // Removed rows stay: without the mask the model would be another.
  for (int64_t i = 0; i < site.width; ++i)
    if (!kept[i])
      full.row(i) = weight.row(i);
  result.weight.assign(full.data(), full.data() + full.size());
  return result;
}

std::optional<double>
twist::prune::correctionError(const Site &site, ArrayRef<char> kept,
                              const CorrectedSite &result) {
  return Solver(site, kept).error(result);
}

Expected<CorrectedSite> twist::prune::correctSite(const Site &site,
                                                  ArrayRef<char> kept,
                                                  CorrectionKind kind) {
  if (!site.isMatrix)
    return createStringError("the weight at gate " + site.name() +
                             " is no matrix: it cannot be corrected");
  Solver solver(site, kept);
  if (kind == CorrectionKind::LeastSquares ||
      kind == CorrectionKind::Relative) {
    Expected<Matrix> rows = solver.leastSquares();
    if (!rows)
      return rows.takeError();
    return solver.result(*rows, /*withBias=*/true);
  }
  bool scales =
      kind == CorrectionKind::Gain || kind == CorrectionKind::BiasGain;
  double gain = scales ? solver.gain() : 1;
  if (!std::isfinite(gain))
    return createStringError("gate " + site.name() +
                             ": no gain, its values are all zero");
  std::vector<int64_t> keep;
  for (int64_t i = 0; i < site.width; ++i)
    if (kept[i])
      keep.push_back(i);
  Matrix rows(keep.size(), site.columns);
  for (auto [i, feature] : llvm::enumerate(keep))
    rows.row(i) =
        gain * Eigen::Map<const Eigen::RowVectorXd>(
                   site.weight.data() + feature * site.columns, site.columns);
  CorrectedSite result = solver.result(rows, kind != CorrectionKind::Gain &&
                                                 kind != CorrectionKind::None);
  result.gain = gain;
  return result;
}

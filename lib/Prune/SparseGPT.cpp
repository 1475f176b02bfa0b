//===- SparseGPT.cpp - Single weights to zero -----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/SparseGPT.h"

#include "llvm/ADT/STLExtras.h"

#include <Eigen/Cholesky>
#include <cmath>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

using Matrix = Eigen::MatrixXd;
using RowMajor =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// U with H⁻¹ = Uᵀ U: row i holds what the removal of feature i asks of later
/// ones when those before it are settled.
static Expected<Matrix> inverseFactor(const Site &site) {
  if (site.count <= uint64_t(site.width))
    return createStringError("gate " + site.name() + " has " +
                             Twine(site.count) + " samples for a width of " +
                             Twine(site.width) + ": it takes at least " +
                             Twine(site.width + 1));
  std::vector<double> gram = site.gram(), mean = site.mean();
  Matrix h = Eigen::Map<const RowMajor>(gram.data(), site.width, site.width);
  Eigen::Map<const Eigen::VectorXd> mu(mean.data(), site.width);
  h.noalias() += double(site.count) * mu * mu.transpose();
  double diagonal = h.trace() / double(site.width);
  h.diagonal().array() += 0.01 * diagonal;
  Eigen::LLT<Matrix> factor(h);
  if (!(diagonal > 0) || factor.info() != Eigen::Success)
    return createStringError("the Gram matrix of gate " + site.name() +
                             " is singular: its values are zero");
  Matrix inverse = factor.solve(Matrix::Identity(site.width, site.width));
  Eigen::LLT<Matrix> of(inverse);
  if (of.info() != Eigen::Success)
    return createStringError("the Gram matrix of gate " + site.name() +
                             " is singular");
  return Matrix(of.matrixU());
}

Expected<CorrectedSite> twist::prune::sparsify(const Site &site,
                                               double density) {
  if (!site.isMatrix)
    return createStringError("the weight at gate " + site.name() +
                             " is no matrix: sparsegpt does not know it");
  Expected<Matrix> upper = inverseFactor(site);
  if (!upper)
    return upper.takeError();
  const Matrix &u = *upper;
  RowMajor w =
      Eigen::Map<const RowMajor>(site.weight.data(), site.width, site.columns);
  constexpr int64_t kBlock = 128;
  std::vector<std::pair<double, int64_t>> scores;
  for (int64_t first = 0; first < site.width; first += kBlock) {
    int64_t rows = std::min(kBlock, site.width - first);
    scores.clear();
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < site.columns; ++j)
        scores.emplace_back(
            std::pow(w(first + i, j) / u(first + i, first + i), 2),
            i * site.columns + j);
    auto zeros =
        int64_t(std::floor((1 - density) * double(scores.size()) + 0.5));
    llvm::sort(scores);
    std::vector<char> isZero(scores.size());
    for (int64_t k = 0; k < zeros; ++k)
      isZero[scores[k].second] = 1;
    RowMajor errors = RowMajor::Zero(rows, site.columns);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < site.columns; ++j)
        if (isZero[i * site.columns + j]) {
          errors(i, j) = w(first + i, j) / u(first + i, first + i);
          w(first + i, j) = 0;
        }
      int64_t rest = rows - i - 1;
      w.middleRows(first + i + 1, rest).noalias() -=
          u.row(first + i).segment(first + i + 1, rest).transpose() *
          errors.row(i);
    }
    int64_t left = site.width - first - rows;
    w.bottomRows(left).noalias() -=
        u.block(first, first + rows, rows, left).transpose() * errors;
  }
  CorrectedSite result;
  result.key = site.key;
  result.width = site.width;
  result.columns = site.columns;
  result.weight.assign(w.data(), w.data() + w.size());
  result.bias.assign(site.columns, 0);
  return result;
}

Expected<double>
twist::prune::sparsifyModel(const StagedModel &model, StagedRun &run,
                            double density, std::vector<CorrectedSite> &sites) {
  int64_t kept = 0, all = 0;
  for (auto [i, clean] : llvm::enumerate(model.sites)) {
    if (Error error = run.runTo(int64_t(i)))
      return std::move(error);
    Site site = clean;
    if (Error error = run.accumulate(site))
      return std::move(error);
    Expected<CorrectedSite> sparse = sparsify(site, density);
    if (!sparse)
      return sparse.takeError();
    for (double value : sparse->weight)
      kept += value != 0;
    all += int64_t(sparse->weight.size());
    run.correct(*sparse);
    sites.push_back(std::move(*sparse));
  }
  return double(kept) / double(std::max<int64_t>(all, 1));
}

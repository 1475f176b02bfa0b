//===- Scores.cpp - Which units a model needs most ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Scores.h"

#include "llvm/ADT/STLExtras.h"

#include <Eigen/Cholesky>
#include <cmath>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

using Matrix = Eigen::MatrixXd;
using RowMajor =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {
/// A site and the axis's place in it.
struct Use {
  const Site *site;
  const SiteAxis *axis;
};
} // namespace

static Expected<std::vector<Use>> usesOf(const Calibration &calibration,
                                         StringRef name) {
  std::vector<Use> uses;
  for (const Site &site : calibration.sites)
    for (const SiteAxis &axis : site.axes)
      if (axis.name == name)
        uses.push_back({&site, &axis});
  if (uses.empty())
    return createStringError("the calibration knows no axis '" + name +
                             "': calibrate with --axes that name its kind");
  return uses;
}

Expected<std::vector<double>>
twist::prune::fluctuations(const Calibration &calibration, StringRef name) {
  auto uses = usesOf(calibration, name);
  if (!uses)
    return uses.takeError();
  std::vector<double> scores(uses->front().axis->units);
  for (const Use &use : *uses) {
    const Site &site = *use.site;
    for (int64_t unit = 0; unit < use.axis->units; ++unit)
      for (int64_t feature : use.axis->features(unit)) {
        const double *row = site.weight.data() + feature * site.columns;
        double norm = 0;
        for (int64_t i = 0; i < site.columns; ++i)
          norm += row[i] * row[i];
        scores[unit] += site.variance(feature) * norm;
      }
  }
  return scores;
}

//===----------------------------------------------------------------------===//
// The order of removal
//===----------------------------------------------------------------------===//

namespace {
/// One site while groups are removed: H⁻¹ and W Wᵀ of what is left.
class Elimination {
public:
  static Expected<Elimination> create(const Use &use, int64_t group);
  /// What the removal of group `g` costs.
  double cost(int64_t g) const;
  void remove(int64_t g);
  /// tr(Wᵀ H W)
  double whole = 0;

private:
  Matrix inverseOf(ArrayRef<int64_t> features) const;
  void compact();

  /// Rows of each group's features; none of those that are gone.
  std::vector<std::vector<int64_t>> groups;
  std::vector<int64_t> others; ///< rows of no unit of the axis
  Matrix inverse, squares;
  int64_t left = 0; ///< rows of groups that are not gone
};
} // namespace

Expected<Elimination> Elimination::create(const Use &use, int64_t group) {
  const Site &site = *use.site;
  if (!site.isMatrix)
    return createStringError("the weight at gate " + site.name() +
                             " is no matrix: obs does not know it");
  if (site.count <= uint64_t(site.width))
    return createStringError("gate " + site.name() + " has " +
                             Twine(site.count) + " samples for a width of " +
                             Twine(site.width) + ": it takes at least " +
                             Twine(site.width + 1));
  Elimination result;
  for (int64_t first = 0; first < use.axis->units; first += group) {
    std::vector<int64_t> features;
    for (int64_t unit = first; unit < first + group; ++unit)
      llvm::append_range(features, use.axis->features(unit));
    result.groups.push_back(std::move(features));
  }
  std::vector<double> gram = site.gram();
  result.left = site.width;
  std::vector<char> isUnits(site.width);
  for (const std::vector<int64_t> &features : result.groups)
    for (int64_t feature : features)
      isUnits[feature] = true;
  for (int64_t i = 0; i < site.width; ++i)
    if (!isUnits[i])
      result.others.push_back(i);
  Matrix h = Eigen::Map<const RowMajor>(gram.data(), site.width, site.width);
  // Constants leave only what rounding makes of them.
  std::vector<double> mean = site.mean();
  double squares = 0;
  for (double value : mean)
    squares += value * value * double(site.count);
  bool varies = h.trace() > 1e-24 * squares;
  h.diagonal().array() += 1e-3 * h.trace() / double(site.width);
  Eigen::LLT<Matrix> factor(h);
  if (!varies || factor.info() != Eigen::Success)
    return createStringError("the Gram matrix of gate " + site.name() +
                             " is singular: its values do not vary");
  result.inverse = factor.solve(Matrix::Identity(site.width, site.width));
  Eigen::Map<const RowMajor> weight(site.weight.data(), site.width,
                                    site.columns);
  result.squares = weight * weight.transpose();
  result.whole = result.squares.cwiseProduct(h).sum();
  return result;
}

/// [(H⁻¹)_gg]⁻¹
Matrix Elimination::inverseOf(ArrayRef<int64_t> features) const {
  int64_t size = int64_t(features.size());
  Matrix block(size, size);
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j < size; ++j)
      block(i, j) = inverse(features[i], features[j]);
  return block.llt().solve(Matrix::Identity(size, size));
}

double Elimination::cost(int64_t g) const {
  const std::vector<int64_t> &features = groups[g];
  if (features.size() == 1)
    return squares(features[0], features[0]) /
           inverse(features[0], features[0]);
  Matrix block = inverseOf(features);
  double trace = 0;
  for (auto [i, a] : llvm::enumerate(features))
    for (auto [j, b] : llvm::enumerate(features))
      trace += block(i, j) * squares(a, b);
  return trace;
}

/// With B = (H⁻¹)_:g [(H⁻¹)_gg]⁻¹: W ← W - B W_g, H⁻¹ ← H⁻¹ - B (H⁻¹)_g:, in
/// squares W Wᵀ on both sides.
void Elimination::remove(int64_t g) {
  const std::vector<int64_t> features = groups[g];
  int64_t size = int64_t(features.size()), width = inverse.rows();
  Matrix columns(width, size), products(width, size), block(size, size);
  for (int64_t i = 0; i < size; ++i) {
    columns.col(i) = inverse.col(features[i]);
    products.col(i) = squares.col(features[i]);
    for (int64_t j = 0; j < size; ++j)
      block(i, j) = squares(features[i], features[j]);
  }
  Matrix b = columns * inverseOf(features);
  inverse.noalias() -= b * columns.transpose();
  Matrix half = b * block / 2 - products; // symmetric: b halfᵀ + half bᵀ
  squares.noalias() += b * half.transpose();
  squares.noalias() += half * b.transpose();
  groups[g].clear();
  left -= size;
  if (left < inverse.rows() * 4 / 5)
    compact();
}

/// Drops the rows and columns of what is gone, which are zero.
void Elimination::compact() {
  std::vector<char> isLeft(inverse.rows());
  groups.push_back(std::move(others));
  for (const std::vector<int64_t> &group : groups)
    for (int64_t row : group)
      isLeft[row] = true;
  std::vector<int64_t> rows, place(inverse.rows());
  for (int64_t row = 0; row < inverse.rows(); ++row)
    if (isLeft[row]) {
      place[row] = int64_t(rows.size());
      rows.push_back(row);
    }
  inverse = Matrix(inverse(rows, rows));
  squares = Matrix(squares(rows, rows));
  for (std::vector<int64_t> &group : groups)
    for (int64_t &row : group)
      row = place[row];
  others = std::move(groups.back());
  groups.pop_back();
}

Expected<Removal> twist::prune::removalOrder(const Calibration &calibration,
                                             StringRef name, int64_t group) {
  auto uses = usesOf(calibration, name);
  if (!uses)
    return uses.takeError();
  std::vector<Elimination> sites;
  double whole = 0, lost = 0;
  for (const Use &use : *uses) {
    auto site = Elimination::create(use, group);
    if (!site)
      return site.takeError();
    whole += site->whole;
    sites.push_back(std::move(*site));
  }
  int64_t units = uses->front().axis->units, count = units / group;
  Removal result{std::vector<double>(units), std::vector<double>(count + 1)};
  std::vector<bool> gone(count);
  for (int64_t step = 0; step < count; ++step) {
    int64_t best = -1;
    double least = 0;
    for (int64_t g = 0; g < count; ++g) {
      if (gone[g])
        continue;
      double cost = 0;
      for (const Elimination &site : sites)
        cost += site.cost(g);
      if (!std::isfinite(cost))
        return createStringError("obs: the costs of axis '" + name +
                                 "' are not finite");
      if (best < 0 || cost < least) {
        best = g;
        least = cost;
      }
    }
    gone[best] = true;
    lost += least;
    result.losses[count - step - 1] = whole > 0 ? lost / whole : 0;
    std::fill_n(result.scores.begin() + best * group, group, double(step));
    if (step + 1 < count)
      for (Elimination &site : sites)
        site.remove(best);
  }
  return result;
}

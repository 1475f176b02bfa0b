//===- Scores.cpp - Which units a model needs most ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Scores.h"

#include "Dense.h"

#include "llvm/ADT/STLExtras.h"

#include <Eigen/Cholesky>
#include <cmath>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

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

/// Per unit the sum over its features of the square of the weight's row, times
/// what `factor` says of the feature.
static Expected<std::vector<double>>
weightedNorms(const Calibration &calibration, StringRef name,
              function_ref<double(const Site &, int64_t)> factor) {
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
        scores[unit] += factor(site, feature) * norm;
      }
  }
  return scores;
}

Expected<std::vector<double>>
twist::prune::fluctuations(const Calibration &calibration, StringRef name) {
  return weightedNorms(calibration, name, [](const Site &site, int64_t i) {
    return site.variance(i);
  });
}

Expected<std::vector<double>>
twist::prune::rowNorms(const Calibration &calibration, StringRef name) {
  return weightedNorms(calibration, name,
                       [](const Site &, int64_t) { return 1.0; });
}

//===----------------------------------------------------------------------===//
// The order of removal
//===----------------------------------------------------------------------===//

namespace {
/// One site while groups are removed: H⁻¹ and W Wᵀ of what is left. Removals
/// are gathered and applied together; what costs are told from is up to date.
class Elimination {
public:
  static Expected<Elimination> create(const Use &use, int64_t group);
  /// What the removal of group `g` costs.
  double cost(int64_t g) const;
  void remove(int64_t g);
  /// tr(Wᵀ H W)
  double whole = 0;

private:
  static constexpr int64_t kPending = 64;

  void flush();
  void compact();

  /// Rows of each group's features; none of those that are gone.
  std::vector<std::vector<int64_t>> groups;
  std::vector<int64_t> others; ///< rows of no unit of the axis
  /// Up to what is pending: H⁻¹ - Bᵀ C, W Wᵀ + Bᵀ D + Dᵀ B.
  RowMajor inverse, squares, b, c, d;
  int64_t pending = 0; ///< rows of b, c, d
  /// Per group (H⁻¹)_gg and (W Wᵀ)_gg.
  std::vector<RowMajor> inverses, products;
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
  RowMajor h = Eigen::Map<const RowMajor>(gram.data(), site.width, site.width);
  // Constants leave only what rounding makes of them.
  std::vector<double> mean = site.mean();
  double squares = 0;
  for (double value : mean)
    squares += value * value * double(site.count);
  bool varies = h.trace() > 1e-24 * squares;
  h.diagonal().array() += 1e-3 * h.trace() / double(site.width);
  RowMajor turned =
      Eigen::Map<const RowMajor>(site.weight.data(), site.width, site.columns)
          .transpose();
  result.squares = timesTransposed(turned, turned);
  result.whole = result.squares.cwiseProduct(h).sum();
  if (!varies || !invertPositive(h))
    return createStringError("the Gram matrix of gate " + site.name() +
                             " is singular: its values do not vary");
  result.inverse = std::move(h);
  int64_t most = kPending;
  for (const std::vector<int64_t> &features : result.groups) {
    result.inverses.push_back(result.inverse(features, features));
    result.products.push_back(result.squares(features, features));
    most = std::max(most, int64_t(features.size()));
  }
  for (RowMajor *rows : {&result.b, &result.c, &result.d})
    rows->resize(most, site.width);
  return result;
}

/// tr([(H⁻¹)_gg]⁻¹ (W Wᵀ)_gg)
double Elimination::cost(int64_t g) const {
  if (groups[g].size() == 1)
    return products[g](0, 0) / inverses[g](0, 0);
  return inverses[g].llt().solve(products[g]).trace();
}

/// With B = (H⁻¹)_:g [(H⁻¹)_gg]⁻¹: W ← W - B W_g, H⁻¹ ← H⁻¹ - B (H⁻¹)_g:, in
/// squares W Wᵀ on both sides.
void Elimination::remove(int64_t g) {
  const std::vector<int64_t> features = groups[g];
  auto size = int64_t(features.size());
  if (pending + size > b.rows())
    flush();
  auto before = [&](const RowMajor &rows) { return rows.topRows(pending); };
  RowMajor columns = inverse(features, Eigen::all);
  columns.noalias() -= before(c)(Eigen::all, features).transpose() * before(b);
  RowMajor halves = squares(features, Eigen::all);
  halves.noalias() += before(d)(Eigen::all, features).transpose() * before(b);
  halves.noalias() += before(b)(Eigen::all, features).transpose() * before(d);
  RowMajor rows = inverses[g].llt().solve(columns);
  halves = products[g] * rows / 2 - halves; // symmetric: Bᵀ D + Dᵀ B
  b.middleRows(pending, size) = rows;
  c.middleRows(pending, size) = columns;
  d.middleRows(pending, size) = halves;
  pending += size;
  groups[g].clear();
  for (auto [other, places] : llvm::enumerate(groups)) {
    if (places.empty())
      continue;
    if (places.size() == 1 && size == 1) { // the usual, without matrices
      int64_t at = places[0];
      inverses[other](0, 0) -= rows(0, at) * columns(0, at);
      products[other](0, 0) += 2 * rows(0, at) * halves(0, at);
      continue;
    }
    RowMajor r = rows(Eigen::all, places), h = halves(Eigen::all, places);
    inverses[other] -= r.transpose() * columns(Eigen::all, places);
    products[other] += r.transpose() * h + h.transpose() * r;
  }
  left -= size;
  if (left < inverse.rows() * 4 / 5)
    compact();
}

void Elimination::flush() {
  auto rows = [&](const RowMajor &of) { return of.topRows(pending); };
  addTransposed(rows(b), rows(c), -1, inverse);
  addTransposed(rows(b), rows(d), 1, squares);
  addTransposed(rows(d), rows(b), 1, squares);
  pending = 0;
}

/// Drops the rows and columns of what is gone, which are zero.
void Elimination::compact() {
  flush();
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
  inverse = RowMajor(inverse(rows, rows));
  squares = RowMajor(squares(rows, rows));
  for (RowMajor *buffer : {&b, &c, &d})
    buffer->resize(buffer->rows(), int64_t(rows.size()));
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

//===- Calibration.cpp - What flows through gates, as numbers -------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Calibration.h"

#include "Gram.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

//===----------------------------------------------------------------------===//
// Sites
//===----------------------------------------------------------------------===//

std::vector<int64_t> SiteAxis::features(int64_t unit) const {
  std::vector<int64_t> result;
  for (const SitePlace &place : places)
    for (int64_t o = 0; o < place.outer; ++o)
      for (int64_t i = 0; i < place.inner; ++i)
        result.push_back(place.offset + (o * place.units + unit) * place.inner +
                         i);
  llvm::sort(result);
  return result;
}

std::string Site::name() const {
  std::string text;
  for (const SiteAxis &axis : axes)
    text += (text.empty() ? "'" : ", '") + axis.name + "'";
  return text + (node.empty() ? "" : " at node '" + node + "'");
}

std::vector<double> Site::mean() const {
  std::vector<double> result(shift);
  for (int64_t i = 0; i < width; ++i)
    result[i] += sum[i] / mass();
  return result;
}

double Site::variance(int64_t i) const {
  double square = products[size_t(i) * (i + 1) / 2 + i];
  return std::max(0.0, (square - sum[i] * sum[i] / mass()) / mass());
}

std::vector<double> Site::gram() const {
  if (products.empty())
    return {};
  std::vector<double> result(size_t(width) * width);
  const double *product = products.data();
  for (int64_t i = 0; i < width; ++i)
    for (int64_t j = 0; j <= i; ++j)
      result[i * width + j] = result[j * width + i] =
          *product++ - sum[i] * sum[j] / mass();
  return result;
}

uint64_t Calibration::bytes() const {
  uint64_t doubles = 0;
  for (const Site &site : sites)
    doubles += uint64_t(site.width) * (site.width + 1) / 2 + 2 * site.width +
               site.width * site.columns;
  return doubles * sizeof(double);
}

//===----------------------------------------------------------------------===//
// Accumulation
//===----------------------------------------------------------------------===//

template <typename T>
static void means(const T *x, int64_t rows, int64_t width,
                  std::vector<double> &result) {
  result.assign(width, 0);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < width; ++i)
      result[i] += double(x[r * width + i]);
  for (double &value : result)
    value /= double(rows);
}

/// One panel of differences from the shift, each row times its root (none: 1),
/// and the sums of their squares' weights; false if a value is not finite.
template <typename T>
static bool fillPanel(const T *x, const double *roots, int64_t rows,
                      int64_t first, Site &site, double *panel) {
  int64_t used = std::min(kPanel, site.width - first);
  double check = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const T *row = x + r * site.width + first;
    double root = roots ? roots[r] : 1;
    for (int64_t i = 0; i < kPanel; ++i)
      panel[r * kPanel + i] =
          i < used ? root * (double(row[i]) - site.shift[first + i]) : 0;
    for (int64_t i = 0; i < used; ++i) {
      site.sum[first + i] += root * panel[r * kPanel + i];
      check += panel[r * kPanel + i] * 0;
    }
  }
  return check == 0;
}

/// |xW|² of each row.
template <typename T>
static std::vector<double> squaredResults(const Site &site, const T *x,
                                          int64_t total, Runner &runner) {
  int64_t width = site.width, columns = site.columns;
  int64_t panelCount = (columns + kPanel - 1) / kPanel;
  std::vector<double> weight(panelCount * width * kPanel);
  for (int64_t i = 0; i < width; ++i)
    for (int64_t c = 0; c < columns; ++c)
      weight[(c / kPanel * width + i) * kPanel + c % kPanel] =
          site.weight[i * columns + c];
  std::vector<double> squares(total);
  runner.parallel((total + kPanel - 1) / kPanel, [&](int64_t block) {
    int64_t first = block * kPanel, rows = std::min(kPanel, total - first);
    std::vector<double> turned(width * kPanel), tile(kPanel * kPanel);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < width; ++i)
        turned[i * kPanel + r] = double(x[(first + r) * width + i]);
    for (int64_t p = 0; p < panelCount; ++p) {
      llvm::fill(tile, 0.0);
      addProducts(turned.data(), weight.data() + p * width * kPanel, width,
                  tile.data());
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < kPanel; ++c)
          squares[first + r] += tile[r * kPanel + c] * tile[r * kPanel + c];
    }
  });
  return squares;
}

/// The square root of each row's weight.
template <typename T>
static std::vector<double> relativeRoots(Site &site, const T *x, int64_t total,
                                         Runner &runner) {
  std::vector<double> roots = squaredResults(site, x, total, runner);
  if (site.count == 0) { // of a median, what stands out tells nothing
    std::vector<double> sorted = roots;
    auto middle = sorted.begin() + total / 2;
    std::nth_element(sorted.begin(), middle, sorted.end());
    site.floor = *middle > 0 ? *middle : 1;
  }
  for (double &value : roots) {
    value = 1 / (value + site.floor);
    site.weighted += value;
    value = std::sqrt(value);
  }
  return roots;
}

/// Adds one tile of the lower triangle.
static void addTile(Site &site, int64_t rows, const std::vector<double> &panels,
                    int64_t row, int64_t column) {
  std::vector<double> tile(kPanel * kPanel);
  int64_t stride = rows * kPanel;
  addProducts(panels.data() + row * stride, panels.data() + column * stride,
              rows, tile.data());
  for (int64_t i = 0; i < kPanel; ++i) {
    int64_t feature = row * kPanel + i;
    if (feature >= site.width)
      return;
    double *to = site.products.data() + size_t(feature) * (feature + 1) / 2 +
                 column * kPanel;
    int64_t end = std::min(kPanel, feature + 1 - column * kPanel);
    for (int64_t j = 0; j < end; ++j)
      to[j] += tile[i * kPanel + j];
  }
}

template <typename T>
static bool add(Site &site, const Array &values, Runner &runner, Moments what) {
  auto *x = reinterpret_cast<const T *>(values.data.data());
  int64_t width = site.width, total = values.size() / width;
  bool withProducts = what != Moments::Mean;
  std::vector<double> roots;
  if (what == Moments::Relative)
    roots = relativeRoots(site, x, total, runner);
  if (site.count == 0) {
    means(x, total, width, site.shift);
    site.sum.assign(width, 0);
    if (withProducts)
      site.products.assign(size_t(width) * (width + 1) / 2, 0);
  }
  int64_t panelCount = (width + kPanel - 1) / kPanel;
  constexpr int64_t kRows = 512; // a panel of them fits the cache
  std::vector<double> panels(panelCount * kPanel * std::min(kRows, total));
  for (int64_t first = 0; first < total; first += kRows) {
    int64_t rows = std::min(kRows, total - first);
    std::vector<char> isFinite(panelCount);
    runner.parallel(panelCount, [&](int64_t p) {
      isFinite[p] = fillPanel(
          x + first * width, roots.empty() ? nullptr : roots.data() + first,
          rows, p * kPanel, site, panels.data() + p * kPanel * rows);
    });
    if (llvm::is_contained(isFinite, 0))
      return false;
    if (!withProducts)
      continue;
    runner.parallel(panelCount * (panelCount + 1) / 2, [&](int64_t tile) {
      int64_t row = 0;
      while ((row + 1) * (row + 2) / 2 <= tile)
        ++row;
      addTile(site, rows, panels, row, tile - row * (row + 1) / 2);
    });
  }
  site.count += total;
  return true;
}

Error twist::prune::accumulate(Site &site, const Array &array, Runner &runner,
                               int64_t batch, Moments what) {
  if (array.dims.empty() || array.dims.back() != site.width ||
      array.size() == 0)
    return createStringError("gate " + site.name() + " does not give rows of " +
                             Twine(site.width) + " values");
  if (array.type != TWIST_F64 && array.type != TWIST_F32)
    return createStringError("gate " + site.name() + " is not f32 or f64 but " +
                             twist_type_name(array.type));
  bool isFinite = array.type == TWIST_F64
                      ? add<double>(site, array, runner, what)
                      : add<float>(site, array, runner, what);
  if (!isFinite)
    return createStringError("gate " + site.name() +
                             " gets a value that is not finite, in batch " +
                             Twine(batch));
  return Error::success();
}

Error twist::prune::accumulate(Calibration &calibration, ArrayRef<Array> values,
                               Runner &runner) {
  if (values.size() != calibration.sites.size())
    return createStringError("the program has " + Twine(values.size()) +
                             " gates, the calibration " +
                             Twine(calibration.sites.size()));
  for (auto [site, array] : llvm::zip_equal(calibration.sites, values))
    if (Error error = accumulate(site, array, runner, calibration.done))
      return error;
  return Error::success();
}

Error twist::prune::calibrate(Calibration &calibration, Runner &runner,
                              const Feed &feed,
                              function_ref<Error(bool atEnd)> save) {
  while (!calibration.isComplete()) {
    Expected<Batch> batch = feed.batch(calibration.done);
    if (!batch)
      return batch.takeError();
    auto values = runner.run(batch->inputs);
    if (!values)
      return values.takeError();
    if (Error error = accumulate(calibration, *values, runner))
      return error;
    ++calibration.done;
    if (Error error = save(calibration.isComplete()))
      return error;
  }
  return Error::success();
}

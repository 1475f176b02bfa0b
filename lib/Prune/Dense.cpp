//===- Dense.cpp - Products and inverses of dense matrices ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Dense.h"

#include "Gram.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cstring>
#include <vector>

using namespace twist::prune;

/// Rows that are summed before they are added: their panels fit the cache.
static constexpr int64_t kRows = 512;

/// Rows of `from` as panels of kPanel columns, zeros behind the last.
static std::vector<double> pack(const ConstView &from, int64_t first,
                                int64_t rows) {
  int64_t panels = (from.cols() + kPanel - 1) / kPanel;
  std::vector<double> packed(size_t(panels * rows * kPanel));
  for (int64_t p = 0; p < panels; ++p) {
    int64_t used = std::min(kPanel, from.cols() - p * kPanel);
    for (int64_t r = 0; r < rows; ++r)
      std::memcpy(packed.data() + (p * rows + r) * kPanel,
                  from.data() + (first + r) * from.outerStride() + p * kPanel,
                  size_t(used) * sizeof(double));
  }
  return packed;
}

void twist::prune::addTransposed(ConstView a, ConstView b, double factor,
                                 View to) {
  std::vector<double> tile(kPanel * kPanel);
  for (int64_t first = 0; first < a.rows(); first += kRows) {
    int64_t rows = std::min<int64_t>(kRows, a.rows() - first);
    std::vector<double> left = pack(a, first, rows),
                        right = pack(b, first, rows);
    for (int64_t i = 0; i < a.cols(); i += kPanel)
      for (int64_t j = 0; j < b.cols(); j += kPanel) {
        std::fill(tile.begin(), tile.end(), 0.0);
        addProducts(left.data() + i * rows, right.data() + j * rows, rows,
                    tile.data());
        int64_t height = std::min<int64_t>(kPanel, a.cols() - i);
        int64_t width = std::min<int64_t>(kPanel, b.cols() - j);
        for (int64_t r = 0; r < height; ++r)
          for (int64_t c = 0; c < width; ++c)
            to(i + r, j + c) += factor * tile[r * kPanel + c];
      }
  }
}

RowMajor twist::prune::timesTransposed(ConstView a, ConstView b) {
  RowMajor result = RowMajor::Zero(a.cols(), b.cols());
  addTransposed(a, b, 1, result);
  return result;
}

/// By blocks: with T = A⁻¹B and the Schur complement S = D - Bᵀ T,
///
///   [A  B]⁻¹   [A⁻¹ + T S⁻¹ Tᵀ   -T S⁻¹]
///   [Bᵀ D]   = [-(T S⁻¹)ᵀ           S⁻¹]
bool twist::prune::invertPositive(View m) {
  int64_t n = m.rows();
  if (n <= kPanel) {
    Eigen::LLT<RowMajor> factor(m);
    if (factor.info() != Eigen::Success)
      return false;
    m = factor.solve(RowMajor::Identity(n, n));
    return true;
  }
  int64_t half = (n / 2 + kPanel - 1) / kPanel * kPanel, rest = n - half;
  if (rest == 0) {
    half -= kPanel;
    rest = kPanel;
  }
  View a = m.topLeftCorner(half, half), s = m.bottomRightCorner(rest, rest);
  RowMajor b = m.topRightCorner(half, rest);
  if (!invertPositive(a))
    return false;
  RowMajor t = timesTransposed(a, b);
  addTransposed(b, t, -1, s);
  if (!invertPositive(s))
    return false;
  RowMajor turned = t.transpose();
  RowMajor u = timesTransposed(turned, s); // T S⁻¹
  m.topRightCorner(half, rest) = -u;
  m.bottomLeftCorner(rest, half) = -u.transpose();
  RowMajor uTurned = u.transpose();
  addTransposed(uTurned, turned, 1, a);
  return true;
}

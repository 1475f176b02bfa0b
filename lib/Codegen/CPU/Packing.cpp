//===- Packing.cpp - The bytes of packed weights
//----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Packing.h"

#include "mlir/Dialect/Utils/IndexingUtils.h"

using namespace mlir;
using namespace twist;

namespace {
/// One matrix: n columns and k rows at these element strides.
struct Matrix {
  int64_t columns, depth, columnStride, depthStride;
};
} // namespace

template <typename T>
static void packMatrix(const Matrix &matrix, int64_t panel, const T *source,
                       T *packed) {
  // Steps of k at a time, so that columns stored as rows are read in runs.
  constexpr int64_t run = 32;
  for (int64_t n = 0; n < matrix.columns; n += panel) {
    int64_t width = std::min(panel, matrix.columns - n);
    for (int64_t k = 0; k < matrix.depth; k += run) {
      int64_t steps = std::min(run, matrix.depth - k);
      const T *from = source + n * matrix.columnStride + k * matrix.depthStride;
      if (matrix.columnStride == 1) {
        for (int64_t s = 0; s < steps; ++s)
          std::copy_n(from + s * matrix.depthStride, width, packed + s * panel);
      } else {
        for (int64_t j = 0; j < width; ++j)
          for (int64_t s = 0; s < steps; ++s)
            packed[s * panel + j] =
                from[j * matrix.columnStride + s * matrix.depthStride];
      }
      for (int64_t s = 0; s < steps; ++s)
        std::fill_n(packed + s * panel + width, panel - width, T(0));
      packed += steps * panel;
    }
  }
}

/// Pairs along k: what lies in rows 2i and 2i + 1 of `rows`, `depth` of them,
/// is interleaved; zeros after an odd last row.
template <typename T>
static void pairRows(int64_t panel, int64_t depth, const T *rows, T *pairs) {
  for (int64_t k = 0; k < depth; k += 2)
    for (int64_t j = 0; j < panel; ++j) {
      *pairs++ = rows[k * panel + j];
      *pairs++ = k + 1 < depth ? rows[(k + 1) * panel + j] : T(0);
    }
}

/// As packMatrix, with `group` steps of k next to each other.
template <typename T>
static void packGroups(const Matrix &matrix, int64_t panel, int64_t group,
                       const T *source, T *packed) {
  if (group == 1)
    return packMatrix(matrix, panel, source, packed);
  std::vector<T> rows(matrix.depth * panel);
  for (int64_t n = 0; n < matrix.columns; n += panel) {
    Matrix one = matrix;
    one.columns = std::min(panel, matrix.columns - n);
    packMatrix(one, panel, source + n * matrix.columnStride, rows.data());
    pairRows(panel, matrix.depth, rows.data(), packed);
    packed += llvm::alignTo(matrix.depth, 2) * panel;
  }
}

void cpu::packPanels(PackingAttr packing, ArrayRef<int64_t> shape,
                     unsigned elementBytes, const void *source, void *packed) {
  SmallVector<int64_t> strides = computeStrides(shape);
  AffineMap map = packing.getMap();
  int64_t column = packing.getColumnDim(), k = packing.getKDim();
  Matrix matrix{shape[column], shape[k], strides[column], strides[k]};

  SmallVector<int64_t> batchShape, batchStrides;
  for (unsigned d = 0, e = map.getNumDims() - 2; d < e; ++d) {
    unsigned dim =
        *map.getResultPosition(getAffineDimExpr(d, map.getContext()));
    batchShape.push_back(shape[dim]);
    batchStrides.push_back(strides[dim]);
  }
  int64_t packedMatrix = llvm::divideCeil(matrix.columns, packing.getPanel()) *
                         llvm::alignTo(matrix.depth, packing.getGroup()) *
                         packing.getPanel();
  SmallVector<int64_t> linear = computeStrides(batchShape);
  for (int64_t b = 0, e = computeProduct(batchShape); b < e; ++b) {
    SmallVector<int64_t> index = delinearize(b, linear);
    int64_t from = linearize(index, batchStrides);
    auto run = [&](auto zero) {
      using T = decltype(zero);
      packGroups<T>(matrix, packing.getPanel(), packing.getGroup(),
                    static_cast<const T *>(source) + from,
                    static_cast<T *>(packed) + b * packedMatrix);
    };
    switch (elementBytes) {
    case 1:
      run(uint8_t(0));
      break;
    case 2:
      run(uint16_t(0));
      break;
    case 4:
      run(uint32_t(0));
      break;
    default:
      run(uint64_t(0));
      break;
    }
  }
}

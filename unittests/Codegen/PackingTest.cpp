//===- PackingTest.cpp - The bytes of packed weights ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Packing.h"

#include "gtest/gtest.h"

#include <numeric>

using namespace mlir;
using namespace twist::cpu;

namespace {
class PackingTest : public ::testing::Test {
protected:
  PackingTest() { context.loadDialect<CPUDialect>(); }

  /// Dimension i of the source is loop `order[i]` of (batch…, column, k).
  PackingAttr packing(ArrayRef<unsigned> order, int64_t panel,
                      int64_t group = 1) {
    return PackingAttr::get(
        &context, AffineMap::getPermutationMap(order, &context), panel, group);
  }

  MLIRContext context;
};
} // namespace

TEST_F(PackingTest, RowsOfKArePaddedWithZeros) {
  // 2 × 3, k × columns, in panels of 2.
  std::vector<float> source = {1, 2, 3, 4, 5, 6}, packed(8, -1);
  PackingAttr attr = packing({1, 0}, 2);
  EXPECT_EQ(attr.getPackedShape({2, 3}), (SmallVector<int64_t>{2, 2, 2}));
  packPanels(attr, {2, 3}, 4, source.data(), packed.data());
  EXPECT_EQ(packed, (std::vector<float>{1, 2, 4, 5, 3, 0, 6, 0}));
}

TEST_F(PackingTest, ColumnsStoredAsRowsGiveTheSameBytes) {
  const int64_t columns = 53, depth = 71;
  std::vector<double> plain(columns * depth), turned(columns * depth);
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t n = 0; n < columns; ++n)
      plain[k * columns + n] = turned[n * depth + k] = k * 1000 + n;
  std::vector<double> x(4 * depth * 16, -1), y(4 * depth * 16, -2);
  packPanels(packing({1, 0}, 16), {depth, columns}, 8, plain.data(), x.data());
  packPanels(packing({0, 1}, 16), {columns, depth}, 8, turned.data(), y.data());
  EXPECT_EQ(x, y);
  EXPECT_EQ(x[(2 * depth + 5) * 16 + 3], 5 * 1000 + 2 * 16 + 3);
  EXPECT_EQ(x[3 * depth * 16 + 6], 0);
}

TEST_F(PackingTest, BatchesFollowEachOther) {
  // k × batch × columns = 2 × 2 × 1, of two bytes each.
  std::vector<uint16_t> source = {1, 2, 3, 4}, packed(4, 99);
  PackingAttr attr = packing({2, 0, 1}, 1);
  EXPECT_EQ(attr.getPackedShape({2, 2, 1}), (SmallVector<int64_t>{2, 1, 2, 1}));
  packPanels(attr, {2, 2, 1}, 2, source.data(), packed.data());
  EXPECT_EQ(packed, (std::vector<uint16_t>{1, 3, 2, 4}));
}

TEST_F(PackingTest, PairsOfKLieTogether) {
  // 3 × 3, k × columns, in panels of 2: the third k is beside zeros.
  std::vector<uint16_t> source = {1, 2, 3, 4, 5, 6, 7, 8, 9}, packed(16, 99);
  PackingAttr attr = packing({1, 0}, 2, 2);
  EXPECT_EQ(attr.getPackedShape({3, 3}), (SmallVector<int64_t>{2, 2, 4}));
  packPanels(attr, {3, 3}, 2, source.data(), packed.data());
  EXPECT_EQ(packed, (std::vector<uint16_t>{1, 4, 2, 5, 7, 0, 8, 0, //
                                           3, 6, 0, 0, 9, 0, 0, 0}));
}

TEST_F(PackingTest, OpenSizesStayOpen) {
  int64_t open = ShapedType::kDynamic;
  EXPECT_EQ(packing({1, 0}, 48).getPackedShape({open, open}),
            (SmallVector<int64_t>{open, open, 48}));
}

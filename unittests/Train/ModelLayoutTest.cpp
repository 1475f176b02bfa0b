//===- ModelLayoutTest.cpp - Slices of parameters -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/ModelLayout.h"

#include "gtest/gtest.h"

#include <numeric>

using namespace twist::train;

/// A packed [q|k|v] weight of 3 heads of width 2 by 4 inputs: heads run through
/// dimension 0 at three places, and an axis of 2 units lies inside dimension 1.
static Parameter packed() {
  Parameter p;
  p.dims = {18, 4};
  p.places.resize(2);
  for (int64_t part = 0; part < 3; ++part)
    p.places[0].push_back({0, {part * 6, 1, 3, 2}});
  p.places[1].push_back({1, {0, 2, 2, 1}});
  return p;
}

TEST(ModelLayout, KeepsIndicesAtEachPlace) {
  Masks masks{{0, 2}, {1}};
  EXPECT_EQ(keptIndices(packed(), 0, masks),
            (std::vector<int64_t>{0, 1, 4, 5, 6, 7, 10, 11, 12, 13, 16, 17}));
  EXPECT_EQ(keptIndices(packed(), 1, masks), (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(slicedDims(packed(), masks), (std::vector<int64_t>{12, 2}));
}

TEST(ModelLayout, NestedPlacesBothDecide) {
  Parameter p;
  p.dims = {8};
  // Two groups of two heads of width two.
  p.places = {{{0, {0, 1, 2, 4}}, {1, {0, 2, 2, 2}}}};
  EXPECT_EQ(keptIndices(p, 0, {{1}, {0}}), (std::vector<int64_t>{4, 5}));
}

TEST(ModelLayout, GathersAndScatters) {
  Parameter p = packed();
  Masks masks{{1}, {0, 1}};
  std::vector<std::vector<int64_t>> kept{keptIndices(p, 0, masks),
                                         keptIndices(p, 1, masks)};
  std::vector<float> dense(p.size());
  std::iota(dense.begin(), dense.end(), 0.f);
  std::vector<float> slice(6 * 4);
  gatherSlice(p.dims, kept, 4, dense.data(), slice.data());
  for (int64_t row = 0; row < 6; ++row)
    for (int64_t column = 0; column < 4; ++column)
      EXPECT_EQ(slice[row * 4 + column], kept[0][row] * 4 + column);

  std::vector<float> back(p.size(), -1.f);
  scatterSlice(p.dims, kept, 4, slice.data(), back.data());
  for (int64_t i = 0; i < p.size(); ++i)
    EXPECT_EQ(back[i], i / 8 % 3 == 1 ? float(i) : -1.f) << i;
}

TEST(ModelLayout, SlicesOfInnerDimensionsAndScalars) {
  std::vector<double> dense(2 * 3 * 2), slice(2 * 2 * 2);
  std::iota(dense.begin(), dense.end(), 0.);
  gatherSlice({2, 3, 2}, {{0, 1}, {0, 2}, {0, 1}}, 8, dense.data(),
              slice.data());
  EXPECT_EQ(slice, (std::vector<double>{0, 1, 4, 5, 6, 7, 10, 11}));
  double one = 7, copy = 0;
  gatherSlice({}, {}, 8, &one, &copy);
  EXPECT_EQ(copy, 7);
}

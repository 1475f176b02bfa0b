//===- SlicesTest.cpp - Slices, ranges and means --------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Slices.h"
#include "twist/Train/ModelLayout.h"

#include "gtest/gtest.h"

#include <numeric>
#include <random>

using namespace twist::train;

namespace {
struct SlicesTest : testing::Test {
  std::mt19937 random{5};
  std::vector<int64_t> dims;
  std::vector<std::vector<int64_t>> kept;
  std::vector<float> dense;

  void draw() {
    dims.assign(random() % 4, 0);
    kept.assign(dims.size(), {});
    int64_t size = 1;
    for (auto [dim, indices] : llvm::zip_equal(dims, kept)) {
      dim = 1 + random() % 9;
      size *= dim;
      for (int64_t i = 0; i < dim; ++i)
        if (random() % 3)
          indices.push_back(i);
    }
    dense.resize(size);
    std::iota(dense.begin(), dense.end(), 0.f);
  }
  int64_t sliceSize() const {
    int64_t size = 1;
    for (const auto &indices : kept)
      size *= int64_t(indices.size());
    return size;
  }
};
} // namespace

TEST_F(SlicesTest, RangesOfSlicesAreSlicesOfRanges) {
  for (int i = 0; i < 500; ++i) {
    draw();
    SliceRuns runs(dims, kept);
    ASSERT_EQ(runs.size(), sliceSize());
    std::vector<float> whole(sliceSize()), parts(sliceSize());
    gatherSlice(dims, kept, sizeof(float), dense.data(), whole.data());
    int64_t size = int64_t(dense.size()), cut = random() % (size + 1);
    std::vector<float> back(size, -1.f);
    for (auto [begin, end] : {std::pair(int64_t(0), cut), {cut, size}}) {
      gatherRange(runs, begin, end, dense.data() + begin,
                  parts.data() + runs.position(begin));
      scatterRange(runs, begin, end, whole.data() + runs.position(begin),
                   back.data() + begin);
    }
    ASSERT_EQ(parts, whole);
    std::vector<float> expected(size, -1.f);
    scatterSlice(dims, kept, sizeof(float), whole.data(), expected.data());
    ASSERT_EQ(back, expected);
  }
}

TEST_F(SlicesTest, MeansAreSumsInOrderRoundedOnce) {
  std::uniform_real_distribution<float> value(-1, 1);
  for (int i = 0; i < 100; ++i) {
    draw();
    int64_t size = int64_t(dense.size());
    std::vector<std::vector<float>> slices;
    std::vector<SliceRuns> runs;
    std::vector<double> sum(size);
    std::vector<int> count(size);
    for (int holder = 0; holder < 3; ++holder) {
      for (auto [dim, indices] : llvm::zip_equal(dims, kept)) {
        indices.clear();
        for (int64_t j = 0; j < dim; ++j)
          if (random() % 2)
            indices.push_back(j);
      }
      runs.emplace_back(dims, kept);
      std::vector<float> &slice = slices.emplace_back(sliceSize());
      for (float &x : slice)
        x = value(random);
      std::vector<float> spread(size, NAN);
      scatterSlice(dims, kept, sizeof(float), slice.data(), spread.data());
      for (int64_t j = 0; j < size; ++j)
        if (!std::isnan(spread[j])) {
          sum[j] += double(spread[j]);
          ++count[j];
        }
    }
    std::vector<float> expected = dense, mean = dense;
    for (int64_t j = 0; j < size; ++j)
      if (count[j])
        expected[j] = float(sum[j] / count[j]);
    int64_t cut = random() % (size + 1);
    for (auto [begin, end] : {std::pair(int64_t(0), cut), {cut, size}}) {
      std::vector<const SliceRuns *> who;
      std::vector<const float *> what;
      for (auto [run, slice] : llvm::zip_equal(runs, slices)) {
        who.push_back(&run);
        what.push_back(slice.data() + run.position(begin));
      }
      meanOverHolders<float>(who, what, begin, end, mean.data() + begin);
    }
    ASSERT_EQ(mean, expected);
  }
}

/// (w + w + w) / 3 in f32 is not w for one value in six; here it is.
TEST_F(SlicesTest, MeanOfEqualsIsEqual) {
  std::vector<float> w(1000), mean(1000);
  std::uniform_real_distribution<float> value(-1, 1);
  for (float &x : w)
    x = value(random);
  std::vector<int64_t> all(1000);
  std::iota(all.begin(), all.end(), 0);
  SliceRuns runs({1000}, {all});
  for (int holders = 1; holders <= 7; ++holders) {
    std::vector<const SliceRuns *> who(holders, &runs);
    std::vector<const float *> what(holders, w.data());
    meanOverHolders<float>(who, what, 0, 1000, mean.data());
    EXPECT_EQ(mean, w);
  }
}

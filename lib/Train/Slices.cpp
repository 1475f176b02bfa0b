//===- Slices.cpp - What of a dense tensor a worker holds -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Slices.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <cstring>
#include <type_traits>

using namespace llvm;
using namespace twist::train;

SliceRuns::SliceRuns(ArrayRef<int64_t> dims,
                     ArrayRef<std::vector<int64_t>> kept) {
  // Positions of what the leading dimensions keep, times what follows.
  std::vector<int64_t> rows = {0};
  auto isWhole = [&](size_t d) { return int64_t(kept[d].size()) == dims[d]; };
  // Dimensions behind the last one that is cut are stretches of their own.
  size_t cut = dims.size();
  int64_t tail = 1;
  while (cut > 0 && isWhole(cut - 1))
    tail *= dims[--cut];
  for (size_t d = 0; d < cut; ++d) {
    std::vector<int64_t> next;
    next.reserve(rows.size() * kept[d].size());
    for (int64_t row : rows)
      for (int64_t index : kept[d])
        next.push_back(row * dims[d] + index);
    rows = std::move(next);
  }
  for (int64_t row : rows) {
    int64_t dense = row * tail;
    if (!runs.empty() && runs.back().dense + runs.back().length == dense)
      runs.back().length += tail;
    else if (tail > 0)
      runs.push_back({dense, total, tail});
    total += tail;
  }
}

size_t SliceRuns::firstBehind(int64_t dense) const {
  return llvm::partition_point(
             runs,
             [&](const Run &run) { return run.dense + run.length <= dense; }) -
         runs.begin();
}

int64_t SliceRuns::position(int64_t dense) const {
  size_t run = firstBehind(dense);
  if (run == runs.size())
    return total;
  return runs[run].slice + std::max<int64_t>(dense - runs[run].dense, 0);
}

void SliceRuns::each(int64_t begin, int64_t end,
                     function_ref<void(int64_t, int64_t, int64_t)> fn) const {
  for (size_t i = firstBehind(begin); i < runs.size(); ++i) {
    const Run &run = runs[i];
    if (run.dense >= end)
      return;
    int64_t from = std::max(begin, run.dense);
    int64_t to = std::min(end, run.dense + run.length);
    fn(from, run.slice + from - run.dense, to - from);
  }
}

template <typename T> static T rounded(double value) {
  if constexpr (std::is_integral_v<T>)
    return T(std::llrint(value));
  else
    return T(value);
}

template <typename T>
void twist::train::meanOverHolders(ArrayRef<const SliceRuns *> runs,
                                   ArrayRef<const T *> values, int64_t begin,
                                   int64_t end, T *dense) {
  // Blocks that stay in the cache.
  constexpr int64_t kBlock = 4096;
  double sum[kBlock];
  uint16_t holders[kBlock];
  for (int64_t from = begin; from < end; from += kBlock) {
    int64_t to = std::min(from + kBlock, end);
    std::fill_n(sum, to - from, 0.0);
    std::fill_n(holders, to - from, uint16_t(0));
    for (auto [run, value] : llvm::zip_equal(runs, values)) {
      const T *slice = value - run->position(begin);
      run->each(from, to, [&](int64_t at, int64_t position, int64_t length) {
        for (int64_t i = 0; i < length; ++i) {
          sum[at - from + i] += double(slice[position + i]);
          ++holders[at - from + i];
        }
      });
    }
    for (int64_t i = 0; i < to - from; ++i)
      if (holders[i])
        dense[from - begin + i] = rounded<T>(sum[i] / holders[i]);
  }
}

template <typename T>
void twist::train::gatherRange(const SliceRuns &runs, int64_t begin,
                               int64_t end, const T *dense, T *slice) {
  slice -= runs.position(begin);
  runs.each(begin, end, [&](int64_t at, int64_t position, int64_t length) {
    std::memcpy(slice + position, dense + at - begin, length * sizeof(T));
  });
}

template <typename T>
void twist::train::scatterRange(const SliceRuns &runs, int64_t begin,
                                int64_t end, const T *slice, T *dense) {
  slice -= runs.position(begin);
  runs.each(begin, end, [&](int64_t at, int64_t position, int64_t length) {
    std::memcpy(dense + at - begin, slice + position, length * sizeof(T));
  });
}

#define TWIST_FOR_TYPE(T)                                                      \
  template void twist::train::meanOverHolders<T>(ArrayRef<const SliceRuns *>,  \
                                                 ArrayRef<const T *>, int64_t, \
                                                 int64_t, T *);                \
  template void twist::train::gatherRange<T>(const SliceRuns &, int64_t,       \
                                             int64_t, const T *, T *);         \
  template void twist::train::scatterRange<T>(const SliceRuns &, int64_t,      \
                                              int64_t, const T *, T *);
TWIST_FOR_TYPE(float)
TWIST_FOR_TYPE(double)
TWIST_FOR_TYPE(int32_t)
#undef TWIST_FOR_TYPE

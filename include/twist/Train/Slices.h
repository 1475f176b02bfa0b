//===- Slices.h - What of a dense tensor a worker holds ---------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// A worker's slice of a tensor, row-major, holds the dense tensor's elements in
// ascending order of their dense positions. So the part of a slice that lies in
// a range of the dense tensor is a range of the slice, and nothing is packed or
// unpacked to send it.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_SLICES_H
#define TWIST_TRAIN_SLICES_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"

#include <cstdint>
#include <vector>

namespace twist::train {

class SliceRuns {
public:
  /// `kept[d]`: the kept indices of dimension d of `dims`, ascending.
  SliceRuns(llvm::ArrayRef<int64_t> dims,
            llvm::ArrayRef<std::vector<int64_t>> kept);

  /// Elements of the slice.
  int64_t size() const { return total; }
  /// Elements of the slice that lie before `dense` in the dense tensor.
  int64_t position(int64_t dense) const;

  /// Calls fn(dense, slice, length) for the stretches, in ascending order, that
  /// lie in [begin, end) of the dense tensor.
  void each(int64_t begin, int64_t end,
            llvm::function_ref<void(int64_t, int64_t, int64_t)> fn) const;

private:
  struct Run {
    int64_t dense, slice, length;
  };
  size_t firstBehind(int64_t dense) const;

  std::vector<Run> runs;
  int64_t total = 0;
};

/// The mean of what holders have, element by element, over [begin, end) of a
/// dense tensor: summed over holders in the order given (ascending worker
/// numbers) in f64, divided by their number, rounded once. What nobody holds
/// stays. `values[h]` is holder h's slice from its element `runs[h].position(
/// begin)` on; `dense` is the tensor from element `begin` on.
/// T: float, double, int32_t.
template <typename T>
void meanOverHolders(llvm::ArrayRef<const SliceRuns *> runs,
                     llvm::ArrayRef<const T *> values, int64_t begin,
                     int64_t end, T *dense);

/// Copies the stretches of [begin, end) out of `dense` (its element `begin` on)
/// to `slice` (its element position(begin) on), or back.
template <typename T>
void gatherRange(const SliceRuns &runs, int64_t begin, int64_t end,
                 const T *dense, T *slice);
template <typename T>
void scatterRange(const SliceRuns &runs, int64_t begin, int64_t end,
                  const T *slice, T *dense);

} // namespace twist::train

#endif // TWIST_TRAIN_SLICES_H

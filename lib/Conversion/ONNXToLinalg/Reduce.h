//===- Reduce.h - Reductions as data ----------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CONVERSION_ONNXTOLINALG_REDUCE_H
#define TWIST_LIB_CONVERSION_ONNXTOLINALG_REDUCE_H

#include "ScalarMath.h"

namespace twist::lowering {

/// finish(combine over x of map(x), number of x), starting from `init`.
struct Reduction {
  enum class Init { Zero, One, Lowest, Highest } init = Init::Zero;
  Value (*combine)(ScalarMath &, Value accumulated, Value x) = nullptr;
  std::function<Value(ScalarMath &, Value x)> map;
  /// `count` has the type of the accumulator.
  std::function<Value(ScalarMath &, Value accumulated, Value count)> finish;
  /// Integers are reduced as f64 (square roots, logarithms).
  bool asFloat = false;
};

/// Where a reduction of this type starts.
Value initialValue(Lowering &l, Reduction::Init init, Type type,
                   bool isUnsigned);

Reduction sum();
Reduction average();
Reduction maximum();

/// The reduction of `input` over `axes`, which disappear. `onnxType` (null:
/// signed) tells unsigned integers. Halves accumulate in f32; the result has
/// `input`'s element type.
Value reduce(Lowering &l, Value input, ArrayRef<int64_t> axes, Type onnxType,
             const Reduction &reduction);

/// Mean and 1 / sqrt(variance + epsilon) along the last dimension, which
/// disappears; f32 for halves.
std::pair<Value, Value> rowStatistics(Lowering &l, Value rows, double epsilon);

/// The logarithm of the softmax along `axis`; f32 for halves.
Value logSoftmax(Lowering &l, Value input, int64_t axis);

/// The i64 position of the largest or smallest element along `axis`, which
/// disappears; the first NaN, if there is one.
Value argReduce(Lowering &l, Value input, int64_t axis, bool largest, bool last,
                Type onnxType);

} // namespace twist::lowering

#endif // TWIST_LIB_CONVERSION_ONNXTOLINALG_REDUCE_H

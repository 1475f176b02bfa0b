//===- Integers.h - Arithmetic on a model's numbers -------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// A model may name any number as a size, a step or a bound. What is made of
// them while compiling wraps around, as index arithmetic does at run time;
// what is to be held in memory is counted without.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_SUPPORT_INTEGERS_H
#define TWIST_SUPPORT_INTEGERS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/MathExtras.h"

#include <cstdint>
#include <optional>

namespace twist {

inline int64_t wrapAdd(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) +
                              static_cast<uint64_t>(b));
}
inline int64_t wrapMul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) *
                              static_cast<uint64_t>(b));
}

/// `unit` times all sizes; nothing where one is negative or it leaves 63 bits.
inline std::optional<int64_t> productOf(llvm::ArrayRef<int64_t> sizes,
                                        int64_t unit = 1) {
  for (int64_t size : sizes)
    if (size < 0 || llvm::MulOverflow(unit, size, unit))
      return std::nullopt;
  return unit;
}

} // namespace twist

#endif // TWIST_SUPPORT_INTEGERS_H

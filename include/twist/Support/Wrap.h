//===- Wrap.h - Integers that wrap as programs' do --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// A model may name any number as a size, a step or a bound. What is made of
// them while compiling wraps around, as index arithmetic does at run time.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_SUPPORT_WRAP_H
#define TWIST_SUPPORT_WRAP_H

#include <cstdint>

namespace twist {

inline int64_t wrapAdd(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) +
                              static_cast<uint64_t>(b));
}
inline int64_t wrapMul(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) *
                              static_cast<uint64_t>(b));
}

} // namespace twist

#endif // TWIST_SUPPORT_WRAP_H

//===- HostTensor.h - A tensor in the host's memory -------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_SUPPORT_HOSTTENSOR_H
#define TWIST_SUPPORT_HOSTTENSOR_H

#include "twist/Runtime/twist.h"

#include "llvm/ADT/SmallVector.h"

#include <vector>

namespace twist {

/// What a program takes and gives, row-major.
struct HostTensor {
  twist_type type = TWIST_F32;
  llvm::SmallVector<int64_t> dims;
  std::vector<char> data; ///< twist_type_size(type) bytes per element

  /// Elements.
  int64_t size() const {
    int64_t count = 1;
    for (int64_t dim : dims)
      count *= dim;
    return count;
  }
  /// To hand it to a session: its memory and its sizes, which have to stay.
  twist_buffer buffer() const {
    return {const_cast<char *>(data.data()), data.size(), dims.data()};
  }
};

} // namespace twist

#endif // TWIST_SUPPORT_HOSTTENSOR_H

//===- Recompute.h - What may be computed again -----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIFFERENTIATE_RECOMPUTE_H
#define TWIST_DIFFERENTIATE_RECOMPUTE_H

#include "llvm/ADT/StringSwitch.h"

#include <optional>

namespace twist {

/// What may be computed again in the backward part rather than kept, if that
/// keeps fewer bytes. What costs nothing (constants, sizes, fills, reshapes)
/// always is, where the parts are two functions.
enum class Recompute {
  Nothing,
  Elementwise, ///< elementwise ops and the norms
  Attention    ///< softmax too, and products larger than both their operands
};

/// By the name in options: nothing, elementwise, attention.
inline std::optional<Recompute> parseRecompute(llvm::StringRef name) {
  return llvm::StringSwitch<std::optional<Recompute>>(name)
      .Case("nothing", Recompute::Nothing)
      .Case("elementwise", Recompute::Elementwise)
      .Case("attention", Recompute::Attention)
      .Default(std::nullopt);
}

} // namespace twist

#endif // TWIST_DIFFERENTIATE_RECOMPUTE_H

//===- Kinds.h - What is known of an axis by its kind -----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TICKET_KINDS_H
#define TWIST_TICKET_KINDS_H

#include "llvm/ADT/StringRef.h"

namespace twist {

/// Whether units are single features: cut, dealt and rounded in groups.
inline bool hasFineUnits(llvm::StringRef kind) {
  return kind == "ffn" || kind == "channel";
}

/// Whether axes are cut where no kinds are asked for.
inline bool isCutByDefault(llvm::StringRef kind) {
  return hasFineUnits(kind) || kind == "head" || kind == "kv_group";
}

} // namespace twist

#endif // TWIST_TICKET_KINDS_H

//===- JSONFile.h - Files of JSON -------------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_SUPPORT_JSONFILE_H
#define TWIST_SUPPORT_JSONFILE_H

#include "llvm/Support/JSON.h"

namespace twist {

/// What the file holds. Errors begin with the path: it cannot be read, or is
/// no JSON, and where.
llvm::Expected<llvm::json::Value> readJSON(llvm::StringRef path);

} // namespace twist

#endif // TWIST_SUPPORT_JSONFILE_H

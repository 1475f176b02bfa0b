//===- Protocol.h - What perplexity is measured on --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TEXT_PROTOCOL_H
#define TWIST_TEXT_PROTOCOL_H

#include <cstdint>
#include <string>

namespace twist::text {

/// Windows one behind the other: window i is `length` tokens from i · length
/// on; each of its tokens tells the one behind it, the last one the first of
/// the next window, so that every token but the file's first is told once.
struct WindowProtocol {
  std::string files;
  /// Tokenizer::description(), or where ids come from; its SHA-256 or "".
  std::string tokenizer, hash;
  int64_t windows = 0, length = 0;
  uint64_t tokens = 0;  ///< in the files
  bool oneARow = false; ///< sequences of their own: nothing is told across them

  /// Lines "data", "tokenizer", "windows".
  std::string describe() const;
};

} // namespace twist::text

#endif // TWIST_TEXT_PROTOCOL_H

//===- TokenFile.h - Token ids in a file ------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// A file of ids, little-endian:
//   0   "TWISTIDS"
//   8   u32 version, 1
//   12  u32 bytes an id: 2 or 4
//   16  u64 number of ids
//   24  u32 ids are below this
//   28  u32 0
//   32  SHA-256 of the tokenizer (Tokenizer::hash)
//   64  the ids
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TEXT_TOKENFILE_H
#define TWIST_TEXT_TOKENFILE_H

#include "twist/Text/Tokenizer.h"

#include "llvm/Support/MemoryBuffer.h"

namespace twist::text {

/// A token file, mapped: ids are read where they are used.
class TokenFile {
public:
  /// Refuses what is no token file, is cut short or has ids beyond its range's
  /// width; ids themselves are checked when they are read.
  static llvm::Expected<TokenFile> open(llvm::StringRef path);
  /// Whether a file starts as a token file does.
  static bool isOne(llvm::StringRef path);

  uint64_t size() const { return count; }
  /// Ids are below this.
  uint32_t vocabulary() const { return limit; }
  /// SHA-256 of the tokenizer, hexadecimal.
  llvm::StringRef tokenizerHash() const { return hash; }
  /// ids[i] = id number first + i; an id out of range is an error.
  llvm::Error read(uint64_t first, llvm::MutableArrayRef<uint32_t> ids) const;

private:
  TokenFile() = default;
  std::unique_ptr<llvm::MemoryBuffer> file;
  std::string path, hash;
  uint64_t count = 0;
  uint32_t limit = 0, width = 0;
};

/// Writes a token file, under another name until it is whole.
llvm::Error writeTokenFile(llvm::StringRef path, llvm::ArrayRef<uint32_t> ids,
                           const Tokenizer &tokenizer);

} // namespace twist::text

#endif // TWIST_TEXT_TOKENFILE_H

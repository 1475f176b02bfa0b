//===- Tokenizer.h - From text to token ids ---------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TEXT_TOKENIZER_H
#define TWIST_TEXT_TOKENIZER_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace twist::text {

/// Cuts text into tokens. Two tokenizers that give the same ids for every text
/// by the same tokens have the same hash, whatever files they come from.
class Tokenizer {
public:
  virtual ~Tokenizer();

  /// Appends the ids of `text`; adds no tokens for beginning or end. Text that
  /// is not UTF-8, where that matters, is an error that says at which byte.
  virtual llvm::Error encode(llvm::StringRef text,
                             std::vector<uint32_t> &ids) const = 0;
  /// The bytes of `ids`; an id the tokenizer does not have is an error.
  virtual llvm::Expected<std::string>
  decode(llvm::ArrayRef<uint32_t> ids) const = 0;

  /// Ids are below this.
  uint32_t size() const { return count; }
  /// SHA-256, 64 hexadecimal digits, of all that decides ids.
  llvm::StringRef hash() const { return digest; }
  /// "bytes" or "byte-level BPE, 50257 tokens".
  virtual std::string description() const = 0;

protected:
  uint32_t count = 0;
  std::string digest;
};

/// `specification`:
///   bytes                        a byte is a token, ids 0 … 255
///   FILE.json                    tokenizer.json with a byte-level BPE
///   VOCAB.json,MERGES.txt        GPT-2's two files
/// What a tokenizer.json asks for and this does not do is an error.
llvm::Expected<std::unique_ptr<Tokenizer>>
loadTokenizer(llvm::StringRef specification);

/// Calls `piece` with each match of GPT-2's pattern
///   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// in `text` (UTF-8), which they cover without gaps. Returns the number of
/// bytes that are UTF-8: less than the text's size at the first that is not,
/// and then `piece` was not called.
size_t splitWords(llvm::StringRef text,
                  llvm::function_ref<void(llvm::StringRef)> piece);

} // namespace twist::text

#endif // TWIST_TEXT_TOKENIZER_H

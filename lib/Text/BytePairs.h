//===- BytePairs.h - Byte-level BPE -----------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_TEXT_BYTEPAIRS_H
#define TWIST_LIB_TEXT_BYTEPAIRS_H

#include "twist/Text/Tokenizer.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <array>

namespace twist::text {

/// A tokenizer as its files have it: token strings in GPT-2's byte alphabet.
struct BytePairParts {
  llvm::StringMap<uint32_t> vocabulary;
  /// Best first.
  std::vector<std::pair<std::string, std::string>> merges;
  /// Found in the text as they stand, before it is cut; plain text.
  std::vector<std::pair<std::string, uint32_t>> added;
  /// A space goes before text that does not start with one.
  bool prefixSpace = false;
  /// A word that is a token is that token, whatever the merges make of it.
  bool wholeWords = false;
};

/// GPT-2's letter for a byte, as UTF-8.
std::string letterOf(uint8_t byte);

class BytePairs final : public Tokenizer {
public:
  static llvm::Expected<std::unique_ptr<Tokenizer>>
  create(const BytePairParts &parts);

  llvm::Error encode(llvm::StringRef text,
                     std::vector<uint32_t> &ids) const override;
  llvm::Expected<std::string>
  decode(llvm::ArrayRef<uint32_t> ids) const override;
  std::string description() const override;

private:
  struct Merge {
    uint32_t rank, id;
  };
  using Ids = std::vector<uint32_t>;
  using Cache = llvm::StringMap<Ids>;

  llvm::Error addTokens(const BytePairParts &parts);
  llvm::Error addMerges(const BytePairParts &parts);
  void setHash(const BytePairParts &parts);
  llvm::Error encodePlain(llvm::StringRef text, size_t offset, Cache &cache,
                          Ids &ids) const;
  llvm::Error encodeWord(llvm::StringRef word, Ids &ids) const;
  /// The added token at the start of `text`, the longest; none: null.
  const std::pair<std::string, uint32_t> *addedAt(llvm::StringRef text) const;

  std::vector<std::string> tokens; ///< bytes, by id
  std::array<int64_t, 256> byteIds;
  llvm::DenseMap<uint64_t, Merge> merges; ///< by left << 32 | right
  llvm::StringMap<uint32_t> words;        ///< by bytes, if wholeWords
  std::vector<std::pair<std::string, uint32_t>> added; ///< longest first
  std::array<bool, 256> startsAdded = {};
  bool prefixSpace = false, wholeWords = false;
};

} // namespace twist::text

#endif // TWIST_LIB_TEXT_BYTEPAIRS_H

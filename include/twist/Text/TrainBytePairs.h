//===- TrainBytePairs.h - Making a tokenizer of text ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TEXT_TRAINBYTEPAIRS_H
#define TWIST_TEXT_TRAINBYTEPAIRS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace twist::text {

/// Learns byte-level BPE: words by GPT-2's pattern, all 256 bytes as first
/// tokens, then again and again the most frequent pair of neighbours within
/// words, of equals the one with the smaller ids.
class BytePairTrainer {
public:
  /// Counts the words of `text`, which has to be UTF-8.
  llvm::Error add(llvm::StringRef text);

  struct Options {
    uint32_t vocabulary = 4096; ///< tokens, special ones included
    /// Get the first ids, and are found in text as they stand.
    std::vector<std::string> special;
    uint64_t minimum = 2; ///< pairs that are rarer are not joined
  };
  /// A tokenizer.json, as text::loadTokenizer and others read. It has fewer
  /// tokens than asked for where the text has no more pairs.
  llvm::Expected<std::string> train(const Options &options) const;

private:
  llvm::StringMap<uint64_t> words;
};

} // namespace twist::text

#endif // TWIST_TEXT_TRAINBYTEPAIRS_H

//===- Data.h - Batches of tokens, worker by worker -------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Text or token files are cut into windows that do not overlap and do not span
// files. Window i belongs to worker i mod n; each worker goes through its
// windows in an order shuffled anew every epoch. A batch follows from (seed,
// worker, step) alone.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_DATA_H
#define TWIST_TRAIN_DATA_H

#include "twist/Text/TokenFile.h"

#include <memory>

namespace twist::train {

enum class Objective {
  NextToken,   ///< the label of a token is the one behind it
  MaskedToken, ///< labels are what was there before tokens were masked
  Outputs      ///< no labels: the loss compares with a teacher's outputs
};

struct DataOptions {
  /// UTF-8 text, or token files (twist tokenize).
  std::vector<std::string> files;
  /// text::loadTokenizer's; needed for text.
  std::string tokenizer;
  Objective objective = Objective::NextToken;
  /// Masked tokens: this share is chosen; of the chosen, 80 % become
  /// `maskToken`, 10 % a token drawn at random, 10 % stay (BERT, Devlin et al.,
  /// 2019).
  double maskShare = 0.15;
  int64_t maskToken = -1;
  int64_t context = 128, batch = 1, workers = 1;
  /// To judge by: windows in the order of the file, as `twist eval` takes them
  /// (text::WindowProtocol), for one worker. Where data end, labels and rows
  /// that are not there do not count.
  bool inOrder = false;
  int64_t limit = 0; ///< windows at most; 0: all
  /// Tokens are below this: the model's vocabulary.
  int64_t vocabulary = 0;
  uint64_t seed = 0;
};

class Data {
public:
  /// Labels that do not count.
  static constexpr int64_t kIgnored = -100;

  /// Refuses files that are missing, empty, no UTF-8, of tokenizers that differ
  /// or have more tokens than the model, or together too short for one batch of
  /// each worker.
  static llvm::Expected<Data> open(const DataOptions &options);

  const DataOptions &options() const { return options_; }
  uint64_t tokens() const { return tokenCount; }
  int64_t windows() const { return int64_t(windowStarts.size()); }
  /// Of one worker; the last one's rows may not all be there (then its labels
  /// do not count; without labels all batches are whole).
  int64_t batches() const {
    bool isWhole = options_.objective == Objective::Outputs;
    return (windows() + (isWhole ? 0 : options_.batch - 1)) / options_.batch;
  }
  /// How often a worker has been through its windows after so many steps.
  double epochs(int64_t steps) const;
  llvm::StringRef tokenizerHash() const { return tokenizer; }
  /// Files, tokenizer, tokens and windows, in words, several lines.
  std::string protocol() const;
  /// SHA-256 of what decides batches: options, sizes, and ids at 64 places.
  std::string hash() const;

  /// Fills ids and labels, [batch, context] each. Different workers may ask at
  /// the same time.
  llvm::Error batch(int64_t worker, int64_t step,
                    llvm::MutableArrayRef<int64_t> ids,
                    llvm::MutableArrayRef<int64_t> labels) const;

  /// Which window a row of a batch is.
  int64_t window(int64_t worker, int64_t step, int64_t row) const;

private:
  Data() = default;
  struct Source {
    std::string path;
    std::unique_ptr<text::TokenFile> file; ///< or, of text:
    std::vector<uint32_t> ids;
    uint64_t size() const;
    llvm::Error read(uint64_t first, llvm::MutableArrayRef<uint32_t> to) const;
  };
  struct Order {
    int64_t epoch = -1;
    std::vector<int64_t> windows;
  };
  llvm::Error addFile(llvm::StringRef path, const text::Tokenizer *tokenizer);
  llvm::Error cut();
  void mask(int64_t worker, int64_t step, llvm::MutableArrayRef<int64_t> ids,
            llvm::MutableArrayRef<int64_t> labels) const;
  const std::vector<int64_t> &orderOf(int64_t worker, int64_t epoch) const;

  DataOptions options_;
  std::vector<Source> sources;
  std::string tokenizer; ///< its hash
  std::string tokenizerName;
  uint64_t tokenCount = 0;
  /// Source and first token of each window.
  std::vector<std::pair<uint32_t, uint64_t>> windowStarts;
  mutable std::vector<Order> orders; ///< by worker
};

} // namespace twist::train

#endif // TWIST_TRAIN_DATA_H

//===- Evaluate.h - How good a model is -------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PRUNE_EVALUATE_H
#define TWIST_PRUNE_EVALUATE_H

#include "twist/Prune/Feed.h"

namespace twist::prune {

/// How well a language model tells the next token.
struct Perplexity {
  int64_t tokens = 0; ///< told: each token of a window behind its first, and
                      ///< the first of the next
  double nats = 0;    ///< sum of -log p
  uint64_t bytes = 0; ///< of the tokens told; 0: not known
  double perplexity() const;
  double bitsPerByte() const;
};

/// How alike the outputs of two models are: the cosine of the two vectors along
/// the last dimension, over all others.
struct Likeness {
  int64_t vectors = 0;
  double mean = 0, least = 1;
};

/// `output` names the logits; empty: the one float output of shape [batch,
/// sequence, tokens] that is no state. `progress` is told batches done.
llvm::Expected<Perplexity>
measurePerplexity(Runner &runner, const Feed &feed, llvm::StringRef output,
                  llvm::function_ref<void(int64_t)> progress);

/// `output` names one of both models' outputs; empty: the first float one.
llvm::Expected<Likeness>
measureLikeness(Runner &runner, Runner &reference, const Feed &feed,
                const Feed &referenceFeed, llvm::StringRef output,
                llvm::function_ref<void(int64_t)> progress);

/// The elements of a float array; others are an error.
llvm::Expected<std::vector<double>> toDoubles(const Array &array);

} // namespace twist::prune

#endif // TWIST_PRUNE_EVALUATE_H

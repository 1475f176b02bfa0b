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
/// the last dimension, over all others; of integers 1 where they are equal, 0
/// where not, over all elements.
struct Likeness {
  int64_t vectors = 0; ///< or elements
  double sum = 0, least = 1;
  double mean() const { return sum / double(std::max<int64_t>(vectors, 1)); }
};

/// Adds what one batch's logits tell of its tokens. Errors: not one row a
/// token; an id beyond the logits; logits that are not finite.
llvm::Error addPerplexity(Runner &runner, const Feed &feed, const Batch &batch,
                          const Array &logits, Perplexity &sum);
/// Adds the vectors of output `name`. Errors: shapes that differ; a vector that
/// is zero or not finite.
llvm::Error addLikeness(const Array &left, const Array &right,
                        llvm::StringRef name, Likeness &sum);

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

/// Perplexity of a model whose data are tokens and one of whose outputs has one
/// value for each; of others the mean cosine of an output with the dense
/// model's, or the part of an output's integers that are the dense model's.
class QualityMeter {
public:
  /// `output` names the one to look at; empty: the logits, or the first of f32
  /// or f64, or the first of integers.
  static llvm::Expected<QualityMeter> create(llvm::ArrayRef<Port> outputs,
                                             const Feed &feed,
                                             llvm::StringRef output);

  bool isPerplexity() const { return kind == Kind::Perplexity; }
  bool isOfIntegers() const { return kind == Kind::Agreement; }
  llvm::StringRef measure() const;
  llvm::StringRef output() const { return name; }
  /// The output's place among a model's; sliced ones may have fewer.
  llvm::Expected<size_t> find(llvm::ArrayRef<Port> outputs) const;
  /// A first pass, by the dense model; later ones are compared with it.
  llvm::Error addDense(Runner &runner, const Batch &batch, const Array &output);
  /// Another pass begins.
  void start();
  llvm::Error add(Runner &runner, const Batch &batch, const Array &output);
  double value() const;
  bool isBetter(double left, double right) const {
    return isPerplexity() ? left < right : left > right;
  }

private:
  enum class Kind { Perplexity, Cosine, Agreement };
  const Feed *feed = nullptr;
  std::string name;
  size_t batches = 0;
  Kind kind = Kind::Cosine;
  Perplexity told;
  Likeness likeness;
  std::vector<Array> dense;
};

/// Runs the program on all batches.
llvm::Error
runAll(Runner &runner, const Feed &feed,
       llvm::function_ref<llvm::Error(Runner &, const Batch &,
                                      llvm::ArrayRef<Array> outputs)>
           take);
std::vector<Port> outputPorts(const twist_program *program);

/// Least seconds of each runner on its inputs, run in turn after a run each
/// that is not counted: whatever else the machine does only adds to them. Of
/// one thread it is processor time, in which waiting for others is not.
llvm::Expected<std::vector<double>>
timeInTurn(llvm::ArrayRef<Runner *> runners,
           llvm::ArrayRef<llvm::ArrayRef<Array>> inputs, int64_t repeat);

/// The elements of a float array; others are an error.
llvm::Expected<std::vector<double>> toDoubles(const Array &array);

} // namespace twist::prune

#endif // TWIST_PRUNE_EVALUATE_H

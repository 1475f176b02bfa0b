//===- Fisher.h - What a unit's gate does to the loss -----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_FISHER_H
#define TWIST_TRAIN_FISHER_H

#include "twist/Prune/Evaluate.h"
#include "twist/Train/StepMemory.h"

#include "llvm/ADT/StringMap.h"

namespace twist::train {

/// Gate Fisher: per unit the mean over windows of (dL/dg)², g = 1 a factor on
/// all that passes the unit's gates (after Michel, Levy, Neubig: Are Sixteen
/// Heads Really Better than One?, NeurIPS 2019, and the empirical Fisher of
/// Theis et al., 2018). With the weights W behind the gates and the gradient G
/// of them, dL/dg is the sum of W · G over the unit's rows.
///
/// L of a model of tokens is its mean cross entropy over the window. Of others
/// it is what moves the output's directions: dL/dg is vᵀ dy/dg with v drawn
/// anew for each window, normal, in every vector (last dimension) orthogonal to
/// it and over its norm, so that the mean of squares estimates twice what
/// 1 - cosine, summed over vectors, loses to second order.
class GateFisher {
public:
  /// `compiler` must be one with constant gains. `data` as the model's, one
  /// window a run; `output` as QualityMeter has it. Errors: an axis without
  /// weights of its own behind its gates; data that do not fit.
  static llvm::Expected<GateFisher> create(StepCompiler &compiler,
                                           prune::FeedOptions data,
                                           llvm::StringRef output, int threads);

  /// Memory of the step and its buffers.
  uint64_t bytes() const;
  int64_t windows() const { return feed.windows(); }
  bool isLoss() const { return perplexity; }

  /// By axis name, one score a unit. `tell` hears how many windows are done.
  llvm::Expected<llvm::StringMap<std::vector<double>>>
  run(llvm::function_ref<void(int64_t)> tell);

private:
  /// A weight behind an axis's gates: element (o·extent + i)·inner + j of
  /// parameter `parameter` belongs to unit units[i] (-1: none).
  struct Rows {
    unsigned axis, parameter;
    std::vector<int64_t> units;
    int64_t outer, inner;
  };

  GateFisher(const ModelLayout &layout, prune::Feed feed)
      : layout(&layout), feed(std::move(feed)) {}
  llvm::Error findRows();
  llvm::Error compile(StepCompiler &compiler, llvm::StringRef output,
                      int threads);
  llvm::Error bind(const prune::Batch &batch);
  llvm::Error drawCotangents(int64_t window);
  void add(std::vector<std::vector<double>> &squares) const;

  const ModelLayout *layout;
  prune::Feed feed;
  bool perplexity = false;
  size_t place = 0; ///< of the output
  std::vector<Rows> rows;
  std::vector<int64_t> labels;
  std::shared_ptr<const CompiledStep> step;
  std::unique_ptr<StepMemory> memory;
  std::unique_ptr<StepSession> session;
};

} // namespace twist::train

#endif // TWIST_TRAIN_FISHER_H

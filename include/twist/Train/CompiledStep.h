//===- CompiledStep.h - A training step as a loaded program -----*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// What training and decision-focused learning see of the compiler: functions
// over named buffers, all of the caller's. Same sizes, same program: masks of
// the same widths run the same code on other slices of the parameters.
//
//   StepCompiler   a model; makes steps, one per widths, sizes and options
//   CompiledStep   a loaded program: immutable, shared between threads
//   StepSession    working memory and threads: one caller at a time
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_COMPILEDSTEP_H
#define TWIST_TRAIN_COMPILEDSTEP_H

#include "twist/Train/ModelLayout.h"

#include "llvm/Support/Error.h"

#include <map>
#include <memory>

namespace twist::train {

enum class LossKind {
  /// Mean over counted positions of -log p(label), p the softmax of the logits
  /// at the same position: labels are an input [batch, sequence] of i64 (the
  /// caller shifts them). Labels equal to `ignoreIndex` are not counted.
  CrossEntropy,
  /// Mean of squares of (output - target), a target like the output.
  MeanSquare,
  /// Mean over vectors along the last dimension of 1 - cosine(output, target).
  Cosine,
  /// The model's own output `output`: one element.
  Own,
  /// None: cotangents come from outside (entries Forward and Backward only).
  External
};

struct LossOptions {
  LossKind kind = LossKind::CrossEntropy;
  /// Name of the model's output; empty: the logits, or the first float one.
  std::string output;
  int64_t ignoreIndex = -100;
  /// In [0, 1): the target is (1 - s) onehot + s / classes.
  double labelSmoothing = 0;
};

enum class OptimiserKind {
  /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019); state:
  /// "moment1", "moment2", "steps".
  AdamW,
  /// v = momentum v + g + decay p; p -= rate v; state: "momentum".
  SGD
};

/// Full: all in the parameters' type. BF16, for parameters of f32: products
/// take bf16 and sum in f32; parameters, norms, softmax, reductions, gradients
/// of parameters and state stay f32.
enum class StepPrecision { Full, BF16 };

/// Functions of a step; bits.
enum StepEntry : unsigned {
  EntryStep = 1,      ///< forward, loss, backward, clipping, optimiser in one
  EntryForward = 2,   ///< outputs
  EntryEvaluate = 4,  ///< loss
  EntryGradients = 8, ///< loss, and gradients of parameters
  EntryBackward = 16, ///< gradients of parameters and inputs for cotangents
  EntryUpdate = 32    ///< clipping and optimiser on given gradients
};

struct StepRequest {
  /// Kept units per axis of the layout, at least 1 each; empty: all whole.
  std::vector<int64_t> units;
  int64_t batch = 1, sequence = 1;
  /// Sizes of other symbols.
  std::map<std::string, int64_t> sizes;
  LossOptions loss;
  OptimiserKind optimiser = OptimiserKind::AdamW;
  StepPrecision precision = StepPrecision::Full;
  unsigned entries = EntryStep;
};

/// What may change from call to call.
struct StepScalars {
  double learningRate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8; ///< AdamW
  double momentum = 0.9;                             ///< SGD
  /// Where Parameter::decayed. AdamW: p -= rate · decay · p, too. SGD: g +=
  /// decay p, first.
  double weightDecay = 0;
  /// Gradients are scaled down to this global norm if theirs is larger; 0: not.
  double clipNorm = 0;
  /// Before clipping, gradients times this: 1 / steps accumulated.
  double gradientScale = 1;
  /// Fraction of what passes a gate that is dropped, [0, 1); only where the
  /// compiler was made with dropout. What is dropped follows from `seed` and
  /// `counter` alone: one counter a step.
  double dropout = 0;
  uint64_t seed = 0, counter = 0;
};

/// A tensor of the optimiser's, like a parameter or broadcast to it: dimension
/// d is the parameter's, or 1 where `places` of the tensor in d is empty.
struct StateTensor {
  std::string name;       ///< "moment1", …
  unsigned parameter = 0; ///< into ModelLayout::parameters; trainable
  twist_type type = TWIST_F32;
  std::vector<int64_t> denseDims, dims; ///< of the whole model, of this step
  /// Moments: true. "steps" (i32, updates so far, for Adam's bias correction):
  /// false; one count per kept unit, all 0 at first.
  bool likeParameter = true;
};

/// Pointers to the caller's memory, row-major, 64-byte aligned at best.
struct StepBuffers {
  /// One per layout().parameters, of parameterDims(i). Step and Update write
  /// trainable ones in place.
  std::vector<void *> parameters;
  /// One per state(). Step and Update write them in place.
  std::vector<void *> state;
  /// One per layout().parameters, null for frozen ones; like the parameter.
  /// Written by Gradients and Backward, read by Update.
  std::vector<void *> gradients;
  /// One per inputs(), labels and targets last.
  std::vector<const void *> inputs;
  /// One per outputs(); written by Forward.
  std::vector<void *> outputs;
  /// One per outputs(), null for integers; read by Backward.
  std::vector<const void *> cotangents;
  /// One per inputs(), null for integers and where not wanted; written by
  /// Backward.
  std::vector<void *> inputGradients;
};

struct StepResult {
  double loss = 0;         ///< Step, Evaluate, Gradients
  double gradientNorm = 0; ///< Step, Update: global, before clipping
};

class StepSession {
public:
  virtual ~StepSession() = default;
  /// Each fails if the step was compiled without the entry, a buffer is
  /// missing, or an index in an input is outside what it points into; then what
  /// the call writes means nothing.
  virtual llvm::Expected<StepResult> step(const StepBuffers &buffers,
                                          const StepScalars &scalars) = 0;
  virtual llvm::Error forward(const StepBuffers &buffers,
                              const StepScalars &scalars) = 0;
  virtual llvm::Expected<StepResult> evaluate(const StepBuffers &buffers,
                                              const StepScalars &scalars) = 0;
  /// `add`: to what the gradients' buffers hold, else in its place.
  virtual llvm::Expected<StepResult> gradients(const StepBuffers &buffers,
                                               const StepScalars &scalars,
                                               bool add) = 0;
  virtual llvm::Error backward(const StepBuffers &buffers,
                               const StepScalars &scalars, bool add) = 0;
  virtual llvm::Expected<StepResult> update(const StepBuffers &buffers,
                                            const StepScalars &scalars) = 0;

  /// Seconds and calls per kernel since counting began, all entries together.
  struct ProfileRow {
    std::string site;
    double seconds = 0;
    uint64_t calls = 0;
  };
  virtual llvm::Error startProfile() = 0;
  virtual std::vector<ProfileRow> profile() const = 0;
};

class CompiledStep {
public:
  virtual ~CompiledStep() = default;
  virtual const StepRequest &request() const = 0;
  /// Sizes of parameter i's buffer.
  virtual llvm::ArrayRef<int64_t> parameterDims(unsigned i) const = 0;
  virtual llvm::ArrayRef<StateTensor> state() const = 0;
  /// The model's inputs, then what the loss takes; sizes known.
  virtual llvm::ArrayRef<Tensor> inputs() const = 0;
  virtual llvm::ArrayRef<Tensor> outputs() const = 0;
  /// SHA-256 over all entries' code and data, hexadecimal.
  virtual llvm::StringRef hash() const = 0;
  /// What lies between forward and backward: bytes kept, bytes that are not
  /// because ops are computed again, and how many ops those are.
  struct Kept {
    uint64_t bytes = 0, bytesAgain = 0, opsAgain = 0;
  };
  /// Of the fused step, or else of the entry that makes gradients.
  virtual Kept kept() const { return {}; }
  /// Working memory of a session, without the caller's buffers.
  virtual uint64_t workingBytes() const = 0;
  /// `threads` counts the caller's; 0: one per processor. Results do not depend
  /// on it.
  virtual llvm::Expected<std::unique_ptr<StepSession>>
  createSession(int threads) const = 0;
};

class StepCompiler {
public:
  virtual ~StepCompiler() = default;
  virtual const ModelLayout &layout() const = 0;
  /// The dense values of parameter i as the model's file has them, converted to
  /// its type; gains are 1.
  virtual llvm::Error readParameter(unsigned i, void *values) const = 0;
  /// The step of these sizes; compiled once, then kept. Not thread-safe.
  virtual llvm::Expected<std::shared_ptr<const CompiledStep>>
  compile(const StepRequest &request) = 0;
  /// The model's file with other values of its parameters (one pointer each;
  /// gains are folded into the weights behind their gates), for inference as
  /// before: written to a temporary file and renamed.
  virtual llvm::Error writeModel(llvm::StringRef path,
                                 llvm::ArrayRef<const void *> parameters) = 0;
};

} // namespace twist::train

#endif // TWIST_TRAIN_COMPILEDSTEP_H

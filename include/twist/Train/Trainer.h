//===- Trainer.h - TwIST's rounds -------------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Each round: deal units, dispatch slices, R local steps of each worker on its
// own shard, aggregate (arXiv:2511.03983; docs/HowTwISTWorks.md).
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_TRAINER_H
#define TWIST_TRAIN_TRAINER_H

#include "twist/Train/Assignment.h"
#include "twist/Train/CompiledStep.h"
#include "twist/Train/Data.h"
#include "twist/Train/Schedule.h"
#include "twist/Train/Store.h"

#include "llvm/Support/JSON.h"

#include <atomic>
#include <functional>

namespace twist::train {

class Teacher;

enum class Mode {
  Twist, ///< subnetworks of all workers together cover the model
  /// Baselines.
  Subnet,  ///< one worker, a new mask each round; the rest stays as it is
  Fixed,   ///< one given mask in all rounds and workers
  Dense,   ///< the whole model in every worker
  Parallel ///< the same, gradients averaged at every step
};

/// What becomes of the optimiser's state between rounds.
enum class StateMode {
  Carry, ///< the mean over holders, as parameters
  Local, ///< each worker keeps its own; never sent
  Reset  ///< zero in every round
};

struct TrainOptions {
  Mode mode = Mode::Twist;
  AssignmentOptions assignment;      ///< workers and seed for all modes
  int64_t group = 1;                 ///< units a group of FFN and channel axes
  int64_t pinFirst = 0, pinLast = 0; ///< whole layers at both ends
  Masks fixed;                       ///< Mode::Fixed: kept units per axis
  int64_t rounds = 1, localSteps = 15;
  int64_t batch = 1, context = 128;
  LossOptions loss;
  OptimiserKind optimiser = OptimiserKind::AdamW;
  StepPrecision precision = StepPrecision::Full;
  StepScalars scalars; ///< learningRate: the schedule's 1
  Schedule schedule;   ///< its `steps` are set to rounds · localSteps
  StateMode state = StateMode::Carry;
  OuterOptions outer;
  /// The start of gains below kappa 1, or their value where they are frozen;
  /// empty: 1.
  std::vector<double> gains; ///< by axis of the layout
  /// In their place: V / A of each axis (prune::UnitMoments), so that a gain is
  /// the least squares one of its kappa, 1 / (kappa + (1 - kappa) V / A).
  std::vector<double> spreads;
  /// How the work is spread; without influence on results.
  int64_t concurrent = 1; ///< workers of a process at a time
  int threads = 1;        ///< of each of them
};

/// What became of a round; the same at all processes.
struct RoundReport {
  int64_t round = 0;                 ///< from 0
  double rate = 0;                   ///< learning rate of its last step
  std::vector<double> losses, norms; ///< by worker: means over its steps
  std::vector<double> kept; ///< by worker: parameters held, of the whole
  int64_t tokens = 0;       ///< of all workers
  double seconds = 0, localSeconds = 0;
  Traffic down, up; ///< dispatch, aggregation

  double meanLoss() const;
};

class Trainer {
public:
  /// `data`, `compiler` and `teacher` (for losses that compare with another
  /// model's outputs) outlive it. Refuses, before any work: options out of
  /// range, axes that could not be covered, models whose inputs are no tokens,
  /// contexts the model can't take, more processes than workers.
  static llvm::Expected<std::unique_ptr<Trainer>>
  create(StepCompiler &compiler, const Data &data, Transport &transport,
         const TrainOptions &options, Teacher *teacher = nullptr);
  ~Trainer();

  const TrainOptions &options() const;
  const Assignment &assignment() const;
  int64_t round() const; ///< rounds done
  /// Bytes a round moves otherwise, sums over workers as Traffic counts them:
  /// gradients of the whole model at every step, and local SGD.
  uint64_t allReduceBytes() const;
  uint64_t localSGDBytes() const;
  /// Bytes this process holds: its part, its workers' slices and state.
  uint64_t memoryBytes() const;

  /// The next round. A loss or gradient that is not finite, or a loss beyond
  /// three times that of a guess, is an error that names round, worker, step
  /// and tensor.
  llvm::Expected<RoundReport> runRound();

  /// Writes, at rank 0 and together with all others, a checkpoint: safetensors
  /// whose metadata say the rest; to a temporary file, renamed when it is
  /// whole.
  llvm::Error save(llvm::StringRef path);
  /// Goes on where a checkpoint ends. Refused: files that are damaged, of
  /// another model, other data or options; of another machine type or program
  /// unless `otherMachine`.
  llvm::Error resume(llvm::StringRef path, bool otherMachine);

  /// Takes parameters and the optimiser's state of another training of the same
  /// model, whatever its options were; gains, which depend on kappas, start
  /// anew. Before the first round only.
  llvm::Error startFrom(llvm::StringRef path);

  /// The whole parameters, at rank 0 one buffer per layout parameter (gains:
  /// that of kappa 1, else 1), empty elsewhere.
  llvm::Expected<std::vector<AlignedBytes>> parameters();
  /// The gains of an axis: (kappa, value); empty without gains. At rank 0; all
  /// processes have to ask.
  llvm::Expected<std::vector<std::pair<double, double>>> gains(int64_t axis);

private:
  Trainer();
  class Impl;
  std::unique_ptr<Impl> impl;
};

/// All that decides what comes out, by name.
llvm::json::Object describe(const TrainOptions &options);

/// "twist", "subnet", "fixed", "dense", "parallel"; "carry", "local", "reset".
llvm::Expected<Mode> parseMode(llvm::StringRef name);
llvm::Expected<StateMode> parseStateMode(llvm::StringRef name);

} // namespace twist::train

#endif // TWIST_TRAIN_TRAINER_H

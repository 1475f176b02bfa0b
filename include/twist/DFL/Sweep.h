//===- Sweep.h - Methods x tasks x seeds x attacks --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// A sweep is described by one JSON file (docs/DecisionFocused.md). Its results
// are lines of JSON in RUN/results.jsonl, one per model trained and one per
// transfer matrix: what is there when a run is cut off is not done again. At
// the end lines are in the order of the description, so that the file's bytes
// depend on neither threads nor interruptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_SWEEP_H
#define TWIST_DFL_SWEEP_H

#include "twist/DFL/Task.h"

#include <functional>

namespace twist::dfl {

/// One method as trained on one task.
struct SweepMethod {
  std::string name;          ///< unique; the method's unless said otherwise
  std::string method;        ///< makeMethod's
  std::vector<double> rates; ///< per task
  std::vector<MethodParameters> parameters; ///< per task
  std::optional<AttackOptions> adversary;
  double adversaryFraction = 1;
};

struct SweepSpec {
  llvm::json::Value description = nullptr; ///< as read
  std::vector<Task> tasks;
  std::string model; ///< "linear", "relu:32,32", or a file
  int64_t seeds = 1, firstSeed = 0;
  int64_t batch = 128;
  bool shuffle = false;
  std::vector<int64_t>
      lengths; ///< epochs at which models are judged, ascending
  std::vector<SweepMethod> methods;
  std::vector<AttackOptions> attacks; ///< eps: see `epsilons`
  std::vector<double> epsilons;       ///< ascending, 0 among them
  /// At this eps distributions are kept, models are exchanged, and robustness
  /// is read off; one of `epsilons`.
  double focus = 0;
  bool transfer = false;
};

/// Reads and checks a description; the error says where in the file.
llvm::Expected<SweepSpec> parseSweep(llvm::StringRef text,
                                     llvm::StringRef directory);

/// A new predictor of so many features and costs a row. Called by many threads.
using PredictorFactory =
    std::function<llvm::Expected<std::unique_ptr<Predictor>>(int64_t, int64_t)>;

struct SweepOptions {
  int threads = 0;
  /// Told units done and all; those found done count as done.
  std::function<void(int64_t, int64_t)> progress;
  /// Asked before each unit; true ends the run, with what is done kept.
  std::function<bool()> interrupted;
};

/// "mse/fgsm/inf": how results name an attack.
std::string attackName(const AttackOptions &attack);

/// Runs what is missing. Results of another description in RUN are an error,
/// and so is an interruption; a unit that fails is named, with the others done.
llvm::Error runSweep(const SweepSpec &spec,
                     const PredictorFactory &makePredictor, llvm::StringRef run,
                     const SweepOptions &options);

/// The lines of RUN/results.jsonl.
llvm::Expected<std::vector<llvm::json::Value>> readResults(llvm::StringRef run);

} // namespace twist::dfl

#endif // TWIST_DFL_SWEEP_H

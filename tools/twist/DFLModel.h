//===- DFLModel.h - What twist dfl's commands share -------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_DFLMODEL_H
#define TWIST_TOOLS_TWIST_DFLMODEL_H

#include "twist/DFL/StepPredictor.h"
#include "twist/DFL/Task.h"

#include <map>

namespace twist::tools {

/// Predictors of one kind: "linear", "relu:32,32" or a model's file. Each size
/// is compiled once.
class PredictorSource {
public:
  /// `rows` go through a model in one call.
  PredictorSource(std::string model, int64_t rows)
      : model(std::move(model)), rows(rows) {}
  ~PredictorSource();

  llvm::Expected<std::unique_ptr<dfl::Predictor>> make(int64_t features,
                                                       int64_t outputs);

private:
  llvm::Expected<std::unique_ptr<dfl::PredictorModel>> compile(int64_t features,
                                                               int64_t outputs);
  /// The file of the model; for a built-in one a temporary.
  llvm::Expected<std::string> file(int64_t features, int64_t outputs);

  std::string model;
  int64_t rows;
  std::mutex mutex;
  std::map<std::pair<int64_t, int64_t>, std::unique_ptr<dfl::PredictorModel>>
      compiled;
  std::vector<std::string> temporaries;
};

/// A task from a JSON file.
llvm::Expected<dfl::Task> readTask(llvm::StringRef path);

/// The subcommands; `argv[0]` is "twist dfl <command>".
int dflTrainMain(int argc, char **argv);
int dflAttackMain(int argc, char **argv);
int dflSweepMain(int argc, char **argv);
int dflReportMain(int argc, char **argv);
int dflBenchMain(int argc, char **argv);
int dflWidthsMain(int argc, char **argv);

} // namespace twist::tools

#endif // TWIST_TOOLS_TWIST_DFLMODEL_H

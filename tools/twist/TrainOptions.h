//===- TrainOptions.h - The options of twist train --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_TRAINOPTIONS_H
#define TWIST_TOOLS_TWIST_TRAINOPTIONS_H

#include "twist/Pipeline/Step.h"
#include "twist/Pipeline/TrainResults.h"
#include "twist/Train/Trainer.h"

namespace twist::tools {

/// What the command line says, checked as far as that goes without the model.
struct TrainArguments {
  /// Prints what is wrong and returns false.
  bool parse(int argc, char **argv);

  StepCompilerOptions compilerOptions() const;
  /// Reads the ticket of the mode fixed.
  llvm::Expected<train::TrainOptions>
  trainOptions(const train::ModelLayout &layout) const;
  train::DataOptions dataOptions(const train::ModelLayout &layout,
                                 const train::TrainOptions &options) const;
  /// The same for what the results are judged on.
  train::DataOptions validOptions(const train::ModelLayout &layout,
                                  const train::TrainOptions &options) const;
  DrawOptions drawOptions(const train::TrainOptions &options) const;

  std::string model, output, startFrom, transport, ticket, tokenizer, valid;
  std::vector<std::string> data;
  StepCompilerOptions compiler; ///< but for gains and dropout
  train::TrainOptions options;  ///< but for what the model decides
  train::DataOptions feed;
  std::string gain = "none";   ///< or "learned", or a number
  std::string gainStart = "1"; ///< of learned gains; or "s*"
  std::string calibration;
  std::string teacher;
  std::vector<double> ticketKappas;
  int64_t tickets = 4, validBatches = 0, checkpointEvery = 10;
  int threads = 1;
  bool resume = false, otherMachine = false, quiet = false, dryRun = false;
};

} // namespace twist::tools

#endif // TWIST_TOOLS_TWIST_TRAINOPTIONS_H

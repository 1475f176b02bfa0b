//===- StepOptions.cpp - Options of what trains ---------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepOptions.h"

using namespace llvm;
using namespace twist;
using namespace twist::tools;
using namespace twist::train;

TrainedArguments::TrainedArguments(cl::OptionCategory &category)
    : train(category, "train", "Globs on names of weights to train too"),
      freeze(category, "freeze", "Globs on names of weights to leave"),
      state(category) {}

StepCompilerOptions TrainedArguments::options() const {
  StepCompilerOptions options;
  options.train.assign(train.begin(), train.end());
  options.freeze.assign(freeze.begin(), freeze.end());
  options.state.assign(state.begin(), state.end());
  return options;
}

OptimiserOption::OptimiserOption(cl::OptionCategory &category)
    : cl::opt<OptimiserKind>(
          "optimiser", cl::init(OptimiserKind::AdamW), cl::cat(category),
          cl::desc("Of the steps"),
          cl::values(clEnumValN(OptimiserKind::AdamW, "adamw", "(default)"),
                     clEnumValN(OptimiserKind::SGD, "sgd", "with momentum"))) {}

PrecisionOption::PrecisionOption(cl::OptionCategory &category)
    : ValueOption(category, "precision",
                  "f64, f32 (default) or bf16, whose products alone are",
                  "f32") {}

Expected<StepPrecision> PrecisionOption::parse() const {
  if (getValue() == "bf16")
    return StepPrecision::BF16;
  if (getValue() == "f32" || isF64())
    return StepPrecision::Full;
  return createStringError("--precision is f64, f32 or bf16, not '" +
                           getValue() + "'");
}

//===- StepOptions.h - Options of what trains -------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_STEPOPTIONS_H
#define TWIST_TOOLS_TWIST_STEPOPTIONS_H

#include "Context.h"

#include "twist/Pipeline/Step.h"

namespace twist::tools {

/// --train, --freeze, --state: which weights a step trains.
struct TrainedArguments {
  explicit TrainedArguments(llvm::cl::OptionCategory &category);
  StepCompilerOptions options() const;

  ListOption train, freeze;
  StateOption state;
};

/// --optimiser.
struct OptimiserOption : llvm::cl::opt<train::OptimiserKind> {
  explicit OptimiserOption(llvm::cl::OptionCategory &category);
};

/// --precision: f64 is a model's, f32 and bf16 are a step's.
struct PrecisionOption : ValueOption<std::string> {
  explicit PrecisionOption(llvm::cl::OptionCategory &category);
  llvm::Expected<train::StepPrecision> parse() const;
  bool isF64() const { return getValue() == "f64"; }
};

} // namespace twist::tools

#endif // TWIST_TOOLS_TWIST_STEPOPTIONS_H

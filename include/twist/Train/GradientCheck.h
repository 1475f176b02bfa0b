//===- GradientCheck.h - Gradients against differences ----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_GRADIENTCHECK_H
#define TWIST_TRAIN_GRADIENTCHECK_H

#include "twist/Train/CompiledStep.h"

namespace twist::train {

struct GradientCheckOptions {
  int64_t batch = 1, sequence = 8;
  /// Sizes of other symbols.
  std::map<std::string, int64_t> sizes;
  /// Elements of each tensor that are checked; where the compiled gradient is
  /// largest, and others at random.
  unsigned samples = 8;
  /// Half the distance of the two points of a difference, relative to values
  /// larger than 1.
  double step = 1e-5;
  /// Largest relative difference that is right.
  double tolerance = 1e-5;
  /// Of inputs, cotangents and samples.
  uint64_t seed = 0;
  int threads = 0;
};

/// One element whose gradient was compared.
struct GradientSample {
  int64_t element = 0; ///< row-major
  double gradient = 0, difference = 0;
  /// The function has no one slope within the step: a kink.
  bool kink = false;
  double error = 0; ///< relative, beyond what rounding explains
};

/// What was found for one parameter or input.
struct GradientCheckRow {
  std::string name;
  std::vector<int64_t> dims;
  bool isInput = false;
  std::vector<GradientSample> samples;

  unsigned kinks() const;
  /// The worst sample that is no kink; null if there is none.
  const GradientSample *worst() const;
};

/// Compares, for a random cotangent of each float output and random inputs, the
/// gradients that Backward gives for trainable parameters and float inputs with
/// central differences of Forward. `compiler` must be one of f64.
llvm::Expected<std::vector<GradientCheckRow>>
checkGradients(StepCompiler &compiler, const GradientCheckOptions &options);

} // namespace twist::train

#endif // TWIST_TRAIN_GRADIENTCHECK_H

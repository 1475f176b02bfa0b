//===- StepPredictor.h - A compiled model that predicts ---------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_STEPPREDICTOR_H
#define TWIST_DFL_STEPPREDICTOR_H

#include "twist/DFL/Predictor.h"
#include "twist/Train/CompiledStep.h"

#include <mutex>

namespace twist::dfl {

/// What predictors start from.
enum class InitialParameters {
  Model, ///< the values in the model's file, whatever the seed
  /// Uniform within ± 1 / sqrt(inputs) per weight [inputs, outputs] and the
  /// bias behind it; others as in the file.
  Uniform
};

/// A model with one float input [rows, features] and one float output [rows,
/// costs], compiled once for all predictors made of it.
class PredictorModel {
public:
  /// `rows` go through the model in one call; more go in parts.
  static llvm::Expected<std::unique_ptr<PredictorModel>>
  create(std::unique_ptr<train::StepCompiler> compiler, int64_t rows,
         InitialParameters initial);

  int64_t features() const { return features_; }
  int64_t outputs() const { return outputs_; }
  /// Trained numbers.
  int64_t parameterCount() const;
  /// A predictor with memory of its own, initialised with seed 0. Predictors of
  /// one model may run at the same time.
  llvm::Expected<std::unique_ptr<Predictor>> makePredictor(int threads);

private:
  friend class StepPredictor;
  PredictorModel() = default;
  std::unique_ptr<train::StepCompiler> compiler;
  std::shared_ptr<const train::CompiledStep> step;
  std::mutex files; ///< the compiler serves one caller at a time
  InitialParameters initial = InitialParameters::Model;
  int64_t rows = 0, features_ = 0, outputs_ = 0;
};

} // namespace twist::dfl

#endif // TWIST_DFL_STEPPREDICTOR_H

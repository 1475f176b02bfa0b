//===- Evaluate.h - How good subnetworks are --------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Slices of a dense model are evaluated by one program per widths: many tickets
// cost one compilation.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_EVALUATE_H
#define TWIST_TRAIN_EVALUATE_H

#include "twist/Train/CompiledStep.h"
#include "twist/Train/Data.h"
#include "twist/Train/Store.h"

namespace twist::train {

class Teacher;

/// Mean loss over so many labels.
struct Score {
  double loss = 0;
  int64_t labels = 0;
  double seconds = 0; ///< of a batch: the least
  int64_t parameters = 0;
};

class Evaluator {
public:
  /// `data` is in order. Labels are told as `loss` says, but not smoothed.
  Evaluator(StepCompiler &compiler, const Data &data, const LossOptions &loss,
            StepPrecision precision, int threads, Teacher *teacher = nullptr)
      : compiler(compiler), data(data), loss(loss), precision(precision),
        threads(threads), teacher(teacher) {
    this->loss.labelSmoothing = 0;
  }

  /// The subnetwork that `masks` keep of the dense parameters (one buffer per
  /// layout parameter); `gains` by axis, if the layout has gains, empty: as the
  /// parameters say.
  llvm::Expected<Score> run(llvm::ArrayRef<AlignedBytes> parameters,
                            const Masks &masks,
                            llvm::ArrayRef<double> gains = {});

private:
  StepCompiler &compiler;
  const Data &data;
  LossOptions loss;
  StepPrecision precision;
  int threads;
  Teacher *teacher;
  std::map<const CompiledStep *, std::unique_ptr<StepSession>> sessions;
};

/// What many tickets of one kappa give.
struct Spread {
  double mean = 0, deviation = 0, least = 0, most = 0;
};
/// Of perplexities; the deviation is that of a sample.
Spread spreadOf(llvm::ArrayRef<double> values);

} // namespace twist::train

#endif // TWIST_TRAIN_EVALUATE_H

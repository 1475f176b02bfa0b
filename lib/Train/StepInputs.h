//===- StepInputs.h - Tokens into a step's inputs ---------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_TRAIN_STEPINPUTS_H
#define TWIST_LIB_TRAIN_STEPINPUTS_H

#include "twist/Train/CompiledStep.h"
#include "twist/Train/Data.h"
#include "twist/Train/Store.h"

namespace twist::train {

class Teacher;

/// Buffers for a step's inputs: masks and positions once, tokens each time.
class StepInputs {
public:
  /// `teacher`: makes targets that are floats.
  explicit StepInputs(const CompiledStep &step, Teacher *teacher = nullptr);
  /// The batch of a worker's step.
  llvm::Error load(const Data &data, int64_t worker, int64_t step);
  /// Labels of the batch that count; without labels, its windows.
  int64_t counted() const;
  void bind(StepBuffers &buffers) const;

private:
  const CompiledStep &compiled;
  Teacher *teacher;
  std::vector<AlignedBytes> buffers;
  std::vector<int64_t> ids, labels;
};

/// The slice of a dense tensor that masks keep of a parameter.
AlignedBytes sliceOf(const Parameter &parameter, const AlignedBytes &dense,
                     const Masks &masks);
/// The axis a gain belongs to.
int64_t gainAxis(const ModelLayout &layout, const Parameter &gain);
/// Writes a number as f32 or f64.
void storeReal(void *to, twist_type type, double value);
double loadReal(const void *from, twist_type type);

} // namespace twist::train

#endif // TWIST_LIB_TRAIN_STEPINPUTS_H

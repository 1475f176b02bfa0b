//===- TestStep.h - A small model with steps by hand ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// logits = g · relu(E[id] W1 + b1) W2, whose hidden units are an axis "ffn";
// cross entropy; AdamW. For tests of all that is above the compiled step, in
// milliseconds.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_UNITTESTS_TRAIN_TESTSTEP_H
#define TWIST_UNITTESTS_TRAIN_TESTSTEP_H

#include "twist/Train/CompiledStep.h"

namespace twist::train {

struct TestModel {
  int64_t vocabulary = 16, dim = 6, hidden = 8;
  bool gain = false;
  /// Step number, over all workers, whose loss is no number; -1: none.
  int64_t breaksAt = -1;
  /// What is not as training needs it.
  InputRole input = InputRole::Ids;
  bool hasAxis = true, isTrained = true;
};

std::unique_ptr<StepCompiler> makeTestCompiler(const TestModel &model);

} // namespace twist::train

#endif // TWIST_UNITTESTS_TRAIN_TESTSTEP_H

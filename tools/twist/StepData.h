//===- StepData.h - What twist step feeds a step ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_STEPDATA_H
#define TWIST_TOOLS_TWIST_STEPDATA_H

#include "twist/Train/CompiledStep.h"

namespace twist::tools {

/// Windows of `length` + 1 tokens, one after the other, around the end.
class Tokens {
public:
  /// From an .npy file of i64 or i32 below `vocabulary`; random ones where
  /// `path` is empty.
  static llvm::Expected<Tokens> create(llvm::StringRef path,
                                       int64_t vocabulary);
  /// Batch number `batch`, of `rows` windows: ids and labels [rows, length].
  void fill(int64_t batch, int64_t rows, int64_t length, int64_t *ids,
            int64_t *labels) const;

private:
  std::vector<int64_t> values;
};

/// Fills a step's inputs, buffers of the inputs' types and sizes, from files:
/// `arguments` are NAME=FILE.npy, one for each input; floats are converted.
llvm::Error readInputs(llvm::ArrayRef<std::string> arguments,
                       llvm::ArrayRef<train::Tensor> inputs,
                       llvm::ArrayRef<const void *> buffers);

} // namespace twist::tools

#endif // TWIST_TOOLS_TWIST_STEPDATA_H

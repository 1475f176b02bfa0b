//===- StepMemory.h - Buffers for a step ------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_STEPMEMORY_H
#define TWIST_TRAIN_STEPMEMORY_H

#include "twist/Train/CompiledStep.h"

namespace twist::train {

/// Zeroed memory at a multiple of 64 bytes.
class Buffer {
public:
  Buffer() = default;
  explicit Buffer(uint64_t bytes);
  Buffer(Buffer &&other) noexcept { *this = std::move(other); }
  Buffer &operator=(Buffer &&other) noexcept;
  ~Buffer();

  void *data() const { return memory; }
  uint64_t bytes() const { return size; }

private:
  void *memory = nullptr;
  uint64_t size = 0;
};

/// Memory for all that a step's calls take, of one caller: parameters, state,
/// gradients (if an entry has them), inputs, outputs, cotangents, gradients of
/// inputs. All zero at first.
class StepMemory {
public:
  StepMemory(const ModelLayout &layout, const CompiledStep &step);

  /// The slices of the model's own values that `masks` keep, whose widths are
  /// the step's.
  llvm::Error readParameters(const StepCompiler &compiler, const Masks &masks);

  StepBuffers buffers; ///< pointers into this object
  uint64_t bytes = 0;  ///< of all buffers

private:
  void *add(llvm::ArrayRef<int64_t> dims, twist_type type);
  std::vector<Buffer> memory;
};

} // namespace twist::train

#endif // TWIST_TRAIN_STEPMEMORY_H

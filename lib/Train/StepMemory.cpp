//===- StepMemory.cpp - Buffers for a step --------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/StepMemory.h"

#include "llvm/ADT/STLExtras.h"

#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

using namespace twist;
using namespace twist::train;

Buffer::Buffer(uint64_t bytes) : size(bytes) {
  // Large ones from 2 MiB on, where the kernel can give large pages.
  uint64_t alignment = bytes >= (1 << 21) ? 1 << 21 : 64;
  uint64_t rounded = (bytes + alignment - 1) / alignment * alignment;
  memory = std::aligned_alloc(alignment, rounded ? rounded : alignment);
  if (!memory)
    std::abort(); // as operator new without exceptions
#ifdef MADV_HUGEPAGE
  if (bytes >= (1 << 21))
    madvise(memory, rounded, MADV_HUGEPAGE); // best effort
#endif
  std::memset(memory, 0, rounded);
}

Buffer &Buffer::operator=(Buffer &&other) noexcept {
  std::swap(memory, other.memory);
  std::swap(size, other.size);
  return *this;
}

Buffer::~Buffer() { std::free(memory); }

void *StepMemory::add(llvm::ArrayRef<int64_t> dims, twist_type type) {
  uint64_t size = twist_type_size(type);
  for (int64_t dim : dims)
    size *= uint64_t(dim);
  memory.emplace_back(size);
  bytes += size;
  return memory.back().data();
}

StepMemory::StepMemory(const ModelLayout &layout, const CompiledStep &step) {
  unsigned entries = step.request().entries;
  bool hasGradients = entries & (EntryGradients | EntryBackward | EntryUpdate);
  for (auto [i, parameter] : llvm::enumerate(layout.parameters)) {
    buffers.parameters.push_back(add(step.parameterDims(i), parameter.type));
    buffers.gradients.push_back(hasGradients && parameter.trainable
                                    ? add(step.parameterDims(i), parameter.type)
                                    : nullptr);
  }
  for (const StateTensor &state : step.state())
    buffers.state.push_back(add(state.dims, state.type));
  auto isFloat = [](const Tensor &tensor) {
    return tensor.type == TWIST_F32 || tensor.type == TWIST_F64;
  };
  for (const Tensor &input : step.inputs()) {
    buffers.inputs.push_back(add(input.dims, input.type));
    buffers.inputGradients.push_back((entries & EntryBackward) && isFloat(input)
                                         ? add(input.dims, input.type)
                                         : nullptr);
  }
  for (const Tensor &output : step.outputs()) {
    buffers.outputs.push_back(
        entries & EntryForward ? add(output.dims, output.type) : nullptr);
    buffers.cotangents.push_back((entries & EntryBackward) && isFloat(output)
                                     ? add(output.dims, output.type)
                                     : nullptr);
  }
}

llvm::Error StepMemory::readParameters(const StepCompiler &compiler,
                                       const Masks &masks) {
  const ModelLayout &layout = compiler.layout();
  for (auto [i, parameter] : llvm::enumerate(layout.parameters)) {
    unsigned width = twist_type_size(parameter.type);
    Buffer dense(uint64_t(parameter.size()) * width);
    if (llvm::Error error = compiler.readParameter(i, dense.data()))
      return error;
    std::vector<std::vector<int64_t>> kept;
    for (unsigned d = 0; d < parameter.dims.size(); ++d)
      kept.push_back(keptIndices(parameter, d, masks));
    gatherSlice(parameter.dims, kept, width, dense.data(),
                buffers.parameters[i]);
  }
  return llvm::Error::success();
}

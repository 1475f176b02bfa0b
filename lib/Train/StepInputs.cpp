//===- StepInputs.cpp - Tokens into a step's inputs -----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepInputs.h"

#include "twist/Train/Teacher.h"

#include "llvm/ADT/STLExtras.h"

#include <cstring>

using namespace llvm;
using namespace twist;
using namespace twist::train;

void twist::train::storeReal(void *to, twist_type type, double value) {
  if (type == TWIST_F64)
    *static_cast<double *>(to) = value;
  else
    *static_cast<float *>(to) = float(value);
}

double twist::train::loadReal(const void *from, twist_type type) {
  return type == TWIST_F64 ? *static_cast<const double *>(from)
                           : double(*static_cast<const float *>(from));
}

/// Writes whole numbers in the type an input has.
static void fill(AlignedBytes &buffer, const Tensor &input,
                 function_ref<int64_t(int64_t)> value) {
  size_t width = twist_type_size(input.type);
  bool real = input.type == TWIST_F32 || input.type == TWIST_F64;
  for (int64_t i = 0; i < input.size(); ++i) {
    int64_t number = value(i);
    if (real)
      storeReal(buffer.data() + i * width, input.type, double(number));
    else
      std::memcpy(buffer.data() + i * width, &number, width);
  }
}

StepInputs::StepInputs(const CompiledStep &step, Teacher *teacher)
    : compiled(step), teacher(teacher), buffers(step.inputs().size()),
      ids(step.request().batch * step.request().sequence), labels(ids.size()) {
  for (auto [buffer, input] : llvm::zip_equal(buffers, step.inputs())) {
    buffer.resize(input.size() * twist_type_size(input.type));
    if (input.role == InputRole::Ones)
      fill(buffer, input, [](int64_t) { return 1; });
    if (input.role == InputRole::Positions)
      fill(buffer, input,
           [last = input.dims.back()](int64_t i) { return i % last; });
  }
}

Error StepInputs::load(const Data &data, int64_t worker, int64_t step) {
  if (Error error = data.batch(worker, step, ids, labels))
    return error;
  for (auto [buffer, input] : llvm::zip_equal(buffers, compiled.inputs())) {
    if (input.role == InputRole::Ids)
      fill(buffer, input, [&](int64_t i) { return ids[i]; });
    if (input.role != InputRole::Labels)
      continue;
    if (data.options().objective != Objective::Outputs)
      fill(buffer, input, [&](int64_t i) { return labels[i]; });
    else if (Error error = teacher->targets(worker, step, buffer.data()))
      return error;
  }
  return Error::success();
}

int64_t StepInputs::counted() const {
  if (teacher)
    return compiled.request().batch;
  return int64_t(labels.size()) - llvm::count(labels, Data::kIgnored);
}

void StepInputs::bind(StepBuffers &to) const {
  to.inputs.clear();
  for (const AlignedBytes &buffer : buffers)
    to.inputs.push_back(buffer.data());
}

AlignedBytes twist::train::sliceOf(const Parameter &parameter,
                                   const AlignedBytes &dense,
                                   const Masks &masks) {
  std::vector<std::vector<int64_t>> kept;
  int64_t size = 1;
  for (unsigned d = 0; d < parameter.dims.size(); ++d) {
    kept.push_back(keptIndices(parameter, d, masks));
    size *= int64_t(kept.back().size());
  }
  unsigned width = unsigned(twist_type_size(parameter.type));
  AlignedBytes slice(size * width);
  gatherSlice(parameter.dims, kept, width, dense.data(), slice.data());
  return slice;
}

int64_t twist::train::gainAxis(const ModelLayout &layout,
                               const Parameter &gain) {
  return layout.findAxis(
      StringRef(gain.name).drop_front(StringRef("gain:").size()));
}

//===- Runner.cpp - Programs, run again and again -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Feed.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace llvm;
using namespace twist;
using namespace twist::prune;

Expected<ProgramHandle> twist::prune::loadProgram(StringRef path) {
  twist_error error;
  twist_program *program;
  if (twist_program_load(path.str().c_str(), 0, &program, &error))
    return createStringError(error.message);
  return ProgramHandle(program);
}

Expected<Runner> Runner::create(const twist_program *program, int threads) {
  Runner runner;
  twist_error error;
  twist_session *session;
  if (twist_session_create(program, threads, &session, &error))
    return createStringError(error.message);
  runner.session.reset(session);
  runner.program_ = program;
  return std::move(runner);
}

Expected<ArrayRef<Array>> Runner::run(ArrayRef<Array> inputs) {
  twist_error error;
  outputs.resize(twist_program_output_count(program_));
  SmallVector<const int64_t *> from;
  SmallVector<int64_t *> to;
  for (const Array &input : inputs)
    from.push_back(input.dims.data());
  for (auto [i, output] : llvm::enumerate(outputs)) {
    const twist_tensor_info *info = twist_program_output(program_, i);
    output.type = static_cast<twist_type>(info->type);
    output.dims.resize(info->rank);
    to.push_back(output.dims.data());
  }
  if (twist_program_output_dims(program_, from.data(), to.data(), &error))
    return createStringError(error.message);
  for (Array &output : outputs)
    output.data.resize(output.size() * twist_type_size(output.type));
  auto in = llvm::map_to_vector(inputs, std::mem_fn(&Array::buffer));
  auto out = llvm::map_to_vector(outputs, std::mem_fn(&Array::buffer));
  if (twist_session_run(session.get(), in.data(), out.data(), &error))
    return createStringError(error.message);
  return ArrayRef<Array>(outputs);
}

void Runner::parallel(int64_t n, function_ref<void(int64_t)> fn) {
  auto call = [](void *context, int64_t i) {
    (*static_cast<function_ref<void(int64_t)> *>(context))(i);
  };
  twist_parallel(session.get(), call, &fn, n);
}

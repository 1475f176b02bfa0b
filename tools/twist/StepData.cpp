//===- StepData.cpp - What twist step feeds a step --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepData.h"

#include "twist/Runtime/Tools.h"
#include "twist/Support/Philox.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/InterleavedRange.h"

#include <cstring>

using namespace twist;
using namespace twist::tools;
using namespace twist::train;
using llvm::createStringError;

llvm::Expected<Tokens> Tokens::create(llvm::StringRef path,
                                      int64_t vocabulary) {
  Tokens tokens;
  if (path.empty()) {
    PhiloxStream random(0, 0, 0, 0);
    for (int64_t i = 0; i < 1 << 16; ++i)
      tokens.values.push_back(int64_t(random.below(uint64_t(vocabulary))));
    return tokens;
  }
  twist_array array = {};
  twist_error error;
  if (twist_npy_read(path.str().c_str(), &array, &error))
    return createStringError(error.message);
  uint64_t count = array.bytes / twist_type_size(array.type);
  bool known = array.type == TWIST_I64 || array.type == TWIST_I32;
  for (uint64_t i = 0; known && i < count; ++i)
    tokens.values.push_back(array.type == TWIST_I64
                                ? static_cast<int64_t *>(array.data)[i]
                                : static_cast<int32_t *>(array.data)[i]);
  twist_array_free(&array);
  if (!known || count == 0)
    return createStringError("'" + path +
                             "' holds no int64 or int32 token ids");
  for (int64_t id : tokens.values)
    if (id < 0 || id >= vocabulary)
      return createStringError("'" + path + "' holds id " + llvm::Twine(id) +
                               ", the model knows " + llvm::Twine(vocabulary));
  return tokens;
}

void Tokens::fill(int64_t batch, int64_t rows, int64_t length, int64_t *ids,
                  int64_t *labels) const {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i <= length; ++i) {
      int64_t start = (batch * rows + row) * length;
      int64_t id = values[size_t((start + i) % int64_t(values.size()))];
      if (i < length)
        ids[row * length + i] = id;
      if (i > 0)
        labels[row * length + i - 1] = id;
    }
}

//===----------------------------------------------------------------------===//
// Inputs of any model
//===----------------------------------------------------------------------===//

/// Copies a file to the buffer of an input; floats are converted.
static llvm::Error readInput(llvm::StringRef path, const Tensor &input,
                             void *to) {
  twist_array array = {};
  twist_error error;
  if (twist_npy_read(path.str().c_str(), &array, &error))
    return createStringError(error.message);
  auto release = llvm::scope_exit([&] { twist_array_free(&array); });
  auto isFloat = [](twist_type type) {
    return type == TWIST_F32 || type == TWIST_F64;
  };
  llvm::ArrayRef<int64_t> dims(array.dims, array.rank);
  bool fits =
      array.type == input.type || (isFloat(array.type) && isFloat(input.type));
  if (dims != llvm::ArrayRef(input.dims) || !fits) {
    std::string shape, wanted;
    llvm::raw_string_ostream(shape) << llvm::interleaved_array(dims);
    llvm::raw_string_ostream(wanted) << llvm::interleaved_array(input.dims);
    return createStringError("'" + path + "' is " +
                             twist_type_name(array.type) + " " + shape +
                             ", input '" + input.name + "' is " +
                             twist_type_name(input.type) + " " + wanted);
  }
  if (array.type == input.type) {
    std::memcpy(to, array.data, array.bytes);
    return llvm::Error::success();
  }
  for (int64_t i = 0; i < input.size(); ++i) {
    double value = twist_load_float(array.data, array.type, i);
    if (input.type == TWIST_F64)
      static_cast<double *>(to)[i] = value;
    else
      static_cast<float *>(to)[i] = float(value);
  }
  return llvm::Error::success();
}

llvm::Error twist::tools::readInputs(llvm::ArrayRef<std::string> arguments,
                                     llvm::ArrayRef<Tensor> inputs,
                                     llvm::ArrayRef<const void *> buffers) {
  llvm::StringMap<llvm::StringRef> paths;
  for (llvm::StringRef argument : arguments) {
    auto [name, path] = argument.split('=');
    if (name.empty() || path.empty())
      return createStringError("'--input " + argument +
                               "' is not NAME=FILE.npy");
    if (llvm::none_of(inputs, [name = name](const Tensor &input) {
          return input.name == name;
        }))
      return createStringError("the step has no input '" + name + "'");
    paths[name] = path;
  }
  for (auto [input, buffer] : llvm::zip_equal(inputs, buffers)) {
    auto path = paths.find(input.name);
    if (path == paths.end())
      return createStringError("the step needs --input '" + input.name +
                               "=FILE.npy'");
    if (llvm::Error error =
            readInput(path->second, input, const_cast<void *>(buffer)))
      return error;
  }
  return llvm::Error::success();
}

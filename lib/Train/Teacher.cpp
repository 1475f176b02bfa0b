//===- Teacher.cpp - Outputs to learn from --------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Teacher.h"

#include "StepInputs.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/xxhash.h"

#include <cstring>
#include <fcntl.h>
#include <unistd.h>

using namespace llvm;
using namespace twist;
using namespace twist::train;

/// Bytes of the header line: digest, bytes a window, windows.
static constexpr size_t kHeader = 128;

/// What a step reads and writes.
class Teacher::Batch {
public:
  explicit Batch(const CompiledStep &step) : inputs(step) {}
  StepInputs inputs;
  StepBuffers buffers;
  std::vector<AlignedBytes> parameters, outputs;
};

Teacher::Teacher(const Data &data) : data(data) {}

Teacher::~Teacher() {
  if (file >= 0)
    ::close(file);
}

const Tensor &Teacher::output() const { return step->outputs()[chosen]; }

Expected<std::unique_ptr<Teacher>>
Teacher::create(StepCompiler &compiler, const Data &data, StringRef output,
                StringRef name, StringRef path, int threads) {
  std::unique_ptr<Teacher> teacher(new Teacher(data));
  teacher->name = name.str();
  teacher->path = path.str();
  if (data.options().vocabulary > compiler.layout().tokens())
    return createStringError(formatv("{0}: takes ids below {1}, the student's "
                                     "are below {2}",
                                     name, compiler.layout().tokens(),
                                     data.options().vocabulary)
                                 .str());
  if (Error error = teacher->compile(compiler, output, threads))
    return std::move(error);
  return std::move(teacher);
}

Error Teacher::compile(StepCompiler &compiler, StringRef output, int threads) {
  const ModelLayout &layout = compiler.layout();
  StepRequest request;
  request.batch = data.options().batch;
  request.sequence = data.options().context;
  request.loss.kind = LossKind::External;
  request.entries = EntryForward;
  auto compiled = compiler.compile(request);
  if (!compiled)
    return createStringError(name + ": " + toString(compiled.takeError()));
  step = std::move(*compiled);
  auto isFloat = [](const Tensor &tensor) {
    return tensor.type == TWIST_F32 || tensor.type == TWIST_F64;
  };
  const auto *found = llvm::find_if(step->outputs(), [&](const Tensor &tensor) {
    if (!output.empty())
      return tensor.name == output;
    return layout.logits >= 0
               ? tensor.name == layout.outputs[layout.logits].name
               : isFloat(tensor);
  });
  if (found == step->outputs().end() || !isFloat(*found))
    return createStringError(name + ": has no output of floats" +
                             (output.empty() ? "" : " '" + output + "'"));
  if (found->dims.empty() || found->dims[0] != request.batch)
    return createStringError(name + ": output '" + found->name +
                             "' has no row for each window");
  chosen = found - step->outputs().begin();
  rowBytes =
      size_t(found->size() / request.batch) * twist_type_size(found->type);

  auto opened = step->createSession(threads);
  if (!opened)
    return opened.takeError();
  session = std::move(*opened);
  batch = std::make_unique<Batch>(*step);
  SHA256 sha;
  sha.update(layout.structureSHA256);
  sha.update(found->name);
  sha.update(data.hash());
  for (auto [i, parameter] : llvm::enumerate(layout.parameters)) {
    AlignedBytes &values = batch->parameters.emplace_back(
        parameter.size() * twist_type_size(parameter.type));
    if (Error error = compiler.readParameter(unsigned(i), values.data()))
      return error;
    sha.update(StringRef(values.data(), values.size()));
    batch->buffers.parameters.push_back(values.data());
  }
  digest = toHex(sha.final(), /*LowerCase=*/true);
  for (const Tensor &tensor : step->outputs())
    batch->buffers.outputs.push_back(
        batch->outputs
            .emplace_back(tensor.size() * twist_type_size(tensor.type))
            .data());
  batch->inputs.bind(batch->buffers);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// The file
//===----------------------------------------------------------------------===//

uint64_t Teacher::placeOf(int64_t window) const {
  return kHeader + sums.size() * sizeof(uint64_t) + uint64_t(window) * rowBytes;
}

Error Teacher::transfer(bool write, uint64_t at, void *bytes, size_t count) {
  auto *data = static_cast<char *>(bytes);
  while (count > 0) {
    ssize_t done = write ? ::pwrite(file, data, count, off_t(at))
                         : ::pread(file, data, count, off_t(at));
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return createStringError(
          path + ": the teacher's outputs cannot be " +
          (write ? "kept: " : "read: ") +
          (done < 0 ? std::strerror(errno) : "the file is too short"));
    data += done;
    at += size_t(done);
    count -= size_t(done);
  }
  return Error::success();
}

Error Teacher::openFile() {
  sums.resize(data.windows());
  std::string header =
      formatv("twist teacher 1 {0} {1} {2}", digest, rowBytes, sums.size());
  header.resize(kHeader - 1, ' ');
  header += '\n';
  file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0)
    return createStringError(path +
                             ": cannot be made: " + std::strerror(errno));
  std::string found(kHeader, '\0');
  if (::pread(file, found.data(), kHeader, 0) == ssize_t(kHeader) &&
      found == header)
    return transfer(false, kHeader, sums.data(),
                    sums.size() * sizeof(uint64_t));
  if (::ftruncate(file, 0))
    return createStringError(path +
                             ": cannot be emptied: " + std::strerror(errno));
  // Sums first: a file with a header has all of them.
  if (Error error =
          transfer(true, kHeader, sums.data(), sums.size() * sizeof(uint64_t)))
    return error;
  return transfer(true, 0, header.data(), kHeader);
}

static uint64_t sumOf(const char *row, size_t bytes) {
  return xxh3_64bits(ArrayRef(reinterpret_cast<const uint8_t *>(row), bytes)) |
         1;
}

bool Teacher::isThere(int64_t window, const char *row) const {
  return sums[window] == sumOf(row, rowBytes);
}

//===----------------------------------------------------------------------===//
// Targets
//===----------------------------------------------------------------------===//

/// The whole batch, into `batch` and the file: rows first, then their sums, so
/// that one cut off is computed again.
Error Teacher::compute(int64_t worker, int64_t number) {
  if (Error error = batch->inputs.load(data, worker, number))
    return error;
  if (Error error = session->forward(batch->buffers, {}))
    return error;
  for (int64_t row = 0; row < data.options().batch; ++row) {
    int64_t window = data.window(worker, number, row);
    char *values = batch->outputs[chosen].data() + row * rowBytes;
    uint64_t sum = sumOf(values, rowBytes);
    if (sums[window] == sum)
      continue;
    if (Error error = transfer(true, placeOf(window), values, rowBytes))
      return error;
    if (Error error =
            transfer(true, kHeader + window * sizeof(sum), &sum, sizeof(sum)))
      return error;
    sums[window] = sum;
    ++computedCount;
  }
  return Error::success();
}

Error Teacher::targets(int64_t worker, int64_t number, char *to) {
  std::lock_guard<std::mutex> guard(lock);
  if (file < 0)
    if (Error error = openFile())
      return error;
  bool whole = true;
  for (int64_t row = 0; whole && row < data.options().batch; ++row) {
    int64_t window = data.window(worker, number, row);
    whole = sums[window] != 0;
    if (!whole)
      break;
    if (Error error =
            transfer(false, placeOf(window), to + row * rowBytes, rowBytes))
      return error;
    whole = isThere(window, to + row * rowBytes);
  }
  if (whole)
    return Error::success();
  if (Error error = compute(worker, number))
    return error;
  std::memcpy(to, batch->outputs[chosen].data(), batch->outputs[chosen].size());
  return Error::success();
}

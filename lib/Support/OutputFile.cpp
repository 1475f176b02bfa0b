//===- OutputFile.cpp - Files that are whole or absent --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Support/OutputFile.h"

#include "llvm/Support/Errno.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Signals.h"

#include <cerrno>
#include <unistd.h>

using namespace llvm;
using namespace twist;

/// Of an errno; 0 is success.
static Error toError(int code) {
  return code ? createStringError(sys::StrError(code)) : Error::success();
}

Error PendingFile::open(StringRef path, unsigned mode) {
  sys::fs::file_status status;
  if (!sys::fs::status(path, status) && !sys::fs::is_regular_file(status))
    return createStringError("it is there and no regular file");
  int code = twist_output_open(path.str().c_str(), mode, &output);
  if (code == EBUSY)
    return createStringError("another process is writing it");
  if (!code)
    sys::RemoveFileOnSignal(temporaryPath());
  return toError(code);
}

Error PendingFile::keep() {
  std::string name = temporaryPath().str();
  int code = twist_output_keep(&output);
  sys::DontRemoveFileOnSignal(name);
  return toError(code);
}

PendingFile::~PendingFile() {
  if (!output.temporary)
    return;
  std::string name = temporaryPath().str();
  twist_output_discard(&output);
  sys::DontRemoveFileOnSignal(name);
}

static Error fillAndKeep(StringRef path,
                         function_ref<Error(raw_pwrite_stream &)> fill,
                         bool toDisk, bool &isFillers) {
  PendingFile file;
  if (Error error = file.open(path))
    return error;
  raw_fd_ostream os(file.descriptor(), /*shouldClose=*/false);
  Error error = fill(os);
  os.flush();
  std::error_code code = os.error();
  os.clear_error();
  isFillers = bool(error);
  if (error)
    return error;
  if (code)
    return createStringError(code.message());
  if (toDisk && ::fsync(file.descriptor()))
    return toError(errno);
  return file.keep();
}

Error twist::writeFile(StringRef path,
                       function_ref<Error(raw_pwrite_stream &)> fill,
                       bool toDisk) {
  bool isFillers = false;
  Error error = fillAndKeep(path, fill, toDisk, isFillers);
  if (!error || isFillers)
    return error;
  return createStringError(
      path + ": cannot be written: " + toString(std::move(error)));
}

Error twist::writeFile(StringRef path, StringRef text) {
  return writeFile(path, [&](raw_pwrite_stream &os) {
    os << text;
    return Error::success();
  });
}

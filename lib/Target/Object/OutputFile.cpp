//===- OutputFile.cpp - Files that are complete or absent -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Target/Object/Object.h"

#include "llvm/Support/Errno.h"

#include <cerrno>
#include <unistd.h>

using namespace mlir;
using namespace twist::object;

LogicalResult OutputFile::fail(const Twine &what, const Twine &why) {
  return emitError(loc) << "cannot " << what << " '" << path << "': " << why;
}

FailureOr<OutputFile> OutputFile::create(StringRef path, Location loc,
                                         bool isExecutable) {
  OutputFile result(path, loc);
  if (llvm::Error error = result.file.open(path, isExecutable ? 0777 : 0666))
    return result.fail("create", toString(std::move(error)));
  return FailureOr<OutputFile>(std::move(result));
}

LogicalResult OutputFile::write(ArrayRef<char> bytes) {
  off_t at = ::lseek(file.descriptor(), 0, SEEK_CUR);
  if (failed(writeAt(bytes, at)))
    return failure();
  ::lseek(file.descriptor(), at + bytes.size(), SEEK_SET);
  return success();
}

LogicalResult OutputFile::writeAt(ArrayRef<char> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t written =
        ::pwrite(file.descriptor(), bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return fail("write", llvm::sys::StrError(written < 0 ? errno : ENOSPC));
    bytes = bytes.drop_front(written);
    offset += written;
  }
  return success();
}

LogicalResult OutputFile::keep() {
  if (llvm::Error error = file.keep())
    return fail("create", toString(std::move(error)));
  return success();
}

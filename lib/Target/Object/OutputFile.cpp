//===- OutputFile.cpp - Files that are complete or absent -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Target/Object/Object.h"

#include "llvm/Support/Errno.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace mlir;
using namespace twist::object;

LogicalResult OutputFile::fail(const Twine &what, int error) {
  return emitError(loc) << "cannot " << what << " '" << path
                        << "': " << llvm::sys::StrError(error);
}

FailureOr<OutputFile> OutputFile::create(StringRef path, Location loc) {
  OutputFile result(path, loc);
  llvm::sys::fs::file_status status;
  if (!llvm::sys::fs::status(path, status) &&
      !llvm::sys::fs::is_regular_file(status))
    return emitError(loc) << "cannot create '" << path
                          << "': it is there and no regular file";
  std::string pattern = (path + ".XXXXXX").str();
  result.file = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (result.file < 0)
    return result.fail("create", errno);
  result.temporary = pattern;
  llvm::sys::RemoveFileOnSignal(pattern);
  return FailureOr<OutputFile>(std::move(result));
}

OutputFile::~OutputFile() {
  if (file >= 0)
    ::close(file);
  if (temporary.empty())
    return;
  ::unlink(temporary.c_str());
  llvm::sys::DontRemoveFileOnSignal(temporary);
}

LogicalResult OutputFile::write(ArrayRef<char> bytes) {
  off_t at = ::lseek(file, 0, SEEK_CUR);
  if (failed(writeAt(bytes, at)))
    return failure();
  ::lseek(file, at + bytes.size(), SEEK_SET);
  return success();
}

LogicalResult OutputFile::writeAt(ArrayRef<char> bytes, uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t written = ::pwrite(file, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return fail("write", written < 0 ? errno : ENOSPC);
    bytes = bytes.drop_front(written);
    offset += written;
  }
  return success();
}

LogicalResult OutputFile::keep() {
  // What the caller's mask allows, as for any file; linkers set x themselves.
  struct stat info;
  mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fstat(file, &info) || ::fchmod(file, (info.st_mode | 0644) & ~mask))
    return fail("write", errno);
  int closed = ::close(std::exchange(file, -1));
  if (closed)
    return fail("write", errno);
  if (::rename(temporary.c_str(), path.c_str()))
    return fail("create", errno);
  llvm::sys::DontRemoveFileOnSignal(temporary);
  temporary.clear();
  return success();
}

//===- Link.cpp - Shared objects and executables --------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Runtime/Program.h"
#include "twist/Target/Object/Object.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;
using namespace twist::object;

static FailureOr<std::string> findLinker(Location loc) {
  for (StringRef name : {"ld.lld-22", "ld.lld"})
    if (llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName(name))
      return *path;
  return emitError(loc) << "no linker: 'ld.lld' is not on PATH";
}

/// A file of the C library or the compiler's support library.
static FailureOr<std::string> findFile(ArrayRef<StringRef> folders,
                                       StringRef name, Location loc) {
  for (StringRef folder : folders) {
    SmallString<128> path(folder);
    llvm::sys::path::append(path, name);
    if (llvm::sys::fs::exists(path))
      return path.str().str();
  }
  return emitError(loc) << "'" << name
                        << "' not found: install the C library's development "
                           "files and the compiler's support library";
}

static FailureOr<std::string> findC(StringRef name, Location loc) {
  return findFile({"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"}, name,
                  loc);
}

/// Conversions of half precision and wide integers that code may call.
static FailureOr<std::string> findBuiltins(Location loc) {
  return findFile({"/usr/lib/llvm-22/lib/clang/22/lib/linux"},
                  "libclang_rt.builtins-x86_64.a", loc);
}

/// Runs ld.lld; its messages become the diagnostic.
static LogicalResult runLinker(ArrayRef<std::string> arguments, Location loc) {
  FailureOr<std::string> linker = findLinker(loc);
  if (failed(linker))
    return failure();
  SmallString<128> log;
  int descriptor;
  if (llvm::sys::fs::createTemporaryFile("twist-link", "log", descriptor, log))
    return emitError(loc) << "cannot create a temporary file";
  llvm::sys::Process::SafelyCloseFileDescriptor(descriptor);
  SmallVector<StringRef> line{*linker};
  llvm::append_range(line, arguments);
  std::string error;
  std::optional<StringRef> redirects[] = {StringRef(), log.str(), log.str()};
  int code = llvm::sys::ExecuteAndWait(*linker, line, std::nullopt, redirects,
                                       0, 0, &error);
  auto messages = llvm::MemoryBuffer::getFile(log);
  std::string text = messages ? (*messages)->getBuffer().trim().str() : error;
  llvm::sys::fs::remove(log);
  if (code == 0)
    return success();
  return emitError(loc) << "linking failed: " << (text.empty() ? error : text);
}

/// Appends the hash of a file, which the runtime checks before it maps it.
static LogicalResult seal(StringRef path, Location loc) {
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  if (!file)
    return emitError(loc) << "cannot read '" << path
                          << "': " << file.getError().message();
  StringRef bytes = (*file)->getBuffer();
  twist_seal seal = {{}, bytes.size(), {}};
  llvm::copy(StringRef(TWIST_SEAL_MAGIC), seal.magic);
  llvm::copy(llvm::SHA256::hash(llvm::arrayRefFromStringRef(bytes)),
             seal.sha256);
  std::error_code error;
  llvm::raw_fd_ostream output(path, error, llvm::sys::fs::CD_OpenExisting,
                              llvm::sys::fs::FA_Write,
                              llvm::sys::fs::OF_Append);
  if (!error) {
    output.write(reinterpret_cast<const char *>(&seal), sizeof(seal));
    output.close();
    error = output.error();
    output.clear_error();
  }
  if (error)
    return emitError(loc) << "cannot write '" << path
                          << "': " << error.message();
  return success();
}

LogicalResult twist::object::linkSharedObject(StringRef object,
                                              const OutputFile &output,
                                              Location loc) {
  FailureOr<std::string> libc = findC("libc.so.6", loc),
                         libm = findC("libm.so.6", loc),
                         builtins = findBuiltins(loc);
  if (failed(libc) || failed(libm) || failed(builtins))
    return failure();
  // The linker puts a file of its own in the temporary one's place.
  if (failed(runLinker({"-shared", "--no-undefined", "--hash-style=gnu",
                        "--exclude-libs=ALL", "-z", "relro", "-z", "now",
                        object.str(), *builtins, "--as-needed", *libm, *libc,
                        "-o", output.temporaryPath().str()},
                       loc)))
    return failure();
  return seal(output.temporaryPath(), loc);
}

LogicalResult twist::object::linkExecutable(StringRef object, StringRef runtime,
                                            const OutputFile &output,
                                            Location loc) {
  FailureOr<std::string> start = findC("Scrt1.o", loc),
                         open = findC("crti.o", loc),
                         close = findC("crtn.o", loc),
                         libc = findC("libc.so", loc),
                         libm = findC("libm.so.6", loc),
                         builtins = findBuiltins(loc);
  if (failed(start) || failed(open) || failed(close) || failed(libc) ||
      failed(libm) || failed(builtins))
    return failure();
  return runLinker({"-pie",
                    "--dynamic-linker=/lib64/ld-linux-x86-64.so.2",
                    "--hash-style=gnu",
                    "-z",
                    "relro",
                    "-z",
                    "now",
                    "--gc-sections",
                    *start,
                    *open,
                    object.str(),
                    "-u",
                    "main",
                    runtime.str(),
                    *builtins,
                    "--as-needed",
                    *libm,
                    *libc,
                    *close,
                    "-o",
                    output.temporaryPath().str()},
                   loc);
}

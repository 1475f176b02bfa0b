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
#include "llvm/Support/Program.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;
using namespace twist;
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

namespace {
/// A folder for what goes into the linker and comes out.
class Workshop {
public:
  explicit Workshop(Location loc) : loc(loc) {}
  ~Workshop() {
    if (!folder.empty())
      llvm::sys::fs::remove_directories(folder);
  }

  LogicalResult open(ArrayRef<char> code);
  /// Runs ld.lld; its messages become the diagnostic.
  LogicalResult run(ArrayRef<std::string> arguments);
  /// What it made, and the hash of that if it is `sealed`, which the runtime
  /// checks before it maps it.
  LogicalResult copyTo(OutputFile &output, bool sealed);

  std::string object() const { return path("program.o"); }
  std::string linked() const { return path("program"); }

private:
  std::string path(StringRef name) const {
    SmallString<128> result(folder);
    llvm::sys::path::append(result, name);
    return result.str().str();
  }

  SmallString<128> folder;
  Location loc;
};
} // namespace

LogicalResult Workshop::open(ArrayRef<char> code) {
  if (llvm::sys::fs::createUniqueDirectory("twist-link", folder)) {
    folder.clear();
    return emitError(loc) << "cannot create a temporary folder";
  }
  if (llvm::Error error =
          writeFile(object(), StringRef(code.data(), code.size())))
    return emitError(loc) << toString(std::move(error));
  return success();
}

LogicalResult Workshop::run(ArrayRef<std::string> arguments) {
  FailureOr<std::string> linker = findLinker(loc);
  if (failed(linker))
    return failure();
  std::string log = path("log");
  SmallVector<StringRef> line{*linker};
  llvm::append_range(line, arguments);
  std::string error;
  std::optional<StringRef> redirects[] = {StringRef(), StringRef(log),
                                          StringRef(log)};
  int code = llvm::sys::ExecuteAndWait(*linker, line, std::nullopt, redirects,
                                       0, 0, &error);
  auto messages = llvm::MemoryBuffer::getFile(log);
  std::string text = messages ? (*messages)->getBuffer().trim().str() : error;
  if (code == 0)
    return success();
  return emitError(loc) << "linking failed: " << (text.empty() ? error : text);
}

LogicalResult Workshop::copyTo(OutputFile &output, bool sealed) {
  auto file = llvm::MemoryBuffer::getFile(linked(), /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  if (!file)
    return emitError(loc) << "cannot read '" << linked()
                          << "': " << file.getError().message();
  StringRef bytes = (*file)->getBuffer();
  if (failed(output.write(ArrayRef(bytes.data(), bytes.size()))))
    return failure();
  if (!sealed)
    return success();
  twist_seal seal = {{}, bytes.size(), {}};
  llvm::copy(StringRef(TWIST_SEAL_MAGIC), seal.magic);
  llvm::copy(llvm::SHA256::hash(llvm::arrayRefFromStringRef(bytes)),
             seal.sha256);
  return output.write(
      ArrayRef(reinterpret_cast<const char *>(&seal), sizeof(seal)));
}

LogicalResult twist::object::linkSharedObject(ArrayRef<char> code,
                                              OutputFile &output,
                                              Location loc) {
  FailureOr<std::string> libc = findC("libc.so.6", loc),
                         libm = findC("libm.so.6", loc),
                         builtins = findBuiltins(loc);
  if (failed(libc) || failed(libm) || failed(builtins))
    return failure();
  Workshop shop(loc);
  if (failed(shop.open(code)) ||
      failed(shop.run({"-shared", "--no-undefined", "--hash-style=gnu",
                       "--exclude-libs=ALL", "-z", "relro", "-z", "now",
                       shop.object(), *builtins, "--as-needed", *libm, *libc,
                       "-o", shop.linked()})))
    return failure();
  return shop.copyTo(output, /*sealed=*/true);
}

LogicalResult twist::object::linkExecutable(ArrayRef<char> code,
                                            StringRef runtime,
                                            OutputFile &output, Location loc) {
  FailureOr<std::string> start = findC("Scrt1.o", loc),
                         open = findC("crti.o", loc),
                         close = findC("crtn.o", loc),
                         libc = findC("libc.so", loc),
                         libm = findC("libm.so.6", loc),
                         builtins = findBuiltins(loc);
  if (failed(start) || failed(open) || failed(close) || failed(libc) ||
      failed(libm) || failed(builtins))
    return failure();
  Workshop shop(loc);
  if (failed(shop.open(code)) ||
      failed(shop.run({"-pie",
                       "--dynamic-linker=/lib64/ld-linux-x86-64.so.2",
                       "--hash-style=gnu",
                       "-z",
                       "relro",
                       "-z",
                       "now",
                       "--gc-sections",
                       *start,
                       *open,
                       shop.object(),
                       "-u",
                       "main",
                       runtime.str(),
                       *builtins,
                       "--as-needed",
                       *libm,
                       *libc,
                       *close,
                       "-o",
                       shop.linked()})))
    return failure();
  return shop.copyTo(output, /*sealed=*/false);
}

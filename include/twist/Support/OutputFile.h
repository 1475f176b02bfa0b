//===- OutputFile.h - Files that are whole or absent ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_SUPPORT_OUTPUTFILE_H
#define TWIST_SUPPORT_OUTPUTFILE_H

#include "twist/Runtime/Output.h"

#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

#include <memory>
#include <string>

namespace twist {

/// A file under a temporary name (Runtime/Output.h), removed unless it is kept,
/// by Ctrl-C too.
class PendingFile {
public:
  PendingFile() = default;
  PendingFile(PendingFile &&other) { swap(other); }
  PendingFile &operator=(PendingFile &&other) {
    swap(other);
    return *this;
  }
  ~PendingFile();

  /// Opens it, unless `path` is there and no regular file. The error is the
  /// reason alone.
  llvm::Error open(llvm::StringRef path, unsigned mode = 0666);
  /// Gives it its name.
  llvm::Error keep();

  int descriptor() const { return output.file; }
  llvm::StringRef temporaryPath() const {
    return output.temporary ? output.temporary : "";
  }

private:
  void swap(PendingFile &other) { std::swap(output, other.output); }

  twist_output output = {-1, nullptr, nullptr};
};

/// Writes the file that `fill` makes; where that fails, an older one stays.
/// What the system says gets `path` before it: "PATH: cannot be written: …".
/// `toDisk`: it survives a loss of power, too.
llvm::Error
writeFile(llvm::StringRef path,
          llvm::function_ref<llvm::Error(llvm::raw_pwrite_stream &)> fill,
          bool toDisk = false);

/// The same of a text.
llvm::Error writeFile(llvm::StringRef path, llvm::StringRef text);

} // namespace twist

#endif // TWIST_SUPPORT_OUTPUTFILE_H

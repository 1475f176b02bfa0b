//===- Installed.h - Files that belong to this program ----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_PIPELINE_INSTALLED_H
#define TWIST_LIB_PIPELINE_INSTALLED_H

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

namespace twist {

/// The path of `file`, "lib/…" or "share/…", beside the folder of this program,
/// as built or as installed; an error at `loc` if it is not there.
inline mlir::FailureOr<std::string> findInstalled(llvm::StringRef file,
                                                  mlir::Location loc) {
  std::string self = llvm::sys::fs::getMainExecutable(nullptr, nullptr);
  llvm::SmallString<128> path(
      llvm::sys::path::parent_path(llvm::sys::path::parent_path(self)));
  llvm::sys::path::append(path, file);
  if (llvm::sys::fs::exists(path))
    return path.str().str();
  return mlir::emitError(loc)
         << "the installation is incomplete: there is no '" << path << "'";
}

} // namespace twist

#endif // TWIST_LIB_PIPELINE_INSTALLED_H

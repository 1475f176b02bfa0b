//===- Checkpoint.h - Training on disk --------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// A checkpoint is a safetensors file; its metadata hold one JSON object,
// "twist", and the SHA-256 of all data, "sha256".
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_CHECKPOINT_H
#define TWIST_TRAIN_CHECKPOINT_H

#include "twist/Runtime/twist.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"

#include <memory>
#include <string>
#include <vector>

namespace twist::train {

/// f64, f32 or i32.
struct TensorHeader {
  std::string name;
  twist_type type = TWIST_F32;
  std::vector<int64_t> dims;
  uint64_t bytes() const;
};

/// Writes tensors in their order; `fill(i)` gives the bytes of tensor i, valid
/// until the next call. The file is flushed to the disk before it has its name.
llvm::Error writeTensors(
    llvm::StringRef path, llvm::ArrayRef<TensorHeader> tensors,
    const llvm::json::Object &metadata,
    llvm::function_ref<llvm::Expected<llvm::ArrayRef<char>>(size_t)> fill);

/// A mapped file of tensors.
class TensorFile {
public:
  /// Refuses what is no safetensors file; if `check`, also data that are not as
  /// their hash says, and files without one.
  static llvm::Expected<TensorFile> open(llvm::StringRef path, bool check);

  /// The object "twist" of the metadata; empty if there is none.
  const llvm::json::Object &metadata() const { return info; }
  llvm::ArrayRef<TensorHeader> tensors() const { return headers; }
  /// The bytes of a tensor of this name, type and size; an error says what is
  /// otherwise.
  llvm::Expected<const char *> find(const TensorHeader &wanted) const;
  const char *data(size_t tensor) const {
    return file->getBufferStart() + offsets[tensor];
  }

private:
  TensorFile() = default;
  std::string path;
  std::unique_ptr<llvm::MemoryBuffer> file;
  llvm::json::Object info;
  std::vector<TensorHeader> headers;
  std::vector<uint64_t> offsets;
  llvm::StringMap<size_t> byName;
};

} // namespace twist::train

#endif // TWIST_TRAIN_CHECKPOINT_H

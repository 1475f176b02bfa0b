//===- Teacher.h - Outputs to learn from ------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// What another model makes of each window, computed once and kept in a file: a
// header line, a u64 checksum a window (0: not there yet), the outputs, row by
// row, in the order of windows. Rows not computed yet take no space on disk.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_TEACHER_H
#define TWIST_TRAIN_TEACHER_H

#include "twist/Train/CompiledStep.h"
#include "twist/Train/Data.h"
#include "twist/Train/Store.h"

#include <mutex>

namespace twist::train {

class Teacher {
public:
  /// `output`: which of the teacher's; empty: its logits, or the first of
  /// floats. `name` stands for the teacher in messages, `path` is the file,
  /// opened when the first targets are asked for; one made by another teacher
  /// or for other data is written anew. `compiler`
  /// and `data` outlive it. Refused: ids beyond the teacher's vocabulary, an
  /// output whose rows are not windows.
  static llvm::Expected<std::unique_ptr<Teacher>>
  create(StepCompiler &compiler, const Data &data, llvm::StringRef output,
         llvm::StringRef name, llvm::StringRef path, int threads);
  ~Teacher();

  /// Of the output for one batch: type, sizes.
  const Tensor &output() const;
  /// What decides the targets, hexadecimal.
  llvm::StringRef hash() const { return digest; }
  /// The targets of a worker's step: `to` has the output's bytes. Different
  /// workers may ask at the same time.
  llvm::Error targets(int64_t worker, int64_t step, char *to);
  /// Windows computed so far, in this run.
  int64_t computed() const { return computedCount; }

private:
  explicit Teacher(const Data &data);
  llvm::Error compile(StepCompiler &compiler, llvm::StringRef output,
                      int threads);
  llvm::Error openFile();
  llvm::Error compute(int64_t worker, int64_t step);
  llvm::Error transfer(bool write, uint64_t at, void *bytes, size_t count);
  bool isThere(int64_t window, const char *row) const;
  uint64_t placeOf(int64_t window) const;

  const Data &data;
  std::string name, path, digest;
  std::shared_ptr<const CompiledStep> step;
  std::unique_ptr<StepSession> session;
  class Batch;
  std::unique_ptr<Batch> batch;
  size_t chosen = 0, rowBytes = 0;
  int file = -1;
  std::vector<uint64_t> sums; ///< by window
  int64_t computedCount = 0;
  std::mutex lock;
};

} // namespace twist::train

#endif // TWIST_TRAIN_TEACHER_H

//===- RunFolder.h - Where a training keeps its files -----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//   RUN/checkpoints/round-000100.safetensors   the last two
//   RUN/metrics.jsonl                          a line a round
//   RUN/dense.onnx, tickets/, sliced/, report.html   at the end
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_RUNFOLDER_H
#define TWIST_TRAIN_RUNFOLDER_H

#include "twist/Train/Trainer.h"

namespace twist::train {

/// Used by rank 0 alone, but for `newestCheckpoint`.
class RunFolder {
public:
  explicit RunFolder(llvm::StringRef path) : root(path.str()) {}

  std::string path(llvm::StringRef name) const;
  std::string checkpointPath(int64_t round) const;
  /// The checkpoint with the highest round, "" if there is none.
  std::string newestCheckpoint() const;

  /// Refuses, without `resume`, a folder that holds a training.
  llvm::Error check(bool resume) const;
  /// The same, and makes the folders.
  llvm::Error create(bool resume) const;
  /// Drops all checkpoints but the last two.
  void pruneCheckpoints() const;

  /// Drops lines of rounds from `round` on (they will be run again) and
  /// appends.
  llvm::Error openMetrics(int64_t round);
  llvm::Error addMetrics(const RoundReport &report);
  /// All lines.
  llvm::Expected<std::vector<llvm::json::Object>> readMetrics() const;

private:
  std::vector<std::pair<int64_t, std::string>> checkpoints() const;
  std::string root;
};

/// Of a line of metrics.
llvm::json::Object toJSON(const RoundReport &report);

} // namespace twist::train

#endif // TWIST_TRAIN_RUNFOLDER_H

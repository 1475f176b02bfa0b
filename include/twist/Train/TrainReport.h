//===- TrainReport.h - A training as one HTML page --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_TRAINREPORT_H
#define TWIST_TRAIN_TRAINREPORT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/JSON.h"

#include <string>
#include <vector>

namespace twist::train {

/// A model that was judged: the whole one, or a ticket's.
struct JudgedModel {
  std::string name;
  double kappa = 1, value = 0;
  int64_t parameters = 0;
  /// Of one batch through the compiled loss; 0: not measured.
  double seconds = 0;
};

/// `plan`: what was printed before training. `metrics`: lines of metrics.jsonl.
/// `judged`: empty where there were no data to judge on; by `measure`, of which
/// less is better.
std::string trainingReport(llvm::StringRef plan,
                           llvm::ArrayRef<llvm::json::Object> metrics,
                           llvm::ArrayRef<JudgedModel> judged,
                           llvm::StringRef measure = "perplexity");

} // namespace twist::train

#endif // TWIST_TRAIN_TRAINREPORT_H

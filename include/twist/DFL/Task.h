//===- Task.h - Problems and data as files describe them --------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DFL_TASK_H
#define TWIST_DFL_TASK_H

#include "twist/DFL/Attack.h"
#include "twist/DFL/Data.h"
#include "twist/DFL/Problem.h"
#include "twist/DFL/Train.h"

#include "llvm/Support/JSON.h"

namespace twist::dfl {

/// A problem with instances and how they are cut. As JSON (docs/
/// DecisionFocused.md):
///
///   {"name": "60", "problem": {"kind": "knapsack", "capacity": 60},
///    "data": {"kind": "energy", "file": "…"}, "split": [550, 100, 139],
///    "shuffle": "philox"}
struct Task {
  std::string name;
  std::shared_ptr<const Problem> problem;
  std::shared_ptr<const Dataset> data;
  int64_t train = 0, validation = 0, test = 0;
  Shuffle shuffle = Shuffle::Philox;
};

/// `where` stands in front of errors: "tasks[0]". Relative file names start at
/// `directory`.
llvm::Expected<Task> makeTask(const llvm::json::Value &description,
                              std::string where, llvm::StringRef directory);

/// {"loss", "method", "norm", "steps", "step_size", "restarts", "mask",
/// "lower", "upper", "targeted", "eps"}, all but loss optional.
llvm::Expected<AttackOptions> makeAttack(const llvm::json::Value &description,
                                         std::string where);

/// A task's instances in a seed's parts, solved.
struct Parts {
  Instances train, validation, test;
};
llvm::Expected<Parts> splitTask(const Task &task, uint64_t seed,
                                Parallel &parallel);

} // namespace twist::dfl

#endif // TWIST_DFL_TASK_H

//===- Schedule.h - The learning rate, step by step -------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_SCHEDULE_H
#define TWIST_TRAIN_SCHEDULE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>

namespace twist::train {

/// A factor for the learning rate. Over the first `warmup` steps it rises
/// linearly, (step + 1) / warmup; what follows is spread over the other steps,
/// x from 0 to 1:
///   constant          1
///   linear            1 - x
///   cosine            (1 + cos πx) / 2
///   constant-linear   1, and over the last `decay` of the steps 1 - x linearly
/// all between 1 and `floor` in place of 1 and 0.
struct Schedule {
  enum class Kind { Constant, Linear, Cosine, ConstantLinear };
  Kind kind = Kind::Linear;
  int64_t steps = 1;
  int64_t warmup = 0;
  double decay = 0.2;
  double floor = 0;

  /// For step number `step`, from 0.
  double factor(int64_t step) const;
};

/// "constant", "linear", "cosine", "constant-linear"; others are an error.
llvm::Expected<Schedule::Kind> parseScheduleKind(llvm::StringRef name);

} // namespace twist::train

#endif // TWIST_TRAIN_SCHEDULE_H

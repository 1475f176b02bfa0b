//===- Schedule.cpp - The learning rate, step by step ---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Schedule.h"

#include "llvm/ADT/StringSwitch.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

using namespace llvm;
using namespace twist::train;

double Schedule::factor(int64_t step) const {
  if (step < warmup)
    return double(step + 1) / double(warmup);
  double x =
      double(step - warmup) / double(std::max<int64_t>(steps - warmup, 1));
  double fall = 0; // of 1 - floor
  switch (kind) {
  case Kind::Constant:
    break;
  case Kind::Linear:
    fall = x;
    break;
  case Kind::Cosine:
    fall = (1 - std::cos(std::numbers::pi * x)) / 2;
    break;
  case Kind::ConstantLinear:
    fall = decay > 0 ? std::max((x - (1 - decay)) / decay, 0.0) : 0;
    break;
  }
  return 1 - (1 - floor) * std::clamp(fall, 0.0, 1.0);
}

Expected<Schedule::Kind> twist::train::parseScheduleKind(StringRef name) {
  using Kind = Schedule::Kind;
  auto kind = StringSwitch<std::optional<Kind>>(name)
                  .Case("constant", Kind::Constant)
                  .Case("linear", Kind::Linear)
                  .Case("cosine", Kind::Cosine)
                  .Case("constant-linear", Kind::ConstantLinear)
                  .Default(std::nullopt);
  if (!kind)
    return createStringError("the schedule '" + name +
                             "' is not known; constant, linear, cosine and "
                             "constant-linear are");
  return *kind;
}

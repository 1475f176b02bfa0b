//===- Problem.cpp - Linear objectives over a feasible set ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Problem.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

using namespace llvm;
using namespace twist::dfl;

/// Instances a part: enough work to be worth handing out, few enough to share.
static constexpr int64_t kGrain = 16;

char InstanceError::ID = 0;

void InstanceError::log(raw_ostream &os) const {
  os << "instance " << instance << what;
}

Error twist::dfl::renumber(Error error, function_ref<int64_t(int64_t)> number) {
  return handleErrors(std::move(error),
                      [&](std::unique_ptr<InstanceError> found) -> Error {
                        found->instance = number(found->instance);
                        return Error(std::move(found));
                      });
}

std::string twist::dfl::printed(double number) {
  std::string text;
  raw_string_ostream(text) << format("%.6g", number);
  return text;
}

Error twist::dfl::checkFinite(ArrayRef<double> values, int64_t items,
                              StringRef what) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      return createStringError(formatv("{0} of instance {1}, item {2} is {3}",
                                       what, int64_t(i) / items,
                                       int64_t(i) % items, printed(values[i]))
                                   .str());
  return Error::success();
}

Expected<Solution> twist::dfl::solve(const Problem &problem,
                                     ArrayRef<double> costs) {
  if (int64_t(costs.size()) != problem.size())
    return createStringError(
        formatv("{0} costs for a {1}", costs.size(), problem.describe()).str());
  if (Error error = checkFinite(costs, problem.size(), "cost"))
    return error;
  std::vector<double> gains(costs.begin(), costs.end());
  for (double &gain : gains)
    gain *= problem.sign();
  Solution solution;
  solution.decision.resize(gains.size());
  if (Error error = problem.maximise(1, gains.data(), solution.decision.data()))
    return error;
  solution.value = dot(costs.data(), solution.decision.data(), problem.size());
  return solution;
}

Error twist::dfl::maximiseAll(const Problem &problem, ArrayRef<double> gains,
                              MutableArrayRef<double> decisions,
                              Parallel &parallel) {
  int64_t n = problem.size();
  if (Error error = checkFinite(gains, n, "gain"))
    return error;
  return parallel.forRanges(
      int64_t(gains.size()) / n, kGrain, [&](int64_t begin, int64_t end) {
        return renumber(problem.maximise(end - begin, gains.data() + begin * n,
                                         decisions.data() + begin * n),
                        [&](int64_t i) { return begin + i; });
      });
}

//===- Methods.cpp - The methods by name ----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Methods.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using namespace llvm;
using namespace twist::dfl;

static constexpr int64_t kGrain = 16;

/// A method is a row here and a function in one of the files beside.
static const MethodRow *rows(size_t &count) {
  static const MethodRow table[] = {
      {"mse", false, {}, makeMSE},
      {"spo+", false, {}, makeSPOPlus},
      {"dbb", false, {{"lambda", 1}}, makeDBB},
      {"imle",
       false,
       {{"beta", 0.1}, {"temperature", 1}, {"k", 5}, {"terms", 10}},
       makeIMLE},
      {"fy", false, {{"sigma", 0.5}, {"samples", 1}}, makeFY},
      {"hsd", true, {{"threshold", 0.1}, {"damping", 10}}, makeHSD},
      {"qptl", true, {{"mu", 1}}, makeQPTL},
      {"listwise", false, {{"tau", 0.001}}, makeListwise},
      {"pairwise", false, {{"margin", 10}}, makePairwise},
      {"pairwise-diff", false, {}, makePairwiseDiff},
      {"map", false, {}, makeMAP},
      {"not_opt", false, {}, makeNotOptimal},
  };
  count = std::size(table);
  return table;
}

std::vector<MethodInfo> twist::dfl::allMethods() {
  size_t count;
  const MethodRow *table = rows(count);
  std::vector<MethodInfo> methods;
  for (const MethodRow &row : ArrayRef(table, count))
    if (row.name != "not_opt") // of attacks only
      methods.push_back({row.name.str(), row.defaults});
  return methods;
}

Expected<std::unique_ptr<Method>>
twist::dfl::makeMethod(StringRef name, const MethodParameters &given,
                       const Problem &problem) {
  size_t count;
  const MethodRow *table = rows(count);
  ArrayRef<MethodRow> all(table, count);
  auto *row =
      find_if(all, [&](const MethodRow &row) { return row.name == name; });
  if (row == all.end()) {
    std::string known;
    for (const MethodInfo &info : allMethods())
      known += (known.empty() ? "" : ", ") + info.name;
    return createStringError("there is no method '" + name + "'; there are " +
                             known);
  }
  if (row->needsRelaxation) {
    auto relaxation = problem.relaxation();
    if (!relaxation)
      return relaxation.takeError();
    if (!*relaxation)
      return createStringError(
          "method '" + name + "' differentiates a linear relaxation, which a " +
          problem.describe() + " does not have");
  }
  MethodParameters values = row->defaults;
  for (const auto &[key, value] : given) {
    auto found = values.find(key);
    if (found == values.end())
      return createStringError("method '" + name +
                               "' has no hyper-parameter '" + key + "'");
    if (!(value > 0) || !std::isfinite(value))
      return createStringError(formatv("hyper-parameter '{0}' of method '{1}' "
                                       "is positive, not {2}",
                                       key, name, printed(value))
                                   .str());
    found->second = value;
  }
  return row->make(values);
}

Error twist::dfl::differentiateAll(const Method &method, const Problem &problem,
                                   const Pool &pool, const MethodBatch &batch,
                                   double *gradient, double *losses,
                                   Parallel &parallel) {
  int64_t n = problem.size();
  ArrayRef<double> predicted(batch.predicted, size_t(batch.count * n));
  if (Error error = checkFinite(predicted, n, "prediction"))
    return error;
  if (method.needsPool() && pool.size() == 0)
    return createStringError("the pool of solutions is empty");
  return parallel.forRanges(
      batch.count, kGrain, [&](int64_t begin, int64_t end) {
        MethodBatch part = batch;
        part.count = end - begin;
        part.predicted += begin * n;
        part.labels += begin * n;
        part.optima += begin * n;
        part.first += uint32_t(begin);
        return renumber(method.differentiate(problem, pool, part,
                                             gradient + begin * n,
                                             losses ? losses + begin : nullptr),
                        [&](int64_t i) { return begin + i; });
      });
}

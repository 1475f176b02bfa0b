//===- DFLBench.cpp - twist dfl bench -------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "DFLModel.h"
#include "Measure.h"

#include "twist/DFL/Method.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>

using namespace llvm;
using namespace twist;
using namespace twist::tools;

/// Seconds of each of `repeats` calls, ascending.
static Expected<std::vector<double>> timeCalls(int64_t repeats,
                                               function_ref<Error()> call) {
  std::vector<double> seconds;
  for (int64_t i = 0; i < repeats; ++i) {
    auto start = std::chrono::steady_clock::now();
    if (Error error = call())
      return error;
    std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - start;
    seconds.push_back(took.count());
  }
  llvm::sort(seconds);
  return seconds;
}

int twist::tools::dflBenchMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist dfl bench");
  cl::opt<std::string> path(cl::Positional, cl::Required, cl::desc("TASK.json"),
                            cl::cat(category));
  cl::list<std::string> names("method", cl::CommaSeparated, cl::cat(category),
                              cl::desc("Methods to time (default: all)"));
  cl::opt<int64_t> repeats("repeats", cl::init(21), cl::cat(category),
                           cl::desc("Passes over the instances (default 21)"));
  cl::opt<int> threads("threads", cl::init(1), cl::cat(category),
                       cl::desc("Threads (default 1)"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Times solving and each method's gradient, an instance\n");

  auto task = readTask(path);
  if (!task)
    return fail(task.takeError());
  if (repeats < 1)
    return fail(createStringError("there is at least one repeat"));
  dfl::Parallel parallel(threads);
  auto parts = dfl::splitTask(*task, 0, parallel);
  if (!parts)
    return fail(parts.takeError());
  const dfl::Instances &at = parts->train;
  int64_t n = task->problem->size(), count = at.data.instances;
  // Predictions that are wrong in a likely way: the next instance's gains.
  std::vector<double> predicted = at.gains, result(predicted.size());
  std::rotate(predicted.begin(), predicted.begin() + n, predicted.end());
  outs() << task->problem->describe() << ", " << count << " instances\n"
         << format("%-14s %14s %14s\n", "us/instance", "least", "median");
  auto print = [&](StringRef name,
                   Expected<std::vector<double>> seconds) -> Error {
    if (!seconds)
      return seconds.takeError();
    double unit = 1e6 / double(count);
    outs() << format("%-14s %14.3f %14.3f\n", name.str().c_str(),
                     unit * seconds->front(),
                     unit * (*seconds)[seconds->size() / 2]);
    return Error::success();
  };
  if (Error error = print("solve", timeCalls(repeats, [&] {
                            return dfl::maximiseAll(*task->problem, predicted,
                                                    result, parallel);
                          })))
    return fail(std::move(error));
  if (names.empty())
    for (const dfl::MethodInfo &info : dfl::allMethods())
      names.push_back(info.name);
  dfl::Pool pool = dfl::initialPool(at);
  dfl::MethodBatch batch{
      count, 128, predicted.data(), at.gains.data(), at.optima.data(), 0, 0, 0};
  for (const std::string &name : names) {
    auto method = dfl::makeMethod(name, {}, *task->problem);
    if (!method)
      return fail(method.takeError());
    if (Error error = print(name, timeCalls(repeats, [&] {
                              return dfl::differentiateAll(
                                  **method, *task->problem, pool, batch,
                                  result.data(), nullptr, parallel);
                            })))
      return fail(std::move(error));
  }
  return 0;
}

//===- DFLWidths.cpp - twist dfl widths -----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "DFLModel.h"
#include "Measure.h"

#include "twist/DFL/Widths.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace twist;
using namespace twist::tools;

static Expected<std::vector<dfl::WidthTask>>
readTasks(ArrayRef<std::string> paths, dfl::Parallel &parallel) {
  std::vector<dfl::WidthTask> tasks;
  for (const std::string &path : paths) {
    auto values = prune::WidthValues::read(path);
    if (!values)
      return values.takeError();
    auto task = dfl::makeWidthTask(*values, parallel);
    if (!task)
      return createStringError(path + ": " + toString(task.takeError()));
    tasks.push_back(std::move(*task));
    if (tasks.back().instance.data.features !=
        tasks.front().instance.data.features)
      return createStringError(path + ": has " +
                               Twine(tasks.back().instance.data.features) +
                               " features a width, the first file " +
                               Twine(tasks.front().instance.data.features));
  }
  return tasks;
}

/// A line a task: what the predicted widths lose more than the best.
static Error printRegrets(StringRef what, ArrayRef<dfl::WidthTask> tasks,
                          dfl::Predictor &predictor) {
  for (const dfl::WidthTask &task : tasks) {
    auto regret = dfl::widthRegret(task, predictor);
    if (!regret)
      return regret.takeError();
    outs() << what << format(" %10.4f %10.4f  ", *regret, task.evenRegret)
           << task.name << "\n";
  }
  return Error::success();
}

int twist::tools::dflWidthsMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist dfl widths");
  cl::list<std::string> paths(cl::Positional, cl::OneOrMore,
                              cl::desc("V.json …"), cl::cat(category));
  cl::list<std::string> judged("judge", cl::CommaSeparated,
                               cl::value_desc("V.json,…"), cl::cat(category),
                               cl::desc("Measured widths to judge by"));
  cl::opt<std::string> output("o", cl::value_desc("M.onnx"), cl::cat(category),
                              cl::desc("The model, for --value-model"));
  cl::opt<std::string> method("method", cl::init("spo+"), cl::cat(category),
                              cl::desc("What it is trained with (default "
                                       "spo+)"));
  cl::opt<std::string> model("model", cl::init("linear"), cl::cat(category),
                             cl::desc("linear, relu:WIDTH,… or MODEL.onnx"));
  cl::opt<double> rate("learning-rate", cl::init(0.01), cl::cat(category),
                       cl::desc("Of Adam (default 0.01)"));
  cl::opt<int64_t> epochs("epochs", cl::init(1000), cl::cat(category),
                          cl::desc("Steps on all files (default 1000)"));
  cl::opt<uint64_t> seed("seed", cl::init(0), cl::cat(category),
                         cl::desc("Of the parameters"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Learns what widths lose, for twist prune --value-model\n");

  dfl::Parallel parallel(1);
  auto tasks = readTasks(ArrayRef<std::string>(paths), parallel);
  if (!tasks)
    return fail(tasks.takeError());
  auto others = readTasks(ArrayRef<std::string>(judged), parallel);
  if (!others)
    return fail(others.takeError());
  PredictorSource source(model, /*rows=*/256);
  auto predictor = source.make(tasks->front().instance.data.features, 1);
  if (!predictor)
    return fail(predictor.takeError());
  if (Error error = (*predictor)->initialise(seed))
    return fail(std::move(error));
  dfl::TrainOptions options;
  options.epochs = epochs;
  options.learningRate = rate;
  options.seed = seed;
  outs() << format("%6s %12s\n", "step", "loss");
  int64_t every = std::max<int64_t>(epochs / 8, 1);
  auto print = [&](int64_t epoch, double loss) {
    if (epoch == 1 || epoch % every == 0)
      outs() << format("%6lld %12.6g\n", (long long)epoch, loss);
  };
  if (Error error = dfl::trainWidths(*tasks, **predictor, method, {}, options,
                                     parallel, print))
    return fail(std::move(error));
  outs() << "regret, in parts of what the uniform ticket loses\n"
         << format("%8s %10s %10s\n", "", method.c_str(), "uniform");
  if (Error error = printRegrets("trained ", *tasks, **predictor))
    return fail(std::move(error));
  if (Error error = printRegrets("judged  ", *others, **predictor))
    return fail(std::move(error));
  if (!output.empty())
    if (Error error = (*predictor)->save(output))
      return fail(std::move(error));
  return 0;
}

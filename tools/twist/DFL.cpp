//===- DFL.cpp - twist dfl ------------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "DFLModel.h"

#include "twist/Pipeline/DenseModel.h"
#include "twist/Pipeline/Step.h"
#include "twist/Support/JSONFile.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace twist;
using namespace twist::tools;

namespace {
struct SubCommand {
  StringLiteral name;
  int (*run)(int argc, char **argv);
  StringLiteral summary;
};
} // namespace

static constexpr SubCommand subCommands[] = {
    {"train", dflTrainMain, "train one predictor"},
    {"attack", dflAttackMain, "attack one predictor"},
    {"sweep", dflSweepMain, "train and attack many, as a file says"},
    {"bench", dflBenchMain, "time solving and gradients"},
    {"report", dflReportMain, "make pages, tables and charts of a sweep"},
    {"widths", dflWidthsMain, "learn what widths of a model lose"},
};

int twist::tools::dflMain(int argc, char **argv) {
  StringRef name = argc > 1 ? argv[1] : "";
  for (const SubCommand &command : subCommands)
    if (name == command.name) {
      std::string program = "twist dfl " + name.str();
      argv[1] = program.data();
      return command.run(argc - 1, argv + 1);
    }
  bool help = name == "--help" || name == "-h";
  raw_ostream &os = help ? outs() : errs();
  if (!help && !name.empty())
    os << "twist dfl: error: unknown command '" << name << "'\n";
  os << "usage: twist dfl COMMAND [OPTIONS]\n\n";
  for (const SubCommand &command : subCommands)
    os << format("  %-10s %s\n", command.name.data(), command.summary.data());
  return help ? 0 : 1;
}

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

PredictorSource::~PredictorSource() {
  compiled.clear();
  for (const std::string &path : temporaries)
    sys::fs::remove(path);
}

/// "linear" or "relu:32,32": widths between features and costs; nothing for a
/// file.
static Expected<std::optional<std::vector<int64_t>>>
hiddenWidths(StringRef model) {
  std::vector<int64_t> widths;
  if (model == "linear")
    return widths;
  if (!model.consume_front("relu:"))
    return std::nullopt;
  SmallVector<StringRef> parts;
  model.split(parts, ',');
  for (StringRef part : parts) {
    int64_t width;
    if (part.getAsInteger(10, width) || width < 1)
      return createStringError("the widths of a model 'relu:WIDTH,…' are whole "
                               "numbers of at least 1, not '" +
                               part + "'");
    widths.push_back(width);
  }
  return widths;
}

Expected<std::string> PredictorSource::file(int64_t features, int64_t outputs) {
  auto hidden = hiddenWidths(model);
  if (!hidden)
    return hidden.takeError();
  if (!*hidden)
    return model;
  SmallString<128> path;
  if (std::error_code code =
          sys::fs::createTemporaryFile("twist-dfl", "onnx", path))
    return createStringError("no temporary file: " + code.message());
  temporaries.push_back(path.str().str());
  std::vector<int64_t> widths = {features};
  widths.insert(widths.end(), (*hidden)->begin(), (*hidden)->end());
  widths.push_back(outputs);
  if (Error error = writeDenseModel(widths, path))
    return error;
  return path.str().str();
}

Expected<std::unique_ptr<dfl::PredictorModel>>
PredictorSource::compile(int64_t features, int64_t outputs) {
  auto path = file(features, outputs);
  if (!path)
    return path.takeError();
  bool builtIn = *path != model;
  StepCompilerOptions options;
  options.kinds = {"none"};
  options.f64 = true;
  auto compiler = makeStepCompiler(*path, options);
  if (!compiler)
    return compiler.takeError();
  return dfl::PredictorModel::create(std::move(*compiler), rows,
                                     builtIn ? dfl::InitialParameters::Uniform
                                             : dfl::InitialParameters::Model);
}

Expected<std::unique_ptr<dfl::Predictor>>
PredictorSource::make(int64_t features, int64_t outputs) {
  std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<dfl::PredictorModel> &found = compiled[{features, outputs}];
  if (!found) {
    auto made = compile(features, outputs);
    if (!made)
      return made.takeError();
    found = std::move(*made);
  }
  return found->makePredictor(/*threads=*/1);
}

Expected<dfl::Task> twist::tools::readTask(StringRef path) {
  auto value = readJSON(path);
  if (!value)
    return value.takeError();
  auto task = dfl::makeTask(*value, "task", sys::path::parent_path(path));
  if (!task)
    return createStringError(path + ": " + toString(task.takeError()));
  return task;
}

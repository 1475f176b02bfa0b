//===- DFLSweep.cpp - twist dfl sweep -------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "DFLModel.h"
#include "Measure.h"

#include "twist/DFL/Sweep.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <csignal>

using namespace llvm;
using namespace twist;
using namespace twist::tools;

static volatile std::sig_atomic_t stopAsked = 0;

int twist::tools::dflSweepMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist dfl sweep");
  cl::opt<std::string> path(cl::Positional, cl::Required,
                            cl::desc("SWEEP.json"), cl::cat(category));
  cl::opt<std::string> run("o", cl::Required, cl::value_desc("RUN"),
                           cl::cat(category),
                           cl::desc("Folder of results; an unfinished sweep "
                                    "there is continued"));
  cl::opt<int> threads("threads", cl::init(0), cl::cat(category),
                       cl::desc("Models trained at a time (default: one per "
                                "processor)"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Trains and attacks predictors as a file says\n");

  auto buffer = MemoryBuffer::getFile(path);
  if (!buffer)
    return fail(createStringError(path + ": " + buffer.getError().message()));
  auto spec =
      dfl::parseSweep((*buffer)->getBuffer(), sys::path::parent_path(path));
  if (!spec)
    return fail(createStringError(path + ": " + toString(spec.takeError())));
  int64_t rows = 0;
  for (const dfl::Task &task : spec->tasks)
    rows = std::max(rows, spec->batch * task.data->rows);
  PredictorSource source(spec->model, rows);
  auto units =
      int64_t(spec->tasks.size() * spec->methods.size()) * spec->seeds +
      (spec->transfer ? int64_t(spec->tasks.size()) * spec->seeds : 0);
  Progress progress("sweep", units);
  dfl::SweepOptions options;
  options.threads = threads;
  options.progress = [&](int64_t done, int64_t) { progress.at(done); };
  options.interrupted = [] { return stopAsked != 0; };
  std::signal(SIGINT, [](int) { stopAsked = 1; });
  std::signal(SIGTERM, [](int) { stopAsked = 1; });
  auto make = [&](int64_t features, int64_t outputs) {
    return source.make(features, outputs);
  };
  if (Error error = dfl::runSweep(*spec, make, run, options))
    return fail(std::move(error));
  outs() << units << " results in " << run << "\n";
  return 0;
}

//===- Calibrate.cpp - twist calibrate ------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"
#include "Measure.h"

#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Pipeline/Gates.h"
#include "twist/Pipeline/Model.h"
#include "twist/Proof/Proof.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace twist;
using namespace twist::tools;
namespace cl = llvm::cl;

/// What an earlier run left of the same model and data; none: nothing. Another
/// model's or other data's is an error, not overwritten.
static llvm::Error resume(prune::Calibration &calibration, StringRef path) {
  if (!llvm::sys::fs::exists(path))
    return llvm::Error::success();
  auto found = prune::Calibration::read(path);
  if (!found)
    return found.takeError();
  auto differs = [&](StringRef what) {
    return llvm::createStringError(path + ": is there already, of " + what +
                                   "; remove it or choose another name");
  };
  if (found->structureSHA256 != calibration.structureSHA256 ||
      found->weightsSHA256 != calibration.weightsSHA256)
    return differs("another model");
  if (found->dataHash != calibration.dataHash ||
      found->batches != calibration.batches ||
      found->sites.size() != calibration.sites.size())
    return differs("other data or axes");
  calibration = std::move(*found);
  llvm::errs() << "resuming behind batch " << calibration.done << " of "
               << calibration.batches << "\n";
  return llvm::Error::success();
}

static void printSites(const prune::Calibration &calibration) {
  llvm::outs() << llvm::format("%8s %10s  %s\n", "width", "samples", "gate");
  for (const prune::Site &site : calibration.sites)
    llvm::outs() << llvm::format("%8lld %10llu  ", (long long)site.width,
                                 (unsigned long long)site.count)
                 << site.name() << "\n";
}

static llvm::Error run(prune::Calibration &calibration,
                       const Executable &program, const prune::Feed &feed,
                       int threads, StringRef output) {
  auto runner = prune::Runner::create(program.get(), threads);
  if (!runner)
    return runner.takeError();
  using Clock = std::chrono::steady_clock;
  auto saved = Clock::now();
  Progress progress("calibrate", calibration.batches);
  return prune::calibrate(
      calibration, *runner, feed, [&](bool atEnd) -> llvm::Error {
        progress.at(calibration.done);
        if (!atEnd && Clock::now() - saved < std::chrono::seconds(60))
          return llvm::Error::success();
        saved = Clock::now();
        return calibration.write(output);
      });
}

int twist::tools::calibrateMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist calibrate");
  cl::opt<std::string> model(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category));
  cl::opt<std::string> output("o", cl::Required, cl::value_desc("CAL"),
                              cl::desc("The statistics; an unfinished file of "
                                       "the same run is continued"),
                              cl::cat(category));
  DataArguments data(category);
  cl::list<std::string> kinds(
      "axes", cl::CommaSeparated, cl::value_desc("KINDS"), cl::cat(category),
      cl::desc("Kinds to measure (default: heads or KV groups, FFN units, "
               "channels)"));
  StateOption state(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Measures what flows through a model's gates\n");

  ToolContext context;
  LoadOptions load;
  load.hashes = true;
  load.state.assign(state.begin(), state.end());
  auto module = loadModelWithAxes(model, &context, load);
  if (failed(module))
    return 1;
  auto exposed = exposeGates(**module, ArrayRef<std::string>(kinds));
  if (failed(exposed))
    return 1;
  Executable program;
  program.tables = proof::lookupTables(*exposed->values);
  auto compiled = compileInProcess(*exposed->values, {});
  if (failed(compiled))
    return 1;
  program.compiled.emplace(std::move(*compiled));

  prune::FeedOptions options = data.options();
  options.tables = program.tables;
  auto feed = prune::Feed::create(program.get(), options);
  if (!feed)
    return fail(feed.takeError());
  prune::Calibration calibration;
  Ticket stamp;
  axes::stampModel(**module, stamp);
  calibration.structureSHA256 = stamp.structureSHA256;
  calibration.weightsSHA256 = stamp.weightsSHA256;
  calibration.dataHash = feed->hash();
  calibration.protocol = feed->protocol();
  calibration.batches = feed->batches();
  calibration.sites = std::move(exposed->sites);
  llvm::outs() << feed->protocol()
               << llvm::format("statistics %.1f MB in memory and in the file\n",
                               double(calibration.bytes()) / 1e6);
  llvm::outs().flush();
  llvm::Error error = resume(calibration, output);
  if (!error)
    error = run(calibration, program, *feed, data.threads, output);
  if (error)
    return fail(std::move(error));
  printSites(calibration);
  return 0;
}

//===- GradCheck.cpp - twist grad-check -----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Measure.h"
#include "StepOptions.h"

#include "twist/Train/GradientCheck.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"

using namespace twist;
using namespace twist::tools;
using namespace twist::train;
namespace cl = llvm::cl;

namespace {
struct Arguments {
  cl::OptionCategory category{"Options of twist grad-check"};
  template <typename T> using Option = ValueOption<T>;
  cl::opt<std::string> model{cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category)};
  Option<int64_t> batch{category, "batch", "Size of the batch", 1};
  Option<int64_t> sequence{category, "context", "Tokens a sequence", 8};
  DimOption sizes{category};
  Option<unsigned> samples{category, "samples", "Elements of each tensor", 8};
  Option<double> step{category, "step", "Step of the differences", 1e-5};
  Option<double> tolerance{category, "tolerance", "Largest relative error",
                           1e-5};
  Option<uint64_t> seed{category, "seed", "Of inputs and samples", 0};
  Option<int> threads{category, "threads", "Threads; 0: all", 0};
  TrainedArguments trained{category};
};
} // namespace

static llvm::Expected<GradientCheckOptions>
optionsOf(const Arguments &arguments) {
  GradientCheckOptions options;
  options.batch = arguments.batch;
  options.sequence = arguments.sequence;
  options.samples = arguments.samples;
  options.step = arguments.step;
  options.tolerance = arguments.tolerance;
  options.seed = arguments.seed;
  options.threads = arguments.threads;
  if (options.batch < 1 || options.sequence < 1 || options.samples < 1)
    return llvm::createStringError(
        "--batch, --context and --samples are at least 1");
  if (!(options.step > 0) || !(options.tolerance > 0))
    return llvm::createStringError("--step and --tolerance are above 0");
  return options;
}

/// Prints a line for each tensor; returns how many samples are wrong.
static unsigned report(llvm::ArrayRef<GradientCheckRow> rows,
                       double tolerance) {
  unsigned samples = 0, wrong = 0, kinks = 0;
  llvm::outs() << " checked  wrong  kinks  largest error\n";
  for (const GradientCheckRow &row : rows) {
    const GradientSample *worst = row.worst();
    unsigned bad = llvm::count_if(row.samples, [&](auto &sample) {
      return !sample.kink && !(sample.error <= tolerance);
    });
    samples += row.samples.size();
    wrong += bad;
    kinks += row.kinks();
    llvm::outs() << llvm::format("%8u %6u %6u %14.1e  ",
                                 unsigned(row.samples.size()), bad, row.kinks(),
                                 worst ? worst->error : 0.0)
                 << (row.isInput ? "input " : "") << row.name << " [";
    llvm::interleaveComma(row.dims, llvm::outs());
    llvm::outs() << "]\n";
    if (bad)
      llvm::outs() << llvm::format("         element %lld: gradient %.12g, "
                                   "difference %.12g\n",
                                   (long long)worst->element, worst->gradient,
                                   worst->difference);
  }
  llvm::outs() << samples << " gradients checked: " << wrong << " wrong, "
               << kinks << " at kinks\n";
  return wrong;
}

int twist::tools::gradCheckMain(int argc, char **argv) {
  Arguments arguments;
  cl::HideUnrelatedOptions(arguments.category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Compares a model's compiled gradients with "
                              "central differences in f64\n");
  auto options = optionsOf(arguments);
  if (!options)
    return fail(options.takeError());
  std::vector<std::pair<std::string, int64_t>> sizes;
  if (!arguments.sizes.parse(sizes))
    return 1;
  options->sizes.insert(sizes.begin(), sizes.end());
  StepCompilerOptions how = arguments.trained.options();
  how.f64 = true;
  auto compiler = makeStepCompiler(arguments.model, how);
  if (!compiler)
    return fail(compiler.takeError());
  auto rows = checkGradients(**compiler, *options);
  if (!rows)
    return fail(rows.takeError());
  if (rows->empty())
    return fail(llvm::createStringError("'" + arguments.model +
                                        "' has nothing to train"));
  return report(*rows, options->tolerance) ? 1 : 0;
}

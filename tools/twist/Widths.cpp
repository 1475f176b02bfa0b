//===- Widths.cpp - twist widths ------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "PolicyArguments.h"

#include "twist/Pipeline/Widths.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace twist;
using namespace twist::tools;
namespace cl = llvm::cl;

static void print(const prune::WidthValues &values) {
  llvm::outs() << llvm::format("loss       dense %.6g, uniform %.6g\n",
                               values.dense, values.uniform)
               << llvm::format("%8s %8s %12s %12s  %s\n", "units", "kept",
                               values.cost.c_str(), "loses more", "axis");
  for (const prune::WidthAxis &axis : values.axes)
    for (size_t i = 0; i < axis.widths.size(); ++i)
      llvm::outs() << llvm::format("%8lld %8lld %12lld %12.6f  ",
                                   (long long)axis.units,
                                   (long long)axis.widths[i],
                                   (long long)axis.costs[i], axis.increases[i])
                   << axis.axis << "\n";
}

int twist::tools::widthsMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist widths");
  cl::opt<std::string> model(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category));
  cl::opt<std::string> output("o", cl::Required, cl::value_desc("V.json"),
                              cl::desc("What twist dfl widths learns from"),
                              cl::cat(category));
  PolicyArguments policy(category, TicketPolicy::Obs);
  cl::opt<std::string> calibrated("calibration", cl::Required,
                                  cl::value_desc("CAL"), cl::cat(category),
                                  cl::desc("What twist calibrate wrote"));
  cl::opt<int64_t> steps("widths", cl::init(4), cl::cat(category),
                         cl::desc("Widths below the whole, at most, of an axis "
                                  "(default 4)"));
  DataArguments data(category);
  QualityArguments quality(category, "relative");
  StateOption state(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv,
      "Measures what the widths of each axis lose, others cut evenly\n");
  std::optional<Choice> choice = policy.parse(/*takesTable=*/true);
  auto kind = quality.correction();
  if (!choice || !kind)
    return 1;
  if (choice->options.policy != TicketPolicy::Obs || choice->budget)
    return fail(llvm::createStringError(
        "widths are measured around --kappa, with units that obs chooses"));
  if (steps < 1)
    return fail(llvm::createStringError("--widths is at least 1"));

  ToolContext mlirContext;
  auto module = loadForChoice(model, state, &mlirContext);
  if (failed(module))
    return 1;
  ChoiceContext context(**module, model, state, policy);
  auto calibration =
      calibrationFor(**module, TicketPolicy::Obs, calibrated, context.loc);
  if (failed(calibration))
    return 1;
  auto obs = unitScores(**module, TicketPolicy::Obs, context.state,
                        {*calibration, {}}, context.loc);
  if (failed(obs) || failed(checkTable(context, *choice)))
    return 1;
  Budget budget;
  budget.kind = choice->table ? Budget::Latency : Budget::Parameters;
  budget.table = choice->table.get();
  auto sized = context.sized();
  if (failed(sized))
    return 1;
  auto plan =
      planWidths(**module, **sized, budget, choice->options, context.loc);
  if (failed(plan))
    return 1;
  thinWidths(*plan, steps);
  auto measured = meterForTickets(**module, data, quality);
  if (!measured)
    return 1;
  std::optional<Progress> progress;
  auto values = measureWidths(
      **module, *plan, choice->options, **calibration, *obs, *measured->meter,
      *kind,
      [&](int64_t done, int64_t total) {
        if (!progress)
          progress.emplace("widths", total);
        progress->at(done);
      },
      context.loc);
  if (failed(values))
    return 1;
  values->model = llvm::sys::path::stem(model).str();
  values->cost = choice->table ? "latency" : "parameters";
  print(*values);
  if (llvm::Error error = values->write(output))
    return fail(std::move(error));
  return 0;
}

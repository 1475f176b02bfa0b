//===- Ticket.cpp - twist ticket ------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"
#include "Measure.h"
#include "PolicyArguments.h"

#include "twist/Pipeline/Stages.h"

#include "llvm/Support/Format.h"

#include <cmath>

using namespace mlir;
using namespace twist;
using namespace twist::tools;
namespace cl = llvm::cl;

//===----------------------------------------------------------------------===//
// The best of several
//===----------------------------------------------------------------------===//

/// Whether other seeds make other tickets.
static bool isDrawn(const Choice &choice) {
  return choice.drawsWidths || choice.options.policy == TicketPolicy::Random;
}

namespace {
struct Found {
  Ticket ticket;
  std::vector<PolicyRow> rows;
  prune::TicketMeter::Result result;
};
} // namespace

static void printQualities(ArrayRef<double> values, uint64_t best,
                           const prune::TicketMeter &meter, bool isDrawn) {
  double mean = 0, square = 0, count = double(values.size());
  for (double value : values)
    mean += value / count;
  for (double value : values)
    square += (value - mean) * (value - mean);
  double sd = values.size() > 1 ? std::sqrt(square / (count - 1)) : 0;
  llvm::outs() << "quality    " << meter.quality().measure() << " of output '"
               << meter.quality().output()
               << llvm::format("', dense %.6g\n", meter.dense())
               << llvm::format("tickets    %zu: mean %.6g, sd %.6g, min %.6g, "
                               "max %.6g\n",
                               values.size(), mean, sd,
                               *llvm::min_element(values),
                               *llvm::max_element(values));
  if (isDrawn)
    llvm::outs() << "best       seed " << best << "\n";
}

/// Makes and measures `count` tickets with seeds in a row.
static llvm::Expected<Found> search(ChoiceContext &context, Choice choice,
                                    int64_t count, prune::TicketMeter &meter,
                                    prune::CorrectionKind kind) {
  std::optional<Found> best;
  std::vector<double> values;
  uint64_t first = choice.options.seed, bestSeed = first;
  Progress progress("search", count);
  for (int64_t i = 0; i < count; ++i) {
    choice.options.seed = first + uint64_t(i);
    Found found;
    FailureOr<Ticket> ticket = choose(context, choice, found.rows);
    if (failed(ticket))
      return llvm::createStringError("no ticket could be made");
    found.ticket = std::move(*ticket);
    auto result = meter.measure(keptUnits(found.ticket), kind);
    if (!result)
      return result.takeError();
    found.result = std::move(*result);
    values.push_back(found.result.quality);
    if (!best ||
        meter.quality().isBetter(found.result.quality, best->result.quality)) {
      best = std::move(found);
      bestSeed = choice.options.seed;
    }
    progress.at(i + 1);
  }
  printQualities(values, bestSeed, meter, isDrawn(choice));
  return std::move(*best);
}

/// Measures the model with the weights of its products sparse.
static int measureSparse(ModuleOp module, const DataArguments &data,
                         const QualityArguments &quality, double density) {
  auto measured = meterForTickets(module, data, quality, SiteChoice::Products);
  if (!measured)
    return 1;
  prune::TicketMeter &meter = *measured->meter;
  auto result = meter.measureSparse(density);
  if (!result)
    return fail(result.takeError());
  llvm::outs() << "quality    " << meter.quality().measure() << " of output '"
               << meter.quality().output()
               << llvm::format("', dense %.6g\n", meter.dense())
               << llvm::format("sparsegpt  %.6g, %.4f of the weights of %zu "
                               "products are not zero\n",
                               result->first, result->second,
                               measured->staged.model.sites.size());
  return 0;
}

int twist::tools::ticketMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist ticket");
  cl::opt<std::string> model(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category));
  cl::opt<std::string> output("o", cl::value_desc("T.json"),
                              cl::desc("The ticket to write"),
                              cl::cat(category));
  PolicyArguments policy(category, TicketPolicy::Random);
  cl::opt<std::string> calibrated(
      "calibration", cl::value_desc("CAL"), cl::cat(category),
      cl::desc("What twist calibrate wrote, for flap and obs"));
  cl::opt<int64_t> count(
      "search", cl::init(0), cl::value_desc("N"), cl::cat(category),
      cl::desc("Make N random tickets, measure each on --data, keep the best; "
               "1 measures a ticket of any policy"));
  cl::opt<double> density("density", cl::init(0.5), cl::cat(category),
                          cl::desc("Weights that sparsegpt leaves, a part of "
                                   "each product's"));
  DataArguments data(category, /*isNeeded=*/false);
  QualityArguments quality(category, "none");
  StateOption state(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Makes a ticket for a model\n");
  std::optional<Choice> choice = policy.parse();
  auto kind = quality.correction();
  if (!choice || !kind)
    return 1;
  bool isSparse = choice->options.policy == TicketPolicy::SparseGPT;
  if (isSparse && (data.data.empty() || !output.empty() || count > 0))
    return fail(llvm::createStringError(
        "sparsegpt removes no units and makes no ticket: it takes --data and "
        "--density, neither -o nor --search"));
  if (isSparse && !(density > 0 && density <= 1))
    return fail(llvm::createStringError("--density is between 0 and 1"));
  if (!isSparse && output.empty())
    return fail(llvm::createStringError("-o T.json is missing"));
  if (isSparse)
    count = 1;
  bool isFisher = needsGradients(choice->options.policy);
  if (isFisher && data.data.empty())
    return fail(llvm::createStringError(
        "the policy fisher needs --data FILE to take gradients on"));
  if (count < 0 || (count > 0 && data.data.empty()) ||
      (count == 0 && !data.data.empty() && !isFisher))
    return fail(
        llvm::createStringError("--search N and --data FILE go together: "
                                "tickets are measured on data"));
  if (count == 0 && *kind != prune::CorrectionKind::None)
    return fail(llvm::createStringError("--correct needs --search and --data"));
  if (count > 1 && !isDrawn(*choice))
    return fail(llvm::createStringError(
        "--search draws random tickets; those of another policy are all the "
        "same, unless --value-model random draws their widths"));

  ToolContext mlirContext;
  auto module = loadForChoice(model, state, &mlirContext);
  if (failed(module))
    return 1;
  if (isSparse)
    return measureSparse(**module, data, quality, density);
  ChoiceContext context(**module, model, state, policy);
  auto calibration =
      calibrationFor(**module, choice->options.policy, calibrated, context.loc);
  if (failed(calibration))
    return 1;
  if (failed(fillScores(context, *choice, policy, *calibration, data,
                        quality.output)))
    return 1;
  if (count == 0) {
    std::vector<PolicyRow> rows;
    FailureOr<Ticket> ticket = choose(context, *choice, rows);
    if (failed(ticket))
      return 1;
    if (failed(writeCorrected(*ticket, "none", {}, output, context.loc)))
      return 1;
    printRows(rows, choice->options);
    return 0;
  }
  auto measured = meterForTickets(**module, data, quality);
  if (!measured)
    return 1;
  if (!quality.report.empty())
    llvm::outs() << "measured on\n" << measured->report.protocol();
  auto found = search(context, *choice, count, *measured->meter, *kind);
  if (!found)
    return fail(found.takeError());
  found->ticket.provenance["quality"] = found->result.quality;
  if (failed(writeCorrected(found->ticket, quality.method,
                            found->result.corrected, output, context.loc)))
    return 1;
  printRows(found->rows, choice->options);
  return 0;
}

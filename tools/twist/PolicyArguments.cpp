//===- PolicyArguments.cpp - Options that choose units --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "PolicyArguments.h"

#include "Measure.h"

#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Pipeline/Model.h"
#include "twist/Pipeline/Widths.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace twist;
using namespace twist::tools;
namespace cl = llvm::cl;

PolicyArguments::PolicyArguments(cl::OptionCategory &category,
                                 TicketPolicy standard)
    : kappa("kappa", cl::init(0.5), cl::cat(category),
            cl::desc("Kept fraction of each axis (default 0.5)")),
      policy("policy", cl::desc("Which units are kept"), cl::cat(category),
             cl::init(standard),
             cl::values(
                 clEnumValN(TicketPolicy::Random, "random",
                            "drawn by --seed, layer by layer"),
                 clEnumValN(TicketPolicy::Magnitude, "magnitude",
                            "those with the largest weights"),
                 clEnumValN(TicketPolicy::First, "first", "the first ones"),
                 clEnumValN(TicketPolicy::Flap, "flap",
                            "those whose values vary most, times the norms of "
                            "their weights (FLAP)"),
                 clEnumValN(TicketPolicy::Obs, "obs",
                            "the others removed one by one, each time the "
                            "cheapest (structured SparseGPT)"),
                 clEnumValN(TicketPolicy::Fisher, "fisher",
                            "those whose gates the loss's gradient is largest "
                            "at, on --data"),
                 clEnumValN(TicketPolicy::SparseGPT, "sparsegpt",
                            "no units: single weights to zero, measured for "
                            "reference (twist ticket --data)"))),
      kinds("axes", cl::CommaSeparated, cl::value_desc("KINDS"),
            cl::cat(category),
            cl::desc("Kinds to cut (default: heads or KV groups, FFN units, "
                     "channels)")),
      group("group", cl::init(1), cl::cat(category),
            cl::desc("FFN units and channels a group")),
      roundTo("round-to", cl::init(1), cl::cat(category),
              cl::desc("Keep FFN units and channels in multiples of this")),
      minUnits("min-units", cl::init(0), cl::cat(category),
               cl::desc("Keep at least so many units of each axis")),
      pins("pin-layers", cl::value_desc("FIRST,LAST"), cl::cat(category),
           cl::desc("Leave so many layers at each end whole, of "
                    "encoder and decoder each")),
      seed("seed", cl::init(0), cl::cat(category),
           cl::desc("Seed of the policy random (default 0)")),
      budget("budget", cl::value_desc("parameters|flops|latency=X"),
             cl::cat(category),
             cl::desc("In place of kappa: what all layers together may keep, "
                      "a part of the dense model's, a number, or 3ms")),
      latency("latency", cl::value_desc("TABLE.json"), cl::cat(category),
              cl::desc("What twist bench --latency-table wrote, for a budget "
                       "of latency")),
      valueModel(
          "value-model", cl::value_desc("M.onnx|random"), cl::cat(category),
          cl::desc("What twist dfl widths learned: predicts what "
                   "widths lose, for a budget; or random: drawn by --seed")),
      dims(category) {}

static std::optional<std::shared_ptr<prune::LatencyTable>>
readTable(StringRef path) {
  auto table = prune::LatencyTable::read(path);
  if (table)
    return std::make_shared<prune::LatencyTable>(std::move(*table));
  fail(table.takeError());
  return std::nullopt;
}

std::optional<Choice> PolicyArguments::parse(bool takesTable) const {
  auto refuse = [](const Twine &what) {
    fail(llvm::createStringError(what));
    return std::nullopt;
  };
  Choice choice;
  PolicyOptions &options = choice.options;
  options.policy = policy;
  options.kappa = kappa;
  options.kinds.assign(kinds.begin(), kinds.end());
  options.group = group;
  options.roundTo = roundTo;
  options.minUnits = minUnits;
  options.seed = seed;
  if (!pins.empty()) {
    auto [first, last] = StringRef(pins).split(',');
    if (first.getAsInteger(10, options.pinFirst) ||
        last.getAsInteger(10, options.pinLast))
      return refuse("--pin-layers is not FIRST,LAST: '" + pins + "'");
  }
  if (budget.empty()) {
    if (!valueModel.empty())
      return refuse("--value-model needs --budget: it predicts what widths "
                    "lose");
    if (!latency.empty() && !takesTable)
      return refuse("--latency needs --budget latency=X");
    if (!latency.empty()) {
      auto table = readTable(latency);
      if (!table)
        return std::nullopt;
      choice.table = *table;
    }
    return choice;
  }
  choice.budget = Budget::parse(budget);
  if (!choice.budget)
    return refuse("--budget is parameters=X, flops=X or latency=X, X a part up "
                  "to 1, a number of parameters or FLOPs, or 3ms, not '" +
                  budget + "'");
  choice.drawsWidths = valueModel == "random";
  if (kappa.getNumOccurrences())
    return refuse("--kappa and --budget exclude each other");
  bool isLatency = choice.budget->kind == Budget::Latency;
  if (isLatency == latency.empty())
    return refuse(isLatency ? "--budget latency needs --latency TABLE.json "
                              "(twist bench --latency-table)"
                            : "--latency needs --budget latency=X");
  if (isLatency) {
    auto table = readTable(latency);
    if (!table)
      return std::nullopt;
    choice.table = *table;
    choice.budget->table = choice.table.get();
  }
  return choice;
}

static const char *kindName(Budget::Kind kind) {
  return kind == Budget::Parameters ? "parameters"
         : kind == Budget::FLOPs    ? "flops"
                                    : "latency";
}

std::string Choice::name() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  if (!budget)
    os << llvm::format("kappa %.4g", options.kappa);
  else
    os << kindName(budget->kind)
       << llvm::format("=%.4g", budget->amount * (budget->isSeconds ? 1e3 : 1))
       << (budget->isSeconds ? "ms" : "");
  return text;
}

std::optional<Choice> Choice::moved(double by) const {
  Choice other = *this;
  if (budget && (budget->isSeconds || budget->amount > 1)) {
    other.budget->amount *= 1 + by;
    return other;
  }
  double &part = budget ? other.budget->amount : other.options.kappa;
  if ((by > 0 && part >= 1) || part + by <= 0)
    return std::nullopt;
  part = std::min(part + by, 1.0);
  return other;
}

static void printBudget(const Budget &budget, const BudgetReport &report) {
  bool isLatency = budget.kind == Budget::Latency;
  auto number = [&](int64_t value) {
    std::string text;
    llvm::raw_string_ostream os(text);
    if (isLatency)
      os << llvm::format("%.3f ms", double(value) / 1e6);
    else
      os << value;
    return text;
  };
  llvm::outs() << "budget     " << number(report.allowed) << " of "
               << number(report.dense) << " " << kindName(budget.kind)
               << ", kept " << number(report.kept)
               << (isLatency ? " by the table" : "")
               << llvm::format("; loss %.6g, ", report.loss);
  if (report.isExact)
    llvm::outs() << "the least there is\n";
  else
    llvm::outs() << llvm::format("at least %.6g whatever the choice\n",
                                 report.bound);
}

FailureOr<OwningOpRef<ModuleOp>>
twist::tools::loadForChoice(StringRef path, const StateOption &state,
                            MLIRContext *context) {
  LoadOptions load;
  load.hashes = true;
  load.state.assign(state.begin(), state.end());
  return loadModelWithAxes(path, context, load);
}

ChoiceContext::ChoiceContext(ModuleOp module, StringRef path,
                             const StateOption &state,
                             const PolicyArguments &policy)
    : module(module), path(path), state(state.begin(), state.end()),
      dims(policy.dims.begin(), policy.dims.end()),
      loc(FileLineColLoc::get(module.getContext(), path, 0, 0)) {}

FailureOr<OwningOpRef<ModuleOp>> ChoiceContext::sized() const {
  if (dims.empty())
    return OwningOpRef<ModuleOp>(ModuleOp(module).clone());
  LoadOptions load;
  load.state.assign(state.begin(), state.end());
  load.dims = llvm::join(dims, ",");
  return loadModelWithAxes(path, module->getContext(), load);
}

LogicalResult twist::tools::checkTable(const ChoiceContext &context,
                                       const Choice &choice) {
  if (!choice.table)
    return success();
  Ticket stamp;
  axes::stampModel(context.module, stamp);
  if (llvm::Error error = choice.table->check(
          "the latency table", prune::machineName(), stamp.structureSHA256))
    return emitError(context.loc) << toString(std::move(error));
  return success();
}

FailureOr<Ticket> twist::tools::choose(ChoiceContext &context, Choice &choice,
                                       std::vector<PolicyRow> &rows) {
  PolicyOptions &options = choice.options;
  if (choice.drawsWidths)
    context.losses = randomWidthLosses(options.seed);
  if (choice.budget) {
    if (failed(checkTable(context, choice)))
      return failure();
    auto sized = context.sized();
    if (failed(sized))
      return failure();
    auto report =
        spendBudget(context.module, **sized, *choice.budget, context.state,
                    context.scores, context.losses, options, context.loc);
    if (failed(report))
      return failure();
    printBudget(*choice.budget, *report);
  }
  auto known = axesFor(context.module, options);
  if (failed(known))
    return failure();
  FailureOr<Ticket> ticket =
      makeTicket(*known, options, context.scores, rows, context.loc);
  if (failed(ticket))
    return failure();
  axes::stampModel(context.module, *ticket);
  ticket->provenance =
      llvm::json::Object{{"made_by", "twist ticket"},
                         {"policy", policyName(options.policy)},
                         {"seed", int64_t(options.seed)}};
  if (choice.budget)
    ticket->provenance["budget"] = choice.name();
  else
    ticket->provenance["kappa"] = options.kappa;
  if (choice.drawsWidths)
    ticket->provenance["widths"] = "random";
  return ticket;
}

void twist::tools::printRows(ArrayRef<PolicyRow> rows,
                             const PolicyOptions &options) {
  llvm::outs() << llvm::format("%-12s %8s %8s %6s  %s\n", "axis", "units",
                               "kept", "group", "name");
  for (const PolicyRow &row : rows) {
    std::string axis = row.axis.kind + "." + std::to_string(row.axis.index);
    llvm::outs() << llvm::format("%-12s %8lld %8lld %6lld  ", axis.c_str(),
                                 (long long)row.axis.units, (long long)row.kept,
                                 (long long)row.group)
                 << row.axis.name();
    if (row.pinned)
      llvm::outs() << "  (pinned)";
    if (row.kept != row.unrounded)
      llvm::outs() << "  (" << row.unrounded << " rounded to a multiple of "
                   << options.roundTo << ")";
    llvm::outs() << "\n";
  }
}

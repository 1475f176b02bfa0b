//===- Ticket.cpp - twist ticket ------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"

#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Pipeline/Model.h"
#include "twist/Prune/Scores.h"
#include "twist/Target/Object/Object.h"
#include "twist/Ticket/Policy.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace twist;
namespace cl = llvm::cl;

/// "2,2": so many first and last layers.
static bool parsePins(StringRef text, PolicyOptions &options) {
  if (text.empty())
    return true;
  auto [first, last] = text.split(',');
  return !first.getAsInteger(10, options.pinFirst) &&
         !last.getAsInteger(10, options.pinLast);
}

static void printRows(ArrayRef<PolicyRow> rows, const PolicyOptions &options) {
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

/// A finished calibration of this very model.
static FailureOr<prune::Calibration> readCalibration(ModuleOp module,
                                                     TicketPolicy policy,
                                                     StringRef path,
                                                     Location loc) {
  if (path.empty())
    return emitError(loc) << "the policy " << policyName(policy)
                          << " needs --calibration CAL (twist calibrate)";
  llvm::Expected<prune::Calibration> read = prune::Calibration::read(path);
  if (!read)
    return emitError(loc) << toString(read.takeError());
  Ticket stamp;
  axes::stampModel(module, stamp);
  if (read->structureSHA256 != stamp.structureSHA256 ||
      read->weightsSHA256 != stamp.weightsSHA256)
    return emitError(loc) << path << " is a calibration of another model";
  if (!read->isComplete())
    return emitError(loc) << path << " is unfinished: " << read->done << " of "
                          << read->batches
                          << " batches; the same twist calibrate goes on";
  return std::move(*read);
}

static FailureOr<UnitScores> scoresFor(ModuleOp module, TicketPolicy policy,
                                       ArrayRef<std::string> state,
                                       StringRef calibrated, Location loc) {
  using Scores = FailureOr<std::vector<double>>;
  if (!needsCalibration(policy) && !calibrated.empty())
    return emitError(loc) << "the policy " << policyName(policy)
                          << " takes no --calibration";
  if (policy == TicketPolicy::Magnitude) {
    auto scores = unitMagnitudes(module, state);
    if (failed(scores))
      return failure();
    return UnitScores([all = std::move(*scores)](const PolicyRow &row) {
      return Scores(all.lookup(row.axis.symbol));
    });
  }
  if (!needsCalibration(policy))
    return UnitScores();
  auto read = readCalibration(module, policy, calibrated, loc);
  if (failed(read))
    return failure();
  auto calibration = std::make_shared<prune::Calibration>(std::move(*read));
  return UnitScores([=](const PolicyRow &row) -> Scores {
    auto scores =
        policy == TicketPolicy::Flap
            ? prune::fluctuations(*calibration, row.axis.name())
            : prune::removalOrder(*calibration, row.axis.name(), row.group);
    if (!scores)
      return emitError(loc) << toString(scores.takeError());
    return std::move(*scores);
  });
}

static LogicalResult write(const Ticket &ticket, StringRef path, Location loc) {
  std::string text;
  llvm::raw_string_ostream os(text);
  writeTicket(ticket, os);
  FailureOr<object::OutputFile> file = object::OutputFile::create(path, loc);
  return success(succeeded(file) && succeeded(file->write(text)) &&
                 succeeded(file->keep()));
}

int twist::tools::ticketMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist ticket");
  cl::opt<std::string> model(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category));
  cl::opt<std::string> output("o", cl::Required, cl::value_desc("T.json"),
                              cl::desc("The ticket to write"),
                              cl::cat(category));
  cl::opt<double> kappa("kappa", cl::init(0.5), cl::cat(category),
                        cl::desc("Kept fraction of each axis (default 0.5)"));
  cl::opt<TicketPolicy> policy(
      "policy", cl::desc("Which units are kept"), cl::cat(category),
      cl::init(TicketPolicy::Random),
      cl::values(clEnumValN(TicketPolicy::Random, "random",
                            "drawn by --seed, layer by layer (default)"),
                 clEnumValN(TicketPolicy::Magnitude, "magnitude",
                            "those with the largest weights"),
                 clEnumValN(TicketPolicy::First, "first", "the first ones"),
                 clEnumValN(TicketPolicy::Flap, "flap",
                            "those whose values vary most, times the norms of "
                            "their weights (FLAP)"),
                 clEnumValN(TicketPolicy::Obs, "obs",
                            "the others removed one by one, each time the "
                            "cheapest (structured SparseGPT)")));
  cl::opt<std::string> calibrated(
      "calibration", cl::value_desc("CAL"), cl::cat(category),
      cl::desc("What twist calibrate wrote, for flap and obs"));
  cl::list<std::string> kinds(
      "axes", cl::CommaSeparated, cl::value_desc("KINDS"), cl::cat(category),
      cl::desc("Kinds to cut (default: heads or KV groups, FFN units, "
               "channels)"));
  cl::opt<int64_t> group("group", cl::init(1), cl::cat(category),
                         cl::desc("FFN units and channels a group"));
  cl::opt<int64_t> roundTo(
      "round-to", cl::init(1), cl::cat(category),
      cl::desc("Keep FFN units and channels in multiples of this"));
  cl::opt<std::string> pins(
      "pin-layers", cl::value_desc("FIRST,LAST"), cl::cat(category),
      cl::desc("Leave so many layers at each end whole, of "
               "encoder and decoder each"));
  cl::opt<uint64_t> seed("seed", cl::init(0), cl::cat(category),
                         cl::desc("Seed of the policy random (default 0)"));
  StateOption state(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv, "Makes a ticket for a model\n");

  PolicyOptions options;
  options.policy = policy;
  options.kappa = kappa;
  options.kinds.assign(kinds.begin(), kinds.end());
  options.group = group;
  options.roundTo = roundTo;
  options.seed = seed;
  if (!parsePins(pins, options)) {
    llvm::errs() << "error: --pin-layers is not FIRST,LAST: '" << pins << "'\n";
    return 1;
  }

  ToolContext context;
  LoadOptions load;
  load.hashes = true;
  load.state.assign(state.begin(), state.end());
  FailureOr<OwningOpRef<ModuleOp>> module =
      loadModelWithAxes(model, &context, load);
  if (failed(module))
    return 1;

  Location loc = FileLineColLoc::get(&context, model, 0, 0);
  FailureOr<UnitScores> scores =
      scoresFor(**module, policy, load.state, calibrated, loc);
  if (failed(scores))
    return 1;
  std::vector<AxisInfo> found = axes::axesOf(**module);
  if (!pins.empty() && failed(axes::countLayers(**module, found)))
    return 1;
  std::vector<PolicyRow> rows;
  FailureOr<Ticket> ticket = makeTicket(found, options, *scores, rows, loc);
  if (failed(ticket))
    return 1;
  axes::stampModel(**module, *ticket);
  ticket->provenance = llvm::json::Object{{"made_by", "twist ticket"},
                                          {"policy", policyName(policy)},
                                          {"kappa", double(kappa)},
                                          {"seed", int64_t(seed)}};
  if (failed(write(*ticket, output, loc)))
    return 1;
  printRows(rows, options);
  return 0;
}

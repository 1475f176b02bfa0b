//===- Choice.cpp - Which units, and the model they leave -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Choice.h"

#include "twist/Dialect/Weights/Weights.h"
#include "twist/Pipeline/Compile.h"
#include "twist/Pipeline/Corrections.h"
#include "twist/Pipeline/Model.h"
#include "twist/Prune/Scores.h"

using namespace mlir;
using namespace twist;

using Scores = FailureOr<AxisScores>;

/// Asks once per axis and group.
static UnitScores once(std::function<Scores(const PolicyRow &)> compute) {
  auto known =
      std::make_shared<std::map<std::pair<std::string, int64_t>, AxisScores>>();
  return [=](const PolicyRow &row) -> Scores {
    std::pair key(row.axis.symbol, row.group);
    if (auto found = known->find(key); found != known->end())
      return found->second;
    Scores scores = compute(row);
    if (succeeded(scores))
      known->emplace(key, *scores);
    return scores;
  };
}

FailureOr<std::vector<AxisInfo>> twist::axesFor(ModuleOp module,
                                                const PolicyOptions &options) {
  std::vector<AxisInfo> found = axes::axesOf(module);
  if ((options.pinFirst || options.pinLast) &&
      failed(axes::countLayers(module, found)))
    return failure();
  return found;
}

/// Units lose what their gates' Fisher says; groups the sums, least first.
static Scores fisherScores(const llvm::StringMap<std::vector<double>> &all,
                           const PolicyRow &row, Location loc) {
  auto found = all.find(row.axis.name());
  if (found == all.end() || int64_t(found->second.size()) != row.axis.units)
    return emitError(loc) << "the policy fisher does not know axis '"
                          << row.axis.name()
                          << "': the training step has no gate for it";
  AxisScores scores{found->second, {}};
  std::vector<double> sums(row.axis.units / row.group);
  for (auto [unit, score] : llvm::enumerate(scores.units))
    sums[unit / row.group] += score;
  llvm::sort(sums, std::greater<>());
  scores.losses.resize(sums.size() + 1);
  for (size_t n = sums.size(); n-- > 0;)
    scores.losses[n] = scores.losses[n + 1] + sums[n];
  return scores;
}

FailureOr<UnitScores> twist::unitScores(ModuleOp module, TicketPolicy policy,
                                        ArrayRef<std::string> state,
                                        DataScores data, Location loc) {
  if (policy == TicketPolicy::Magnitude) {
    auto scores = unitMagnitudes(module, state);
    if (failed(scores))
      return failure();
    return UnitScores([all = std::move(*scores)](const PolicyRow &row) {
      return Scores(AxisScores{all.lookup(row.axis.symbol), {}});
    });
  }
  if (needsGradients(policy))
    return UnitScores([=](const PolicyRow &row) {
      return fisherScores(*data.fisher, row, loc);
    });
  if (!needsCalibration(policy))
    return UnitScores();
  return once([=,
               calibration = data.calibration](const PolicyRow &row) -> Scores {
    if (policy == TicketPolicy::Flap) {
      auto scores = prune::fluctuations(*calibration, row.axis.name());
      if (scores)
        return AxisScores{std::move(*scores), {}};
      return emitError(loc) << toString(scores.takeError());
    }
    auto removal =
        prune::removalOrder(*calibration, row.axis.name(), row.group);
    if (removal)
      return AxisScores{std::move(removal->scores), std::move(removal->losses)};
    return emitError(loc) << toString(removal.takeError());
  });
}

FailureOr<CutModel> twist::cutModel(ModuleOp module, const Ticket &ticket,
                                    StringRef corrections,
                                    ArrayRef<std::string> state, Location loc) {
  module.getContext()->getOrLoadDialect<weights::WeightsDialect>();
  CutModel cut;
  cut.gated = module.clone();
  if (failed(axes::applyTicket(*cut.gated, ticket, loc, evaluateNatively)) ||
      (!corrections.empty() &&
       failed(applyCorrections(*cut.gated, corrections, "", loc))))
    return failure();
  cut.sliced = cut.gated->clone();
  axes::SliceOptions options;
  options.state.assign(state.begin(), state.end());
  if (failed(sliceModel(*cut.sliced, options, cut.report)))
    return failure();
  return FailureOr<CutModel>(std::move(cut));
}

//===- Widths.cpp - What widths of axes lose, predicted and measured ------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Widths.h"

#include "twist/DFL/Random.h"
#include "twist/Pipeline/Stages.h"
#include "twist/Prune/Scores.h"

#include <cmath>

using namespace mlir;
using namespace twist;

namespace {
/// What an axis's widths have in common.
struct Branch {
  std::vector<double> flap, norms; ///< per group, descending
  double place = 0;                ///< 0 first of its kind, 1 last
  bool isFirst = false, isLast = false, isAttention = false;
  double share = 0; ///< of all fluctuations
};
} // namespace

ArrayRef<llvm::StringLiteral> twist::widthFeatureNames() {
  static constexpr llvm::StringLiteral names[] = {"removed",
                                                  "removed squared",
                                                  "obs",
                                                  "flap",
                                                  "norms",
                                                  "removed, attention",
                                                  "obs, attention",
                                                  "removed, place",
                                                  "obs, place",
                                                  "removed, first",
                                                  "obs, first",
                                                  "removed, last",
                                                  "obs, last",
                                                  "removed, share",
                                                  "obs, share",
                                                  "removed, budget",
                                                  "obs, budget"};
  return names;
}

static std::vector<double> featuresOf(const Branch &branch, double removed,
                                      double obs, double flap, double norms,
                                      double budget) {
  std::vector<double> features = {removed, removed * removed, obs, flap, norms};
  for (double factor :
       {double(branch.isAttention), branch.place, double(branch.isFirst),
        double(branch.isLast), branch.share, budget}) {
    features.push_back(removed * factor);
    features.push_back(obs * factor);
  }
  return features;
}

static std::vector<double> byGroup(ArrayRef<double> units, int64_t group) {
  std::vector<double> sums(units.size() / group);
  for (auto [unit, value] : llvm::enumerate(units))
    sums[unit / group] += value;
  llvm::sort(sums, std::greater<>());
  return sums;
}

/// The part of the sum that the least of them hold, all but `kept`.
static double restOf(ArrayRef<double> sums, int64_t kept) {
  double rest = 0, whole = 0;
  for (auto [i, value] : llvm::enumerate(sums)) {
    whole += value;
    rest += int64_t(i) < kept ? 0 : value;
  }
  return whole > 0 ? rest / whole : 0;
}

static FailureOr<std::vector<Branch>>
branchesOf(ArrayRef<WidthRow> rows, const prune::Calibration &calibration,
           Location loc) {
  llvm::StringMap<int64_t> last;
  for (const WidthRow &row : rows)
    last[row.plan.axis.kind] =
        std::max(last[row.plan.axis.kind], row.plan.axis.index);
  std::vector<Branch> branches;
  double whole = 0;
  for (const WidthRow &row : rows) {
    const AxisInfo &axis = row.plan.axis;
    auto flap = prune::fluctuations(calibration, axis.name());
    if (!flap)
      return emitError(loc) << toString(flap.takeError());
    auto norms = prune::rowNorms(calibration, axis.name());
    if (!norms)
      return emitError(loc) << toString(norms.takeError());
    Branch &branch = branches.emplace_back();
    for (double value : *flap)
      branch.share += value;
    whole += branch.share;
    branch.flap = byGroup(*flap, row.plan.group);
    branch.norms = byGroup(*norms, row.plan.group);
    int64_t end = last[axis.kind];
    branch.place = end ? double(axis.index) / double(end) : 0;
    branch.isFirst = axis.index == 0;
    branch.isLast = axis.index == end;
    branch.isAttention = axis.kind == "head" || axis.kind == "kv_group";
  }
  for (Branch &branch : branches)
    branch.share /= whole > 0 ? whole : 1;
  return branches;
}

FailureOr<std::vector<std::vector<std::vector<double>>>>
twist::widthFeatures(ArrayRef<WidthRow> rows, int64_t allowed,
                     const prune::Calibration &calibration,
                     const UnitScores &obs, Location loc) {
  auto branches = branchesOf(rows, calibration, loc);
  if (failed(branches))
    return failure();
  int64_t whole = 0;
  for (const WidthRow &row : rows)
    whole += row.choices.back().cost;
  double budget = whole > 0 ? double(allowed) / double(whole) : 1;
  std::vector<std::vector<std::vector<double>>> all;
  for (auto [row, branch] : llvm::zip_equal(rows, *branches)) {
    FailureOr<AxisScores> scores = obs(row.plan);
    if (failed(scores))
      return failure();
    auto count = double(row.plan.axis.units / row.plan.group);
    auto &table = all.emplace_back();
    for (int64_t n : row.groups)
      table.push_back(featuresOf(branch, 1 - double(n) / count,
                                 scores->losses[n], restOf(branch.flap, n),
                                 restOf(branch.norms, n), budget));
  }
  return all;
}

WidthLosses twist::randomWidthLosses(uint64_t seed) {
  return [seed](ArrayRef<WidthRow> rows,
                int64_t) -> FailureOr<std::vector<std::vector<double>>> {
    std::vector<std::vector<double>> losses;
    for (auto [at, row] : llvm::enumerate(rows)) {
      dfl::Draws draws(seed, uint32_t(at), 0, dfl::DrawWidths);
      double factor = std::exp(draws.normal());
      std::vector<double> &table = losses.emplace_back();
      for (int64_t n : row.groups) {
        double removed = 1 - double(n) / double(row.groups.back());
        table.push_back(factor * removed * removed);
      }
    }
    return losses;
  };
}

void twist::thinWidths(WidthPlan &plan, int64_t count) {
  for (WidthRow &row : plan.rows) {
    auto below = int64_t(row.groups.size()) - 1;
    int64_t kept = std::min(below, count);
    WidthRow thin{row.plan, {}, {}};
    for (int64_t i = 0; i <= kept; ++i) {
      int64_t at = i < kept ? i * below / kept : below;
      thin.groups.push_back(row.groups[at]);
      thin.choices.push_back(row.choices[at]);
    }
    row = std::move(thin);
  }
}

namespace {
/// Measures tickets whose widths are given row by row.
class Measurer {
public:
  Measurer(ModuleOp module, const WidthPlan &plan, PolicyOptions options,
           const UnitScores &obs, prune::TicketMeter &meter,
           prune::CorrectionKind kind, Location loc)
      : plan(plan), options(std::move(options)), obs(obs), meter(meter),
        kind(kind), loc(loc), known(axesFor(module, this->options)) {}

  double lossOf(double quality) const {
    return meter.quality().isPerplexity() ? std::log(quality) : 1 - quality;
  }
  /// The loss of places of widths, one a row.
  FailureOr<double> loss(ArrayRef<size_t> picks);

private:
  const WidthPlan &plan;
  PolicyOptions options;
  const UnitScores &obs;
  prune::TicketMeter &meter;
  prune::CorrectionKind kind;
  Location loc;
  FailureOr<std::vector<AxisInfo>> known;
};
} // namespace

FailureOr<double> Measurer::loss(ArrayRef<size_t> picks) {
  if (failed(known))
    return failure();
  for (auto [row, pick] : llvm::zip_equal(plan.rows, picks))
    options.widths[row.plan.axis.symbol] = row.groups[pick] * row.plan.group;
  std::vector<PolicyRow> rows;
  FailureOr<Ticket> ticket = makeTicket(*known, options, obs, rows, loc);
  if (failed(ticket))
    return failure();
  auto result = meter.measure(keptUnits(*ticket), kind);
  if (!result)
    return emitError(loc) << toString(result.takeError());
  return lossOf(result->quality);
}

/// The width nearest to the part `kappa` of the axis.
static size_t uniformPick(const WidthRow &row, double kappa) {
  auto wanted = kappa * double(row.groups.back());
  auto found = llvm::min_element(row.groups, [&](int64_t a, int64_t b) {
    return std::abs(double(a) - wanted) < std::abs(double(b) - wanted);
  });
  return size_t(found - row.groups.begin());
}

FailureOr<prune::WidthValues> twist::measureWidths(
    ModuleOp module, const WidthPlan &plan, PolicyOptions options,
    const prune::Calibration &calibration, const UnitScores &obs,
    prune::TicketMeter &meter, prune::CorrectionKind kind,
    function_ref<void(int64_t, int64_t)> tell, Location loc) {
  Measurer measurer(module, plan, options, obs, meter, kind, loc);
  prune::WidthValues values;
  values.measure = meter.quality().measure().str();
  values.kappa = options.kappa;
  values.dense = measurer.lossOf(meter.dense());
  for (llvm::StringLiteral name : widthFeatureNames())
    values.features.push_back(name.str());
  std::vector<size_t> base;
  int64_t total = 1, done = 0;
  for (const WidthRow &row : plan.rows) {
    base.push_back(uniformPick(row, options.kappa));
    values.allowed += row.choices[base.back()].cost;
    total += int64_t(row.groups.size()) - 1;
  }
  auto features =
      widthFeatures(plan.rows, values.allowed, calibration, obs, loc);
  FailureOr<double> uniform = measurer.loss(base);
  if (failed(features) || failed(uniform))
    return failure();
  values.uniform = *uniform;
  tell(++done, total);
  for (auto [at, row] : llvm::enumerate(plan.rows)) {
    prune::WidthAxis &axis = values.axes.emplace_back();
    axis.axis = row.plan.axis.name();
    axis.units = row.plan.axis.units;
    axis.uniform = row.groups[base[at]] * row.plan.group;
    axis.features = std::move((*features)[at]);
    std::vector<size_t> picks = base;
    for (size_t pick = 0; pick < row.groups.size(); ++pick) {
      picks[at] = pick;
      FailureOr<double> loss =
          pick == base[at] ? uniform : measurer.loss(picks);
      if (failed(loss))
        return failure();
      if (pick != base[at])
        tell(++done, total);
      axis.widths.push_back(row.groups[pick] * row.plan.group);
      axis.costs.push_back(row.choices[pick].cost);
      axis.increases.push_back(*loss);
    }
    double whole = axis.increases.back();
    for (double &increase : axis.increases)
      increase -= whole;
  }
  return values;
}

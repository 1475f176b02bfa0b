//===- Budget.cpp - One width per axis, within a budget -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/AxisAnalysis.h"
#include "twist/Pipeline/Choice.h"
#include "twist/Prune/Knapsack.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSwitch.h"

#include <cmath>

using namespace mlir;
using namespace twist;

std::optional<Budget> Budget::parse(StringRef text) {
  auto [name, number] = text.split('=');
  Budget budget;
  auto kind = llvm::StringSwitch<std::optional<Kind>>(name)
                  .Case("parameters", Parameters)
                  .Case("flops", FLOPs)
                  .Case("latency", Latency)
                  .Default(std::nullopt);
  budget.isSeconds = number.consume_back("ms");
  if (!kind || number.getAsDouble(budget.amount) || !(budget.amount > 0) ||
      (budget.isSeconds && *kind != Latency) ||
      (!budget.isSeconds && *kind == Latency && budget.amount > 1))
    return std::nullopt;
  budget.kind = *kind;
  if (budget.isSeconds)
    budget.amount /= 1e3;
  return budget;
}

namespace {
class Spender {
public:
  Spender(ModuleOp module, ModuleOp sized, const Budget &budget,
          ArrayRef<std::string> state, const UnitScores &scores,
          const WidthLosses &given, PolicyOptions &options, Location loc)
      : module(module), sized(sized), budget(budget), state(state),
        scores(scores), given(given), options(options), loc(loc) {}
  FailureOr<BudgetReport> spend();

private:
  LogicalResult addLosses(int64_t allowed);
  FailureOr<std::vector<double>> lossesOf(const PolicyRow &plan);
  void setFlapLosses(ArrayRef<std::vector<double>> units);
  /// What is left of the model with options.widths.
  FailureOr<int64_t> countKept();
  int64_t sum() const;

  ModuleOp module, sized;
  const Budget &budget;
  ArrayRef<std::string> state;
  const UnitScores &scores;
  const WidthLosses &given;
  PolicyOptions &options;
  Location loc;
  WidthPlan plan;
  BudgetReport report;
};
} // namespace

static FailureOr<axes::AxisCosts> costsOf(ModuleOp module) {
  auto analysis =
      axes::AxisAnalysis::compute(module.lookupSymbol<func::FuncOp>("main"));
  if (failed(analysis))
    return failure();
  return analysis->costs();
}

static int64_t valueOf(const axes::AxisCost &cost, Budget::Kind kind) {
  return kind == Budget::FLOPs ? cost.flops : cost.parameters;
}

/// Widths cost their part of what the axis holds: exact where axes share
/// nothing; where they do, `spend` counts what is left.
static LogicalResult addCosts(WidthPlan &plan, ModuleOp sized,
                              Budget::Kind kind) {
  auto analysis =
      axes::AxisAnalysis::compute(sized.lookupSymbol<func::FuncOp>("main"));
  if (failed(analysis))
    return failure();
  axes::AxisCosts costs = analysis->costs();
  plan.dense = plan.fixed = valueOf(costs.total, kind);
  llvm::StringMap<int64_t> held;
  for (auto [axis, cost] : llvm::zip_equal(analysis->axes(), costs.axes))
    held[axis.symbol] = valueOf(cost, kind);
  for (WidthRow &row : plan.rows) {
    int64_t whole = held.lookup(row.plan.axis.symbol);
    int64_t count = row.plan.axis.units / row.plan.group;
    plan.fixed -= whole;
    for (int64_t groups : row.groups)
      row.choices.push_back(
          {int64_t(
               std::llround(double(whole) * double(groups) / double(count))),
           0});
  }
  return success();
}

/// Only measured widths, and the whole.
static LogicalResult addTimes(WidthPlan &plan, WidthRow &row,
                              const prune::LatencyTable &table, Location loc) {
  const prune::LatencyRow *times = table.find(row.plan.axis.name());
  if (!times || times->units != row.plan.axis.units)
    return emitError(loc) << "the latency table has no row of axis '"
                          << row.plan.axis.name() << "' with "
                          << row.plan.axis.units << " units";
  auto nanoseconds = [](double seconds) {
    return int64_t(std::llround(seconds * 1e9));
  };
  int64_t most = 0;
  for (double saved : times->saved)
    most = std::max(most, nanoseconds(saved));
  std::vector<int64_t> groups;
  for (auto [width, saved] : llvm::zip_equal(times->widths, times->saved)) {
    int64_t count = width / row.plan.group;
    if (width % row.plan.group || !llvm::is_contained(row.groups, count))
      continue;
    groups.push_back(count);
    row.choices.push_back({most - nanoseconds(saved), 0});
  }
  groups.push_back(row.groups.back());
  row.choices.push_back({most, 0});
  row.groups = std::move(groups);
  plan.fixed -= most;
  return success();
}

FailureOr<WidthPlan> twist::planWidths(ModuleOp module, ModuleOp sized,
                                       const Budget &budget,
                                       const PolicyOptions &options,
                                       Location loc) {
  auto known = axesFor(module, options);
  if (failed(known))
    return failure();
  auto planned = planRows(*known, options, loc);
  if (failed(planned))
    return failure();
  WidthPlan plan;
  for (PolicyRow &row : *planned)
    plan.rows.push_back({row, allowedGroups(row, options), {}});
  if (budget.kind != Budget::Latency) {
    if (failed(addCosts(plan, sized, budget.kind)))
      return failure();
    return plan;
  }
  plan.dense = plan.fixed = int64_t(budget.table->denseSeconds * 1e9);
  for (WidthRow &row : plan.rows)
    if (failed(addTimes(plan, row, *budget.table, loc)))
      return failure();
  return plan;
}

/// Of the number of kept groups, from the units' scores: the part of the sum
/// that is gone; without scores the square of the part of groups.
FailureOr<std::vector<double>> Spender::lossesOf(const PolicyRow &plan) {
  int64_t count = plan.axis.units / plan.group;
  std::vector<double> losses(count + 1);
  if (!needsScores(options.policy)) {
    for (int64_t n = 0; n <= count; ++n)
      losses[n] = std::pow(double(count - n) / double(count), 2);
    return losses;
  }
  FailureOr<AxisScores> found = scores(plan);
  if (failed(found))
    return failure();
  if (!found->losses.empty())
    return found->losses;
  std::vector<double> sums(count);
  for (auto [unit, score] : llvm::enumerate(found->units))
    sums[unit / plan.group] += score;
  if (options.policy == TicketPolicy::Flap)
    return sums;
  llvm::sort(sums, std::greater<>());
  for (int64_t n = count; n-- > 0;)
    losses[n] = losses[n + 1] + sums[n];
  double whole = losses[0];
  for (double &loss : losses)
    loss = whole > 0 ? loss / whole : 0;
  return losses;
}

/// FLAP ranks the standardised scores of all layers and cuts at one threshold
/// that meets the budget. With what a unit costs as its weight that is the
/// relaxation of the knapsack with these losses.
void Spender::setFlapLosses(ArrayRef<std::vector<double>> groups) {
  std::vector<std::vector<double>> standard;
  double least = 0;
  for (const std::vector<double> &sums : groups) {
    double mean = 0, square = 0, count = double(sums.size());
    for (double value : sums)
      mean += value / count;
    for (double value : sums)
      square += (value - mean) * (value - mean) / count;
    std::vector<double> &scores = standard.emplace_back(sums);
    for (double &score : scores)
      score = square > 0 ? (score - mean) / std::sqrt(square) : 0;
    llvm::sort(scores, std::greater<>());
    if (!scores.empty())
      least = std::min(least, scores.back());
  }
  for (auto [row, scores] : llvm::zip_equal(plan.rows, standard)) {
    double count = double(scores.size());
    double cost = double(row.choices.back().cost) / count /
                  double(std::max<int64_t>(report.dense, 1));
    std::vector<double> losses(scores.size() + 1);
    for (size_t n = scores.size(); n-- > 0;)
      losses[n] = losses[n + 1] + (scores[n] - least) * cost;
    for (auto [choice, n] : llvm::zip_equal(row.choices, row.groups))
      choice.loss = losses[n];
  }
}

LogicalResult Spender::addLosses(int64_t allowed) {
  if (given) {
    auto losses = given(plan.rows, allowed);
    if (failed(losses))
      return failure();
    for (auto [row, values] : llvm::zip_equal(plan.rows, *losses))
      for (auto [choice, value] : llvm::zip_equal(row.choices, values))
        choice.loss = value;
    return success();
  }
  std::vector<std::vector<double>> all;
  for (const WidthRow &row : plan.rows) {
    auto losses = lossesOf(row.plan);
    if (failed(losses))
      return failure();
    all.push_back(std::move(*losses));
  }
  if (options.policy == TicketPolicy::Flap) {
    setFlapLosses(all);
    return success();
  }
  for (auto [row, losses] : llvm::zip_equal(plan.rows, all))
    for (auto [choice, n] : llvm::zip_equal(row.choices, row.groups))
      choice.loss = losses[n];
  return success();
}

FailureOr<int64_t> Spender::countKept() {
  Ticket ticket;
  for (const WidthRow &row : plan.rows) {
    TicketAxis axis{row.plan.axis.name(), row.plan.axis.units, 1, {}};
    for (int64_t u = 0; u < options.widths[row.plan.axis.symbol]; ++u)
      axis.keep.push_back(u);
    ticket.axes.push_back(std::move(axis));
  }
  auto cut = cutModel(sized, ticket, "", state, loc);
  if (failed(cut))
    return failure();
  auto costs = costsOf(*cut->sliced);
  if (failed(costs))
    return failure();
  return valueOf(costs->total, budget.kind);
}

int64_t Spender::sum() const {
  int64_t least = plan.fixed;
  for (const WidthRow &row : plan.rows)
    least += row.choices.front().cost;
  return least;
}

FailureOr<BudgetReport> Spender::spend() {
  auto planned = planWidths(module, sized, budget, options, loc);
  if (failed(planned))
    return failure();
  plan = std::move(*planned);
  bool isLatency = budget.kind == Budget::Latency;
  report.dense = plan.dense;
  report.allowed = budget.isSeconds ? int64_t(budget.amount * 1e9)
                   : budget.amount > 1
                       ? int64_t(budget.amount)
                       : int64_t(budget.amount * double(report.dense));
  if (failed(addLosses(report.allowed - plan.fixed)))
    return failure();
  std::vector<std::vector<prune::Choice>> choices;
  for (const WidthRow &row : plan.rows)
    choices.push_back(row.choices);
  // Axes that share weights keep more than the sum says: then less is allowed.
  int64_t aim = report.allowed;
  for (int attempt = 0; attempt < 12; ++attempt) {
    auto found = prune::solveKnapsack(choices, aim - plan.fixed);
    if (!found)
      return emitError(loc) << "the budget allows " << report.allowed << " of "
                            << report.dense << (isLatency ? " nanoseconds" : "")
                            << "; the least widths take " << sum();
    for (auto [row, pick] : llvm::zip_equal(plan.rows, found->picks))
      options.widths[row.plan.axis.symbol] = row.groups[pick] * row.plan.group;
    report.loss = found->loss;
    report.bound = found->bound;
    report.isExact = found->isExact && attempt == 0;
    report.kept = found->cost + plan.fixed;
    if (isLatency)
      return report;
    FailureOr<int64_t> kept = countKept();
    if (failed(kept))
      return failure();
    report.kept = *kept;
    if (report.kept <= report.allowed)
      return report;
    aim -= report.kept - report.allowed;
  }
  return emitError(loc) << "no widths were found that keep the budget";
}

FailureOr<BudgetReport>
twist::spendBudget(ModuleOp module, ModuleOp sized, const Budget &budget,
                   ArrayRef<std::string> state, const UnitScores &scores,
                   const WidthLosses &losses, PolicyOptions &options,
                   Location loc) {
  options.widths.clear();
  return Spender(module, sized, budget, state, scores, losses, options, loc)
      .spend();
}

//===- Policy.cpp - Making tickets ----------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Ticket/Policy.h"

#include "twist/Support/Philox.h"
#include "twist/Ticket/Kinds.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

#include <cmath>
#include <numeric>

using namespace mlir;
using namespace twist;

StringRef twist::policyName(TicketPolicy policy) {
  switch (policy) {
  case TicketPolicy::Random:
    return "random";
  case TicketPolicy::Magnitude:
    return "magnitude";
  case TicketPolicy::First:
    return "first";
  case TicketPolicy::Flap:
    return "flap";
  case TicketPolicy::Obs:
    return "obs";
  case TicketPolicy::Fisher:
    return "fisher";
  case TicketPolicy::SparseGPT:
    return "sparsegpt";
  }
  llvm_unreachable("a policy of the enumeration");
}

bool twist::needsCalibration(TicketPolicy policy) {
  return policy == TicketPolicy::Flap || policy == TicketPolicy::Obs;
}

bool twist::needsScores(TicketPolicy policy) {
  return policy == TicketPolicy::Magnitude || needsCalibration(policy) ||
         needsGradients(policy);
}

bool twist::needsGradients(TicketPolicy policy) {
  return policy == TicketPolicy::Fisher;
}

static bool isWanted(const AxisInfo &axis, const PolicyOptions &options) {
  if (options.kinds.empty())
    return isCutByDefault(axis.kind);
  return llvm::is_contained(options.kinds, axis.kind);
}

/// Groups that hold the fewest units that are to stay.
static int64_t leastGroups(const PolicyRow &row, const PolicyOptions &options) {
  int64_t units = std::clamp<int64_t>(options.minUnits, 0, row.axis.units);
  return (units + row.group - 1) / row.group;
}

/// `roundTo` in groups; 1: any number will do.
static int64_t stepOf(const PolicyRow &row, const PolicyOptions &options) {
  return hasFineUnits(row.axis.kind)
             ? std::lcm(row.group, options.roundTo) / row.group
             : 1;
}

/// The kept groups: floor(kappa·k + 1/2), then to the nearest count that is a
/// multiple of `roundTo` units, at least one unless none was to be kept.
static int64_t keptGroups(PolicyRow &row, const PolicyOptions &options) {
  int64_t groups = row.axis.units / row.group;
  auto width = options.widths.find(row.axis.symbol);
  int64_t kept =
      width != options.widths.end()
          ? width->second / row.group
          : int64_t(std::floor(options.kappa * double(groups) + 0.5));
  kept = std::max(kept, leastGroups(row, options));
  row.unrounded = kept * row.group;
  int64_t step = stepOf(row, options);
  if (step == 1 || kept == 0 || kept == groups)
    return kept;
  int64_t rounded = std::max<int64_t>((2 * kept + step) / (2 * step), 1) * step;
  if (rounded < leastGroups(row, options))
    rounded += step;
  return std::min(rounded, groups);
}

std::vector<int64_t> twist::allowedGroups(const PolicyRow &row,
                                          const PolicyOptions &options) {
  int64_t groups = row.axis.units / row.group, step = stepOf(row, options);
  std::vector<int64_t> allowed;
  for (int64_t n = 0; n < groups && !row.pinned; n += step)
    if (n >= leastGroups(row, options))
      allowed.push_back(n);
  allowed.push_back(groups);
  return allowed;
}

/// The groups with the largest sums of scores; the earlier wins a tie.
static FailureOr<std::vector<int64_t>>
largest(const PolicyRow &row, int64_t count, const UnitScores &scores) {
  FailureOr<AxisScores> units = scores(row);
  if (failed(units))
    return failure();
  std::vector<double> sums(row.axis.units / row.group);
  for (auto [unit, score] : llvm::enumerate(units->units))
    sums[unit / row.group] += score;
  std::vector<int64_t> order(sums.size());
  std::iota(order.begin(), order.end(), int64_t(0));
  llvm::sort(order, [&](int64_t a, int64_t b) {
    return std::pair(-sums[a], a) < std::pair(-sums[b], b);
  });
  order.resize(count);
  return order;
}

static FailureOr<std::vector<int64_t>> choose(const PolicyRow &row,
                                              int64_t count,
                                              const PolicyOptions &options,
                                              const UnitScores &scores) {
  int64_t groups = row.axis.units / row.group;
  if (needsScores(options.policy) && count != groups)
    return largest(row, count, scores);
  if (options.policy == TicketPolicy::Random) {
    PhiloxStream stream(options.seed, /*round=*/0, uint32_t(row.axis.index),
                        familyNumber(row.axis.kind));
    return shuffledPrefix(stream, groups, count);
  }
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), int64_t(0));
  return order;
}

static LogicalResult check(ArrayRef<AxisInfo> axes,
                           const PolicyOptions &options, Location loc) {
  if (!(options.kappa >= 0 && options.kappa <= 1))
    return emitError(loc) << "kappa is not between 0 and 1";
  if (options.group < 1 || options.roundTo < 1)
    return emitError(loc) << "group and round-to are at least 1";
  if (options.policy == TicketPolicy::SparseGPT)
    return emitError(loc) << "the policy sparsegpt removes no units, it makes "
                             "weights zero: twist ticket measures it";
  if (options.minUnits < 0)
    return emitError(loc) << "the least number of units is at least 0";
  if (options.pinFirst < 0 || options.pinLast < 0)
    return emitError(loc) << "pinned layers are at least 0";
  for (StringRef kind : options.kinds)
    if (llvm::none_of(axes, [&](const AxisInfo &a) { return a.kind == kind; }))
      return emitError(loc) << "the model has no axis of kind '" << kind << "'";
  if (llvm::none_of(axes,
                    [&](const AxisInfo &a) { return isWanted(a, options); }))
    return emitError(loc) << "the model has no axis to cut";
  return success();
}

FailureOr<std::vector<PolicyRow>> twist::planRows(ArrayRef<AxisInfo> axes,
                                                  const PolicyOptions &options,
                                                  Location loc) {
  if (failed(check(axes, options, loc)))
    return failure();
  std::vector<PolicyRow> rows;
  for (const AxisInfo &axis : axes) {
    if (!isWanted(axis, options))
      continue;
    PolicyRow row{axis};
    if (hasFineUnits(axis.kind))
      row.group = options.group;
    if (axis.units % row.group != 0)
      return emitError(loc)
             << "groups of " << row.group << " do not divide the " << axis.units
             << " units of axis '" << axis.name() << "'";
    row.pinned = axis.layersBefore < options.pinFirst ||
                 axis.layersAfter < options.pinLast;
    row.unrounded = row.kept = axis.units;
    if (!row.pinned)
      row.kept = keptGroups(row, options) * row.group;
    rows.push_back(std::move(row));
  }
  return rows;
}

FailureOr<Ticket> twist::makeTicket(ArrayRef<AxisInfo> axes,
                                    const PolicyOptions &options,
                                    const UnitScores &scores,
                                    std::vector<PolicyRow> &rows,
                                    Location loc) {
  FailureOr<std::vector<PolicyRow>> planned = planRows(axes, options, loc);
  if (failed(planned))
    return failure();
  Ticket ticket;
  for (const PolicyRow &row : *planned) {
    FailureOr<std::vector<int64_t>> keep =
        choose(row, row.kept / row.group, options, scores);
    if (failed(keep))
      return failure();
    llvm::sort(*keep);
    ticket.axes.push_back(
        {row.axis.name(), row.axis.units, row.group, std::move(*keep)});
  }
  llvm::append_range(rows, *planned);
  return ticket;
}

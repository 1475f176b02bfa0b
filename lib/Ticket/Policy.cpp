//===- Policy.cpp - Making tickets ----------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Ticket/Policy.h"

#include "twist/Support/Philox.h"

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
  }
  llvm_unreachable("a policy of the enumeration");
}

bool twist::needsCalibration(TicketPolicy policy) {
  return policy == TicketPolicy::Flap || policy == TicketPolicy::Obs;
}

bool twist::needsScores(TicketPolicy policy) {
  return policy == TicketPolicy::Magnitude || needsCalibration(policy);
}

/// Kinds whose units are single features, cut in groups and rounded.
static bool isFine(StringRef kind) {
  return kind == "ffn" || kind == "channel";
}

static bool isWanted(const AxisInfo &axis, const PolicyOptions &options) {
  if (options.kinds.empty())
    return isFine(axis.kind) || axis.kind == "head" || axis.kind == "kv_group";
  return llvm::is_contained(options.kinds, axis.kind);
}

/// The kept groups: floor(kappa·k + 1/2), then to the nearest count that is a
/// multiple of `roundTo` units, at least one unless none was to be kept.
static int64_t keptGroups(PolicyRow &row, const PolicyOptions &options) {
  int64_t groups = row.axis.units / row.group;
  int64_t kept = int64_t(std::floor(options.kappa * double(groups) + 0.5));
  row.unrounded = kept * row.group;
  int64_t step = std::lcm(row.group, options.roundTo) / row.group;
  if (!isFine(row.axis.kind) || step == 1 || kept == 0 || kept == groups)
    return kept;
  int64_t rounded = std::max<int64_t>((2 * kept + step) / (2 * step), 1) * step;
  return std::min(rounded, groups);
}

/// The groups with the largest sums of scores; the earlier wins a tie.
static FailureOr<std::vector<int64_t>>
largest(const PolicyRow &row, int64_t count, const UnitScores &scores) {
  FailureOr<std::vector<double>> units = scores(row);
  if (failed(units))
    return failure();
  std::vector<double> sums(row.axis.units / row.group);
  for (auto [unit, score] : llvm::enumerate(*units))
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

FailureOr<Ticket> twist::makeTicket(ArrayRef<AxisInfo> axes,
                                    const PolicyOptions &options,
                                    const UnitScores &scores,
                                    std::vector<PolicyRow> &rows,
                                    Location loc) {
  if (failed(check(axes, options, loc)))
    return failure();
  Ticket ticket;
  for (const AxisInfo &axis : axes) {
    if (!isWanted(axis, options))
      continue;
    PolicyRow row{axis};
    if (isFine(axis.kind))
      row.group = options.group;
    if (axis.units % row.group != 0)
      return emitError(loc)
             << "groups of " << row.group << " do not divide the " << axis.units
             << " units of axis '" << axis.name() << "'";
    row.pinned = axis.layersBefore < options.pinFirst ||
                 axis.layersAfter < options.pinLast;
    int64_t count = axis.units / row.group;
    row.unrounded = axis.units;
    if (!row.pinned)
      count = keptGroups(row, options);
    row.kept = count * row.group;

    FailureOr<std::vector<int64_t>> keep = choose(row, count, options, scores);
    if (failed(keep))
      return failure();
    llvm::sort(*keep);
    ticket.axes.push_back(
        {axis.name(), axis.units, row.group, std::move(*keep)});
    rows.push_back(std::move(row));
  }
  return ticket;
}

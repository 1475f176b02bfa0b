//===- Policy.h - Making tickets -------------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TICKET_POLICY_H
#define TWIST_TICKET_POLICY_H

#include "twist/Ticket/Ticket.h"

#include "llvm/ADT/StringMap.h"

#include <functional>

namespace twist {

/// SparseGPT makes no ticket: its masks are single weights (Prune/SparseGPT.h).
enum class TicketPolicy {
  Random,
  Magnitude,
  First,
  Flap,
  Obs,
  Fisher,
  SparseGPT
};

/// As users and provenance spell it: "random", ….
llvm::StringRef policyName(TicketPolicy policy);
/// Whether the policy asks for scores, and needs a calibration or gradients for
/// them.
bool needsScores(TicketPolicy policy);
bool needsCalibration(TicketPolicy policy);
bool needsGradients(TicketPolicy policy);

struct PolicyOptions {
  TicketPolicy policy = TicketPolicy::Random;
  /// The kept fraction of an axis's groups, in [0, 1].
  double kappa = 0.5;
  /// Kinds to cut; empty: heads (KV groups), FFN units and channels.
  std::vector<std::string> kinds;
  /// Units a group, for FFN units and channels; other kinds go unit by unit.
  int64_t group = 1;
  /// FFN units and channels are kept in multiples of this.
  int64_t roundTo = 1;
  /// At least so many units of each axis stay, or all of them.
  int64_t minUnits = 0;
  /// Units to keep by an axis's symbol, in place of kappa: what a budget
  /// bought.
  llvm::StringMap<int64_t> widths;
  /// So many first and last axes of each kind stay whole, in each stack.
  int64_t pinFirst = 0, pinLast = 0;
  uint64_t seed = 0;
};

/// How many units an axis keeps, and how many `roundTo` asked for more or less.
struct PolicyRow {
  AxisInfo axis;
  int64_t group = 1;
  int64_t kept = 0;      ///< units
  int64_t unrounded = 0; ///< units before `roundTo`
  bool pinned = false;
};

/// What a policy says of an axis.
struct AxisScores {
  /// Per unit: the groups with the larger sums are kept.
  std::vector<double> units;
  /// losses[n]: what is lost where n groups are kept, on one scale for all
  /// axes; empty: to be made from the units' scores.
  std::vector<double> losses;
};

/// For the policies that need scores. Asked only where some are removed.
using UnitScores =
    std::function<mlir::FailureOr<AxisScores>(const PolicyRow &)>;

/// The axes that the options name, with the units each keeps. Errors are
/// diagnostics at `loc`.
mlir::FailureOr<std::vector<PolicyRow>> planRows(llvm::ArrayRef<AxisInfo> axes,
                                                 const PolicyOptions &options,
                                                 mlir::Location loc);

/// The numbers of groups that `minUnits`, `roundTo` and pins allow an axis to
/// keep, ascending; the last is all.
std::vector<int64_t> allowedGroups(const PolicyRow &row,
                                   const PolicyOptions &options);

/// Makes a ticket for `axes` (graph order). Axes of other kinds are not in it;
/// pinned ones are, whole. Of k groups floor(kappa·k + 1/2) are kept. `rows`
/// tells what became of each axis. Errors are diagnostics at `loc`.
mlir::FailureOr<Ticket> makeTicket(llvm::ArrayRef<AxisInfo> axes,
                                   const PolicyOptions &options,
                                   const UnitScores &scores,
                                   std::vector<PolicyRow> &rows,
                                   mlir::Location loc);

} // namespace twist

#endif // TWIST_TICKET_POLICY_H

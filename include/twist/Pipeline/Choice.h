//===- Choice.h - Which units, how many, and the model they leave -*- C++
//-*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_CHOICE_H
#define TWIST_PIPELINE_CHOICE_H

#include "twist/Dialect/Twist/Transforms/Slice.h"
#include "twist/Prune/Calibration.h"
#include "twist/Prune/Knapsack.h"
#include "twist/Prune/LatencyTable.h"
#include "twist/Ticket/Policy.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace twist {

/// The model's axes, as planRows and makeTicket need them: with their layers if
/// some are pinned.
mlir::FailureOr<std::vector<AxisInfo>> axesFor(mlir::ModuleOp module,
                                               const PolicyOptions &options);

/// What data say of a model's units: null where the policy needs it not.
struct DataScores {
  std::shared_ptr<const prune::Calibration> calibration;
  /// By axis name, one a unit (train::GateFisher).
  std::shared_ptr<const llvm::StringMap<std::vector<double>>> fisher;
};

/// The scores of a policy for a model with axes; nothing for policies that need
/// none. Each axis is computed once.
mlir::FailureOr<UnitScores> unitScores(mlir::ModuleOp module,
                                       TicketPolicy policy,
                                       llvm::ArrayRef<std::string> state,
                                       DataScores data, mlir::Location loc);

/// What all layers together may keep.
struct Budget {
  enum Kind { Parameters, FLOPs, Latency } kind = Parameters;
  /// A part of the dense model's up to 1; beyond it a number, or seconds if
  /// `isSeconds`.
  double amount = 1;
  bool isSeconds = false;
  const prune::LatencyTable *table = nullptr; ///< for Latency

  /// "parameters=0.5", "flops=2e9", "latency=0.7", "latency=3ms".
  static std::optional<Budget> parse(llvm::StringRef text);
};

/// The widths an axis may have, as numbers of groups, ascending, the last all
/// of them, and the choices they are.
struct WidthRow {
  PolicyRow plan;
  std::vector<int64_t> groups;
  std::vector<prune::Choice> choices;
};

/// What widths cost, in parameters, FLOPs or nanoseconds; losses are zero.
struct WidthPlan {
  std::vector<WidthRow> rows;
  int64_t dense = 0; ///< the whole model
  int64_t fixed = 0; ///< what no axis holds
};

/// The widths that `options` allow. `sized` is the model with sizes that FLOPs
/// count (or the same). Errors: an axis that the latency table does not know.
mlir::FailureOr<WidthPlan>
planWidths(mlir::ModuleOp module, mlir::ModuleOp sized, const Budget &budget,
           const PolicyOptions &options, mlir::Location loc);

/// What the widths of each row lose, where the rows together may cost
/// `allowed`.
using WidthLosses =
    std::function<mlir::FailureOr<std::vector<std::vector<double>>>(
        llvm::ArrayRef<WidthRow> rows, int64_t allowed)>;

/// In parameters, FLOPs or nanoseconds (those of latency as the table has
/// them).
struct BudgetReport {
  int64_t dense = 0, allowed = 0, kept = 0;
  double loss = 0;  ///< of the choice
  double bound = 0; ///< no choice loses less
  bool isExact = false;
};

/// Chooses one width per axis within the budget, so that what the policy says
/// is lost is least: `options.widths`. `sized` is the model with sizes that
/// FLOPs count (or the same). Losses: obs, the part of the sites' results;
/// magnitude, the part of the squares; flap, the standardised scores of what is
/// removed, above the model's least, each unit weighing what it costs; fisher,
/// the scores of what is removed; random and first, the square of the removed
/// part of the axis; or, if given, what `losses` says. Errors: even the least
/// widths exceed the budget; an axis that the table does not know.
mlir::FailureOr<BudgetReport>
spendBudget(mlir::ModuleOp module, mlir::ModuleOp sized, const Budget &budget,
            llvm::ArrayRef<std::string> state, const UnitScores &scores,
            const WidthLosses &losses, PolicyOptions &options,
            mlir::Location loc);

/// A model under a ticket.
struct CutModel {
  mlir::OwningOpRef<mlir::ModuleOp> gated, sliced;
  axes::SliceReport report;
};

/// Applies a ticket to a model with axes, which is left as it is; `corrections`
/// is a safetensors file, or empty.
mlir::FailureOr<CutModel> cutModel(mlir::ModuleOp module, const Ticket &ticket,
                                   llvm::StringRef corrections,
                                   llvm::ArrayRef<std::string> state,
                                   mlir::Location loc);

/// Measures what widths of axes save: axes that are alike are cut together, to
/// `steps` widths each, multiples of `options.roundTo`, against the dense model
/// in turn. Inputs are random, of sizes `dims`. `tell` hears of each program.
mlir::FailureOr<prune::LatencyTable>
measureLatency(mlir::ModuleOp module, const PolicyOptions &options,
               llvm::ArrayRef<std::pair<std::string, int64_t>> dims,
               llvm::ArrayRef<std::string> state, int threads, int64_t steps,
               int64_t repeat,
               llvm::function_ref<void(llvm::StringRef kind, int64_t axes,
                                       int64_t width, double seconds)>
                   tell,
               mlir::Location loc);

} // namespace twist

#endif // TWIST_PIPELINE_CHOICE_H

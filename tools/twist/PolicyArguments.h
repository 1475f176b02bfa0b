//===- PolicyArguments.h - Options that choose units ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_POLICYARGUMENTS_H
#define TWIST_TOOLS_TWIST_POLICYARGUMENTS_H

#include "Context.h"
#include "Measure.h"

#include "twist/Pipeline/Choice.h"

namespace twist::tools {

/// What a policy, a kappa or a budget, and limits say: how tickets are made.
struct Choice {
  PolicyOptions options;
  std::optional<Budget> budget;
  std::shared_ptr<prune::LatencyTable> table;
  bool drawsWidths = false; ///< within the budget, by the seed

  /// "kappa 0.5", "parameters=0.5".
  std::string name() const;
  /// With kappa or the budget's part so much larger or smaller; none beyond 0
  /// and 1.
  std::optional<Choice> moved(double by) const;
};

/// --policy, --kappa, --budget, --latency, --value-model, --axes, --group,
/// --round-to, --min-units, --pin-layers, --seed, --dim.
struct PolicyArguments {
  PolicyArguments(llvm::cl::OptionCategory &category, TicketPolicy standard);

  /// Prints what is wrong. `takesTable`: a latency table without a budget, too.
  std::optional<Choice> parse(bool takesTable = false) const;

  llvm::cl::opt<double> kappa;
  llvm::cl::opt<TicketPolicy> policy;
  llvm::cl::list<std::string> kinds;
  llvm::cl::opt<int64_t> group, roundTo, minUnits;
  llvm::cl::opt<std::string> pins;
  llvm::cl::opt<uint64_t> seed;
  llvm::cl::opt<std::string> budget, latency, valueModel;
  DimOption dims;
};

/// A model with axes and hashes; prints what is wrong.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
loadForChoice(llvm::StringRef path, const StateOption &state,
              mlir::MLIRContext *context);

/// A model with axes, and what tickets for it are made with.
struct ChoiceContext {
  ChoiceContext(mlir::ModuleOp module, llvm::StringRef path,
                const StateOption &state, const PolicyArguments &policy);

  mlir::ModuleOp module;
  std::string path;
  std::vector<std::string> state, dims;
  UnitScores scores;
  mlir::Location loc;
  WidthLosses losses = {}; ///< null: the policy's

  /// The model with sizes for FLOPs, where `dims` say them.
  mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> sized() const;
};

/// Fills the context's scores and losses: of the calibration, which is finished
/// where the policy needs one; for the policy fisher of the model's training
/// step on the data (train::GateFisher); of the value model, if there is one.
/// Prints memory, progress, and errors.
mlir::LogicalResult
fillScores(ChoiceContext &context, const Choice &choice,
           const PolicyArguments &policy,
           std::shared_ptr<const prune::Calibration> calibration,
           const DataArguments &data, llvm::StringRef output);

/// A finished calibration of this very model; null where the policy needs none.
mlir::FailureOr<std::shared_ptr<const prune::Calibration>>
calibrationFor(mlir::ModuleOp module, TicketPolicy policy, llvm::StringRef path,
               mlir::Location loc);

/// Spends the budget, if there is one (on drawn widths if the choice draws
/// them), and makes the ticket, with the model's
/// hashes and its provenance; prints what the budget bought, and errors.
mlir::FailureOr<Ticket> choose(ChoiceContext &context, Choice &choice,
                               std::vector<PolicyRow> &rows);

/// That the choice's latency table, if it has one, is this machine's and
/// model's.
mlir::LogicalResult checkTable(const ChoiceContext &context,
                               const Choice &choice);

/// A table of axes with what each keeps.
void printRows(llvm::ArrayRef<PolicyRow> rows, const PolicyOptions &options);

} // namespace twist::tools

#endif // TWIST_TOOLS_TWIST_POLICYARGUMENTS_H

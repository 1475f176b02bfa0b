//===- PolicyArguments.h - Options that choose units ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_POLICYARGUMENTS_H
#define TWIST_TOOLS_TWIST_POLICYARGUMENTS_H

#include "Context.h"

#include "twist/Pipeline/Choice.h"

namespace twist::tools {

/// What a policy, a kappa or a budget, and limits say: how tickets are made.
struct Choice {
  PolicyOptions options;
  std::optional<Budget> budget;
  std::shared_ptr<prune::LatencyTable> table;

  /// "kappa 0.5", "parameters=0.5".
  std::string name() const;
  /// With kappa or the budget's part so much larger or smaller; none beyond 0
  /// and 1.
  std::optional<Choice> moved(double by) const;
};

/// --policy, --kappa, --budget, --latency, --axes, --group, --round-to,
/// --min-units, --pin-layers, --seed, --dim.
struct PolicyArguments {
  PolicyArguments(llvm::cl::OptionCategory &category, TicketPolicy standard);

  /// Prints what is wrong.
  std::optional<Choice> parse() const;

  llvm::cl::opt<double> kappa;
  llvm::cl::opt<TicketPolicy> policy;
  llvm::cl::list<std::string> kinds;
  llvm::cl::opt<int64_t> group, roundTo, minUnits;
  llvm::cl::opt<std::string> pins;
  llvm::cl::opt<uint64_t> seed;
  llvm::cl::opt<std::string> budget, latency;
  DimOption dims;
};

/// A model with axes, and what tickets for it are made with.
struct ChoiceContext {
  mlir::ModuleOp module;
  std::string path;
  std::vector<std::string> state, dims;
  UnitScores scores;
  mlir::Location loc;
};

/// Spends the budget, if there is one, and makes the ticket, with the model's
/// hashes and its provenance; prints what the budget bought, and errors.
mlir::FailureOr<Ticket> choose(ChoiceContext &context, Choice &choice,
                               std::vector<PolicyRow> &rows);

/// A table of axes with what each keeps.
void printRows(llvm::ArrayRef<PolicyRow> rows, const PolicyOptions &options);

} // namespace twist::tools

#endif // TWIST_TOOLS_TWIST_POLICYARGUMENTS_H

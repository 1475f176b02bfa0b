//===- TrainResults.h - What a training leaves ------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_TRAINRESULTS_H
#define TWIST_PIPELINE_TRAINRESULTS_H

#include "twist/Ticket/Policy.h"
#include "twist/Train/ModelLayout.h"

#include "llvm/ADT/StringMap.h"

namespace twist {

struct DrawnTicket {
  std::string name; ///< "kappa0.5-3"
  double kappa = 1;
  uint64_t seed = 0;
  Ticket ticket;
};

struct DrawOptions {
  std::vector<double> kappas;
  int64_t count = 1; ///< per kappa
  /// Kinds, groups and pins as in training; policy, kappa and seed are set
  /// here.
  PolicyOptions policy;
  std::vector<std::string> state; ///< pairs past=present
};

/// Random tickets for the model in `path`, stamped with its hashes. Ticket i of
/// a kappa has seed `policy.seed` + i. Errors are diagnostics.
mlir::FailureOr<std::vector<DrawnTicket>>
drawTickets(llvm::StringRef path, mlir::MLIRContext *context,
            const DrawOptions &options);

/// Where a subnetwork's layers are scaled otherwise than the whole model's:
/// writes to `output` the model's weights behind the gates of the axes in
/// `ratios`, by name, times their ratio (docs/Cuts.md: correction `gain`).
/// Returns the file's SHA-256.
llvm::Expected<std::string> writeGains(llvm::StringRef path,
                                       const llvm::StringMap<double> &ratios,
                                       llvm::StringRef output,
                                       mlir::MLIRContext *context,
                                       llvm::ArrayRef<std::string> state);

/// The units a ticket keeps of each axis of a layout; an axis that the ticket
/// does not name is whole. An error names an axis the layout does not have.
llvm::Expected<train::Masks> masksOf(const Ticket &ticket,
                                     const train::ModelLayout &layout);

/// `twist slice` without options: the model in `path` cut by the ticket in file
/// `ticket`, written to `output`.
llvm::LogicalResult sliceFile(llvm::StringRef path, llvm::StringRef ticket,
                              llvm::StringRef output,
                              mlir::MLIRContext *context,
                              llvm::ArrayRef<std::string> state);

} // namespace twist

#endif // TWIST_PIPELINE_TRAINRESULTS_H

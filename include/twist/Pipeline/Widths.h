//===- Widths.h - What widths of axes lose, predicted and measured -*- C++
//-*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_WIDTHS_H
#define TWIST_PIPELINE_WIDTHS_H

#include "twist/Pipeline/Choice.h"
#include "twist/Prune/Staged.h"
#include "twist/Prune/WidthValues.h"

namespace twist {

/// What the features of a width are called; all are 0 of a whole axis.
llvm::ArrayRef<llvm::StringLiteral> widthFeatureNames();

/// The features of each row's widths, [rows][widths][features], where the rows
/// together may cost `allowed`. `obs` are the scores of that policy.
mlir::FailureOr<std::vector<std::vector<std::vector<double>>>>
widthFeatures(llvm::ArrayRef<WidthRow> rows, int64_t allowed,
              const prune::Calibration &calibration, const UnitScores &obs,
              mlir::Location loc);

/// Losses that are drawn: of an axis the square of its removed part, times a
/// factor whose logarithm is normal.
WidthLosses randomWidthLosses(uint64_t seed);

/// Keeps of each row at most `count` widths below the whole, spread evenly.
void thinWidths(WidthPlan &plan, int64_t count);

/// Measures what each width of each axis loses while the others are as a
/// uniform ticket of `options.kappa` has them, each corrected by `kind`: units
/// are chosen by obs. Fills all of the result but `model`. `tell` hears of each
/// ticket. Errors: planWidths', makeTicket's and the meter's.
mlir::FailureOr<prune::WidthValues>
measureWidths(mlir::ModuleOp module, const WidthPlan &plan,
              PolicyOptions options, const prune::Calibration &calibration,
              const UnitScores &obs, prune::TicketMeter &meter,
              prune::CorrectionKind kind,
              llvm::function_ref<void(int64_t done, int64_t total)> tell,
              mlir::Location loc);

} // namespace twist

#endif // TWIST_PIPELINE_WIDTHS_H

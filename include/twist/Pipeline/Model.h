//===- Model.h - From a file to a model with its axes -----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// What every command on tickets starts with: import, hashes, normalise, find
// the axes, apply the ticket. Each step reports its own errors.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_MODEL_H
#define TWIST_PIPELINE_MODEL_H

#include "twist/Dialect/Twist/Transforms/Slice.h"

#include "mlir/IR/OwningOpRef.h"

namespace twist {

struct LoadOptions {
  /// Record the model's hashes, which reads all of its weights.
  bool hashes = false;
  /// Sizes for symbolic dimensions: "batch=1,sequence=128"; may be empty.
  std::string dims;
  /// State pairs `input=output`.
  llvm::SmallVector<std::string> state;
  /// For masks of site "weight"; without it they are an error.
  axes::EvaluateConstants evaluate;
};

/// The normalised model in file `path`, with twist.axis ops and gates.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
loadModelWithAxes(llvm::StringRef path, mlir::MLIRContext *context,
                  const LoadOptions &options);

/// The same, and the ticket's subnetwork in it. Hashes are computed and checked
/// if the ticket names them, unless `anyWeights`.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
loadModelWithTicket(llvm::StringRef path, llvm::StringRef ticket,
                    bool anyWeights, mlir::MLIRContext *context,
                    LoadOptions options);

/// Slices a model with a subnetwork and follows sizes again, which fails if the
/// cut is inconsistent anywhere.
llvm::LogicalResult sliceModel(mlir::ModuleOp module,
                               const axes::SliceOptions &options,
                               axes::SliceReport &report);

/// Per axis symbol the sum of squares, unit by unit, of the weights that carry
/// the axis: the scores of the policy `magnitude`. Needs the model with axes.
mlir::FailureOr<llvm::StringMap<std::vector<double>>>
unitMagnitudes(mlir::ModuleOp module, llvm::ArrayRef<std::string> state);

} // namespace twist

#endif // TWIST_PIPELINE_MODEL_H

//===- StepModel.h - A model ready to become training steps -----*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_PIPELINE_STEPMODEL_H
#define TWIST_LIB_PIPELINE_STEPMODEL_H

#include "twist/Pipeline/Step.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace twist {

/// On a place in the graph, then on the argument that it is multiplied by: the
/// number that tells places apart.
inline constexpr llvm::StringLiteral kDropoutAttr = "twist.dropout";

/// Marked places become products with arguments of their own, after all others.
mlir::LogicalResult takeDropoutFactors(mlir::ModuleOp module);

/// The prepared graph of a model, with axes and gates, and what it looks like
/// from outside.
class StepModel {
public:
  static mlir::FailureOr<StepModel> load(llvm::StringRef path,
                                         mlir::MLIRContext *context,
                                         const StepCompilerOptions &options);

  const train::ModelLayout &layout() const { return modelLayout; }

  /// A graph of the request's widths and sizes: @main takes the inputs, then
  /// all parameters of the layout, then factors for dropout (kDropoutAttr), and
  /// returns the outputs. Errors: widths and
  /// sizes that do not fit; a program that would depend on which units are
  /// kept.
  mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
  specialise(const train::StepRequest &request) const;

  /// The dense values of a parameter, of its type.
  mlir::LogicalResult read(unsigned parameter,
                           llvm::MutableArrayRef<char> values) const;

  /// The model's file with `values` (one pointer per parameter) in place of its
  /// weights, gains folded into the weights they scale.
  mlir::LogicalResult write(llvm::StringRef path,
                            llvm::ArrayRef<const void *> values) const;

private:
  mlir::LogicalResult addFactors(const StepCompilerOptions &options);
  mlir::LogicalResult describeGains();
  mlir::LogicalResult describeAxes();
  mlir::LogicalResult describeParameters();
  void describeTensors();
  mlir::FailureOr<llvm::StringMap<int64_t>>
  sizesOf(const train::StepRequest &request) const;
  mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
  cut(llvm::ArrayRef<int64_t> units, bool last) const;

  mlir::OwningOpRef<mlir::ModuleOp> module;
  train::ModelLayout modelLayout;
  llvm::SmallVector<std::string> symbols;      ///< of twist.axis ops, per axis
  llvm::SmallVector<mlir::Operation *> makers; ///< a load or constant each
  std::string source;                          ///< the model's file
};

} // namespace twist

#endif // TWIST_LIB_PIPELINE_STEPMODEL_H

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

/// The prepared graph of a model, with axes and gates, and what it looks like
/// from outside.
class StepModel {
public:
  static mlir::FailureOr<StepModel> load(llvm::StringRef path,
                                         mlir::MLIRContext *context,
                                         const StepCompilerOptions &options);

  const train::ModelLayout &layout() const { return modelLayout; }

  /// A graph of the request's widths and sizes: @main takes the inputs, then
  /// all parameters of the layout, and returns the outputs. Errors: widths and
  /// sizes that do not fit; a program that would depend on which units are
  /// kept.
  mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
  specialise(const train::StepRequest &request) const;

  /// The dense values of a parameter, of its type.
  mlir::LogicalResult read(unsigned parameter,
                           llvm::MutableArrayRef<char> values) const;

private:
  mlir::LogicalResult describeAxes();
  mlir::LogicalResult describeParameters();
  void describeTensors();
  mlir::FailureOr<llvm::StringMap<int64_t>>
  sizesOf(const train::StepRequest &request) const;
  mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
  cut(llvm::ArrayRef<int64_t> units, bool last) const;

  mlir::OwningOpRef<mlir::ModuleOp> module;
  train::ModelLayout modelLayout;
  llvm::SmallVector<std::string> symbols; ///< of twist.axis ops, per axis
  /// A load or constant of each parameter, null for gains.
  llvm::SmallVector<mlir::Operation *> makers;
};

} // namespace twist

#endif // TWIST_LIB_PIPELINE_STEPMODEL_H

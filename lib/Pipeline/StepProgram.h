//===- StepProgram.h - The functions of a training step ---------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_PIPELINE_STEPPROGRAM_H
#define TWIST_LIB_PIPELINE_STEPPROGRAM_H

#include "StepMath.h"

#include "twist/Differentiate/Recompute.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace twist::step {

/// What stands behind an input or output of a step's program.
struct Binding {
  enum Kind {
    Input,         ///< the step's input `index`
    Parameter,     ///< of the layout
    State,         ///< of the step
    Gradient,      ///< of parameter `index`
    ScalarValue,   ///< Scalar `index`
    RandomInteger, ///< RandomValues::integers[index]
    RandomScale,   ///< RandomValues::scale
    Add,           ///< whether gradients are added to: i32, 0 or 1
    Cotangent,     ///< of output `index`
    Loss,          ///< a result
    Norm,          ///< a result
    Output,        ///< a result: output `index`
    InputGradient, ///< a result: of input `index`
  };
  Kind kind;
  unsigned index = 0;
};

/// A module whose @main is one entry of a step, on tensors, and what its inputs
/// and outputs are; results that update inputs in place are no outputs.
struct EntryModule {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  llvm::SmallVector<Binding> inputs, outputs;
  /// What the loss takes beside the model's inputs.
  llvm::SmallVector<train::Tensor> targets;
  train::CompiledStep::Kept kept;
};

/// `lowered` has @main(inputs, parameters) -> outputs of StepModel::specialise
/// in linalg; it is left as it is. Errors are reported.
mlir::FailureOr<EntryModule> buildEntry(mlir::ModuleOp lowered,
                                        const train::ModelLayout &layout,
                                        const train::StepRequest &request,
                                        train::StepEntry entry,
                                        Recompute recompute);

/// The state of a step whose parameters have these sizes.
std::vector<train::StateTensor>
describeState(const train::ModelLayout &layout,
              llvm::ArrayRef<std::vector<int64_t>> parameterDims,
              train::OptimiserKind optimiser);

} // namespace twist::step

#endif // TWIST_LIB_PIPELINE_STEPPROGRAM_H

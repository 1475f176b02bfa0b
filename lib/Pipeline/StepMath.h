//===- StepMath.h - Losses and optimisers as linalg -------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_PIPELINE_STEPMATH_H
#define TWIST_LIB_PIPELINE_STEPMATH_H

#include "twist/Train/CompiledStep.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace twist::step {

/// The numbers a step takes with each call, rank-0 tensors of the parameters'
/// type, in this order.
enum Scalar : unsigned {
  Rate,
  Beta1,
  OneMinusBeta1,
  Beta2,
  OneMinusBeta2,
  LogBeta1,
  LogBeta2,
  Epsilon,
  Momentum,
  Decay,
  RateDecay, ///< rate · weight decay
  Clip,      ///< largest norm; infinite: none
  Scale,     ///< of gradients, before clipping
  NumScalars
};
llvm::StringRef scalarName(unsigned scalar);
/// Their values.
std::array<double, NumScalars> scalarValues(const train::StepScalars &scalars);

/// What decides which elements are dropped, and what the others are scaled by:
/// seed, counter, and the number in [0, 2^32] that a word of 32 random bits
/// must reach for its element to stay.
struct RandomValues {
  std::array<int64_t, 3> integers;
  double scale;
};
RandomValues randomValues(const train::StepScalars &scalars);

using LocBuilder = mlir::ImplicitLocOpBuilder;

/// A generic without reductions over the shape of `like`: operands have its
/// rank, or rank 0, or lack the dimensions that `map` leaves out.
mlir::Value
map(LocBuilder &b, mlir::Value like, mlir::ValueRange operands,
    llvm::ArrayRef<mlir::AffineMap> maps, mlir::Type element,
    llvm::function_ref<mlir::Value(LocBuilder &, mlir::ValueRange)> body);

/// For each element of a tensor of `type` 0 or `scale` (rank 0): the element,
/// n-th in row-major order, stays if the first word of Philox 4x32-10 at
/// counter (n, site, low and high half of the step's counter), key (low, high
/// half of the seed), reaches the threshold. `integers` are RandomValues', of
/// rank 0.
mlir::Value dropoutFactors(LocBuilder &b, mlir::RankedTensorType type,
                           int64_t site, mlir::ValueRange integers,
                           mlir::Value scale);

/// Contractions of f32 take both operands rounded to bf16 and sum in f32.
void useBF16Products(mlir::func::FuncOp function);

/// Loss of `output` against a target the function gets as a new argument, or
/// none (Own): a tensor of rank 0. Errors name the output.
mlir::FailureOr<mlir::Value> appendLoss(mlir::func::FuncOp function,
                                        mlir::Value output,
                                        llvm::StringRef outputName,
                                        const train::LossOptions &options);

/// What an optimiser keeps for one parameter: a name, and whether it is like
/// the parameter (else i32 counts, one per unit).
struct StateKind {
  const char *name;
  bool likeParameter;
};
llvm::ArrayRef<StateKind> stateKinds(train::OptimiserKind kind);

/// The parameter and its state after an update, in place of the operands:
/// `gradient` times `factor` (rank 0) is what the optimiser sees.
llvm::SmallVector<mlir::Value> update(LocBuilder &b, train::OptimiserKind kind,
                                      mlir::Value parameter,
                                      mlir::ValueRange state,
                                      mlir::Value gradient, mlir::Value factor,
                                      mlir::ValueRange scalars, bool decayed);

/// `gradient`, or the sum of it and what `buffer` holds where `add` (rank 0,
/// i32) says so; in place of `buffer`.
mlir::Value accumulate(LocBuilder &b, mlir::Value buffer, mlir::Value gradient,
                       mlir::Value add);

/// Global norm of the gradients times Scale, and the factor that scales and
/// clips them: two tensors of rank 0.
std::pair<mlir::Value, mlir::Value> clippingFactor(LocBuilder &b,
                                                   mlir::ValueRange gradients,
                                                   mlir::ValueRange scalars);

} // namespace twist::step

#endif // TWIST_LIB_PIPELINE_STEPMATH_H

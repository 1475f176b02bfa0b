//===- GenericGradient.h - The gradient of linalg.generic -------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIFFERENTIATE_GENERICGRADIENT_H
#define TWIST_LIB_DIFFERENTIATE_GENERICGRADIENT_H

#include "Rules.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace twist {

/// How a result of a generic is made of `term`, a value of the body.
struct Combination {
  enum Kind { Map, Sum, Product, Extremum } kind;
  mlir::Value term;
};

/// A dimension read at `stride * out + dilation * tap`.
struct Window {
  unsigned out, tap;
  int64_t stride, dilation, taps;
  mlir::Value size = nullptr; // of the dimension that is read

  static std::optional<Window> of(mlir::AffineExpr read,
                                  mlir::AffineMap results,
                                  mlir::ArrayRef<int64_t> loopSizes);
};

/// The gradient of one generic.
class GenericGradient {
public:
  GenericGradient(mlir::linalg::GenericOp op, Backward &backward,
                  const GradientRules &rules)
      : op(op), backward(backward), rules(rules), loc(op.getLoc()) {}

  mlir::LogicalResult run();

private:
  mlir::LogicalResult findPicks();
  mlir::LogicalResult classify();
  void addSeeds();
  using Fold = llvm::function_ref<mlir::SmallVector<mlir::Value>(
      mlir::ImplicitLocOpBuilder &, mlir::Value term, mlir::ValueRange others,
      mlir::ValueRange accumulators)>;
  mlir::ResultRange overTerms(unsigned number, mlir::ValueRange others,
                              mlir::ValueRange inits, Fold fold);
  mlir::Value shareTies(unsigned number);
  mlir::ValueRange productOfOthers(unsigned number);
  mlir::LogicalResult pullBack(mlir::OpOperand &input);
  struct Reads {
    mlir::SmallVector<mlir::Value>
        operands; // the generic's inputs, then the seeds'
    mlir::SmallVector<mlir::AffineMap> maps;
  };
  Reads reads();
  mlir::Value spread(mlir::Value operand, mlir::AffineMap &map,
                     const mlir::DenseMap<unsigned, Window> &windows);
  mlir::LogicalResult followWindows(mlir::OpOperand &input,
                                    mlir::AffineMap &map, Reads &reads);
  mlir::FailureOr<mlir::Value> build(mlir::OpOperand &input,
                                     mlir::AffineMap map, Reads reads,
                                     mlir::Value zeros);
  mlir::LogicalResult pullBackPick(mlir::tensor::ExtractOp pick);
  mlir::IRMapping copyBody(mlir::OpBuilder &b, mlir::ValueRange args,
                           mlir::ValueRange loops = {});
  mlir::FailureOr<mlir::Value> adjointOf(mlir::OpBuilder &b,
                                         const mlir::IRMapping &forward,
                                         mlir::ValueRange args,
                                         mlir::Value wanted);
  mlir::FailureOr<mlir::Value>
  sweep(mlir::OpBuilder &b, const mlir::IRMapping &forward,
        mlir::DenseMap<mlir::Value, mlir::Value> &adjoints, mlir::Value wanted);
  void seed(mlir::OpBuilder &b, const mlir::IRMapping &forward,
            mlir::ValueRange extra,
            mlir::DenseMap<mlir::Value, mlir::Value> &adjoints);

  mlir::linalg::GenericOp op;
  Backward &backward;
  const GradientRules &rules;
  mlir::Location loc;
  mlir::SmallVector<Combination> combinations;      // one a result
  mlir::SmallVector<mlir::tensor::ExtractOp> picks; // of computed tensors
  // What the seeds read besides the generic's own operands: for each result
  // with a cotangent, it; for an extremum the result too; for a product what
  // productOfOthers gives.
  mlir::SmallVector<mlir::Value> extraOperands;
  mlir::SmallVector<mlir::AffineMap> extraMaps;
};

} // namespace twist

#endif // TWIST_LIB_DIFFERENTIATE_GENERICGRADIENT_H

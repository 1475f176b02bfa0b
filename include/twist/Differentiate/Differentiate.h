//===- Differentiate.h - Reverse mode on linalg and nn ----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIFFERENTIATE_DIFFERENTIATE_H
#define TWIST_DIFFERENTIATE_DIFFERENTIATE_H

#include "twist/Differentiate/Residuals.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringMap.h"

#include <functional>

namespace twist {

/// The backward part of one function while it is written, from its end.
class Backward {
public:
  Backward(mlir::OpBuilder &builder, llvm::DenseSet<mlir::Value> active)
      : builder(builder), active(std::move(active)) {}

  mlir::OpBuilder &builder;

  /// Whether `value` depends on a chosen operand and a chosen result on it.
  bool isActive(mlir::Value value) const { return active.contains(value); }
  /// The sum of what arrived at `value`, of its type; null if nothing did.
  mlir::Value cotangentOf(mlir::Value value) const {
    return cotangents.lookup(value);
  }
  /// The same, for an op that adds to it and then adds the sum: what arrived is
  /// forgotten.
  mlir::Value take(mlir::Value value) {
    return std::exchange(cotangents[value], mlir::Value());
  }
  /// Adds `cotangent`, of `value`'s type, to what arrived; `value` is active.
  void add(mlir::Value value, mlir::Value cotangent);

private:
  llvm::DenseSet<mlir::Value> active;
  llvm::DenseMap<mlir::Value, mlir::Value> cotangents;
};

/// How ops pull cotangents back. Rules are found by the op's name; there is one
/// table for ops on tensors and one for the scalar ops of bodies.
class GradientRules {
public:
  /// Adds to `backward` what each active operand of `op` gets; at least one
  /// result has a cotangent. Errors are diagnostics at `op`.
  using TensorRule = std::function<mlir::LogicalResult(
      mlir::Operation *op, Backward &backward, const GradientRules &rules)>;
  /// What operand number `operand` of `op` gets from `adjoint`, the adjoint of
  /// `op`'s one result, and of its type; null for zero.
  using ScalarRule = std::function<mlir::Value(
      mlir::Operation *op, unsigned operand, mlir::Value adjoint,
      mlir::ImplicitLocOpBuilder &b)>;

  /// The rules of linalg, tensor, nn, arith and math.
  static GradientRules standard();

  llvm::StringMap<TensorRule> tensor;
  llvm::StringMap<ScalarRule> scalar;
};

/// Which operands are differentiated with respect to, and which results have
/// cotangents: numbers, ascending.
struct GradientRequest {
  llvm::SmallVector<int64_t> operands, results;

  /// All of floats.
  static GradientRequest all(mlir::FunctionType type);
};

/// How the parts of a gradient relate.
struct GradientOptions {
  Recompute recompute = Recompute::Nothing;
  /// Two functions, @NAME_forward and @NAME_backward, in place of one.
  bool split = false;
};

struct Gradients {
  mlir::func::FuncOp gradient;          ///< null if split
  mlir::func::FuncOp forward, backward; ///< null if not
  ResidualReport residuals;
  unsigned rulesApplied = 0; ///< ops
};

/// Adds the functions that the pass twist-differentiate describes behind
/// `function`.
mlir::FailureOr<Gradients> differentiate(mlir::func::FuncOp function,
                                         const GradientRequest &request,
                                         const GradientRules &rules,
                                         const GradientOptions &options);

/// Adds `@NAME_gradient` behind `function`, as the pass twist-differentiate
/// describes; returns it. `rulesApplied` counts ops.
mlir::FailureOr<mlir::func::FuncOp>
differentiate(mlir::func::FuncOp function, const GradientRequest &request,
              const GradientRules &rules, unsigned *rulesApplied = nullptr);

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "twist/Differentiate/Passes.h.inc"

} // namespace twist

#endif // TWIST_DIFFERENTIATE_DIFFERENTIATE_H

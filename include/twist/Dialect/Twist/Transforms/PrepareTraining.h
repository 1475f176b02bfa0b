//===- PrepareTraining.h - From an inference export to a training graph ---===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_TWIST_TRANSFORMS_PREPARETRAINING_H
#define TWIST_DIALECT_TWIST_TRANSFORMS_PREPARETRAINING_H

#include "twist/Dialect/Weights/Reader.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"

namespace twist::axes {

/// Discardable dictionary on a weight or constant: {name, role, trainable,
/// decayed, copies}; copies of the op are the same parameter.
inline constexpr llvm::StringLiteral kParameterAttr = "twist.parameter";

/// What a weight is for, by the ops that read it.
enum class WeightRole { Other, Weight, Bias, Scale, Shift, Embedding, Gain };
llvm::StringRef roleName(WeightRole role);

/// A weight or constant of floats, as kParameterAttr has it.
struct ParameterInfo {
  std::string name; ///< of the initialiser
  WeightRole role = WeightRole::Other;
  bool trainable = false, decayed = false;
  /// Names of initialisers with equal content, or its transpose, whose uses now
  /// read this one.
  llvm::SmallVector<std::string> copies;

  static std::optional<ParameterInfo> of(mlir::Operation *op);
  void setOn(mlir::Operation *op) const;
};

struct TrainingOptions {
  /// State pairs, as AxisAnalysisOptions::state.
  llvm::SmallVector<std::string> state;
  /// Globs on names: trained, or not, whatever their role.
  llvm::SmallVector<std::string> train, freeze;
  bool f64 = false; ///< of parameters and all that is computed; else f32
  std::string baseDirectory;
};

/// The pass twist-prepare-training.
llvm::LogicalResult prepareTraining(mlir::ModuleOp module,
                                    const TrainingOptions &options);

/// Roles of the weights and constants of floats in a normalised graph without
/// fused ops of com.microsoft, in program order.
llvm::MapVector<mlir::Operation *, WeightRole>
findWeightRoles(mlir::func::FuncOp function);

/// Loads and constants of rank 2 and more with equal content, or one the
/// other's transpose, become one. `names` is told (kept, gone).
llvm::LogicalResult tieCopies(
    mlir::func::FuncOp function, weights::SourceFiles &files,
    llvm::function_ref<void(mlir::Operation *kept, llvm::StringRef gone)> tied);

/// The name of a weight or constant in its file; may be empty.
llvm::StringRef weightName(mlir::Operation *op);

/// Two lists: what is trained and what is not.
void printParameters(mlir::ModuleOp module, llvm::raw_ostream &os);

} // namespace twist::axes

#endif // TWIST_DIALECT_TWIST_TRANSFORMS_PREPARETRAINING_H

//===- Passes.h - Passes on ONNX graphs -------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_ONNX_TRANSFORMS_PASSES_H
#define TWIST_DIALECT_ONNX_TRANSFORMS_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <functional>

namespace twist::onnx {

#define GEN_PASS_DECL
#include "twist/Dialect/ONNX/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "twist/Dialect/ONNX/Transforms/Passes.h.inc"

/// What onnx-refine-shapes did.
struct RefinementCounts {
  unsigned types = 0, constants = 0, targets = 0, branches = 0;
};

/// The pass onnx-refine-shapes on one function; errors are reported.
llvm::LogicalResult refineShapes(mlir::func::FuncOp function,
                                 RefinementCounts &counts);

/// The pass onnx-decompose-fused on one function, counting the ops it replaces.
llvm::LogicalResult decomposeFused(mlir::func::FuncOp function,
                                   unsigned &decomposed);

/// The pass onnx-bind-dims: sizes by dimension name. They are positive, unless
/// `allowZero`.
llvm::LogicalResult bindDims(mlir::ModuleOp module,
                             const llvm::StringMap<int64_t> &sizes,
                             bool allowZero = false);

/// The pass onnx-set-precision on one function.
llvm::LogicalResult setPrecision(mlir::func::FuncOp function,
                                 mlir::FloatType element);

/// What a model is wanted for.
enum class Purpose { Slice, Compile };

/// Reports every obstacle to `purpose` in a normalised model as an error at its
/// node; fails if there is one. `hasLowering` tells whether an op (by name,
/// "onnx.MatMul") can be compiled; without it, that is not asked.
llvm::LogicalResult
preflight(mlir::ModuleOp module, Purpose purpose,
          llvm::function_ref<bool(llvm::StringRef)> hasLowering = {});

/// The pass onnx-preflight, asking `hasLowering` too.
std::unique_ptr<mlir::Pass>
createPreflightPass(Purpose purpose,
                    std::function<bool(llvm::StringRef)> hasLowering);

} // namespace twist::onnx

#endif // TWIST_DIALECT_ONNX_TRANSFORMS_PASSES_H

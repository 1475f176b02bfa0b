//===- Kernels.h - Families of kernels --------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Each family gives two functions. The first says over how many tasks an op is
// split, from its shapes alone; it is asked at the launch and again in the
// kernel, where the op's operands are the kernel's arguments. The second writes
// the code of one task in front of the op; the caller erases the op.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CODEGEN_CPU_KERNEL_KERNELS_H
#define TWIST_LIB_CODEGEN_CPU_KERNEL_KERNELS_H

#include "Emitter.h"
#include "twist/Codegen/CPU/CPU.h"
#include "twist/Dialect/NN/NN.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace twist::cpu {

/// A loop of a nest.
struct LoopDim {
  Value extent;
  bool reduction = false;
  /// Its place in the op, before loops were joined.
  int64_t origin = 0;
};

/// An operand of a nest: the element at iteration (i…) is offset + Σ i_d ·
/// steps_d.
struct NestOperand {
  Buffer buffer;
  Value offset;
  llvm::SmallVector<Value> steps;
};

/// The iteration space of an op with affine accesses.
struct Nest {
  llvm::SmallVector<LoopDim> dims;
  llvm::SmallVector<NestOperand> operands;
};

/// The nest of maps over shaped operands (scalar ones get no buffer). Fails
/// where a map is not linear.
mlir::FailureOr<Nest>
buildNest(Emitter &e, ValueRange operands, llvm::ArrayRef<mlir::AffineMap> maps,
          llvm::ArrayRef<mlir::utils::IteratorType> kinds);

/// Joins neighbouring loops that every operand walks as one run, except those
/// with `keep` set (or empty to join all it can).
void joinLoops(Emitter &e, Nest &nest, ValueRange operands,
               llvm::ArrayRef<mlir::AffineMap> maps,
               llvm::ArrayRef<bool> keep = {});

Value countGenericTasks(Emitter &e, mlir::linalg::GenericOp op);
mlir::LogicalResult lowerGeneric(Emitter &e, mlir::linalg::GenericOp op,
                                 Value task);

/// Softmax, layer_norm, rms_norm, gather and cross_entropy: tasks of whole
/// rows.
Value countRowTasks(Emitter &e, mlir::Operation *op);
mlir::LogicalResult lowerRows(Emitter &e, mlir::Operation *op, Value task);
bool isRowOp(mlir::Operation *op);

/// The index at `offset` as a position in [0, size): from the end where
/// negative, kept inside.
Value pickPosition(Emitter &e, const Buffer &indices, Value offset, Value size);

Value countScatterTasks(Emitter &e, nn::ScatterAddOp op);
mlir::LogicalResult lowerScatter(Emitter &e, nn::ScatterAddOp op, Value task);

Value countGemmTasks(Emitter &e, GemmOp op);
mlir::LogicalResult lowerGemm(Emitter &e, GemmOp op, Value task);

} // namespace twist::cpu

#endif // TWIST_LIB_CODEGEN_CPU_KERNEL_KERNELS_H

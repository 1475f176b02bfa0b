//===- Emitter.h - Writes the code of kernels -------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CODEGEN_CPU_KERNEL_EMITTER_H
#define TWIST_LIB_CODEGEN_CPU_KERNEL_EMITTER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"

namespace twist::cpu {

using mlir::Location;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

/// Registers of the target.
struct TargetInfo {
  int64_t vectorBits = 512;
  /// Whether it multiplies pairs of bf16 into f32.
  bool bf16Dots = false;

  /// f32 lanes of one register; every 4-byte or narrower type uses as many.
  int64_t lanes() const { return vectorBits / 32; }
  int64_t lanes(Type type) const {
    return type.isF64() ? vectorBits / 64 : lanes();
  }
  /// Rows of the accumulator block that is `vectors` registers wide: as many as
  /// fit beside one row of the panel and one broadcast.
  int64_t blockRows(int64_t vectors) const;
  /// Columns of a panel for a matrix of `columns` (kDynamic where unknown).
  /// Wider panels load less where many rows share one, but make blocks of fewer
  /// rows.
  int64_t panelColumns(int64_t columns, Type accumulator,
                       bool manyRows = false) const;
  /// Steps of k that one instruction multiplies and sums: pairs of bf16,
  /// else 1.
  int64_t depthGroup(Type lhs, Type rhs, Type accumulator) const {
    return bf16Dots && vectorBits == 512 && lhs.isBF16() && rhs.isBF16() &&
                   accumulator.isF32()
               ? 2
               : 1;
  }
};

/// A buffer as one flat run of elements: element (i…) lies at
/// offset + Σ i_d · strides_d.
struct Buffer {
  Value flat;
  Value offset;
  llvm::SmallVector<Value> sizes, strides;
  Type element;
};

/// Lanes that take part in an access; null: all.
using Mask = Value;

/// Writes index arithmetic (folded where static), loops and vector accesses.
class Emitter {
public:
  mlir::OpBuilder &b;
  Location loc;
  TargetInfo target;

  Emitter(mlir::OpBuilder &b, Location loc, TargetInfo target)
      : b(b), loc(loc), target(target) {}

  Value index(int64_t value);
  Value add(Value x, Value y);
  Value sub(Value x, Value y);
  Value mul(Value x, Value y);
  Value div(Value x, Value y);
  Value rem(Value x, Value y);
  Value ceilDiv(Value x, Value y);
  Value min(Value x, Value y);
  Value max(Value x, Value y);
  Value less(Value x, Value y);
  Value product(ValueRange factors);
  /// Σ x_i · y_i + start.
  Value dot(Value start, ValueRange x, ValueRange y);
  /// Indices of element `linear` in row-major order over `extents`.
  llvm::SmallVector<Value> delinearize(Value linear, ValueRange extents);
  /// Extent of dimension `dim` of a memref.
  Value size(Value memref, int64_t dim);

  using LoopBody =
      llvm::function_ref<llvm::SmallVector<Value>(Value, ValueRange)>;
  llvm::SmallVector<Value> loop(Value from, Value to, Value step,
                                ValueRange carried, LoopBody body);
  void loop(Value from, Value to, Value step,
            llvm::function_ref<void(Value)> body);
  /// Runs `then`, or `otherwise` if given; drops what static sizes exclude.
  void branch(Value condition, llvm::function_ref<void()> then,
              llvm::function_ref<void()> otherwise = nullptr);

  /// The values of `then` or `otherwise`.
  llvm::SmallVector<Value>
  choose(Value condition, llvm::function_ref<llvm::SmallVector<Value>()> then,
         llvm::function_ref<llvm::SmallVector<Value>()> otherwise);

  Buffer buffer(Value memref);
  mlir::VectorType vector(Type element, int64_t lanes) {
    return mlir::VectorType::get({lanes}, element);
  }
  Value splat(Value scalar, int64_t lanes);
  Value constant(Type type, double value);
  /// The lanes below `count`.
  Mask mask(Value count, int64_t lanes);
  /// Lanes at offset, offset + stride, …: a load, a broadcast or a gather.
  /// Lanes outside the mask hold 1.
  Value load(const Buffer &buffer, Value offset, Value stride, int64_t lanes,
             Mask mask);
  void store(Value vector, const Buffer &buffer, Value offset, Value stride,
             Mask mask);
  Value loadScalar(const Buffer &buffer, Value offset);
  void storeScalar(Value scalar, const Buffer &buffer, Value offset);
  /// Combines the lanes pairwise, in an order that only `lanes` decides.
  Value reduce(Value vector, llvm::function_ref<Value(Value, Value)> combine);
  /// n vectors of n lanes, a power of two: lane i of vector j becomes lane j of
  /// vector i.
  llvm::SmallVector<Value> transpose(llvm::SmallVector<Value> vectors);
  /// Float or integer conversion of a scalar or vector.
  Value convert(Value value, Type element, bool isUnsigned = false);

private:
  template <typename Op> Value fold(Value x, Value y);
  Value laneOffsets(Value stride, int64_t lanes);
};

/// `value` if it is a constant.
std::optional<int64_t> constantOf(Value value);

/// Copies the ops of `body` for `lanes` lanes at once. `map` holds a vector for
/// each block argument; `position` gives the vector or scalar of linalg.index.
/// Returns the vectors that the terminator yields.
mlir::FailureOr<llvm::SmallVector<Value>>
vectorizeBody(Emitter &e, mlir::Block &body, mlir::IRMapping &map,
              int64_t lanes, Mask mask,
              llvm::function_ref<Value(int64_t)> position);

/// Whether vectorizeBody can take this body.
bool isVectorizable(mlir::Block &body);

/// Whether a body calls functions such as exp, so costs tens of cycles.
bool isHeavy(mlir::Block &body);

} // namespace twist::cpu

#endif // TWIST_LIB_CODEGEN_CPU_KERNEL_EMITTER_H

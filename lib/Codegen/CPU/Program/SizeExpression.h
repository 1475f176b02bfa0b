//===- SizeExpression.h - Sizes as functions of the program's sizes --*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CODEGEN_CPU_PROGRAM_SIZEEXPRESSION_H
#define TWIST_LIB_CODEGEN_CPU_PROGRAM_SIZEEXPRESSION_H

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"

namespace twist::cpu {

/// coefficient · symbols[0] · symbols[1] · …, the symbols in the order in which
/// their builder met them: two sizes with equal symbols compare by their
/// coefficients.
struct Monomial {
  int64_t coefficient = 1;
  llvm::SmallVector<mlir::Value> symbols;
};

/// Computes values of a function again at another place, from its index
/// arguments alone.
class SizeBuilder {
public:
  /// `mapping` says what the function's index arguments are at the new place.
  SizeBuilder(mlir::OpBuilder &builder, mlir::IRMapping mapping)
      : builder(builder), mapping(std::move(mapping)) {}

  /// The value at the new place; failure, without a diagnostic, if it depends on
  /// anything but the index arguments.
  mlir::FailureOr<mlir::Value> rebuild(mlir::Value value);

  /// Bytes of `type` with these dynamic sizes, as a monomial over rebuilt values.
  mlir::FailureOr<Monomial> bytes(mlir::MemRefType type,
                                  mlir::ValueRange dynamicSizes);

  mlir::Value constant(mlir::Location loc, int64_t value);
  mlir::Value materialize(mlir::Location loc, const Monomial &monomial);
  /// `bytes` rounded up to a multiple of `alignment`, a power of two.
  mlir::Value alignUp(mlir::Location loc, mlir::Value bytes, int64_t alignment);

private:
  void multiply(Monomial &monomial, mlir::Value factor);

  mlir::OpBuilder &builder;
  mlir::IRMapping mapping;
  /// Not by address, or the code would differ from run to run.
  llvm::DenseMap<mlir::Value, unsigned> symbolOrder;
};

} // namespace twist::cpu

#endif // TWIST_LIB_CODEGEN_CPU_PROGRAM_SIZEEXPRESSION_H

//===- MaskIntegers.cpp - Masked accesses of bf16 as integers -------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Program/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUMASKINTEGERS
#include "twist/Codegen/CPU/Program/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;

/// The type with i16 in place of bf16; null for others.
static Type asIntegers(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  if (!vector || !vector.getElementType().isBF16())
    return Type();
  return vector.clone(IntegerType::get(type.getContext(), 16));
}

static void rewrite(Operation *op) {
  OpBuilder b(op);
  for (OpOperand &operand : op->getOpOperands())
    if (Type integers = asIntegers(operand.get().getType()))
      operand.set(
          LLVM::BitcastOp::create(b, op->getLoc(), integers, operand.get()));
  b.setInsertionPointAfter(op);
  for (Value result : op->getResults()) {
    Type type = result.getType(), integers = asIntegers(type);
    if (!integers)
      continue;
    result.setType(integers);
    auto cast = LLVM::BitcastOp::create(b, op->getLoc(), type, result);
    result.replaceAllUsesExcept(cast, cast);
  }
}

namespace {
struct MaskIntegers : cpu::impl::CPUMaskIntegersBase<MaskIntegers> {
  void runOnOperation() override {
    getOperation()->walk([](Operation *op) {
      if (isa<LLVM::MaskedLoadOp, LLVM::MaskedStoreOp, LLVM::masked_gather,
              LLVM::masked_scatter>(op))
        rewrite(op);
    });
  }
};
} // namespace

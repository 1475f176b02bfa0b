//===- StepPrecision.cpp - Products of bf16 -------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace twist;
using namespace twist::step;

/// The value in bf16, rounded once where it is made.
static Value rounded(Value value, llvm::DenseMap<Value, Value> &known) {
  Value &result = known[value];
  if (result)
    return result;
  LocBuilder b(value.getLoc(), value.getContext());
  b.setInsertionPointAfterValue(value);
  auto type = cast<RankedTensorType>(value.getType());
  return result = step::map(
             b, value, value,
             AffineMap::getMultiDimIdentityMap(type.getRank(), b.getContext()),
             b.getBF16Type(), [](LocBuilder &in, ValueRange args) -> Value {
               return arith::TruncFOp::create(in, in.getBF16Type(), args[0]);
             });
}

void step::useBF16Products(func::FuncOp function) {
  SmallVector<linalg::LinalgOp> products;
  function.walk([&](linalg::LinalgOp op) {
    auto isF32 = [](Type type) {
      auto tensor = dyn_cast<RankedTensorType>(type);
      return tensor && tensor.getElementType().isF32();
    };
    if (linalg::isaContractionOpInterface(op) &&
        llvm::all_of(op->getOperandTypes(), isF32))
      products.push_back(op);
  });
  llvm::DenseMap<Value, Value> known;
  for (linalg::LinalgOp op : products) {
    SmallVector<Value> operands;
    for (Value operand : op.getDpsInputs())
      operands.push_back(rounded(operand, known));
    OpBuilder b(op);
    Value init = op.getDpsInits()[0];
    auto wide = linalg::GenericOp::create(
        b, op.getLoc(), init.getType(), operands, init,
        op.getIndexingMapsArray(), op.getIteratorTypesArray(),
        [](OpBuilder &inner, Location loc, ValueRange args) {
          Type f32 = inner.getF32Type();
          Value x = arith::ExtFOp::create(inner, loc, f32, args[0]);
          Value y = arith::ExtFOp::create(inner, loc, f32, args[1]);
          Value product = arith::MulFOp::create(inner, loc, x, y);
          linalg::YieldOp::create(
              inner, loc,
              arith::AddFOp::create(inner, loc, args[2], product).getResult());
        });
    op->replaceAllUsesWith(wide);
    op.erase();
  }
}

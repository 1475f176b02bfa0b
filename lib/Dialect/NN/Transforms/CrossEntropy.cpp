//===- CrossEntropy.cpp - What belongs to a mean cross entropy ------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace twist;
using namespace twist::nn;

Value nn::isClass(OpBuilder &b, Location loc, Value label, Value classes) {
  Type type = label.getType();
  Value zero = arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, 0));
  Value end = arith::IndexCastOp::create(b, loc, b.getI64Type(), classes);
  Value wide = type.getIntOrFloatBitWidth() < 64
                   ? arith::ExtSIOp::create(b, loc, b.getI64Type(), label)
                   : label;
  using Predicate = arith::CmpIPredicate;
  Value above = arith::CmpIOp::create(b, loc, Predicate::sge, label, zero);
  Value below = arith::CmpIOp::create(b, loc, Predicate::slt, wide, end);
  return arith::AndIOp::create(b, loc, above, below);
}

Value nn::isIgnored(OpBuilder &b, Location loc, CrossEntropyOp op,
                    Value label) {
  if (!op.getIgnore())
    return nullptr;
  // A number that the labels' type can't hold is none of them.
  auto type = cast<IntegerType>(label.getType());
  if (!llvm::isIntN(type.getWidth(), *op.getIgnore()))
    return nullptr;
  Value ignored = arith::ConstantOp::create(
      b, loc, b.getIntegerAttr(type, *op.getIgnore()));
  return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, label,
                               ignored);
}

/// The sum of `term` over all elements of `input`, in `type`; rank 0.
static Value sumAll(OpBuilder &b, Location loc, Value input, Type type,
                    function_ref<Value(OpBuilder &, Value)> term) {
  int64_t rank = cast<RankedTensorType>(input.getType()).getRank();
  Value empty = tensor::EmptyOp::create(b, loc, ArrayRef<OpFoldResult>(), type);
  Value zero = arith::ConstantOp::create(b, loc, FloatAttr::get(type, 0));
  Value start = linalg::FillOp::create(b, loc, zero, empty).getResult(0);
  SmallVector<utils::IteratorType> reductions(rank,
                                              utils::IteratorType::reduction);
  return linalg::GenericOp::create(
             b, loc, start.getType(), input, start,
             {AffineMap::getMultiDimIdentityMap(rank, b.getContext()),
              AffineMap::get(rank, 0, b.getContext())},
             reductions,
             [&](OpBuilder &b, Location loc, ValueRange x) {
               Value sum = arith::AddFOp::create(b, loc, x[1], term(b, x[0]));
               linalg::YieldOp::create(b, loc, sum);
             })
      .getResult(0);
}

Value nn::meanCrossEntropy(OpBuilder &b, Location loc, Value logits,
                           Value targets, std::optional<int64_t> ignore,
                           double smoothing) {
  Type element = getElementTypeOrSelf(logits);
  Type wide = element.isF64() ? element : Type(b.getF32Type());
  Value empty = tensor::EmptyOp::create(
      b, loc, tensor::getMixedSizes(b, loc, targets), wide);
  auto op = CrossEntropyOp::create(
      b, loc, TypeRange{empty.getType(), empty.getType()}, logits, targets,
      ValueRange{empty, empty},
      ignore ? b.getI64IntegerAttr(*ignore) : IntegerAttr(),
      b.getF64FloatAttr(smoothing));
  Value total = sumAll(b, loc, op.getResult(0), wide,
                       [](OpBuilder &, Value loss) { return loss; });
  Value count = sumAll(b, loc, targets, wide, [&](OpBuilder &b, Value label) {
    Value one = arith::ConstantOp::create(b, loc, FloatAttr::get(wide, 1));
    Value ignored = isIgnored(b, loc, op, label);
    if (!ignored)
      return one;
    Value zero = arith::ConstantOp::create(b, loc, FloatAttr::get(wide, 0));
    return arith::SelectOp::create(b, loc, ignored, zero, one).getResult();
  });
  AffineMap id = AffineMap::getMultiDimIdentityMap(0, b.getContext());
  Value mean = tensor::EmptyOp::create(b, loc, ArrayRef<OpFoldResult>(), wide);
  return linalg::GenericOp::create(
             b, loc, mean.getType(), ValueRange{total, count}, mean,
             {id, id, id}, ArrayRef<utils::IteratorType>{},
             [&](OpBuilder &b, Location loc, ValueRange x) {
               Value one =
                   arith::ConstantOp::create(b, loc, FloatAttr::get(wide, 1));
               Value number = arith::MaximumFOp::create(b, loc, x[1], one);
               linalg::YieldOp::create(
                   b, loc,
                   arith::DivFOp::create(b, loc, x[0], number).getResult());
             })
      .getResult(0);
}

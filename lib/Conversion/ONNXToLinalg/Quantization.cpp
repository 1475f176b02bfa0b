//===- Quantization.cpp - Integers for floats and back --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Images.h"
#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

namespace {
/// Scale and zero point of each element of x: one of each, one an index along
/// the axis, or one a block of indices along it.
struct Factors {
  Lowering &l;
  int64_t axis, block, rank;

  /// An operand's element for the current loops.
  Value at(ImplicitLocOpBuilder &b, Value factors) const;
};
} // namespace

Value Factors::at(ImplicitLocOpBuilder &b, Value factors) const {
  auto type = ::mlir::cast<RankedTensorType>(factors.getType());
  SmallVector<Value> index;
  bool isOne = type.hasStaticShape() && type.getNumElements() == 1;
  if (isOne)
    index.assign(type.getRank(), arith::ConstantIndexOp::create(b, 0));
  else if (type.getRank() == 1 && rank > 0 && !block)
    index.push_back(linalg::IndexOp::create(b, axis));
  else
    for (int64_t d = 0; d < rank; ++d) {
      index.push_back(linalg::IndexOp::create(b, d));
      if (d == axis)
        index[d] = arith::DivUIOp::create(
            b, index[d], arith::ConstantIndexOp::create(b, block));
    }
  return tensor::ExtractOp::create(b, factors, index);
}

static FailureOr<Factors> factorsOf(Lowering &l, Operation *op, int64_t axis,
                                    int64_t block) {
  Value scale = l.operand(op, 1);
  Factors factors{l, axis, block, rankOf(l.operand(op, 0))};
  auto type = ::mlir::cast<RankedTensorType>(scale.getType());
  if (type.hasStaticShape() && type.getNumElements() == 1)
    return factors;
  auto normal = normaliseAxis(op, axis, factors.rank);
  if (failed(normal))
    return failure();
  factors.axis = *normal;
  if (type.getRank() == (block ? factors.rank : 1))
    return factors;
  op->emitError() << "a scale of rank " << type.getRank()
                  << " fits neither an axis nor blocks of its operand";
  return failure();
}

/// saturate(round(x / scale) + zero), halves to even.
static Results lowerQuantize(Lowering &l, Operation *op) {
  auto quantize = ::mlir::cast<onnx::QuantizeLinearOp>(op);
  auto factors =
      factorsOf(l, op, quantize.getAxis(), quantize.getBlockSize().value_or(0));
  if (failed(factors))
    return failure();
  Value x = l.operand(op, 0), scale = l.operand(op, 1), zero = l.operand(op, 2);
  Type from = onnxElement(op);
  Type to = getElementTypeOrSelf(op->getResult(0).getType());
  Type wide = wideType(getElementTypeOrSelf(scale));
  if (from.isF64())
    wide = from;
  return SmallVector<Value>{l.parallelGeneric(
      x, l.identity(factors->rank), l.sizesOf(x), resultElement(op),
      [&](ImplicitLocOpBuilder &b, ValueRange v) {
        ScalarMath s(b, false);
        Value by = convertScalar(b, factors->at(b, scale), wide);
        Value q = s.div(castScalar(b, v[0], from, wide), by);
        q = s.call<math::RoundEvenOp>(q);
        if (zero)
          q = s.add(q, castScalar(b, factors->at(b, zero), to, wide));
        return castScalar(b, q, wide, to); // saturates
      })};
}

/// (x - zero) * scale
static Results lowerDequantize(Lowering &l, Operation *op) {
  auto dequantize = ::mlir::cast<onnx::DequantizeLinearOp>(op);
  auto factors = factorsOf(l, op, dequantize.getAxis(),
                           dequantize.getBlockSize().value_or(0));
  if (failed(factors))
    return failure();
  Value x = l.operand(op, 0), scale = l.operand(op, 1), zero = l.operand(op, 2);
  Type from = onnxElement(op), to = resultElement(op);
  Type wide = wideType(getElementTypeOrSelf(scale));
  return SmallVector<Value>{l.parallelGeneric(
      x, l.identity(factors->rank), l.sizesOf(x), to,
      [&](ImplicitLocOpBuilder &b, ValueRange v) {
        ScalarMath s(b, false);
        Value y = castScalar(b, v[0], from, wide);
        if (zero)
          y = s.sub(y, castScalar(b, factors->at(b, zero), from, wide));
        y = s.mul(y, convertScalar(b, factors->at(b, scale), wide));
        return convertScalar(b, y, to);
      })};
}

/// An operand of MatMulInteger less its zero points, as i32; those are one for
/// all or one an index of dimension `dim`.
static FailureOr<Value> centred(Lowering &l, Operation *op, unsigned number,
                                int64_t dim) {
  Value x = l.operand(op, number), zero = l.operand(op, number + 2);
  Type from = onnxElement(op, number), i32 = l.b.getI32Type();
  int64_t rank = rankOf(x);
  if (zero && rankOf(zero) > 1) {
    op->emitError("zero points of rank 2 or more cannot be compiled");
    return failure();
  }
  Value last;
  if (zero && rankOf(zero) == 1)
    last = l.sizes.toValue(l.sizes.sub(l.sizeOf(zero, 0), l.sizes.constant(1)));
  return l.parallelGeneric(
      x, l.identity(rank), l.sizesOf(x), i32,
      [&](ImplicitLocOpBuilder &b, ValueRange v) {
        ScalarMath s(b, false);
        Value y = castScalar(b, v[0], from, i32);
        if (!zero)
          return y;
        SmallVector<Value> at;
        if (last)
          at.push_back(s.min(linalg::IndexOp::create(b, dim), last));
        Value z = tensor::ExtractOp::create(b, zero, at);
        return s.sub(y, castScalar(b, z, from, i32));
      });
}

static Results lowerMatMulInteger(Lowering &l, Operation *op) {
  int64_t rank = rankOf(l.operand(op, 0));
  if (rank < 2 || rankOf(l.operand(op, 1)) != 2) {
    op->emitError("takes A of rank 2 or more and B of rank 2");
    return failure();
  }
  auto a = centred(l, op, 0, rank - 2), b = centred(l, op, 1, 1);
  if (failed(a) || failed(b))
    return failure();
  // Loops: rows, columns, then what is summed.
  MLIRContext *context = l.b.getContext();
  SmallVector<AffineExpr> rows;
  for (int64_t d = 0; d < rank - 1; ++d)
    rows.push_back(l.b.getAffineDimExpr(d));
  AffineExpr column = l.b.getAffineDimExpr(rank - 1);
  AffineExpr k = l.b.getAffineDimExpr(rank);
  SmallVector<AffineExpr> ofA(rows), ofY(rows);
  ofA.push_back(k);
  ofY.push_back(column);
  Sizes out = l.sizesOf(*a);
  out.back() = l.sizeOf(*b, 1);
  return SmallVector<Value>{
      contract(l, {*a, *b},
               {AffineMap::get(rank + 1, 0, ofA, context),
                AffineMap::get(rank + 1, 0, {k, column}, context),
                AffineMap::get(rank + 1, 0, ofY, context)},
               out, l.b.getI32Type())};
}

void lowering::addQuantization(LoweringTable &table) {
  table["MatMulInteger"] = lowerMatMulInteger;
  table["QuantizeLinear"] = lowerQuantize;
  table["DequantizeLinear"] = lowerDequantize;
}

//===- ScalarMath.h - Scalars of one elementwise body -----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CONVERSION_ONNXTOLINALG_SCALARMATH_H
#define TWIST_LIB_CONVERSION_ONNXTOLINALG_SCALARMATH_H

#include "Lowering.h"

namespace twist::lowering {

/// Arithmetic on scalars of one element type, floats or integers alike.
class ScalarMath {
public:
  ScalarMath(ImplicitLocOpBuilder &b, bool isUnsigned)
      : b(b), isUnsigned(isUnsigned) {}

  /// Of an integer type the number next to `value`; 0 for NaN.
  Value constant(Value like, double value) {
    if (auto type = dyn_cast<FloatType>(like.getType()))
      return arith::ConstantOp::create(b, b.getFloatAttr(type, value));
    llvm::APSInt nearest(64, /*isUnsigned=*/false);
    bool isExact;
    llvm::APFloat(value).convertToInteger(nearest, llvm::APFloat::rmTowardZero,
                                          &isExact);
    return arith::ConstantOp::create(
        b, b.getIntegerAttr(like.getType(), nearest.getSExtValue()));
  }

  Value add(Value x, Value y) {
    return pick<arith::AddFOp, arith::AddIOp>(x, y);
  }
  Value sub(Value x, Value y) {
    return pick<arith::SubFOp, arith::SubIOp>(x, y);
  }
  Value mul(Value x, Value y) {
    return pick<arith::MulFOp, arith::MulIOp>(x, y);
  }
  /// Integers: truncates; x / 0 is 0, the smallest / -1 is the smallest.
  Value div(Value x, Value y);
  /// C's remainder, with the sign of x; integers: x % 0 is 0.
  Value rem(Value x, Value y);
  /// NaN if either is.
  Value max(Value x, Value y);
  Value min(Value x, Value y);
  Value neg(Value x) {
    return isFloat(x) ? arith::NegFOp::create(b, x).getResult()
                      : sub(constant(x, 0), x);
  }
  Value abs(Value x);
  Value select(Value c, Value x, Value y) {
    return arith::SelectOp::create(b, c, x, y);
  }

  enum class Order { EQ, NE, LT, LE, GT, GE };
  /// Comparisons with NaN are false (NE: true).
  Value compare(Order order, Value x, Value y);
  Value isNaN(Value x) {
    if (!isFloat(x))
      return arith::ConstantOp::create(b, b.getBoolAttr(false));
    return arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
  }
  /// A stored bool (i8) as i1.
  Value isTrue(Value x) { return compare(Order::NE, x, constant(x, 0)); }

  template <typename OpTy> Value call(Value x) { return OpTy::create(b, x); }

  Value exp(Value x) { return call<math::ExpOp>(x); }
  Value sigmoid(Value x) {
    Value one = constant(x, 1);
    return div(one, add(one, exp(neg(x))));
  }
  Value softplus(Value x) {
    Value tail = call<math::Log1pOp>(exp(neg(abs(x))));
    return add(max(x, constant(x, 0)), tail);
  }
  Value pow(Value x, Value y);

  static bool isFloat(Value x) { return isa<FloatType>(x.getType()); }

  ImplicitLocOpBuilder &b;
  bool isUnsigned;

private:
  template <typename FloatOp, typename IntOp> Value pick(Value x, Value y) {
    if (isFloat(x))
      return FloatOp::create(b, x, y);
    return IntOp::create(b, x, y);
  }
  Value powInteger(Value x, Value y);
  /// (y with 0 and the overflowing -1 replaced by 1, y == 0, y == -1)
  struct Divisor {
    Value safe, isZero, isMinusOne;
  };
  Divisor guard(Value y);
};

/// Numpy's conversion between ONNX element types, from a stored scalar to the
/// storage of `to`. Floats out of an integer's range saturate, NaN gives 0.
Value castScalar(ImplicitLocOpBuilder &b, Value x, Type from, Type to);

} // namespace twist::lowering

#endif // TWIST_LIB_CONVERSION_ONNXTOLINALG_SCALARMATH_H

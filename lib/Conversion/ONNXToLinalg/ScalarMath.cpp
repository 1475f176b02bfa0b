//===- ScalarMath.cpp - Scalars of one elementwise body
//---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

ScalarMath::Divisor ScalarMath::guard(Value y) {
  Value one = constant(y, 1);
  if (std::optional<int64_t> known = getConstantIntValue(y)) {
    if (*known != 0 && (isUnsigned || *known != -1))
      return {y, nullptr, nullptr};
  }
  Value isZero = compare(Order::EQ, y, constant(y, 0));
  Value safe = select(isZero, one, y);
  if (isUnsigned)
    return {safe, isZero, nullptr};
  Value isMinusOne = compare(Order::EQ, y, constant(y, -1));
  return {select(isMinusOne, one, safe), isZero, isMinusOne};
}

Value ScalarMath::div(Value x, Value y) {
  if (isFloat(x))
    return arith::DivFOp::create(b, x, y);
  Divisor divisor = guard(y);
  Value q = isUnsigned ? arith::DivUIOp::create(b, x, divisor.safe).getResult()
                       : arith::DivSIOp::create(b, x, divisor.safe).getResult();
  if (divisor.isMinusOne)
    q = select(divisor.isMinusOne, neg(x), q);
  return divisor.isZero ? select(divisor.isZero, constant(x, 0), q) : q;
}

Value ScalarMath::rem(Value x, Value y) {
  if (isFloat(x))
    return arith::RemFOp::create(b, x, y);
  // x % 1 = 0 is also what 0 and -1 must give.
  Divisor divisor = guard(y);
  return isUnsigned ? arith::RemUIOp::create(b, x, divisor.safe).getResult()
                    : arith::RemSIOp::create(b, x, divisor.safe).getResult();
}

Value ScalarMath::max(Value x, Value y) {
  if (isFloat(x))
    return arith::MaximumFOp::create(b, x, y);
  return isUnsigned ? arith::MaxUIOp::create(b, x, y).getResult()
                    : arith::MaxSIOp::create(b, x, y).getResult();
}

Value ScalarMath::min(Value x, Value y) {
  if (isFloat(x))
    return arith::MinimumFOp::create(b, x, y);
  return isUnsigned ? arith::MinUIOp::create(b, x, y).getResult()
                    : arith::MinSIOp::create(b, x, y).getResult();
}

Value ScalarMath::abs(Value x) {
  if (isFloat(x))
    return math::AbsFOp::create(b, x);
  return isUnsigned ? x : max(x, neg(x));
}

Value ScalarMath::compare(Order order, Value x, Value y) {
  using F = arith::CmpFPredicate;
  using I = arith::CmpIPredicate;
  static constexpr F floats[] = {F::OEQ, F::UNE, F::OLT,
                                 F::OLE, F::OGT, F::OGE};
  static constexpr I ints[] = {I::eq, I::ne, I::slt, I::sle, I::sgt, I::sge};
  static constexpr I unsigneds[] = {I::eq,  I::ne,  I::ult,
                                    I::ule, I::ugt, I::uge};
  unsigned i = static_cast<unsigned>(order);
  if (isFloat(x))
    return arith::CmpFOp::create(b, floats[i], x, y);
  return arith::CmpIOp::create(b, isUnsigned ? unsigneds[i] : ints[i], x, y);
}

/// Square and multiply over the bits of y; a negative y gives 1 / x^-y, which
/// is 0 unless |x| is 1.
Value ScalarMath::powInteger(Value x, Value y) {
  Value zero = constant(y, 0), one = constant(x, 1);
  Value magnitude = y;
  Value isNegative = compare(Order::LT, y, zero);
  if (!isUnsigned)
    magnitude = select(isNegative, neg(y), y);
  Value lower = arith::ConstantIndexOp::create(b, 0);
  Value step = arith::ConstantIndexOp::create(b, 1);
  Value upper =
      arith::ConstantIndexOp::create(b, y.getType().getIntOrFloatBitWidth());
  auto loop = scf::ForOp::create(
      b, lower, upper, step, ValueRange{one, x, magnitude},
      [&](OpBuilder &nested, Location loc, Value, ValueRange state) {
        ImplicitLocOpBuilder inner(loc, nested);
        ScalarMath m(inner, isUnsigned);
        Value bit = arith::AndIOp::create(inner, state[2], m.constant(y, 1));
        Value taken =
            m.select(m.isTrue(bit), m.mul(state[0], state[1]), state[0]);
        Value rest = arith::ShRUIOp::create(inner, state[2], m.constant(y, 1));
        scf::YieldOp::create(
            inner, ValueRange{taken, m.mul(state[1], state[1]), rest});
      });
  Value result = loop.getResult(0);
  if (isUnsigned)
    return result;
  Value isUnit = compare(Order::EQ, abs(x), one);
  return select(isNegative, select(isUnit, result, constant(x, 0)), result);
}

/// x ^ y in x's type, with the powers that models write instead of products.
Value ScalarMath::pow(Value x, Value y) {
  FloatAttr known;
  IntegerAttr knownInteger;
  std::optional<double> exponent;
  if (matchPattern(y, m_Constant(&known)))
    exponent = known.getValueAsDouble();
  else if (matchPattern(y, m_Constant(&knownInteger)))
    exponent = knownInteger.getValue().getSExtValue();
  if (exponent == 1.0)
    return x;
  if (exponent == 2.0)
    return mul(x, x);
  if (exponent == 3.0)
    return mul(mul(x, x), x);
  if (isFloat(x) && exponent == 0.5)
    return call<math::SqrtOp>(x);
  if (isFloat(x) && exponent == -1.0)
    return div(constant(x, 1), x);
  if (!isFloat(x) && !isFloat(y))
    return powInteger(x, convertScalar(b, y, x.getType(), isUnsigned));
  if (isFloat(x))
    return math::PowFOp::create(b, x,
                                convertScalar(b, y, x.getType(), isUnsigned));
  Type f64 = b.getF64Type();
  Value result = math::PowFOp::create(b, convertScalar(b, x, f64, isUnsigned),
                                      convertScalar(b, y, f64));
  return castScalar(b, result, f64, x.getType());
}

/// Truncates towards zero, saturating; NaN gives 0.
static Value floatToInteger(ImplicitLocOpBuilder &b, Value x, Type to,
                            bool isUnsigned) {
  ScalarMath m(b, isUnsigned);
  if (!x.getType().isF64())
    x = convertScalar(b, x, b.getF32Type());
  unsigned width = to.getIntOrFloatBitWidth();
  // 2^(width - 1) or 2^width: the first value out of range, exact as a float.
  double limit = std::ldexp(1.0, isUnsigned ? width : width - 1);
  Value above = m.compare(ScalarMath::Order::GE, x, m.constant(x, limit));
  Value least = m.constant(x, isUnsigned ? 0.0 : -limit);
  Value below = m.compare(ScalarMath::Order::LT, x, least);
  Value isNaN = m.isNaN(x);
  Value outside =
      arith::OrIOp::create(b, arith::OrIOp::create(b, above, below), isNaN);
  Value safe = m.select(outside, m.constant(x, 0), x);
  Value inside = isUnsigned ? arith::FPToUIOp::create(b, to, safe).getResult()
                            : arith::FPToSIOp::create(b, to, safe).getResult();
  APInt largest =
      isUnsigned ? APInt::getMaxValue(width) : APInt::getSignedMaxValue(width);
  APInt smallest =
      isUnsigned ? APInt::getZero(width) : APInt::getSignedMinValue(width);
  auto integer = [&](const APInt &value) -> Value {
    return arith::ConstantOp::create(b, b.getIntegerAttr(to, value));
  };
  return m.select(above, integer(largest),
                  m.select(below, integer(smallest), inside));
}

Value lowering::castScalar(ImplicitLocOpBuilder &b, Value x, Type from,
                           Type to) {
  Type stored = storageType(to);
  if (to.isInteger(1))
    return convertScalar(b, ScalarMath(b, false).isTrue(x), stored);
  if (isa<FloatType>(from) && isa<IntegerType>(to))
    return floatToInteger(b, x, stored, isUnsigned(to));
  if (from.isF16() && to.isBF16())
    x = convertScalar(b, x, b.getF32Type());
  if (from.isBF16() && to.isF16())
    x = convertScalar(b, x, b.getF32Type());
  return convertScalar(b, x, stored, isUnsigned(from));
}

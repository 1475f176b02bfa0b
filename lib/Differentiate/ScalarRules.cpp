//===- ScalarRules.cpp - Adjoints of arith and math -----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Rules.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"

#include <numbers>

using namespace mlir;
using namespace twist;

using B = ImplicitLocOpBuilder;
using Rule = GradientRules::ScalarRule;

//===----------------------------------------------------------------------===//
// Writing formulas
//===----------------------------------------------------------------------===//

namespace {

/// A scalar with the usual operators.
struct Term {
  B &b;
  Value v;

  Type type() const { return v.getType(); }
  Term number(double x) const {
    return {b, arith::ConstantOp::create(b, FloatAttr::get(type(), x))};
  }
};

Term operator+(Term x, Term y) {
  return {x.b, arith::AddFOp::create(x.b, x.v, y.v)};
}
Term operator-(Term x, Term y) {
  return {x.b, arith::SubFOp::create(x.b, x.v, y.v)};
}
Term operator*(Term x, Term y) {
  return {x.b, arith::MulFOp::create(x.b, x.v, y.v)};
}
Term operator/(Term x, Term y) {
  return {x.b, arith::DivFOp::create(x.b, x.v, y.v)};
}
Term operator+(Term x, double y) { return x + x.number(y); }
Term operator-(Term x, double y) { return x - x.number(y); }
Term operator*(double x, Term y) { return y.number(x) * y; }
Term operator/(double x, Term y) { return y.number(x) / y; }
Term operator-(double x, Term y) { return y.number(x) - y; }
Term operator-(Term x) { return {x.b, arith::NegFOp::create(x.b, x.v)}; }

template <typename OpTy> Term call(Term x) {
  return {x.b, OpTy::create(x.b, x.v)};
}
Value compare(arith::CmpFPredicate predicate, Term x, Term y) {
  return arith::CmpFOp::create(x.b, predicate, x.v, y.v);
}
Term choose(Value condition, Term x, Term y) {
  return {x.b, arith::SelectOp::create(x.b, condition, x.v, y.v)};
}
constexpr auto greater = arith::CmpFPredicate::OGT;
constexpr auto less = arith::CmpFPredicate::OLT;
constexpr auto equal = arith::CmpFPredicate::OEQ;

} // namespace

//===----------------------------------------------------------------------===//
// Kinds of rules
//===----------------------------------------------------------------------===//

/// y = f(x): `slope(x, y)` is f'(x).
template <typename Slope> static Rule slope(Slope slope) {
  return [slope](Operation *op, unsigned, Value adjoint, B &b) -> Value {
    Term x{b, op->getOperand(0)}, y{b, op->getResult(0)};
    return (Term{b, adjoint} * slope(x, y)).v;
  };
}

/// Each operand gets what the function at its place makes of the adjoint g and
/// of operands x and y.
template <typename First, typename Second>
static Rule binary(First first, Second second) {
  return [first, second](Operation *op, unsigned operand, Value adjoint, B &b) {
    Term g{b, adjoint}, x{b, op->getOperand(0)}, y{b, op->getOperand(1)};
    return operand == 0 ? first(g, x, y).v : second(g, x, y).v;
  };
}

static bool isConstant(Value value) {
  return matchPattern(value, m_Constant());
}

/// The larger (or smaller) operand gets the adjoint; at a tie each gets half,
/// and a constant's partner nothing.
static Rule extremum(arith::CmpFPredicate wins) {
  return [wins](Operation *op, unsigned operand, Value adjoint, B &b) {
    Term g{b, adjoint}, mine{b, op->getOperand(operand)},
        other{b, op->getOperand(1 - operand)};
    Term zero = g.number(0);
    Term tie = isConstant(other.v)
                   ? zero
                   : choose(compare(equal, mine, other), 0.5 * g, zero);
    return choose(compare(wins, mine, other), g, tie).v;
  };
}

static Value conversion(Operation *op, unsigned, Value adjoint, B &b) {
  Type to = op->getOperand(0).getType();
  if (to.getIntOrFloatBitWidth() > adjoint.getType().getIntOrFloatBitWidth())
    return arith::ExtFOp::create(b, to, adjoint);
  return arith::TruncFOp::create(b, to, adjoint);
}

static Value selection(Operation *op, unsigned operand, Value adjoint, B &b) {
  Term g{b, adjoint}, zero = g.number(0);
  Value condition = op->getOperand(0);
  return operand == 1 ? choose(condition, g, zero).v
                      : choose(condition, zero, g).v;
}

static Value none(Operation *, unsigned, Value, B &) { return nullptr; }

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

static void addArithmetic(llvm::StringMap<Rule> &rules) {
  rules["arith.addf"] = [](Operation *, unsigned, Value g, B &) { return g; };
  rules["arith.subf"] = binary([](Term g, Term, Term) { return g; },
                               [](Term g, Term, Term) { return -g; });
  rules["arith.mulf"] = binary([](Term g, Term, Term y) { return g * y; },
                               [](Term g, Term x, Term) { return g * x; });
  rules["arith.divf"] =
      binary([](Term g, Term, Term y) { return g / y; },
             [](Term g, Term x, Term y) { return -(g * x) / (y * y); });
  rules["arith.remf"] = binary(
      [](Term g, Term, Term) { return g; },
      [](Term g, Term x, Term y) { return -(g * call<math::TruncOp>(x / y)); });
  rules["arith.negf"] = slope([](Term x, Term) { return x.number(-1); });
  for (StringRef name : {"arith.maximumf", "arith.maxnumf"})
    rules[name] = extremum(greater);
  for (StringRef name : {"arith.minimumf", "arith.minnumf"})
    rules[name] = extremum(less);
  for (StringRef name : {"arith.extf", "arith.truncf"})
    rules[name] = conversion;
  rules["arith.select"] = selection;
}

static void addPowers(llvm::StringMap<Rule> &rules) {
  // d/dx x^p is 0 for p = 0 even where x^(p-1) is infinite; d/dp x^p is 0
  // where x is 0 (its limit for p > 0), and NaN where x is negative.
  rules["math.powf"] = binary(
      [](Term g, Term x, Term p) {
        Term zero = p.number(0);
        Term power{x.b, math::PowFOp::create(x.b, x.v, (p - 1).v)};
        return choose(compare(equal, p, zero), zero, g * p * power);
      },
      [](Term g, Term x, Term p) {
        Term zero = p.number(0);
        Term power{x.b, math::PowFOp::create(x.b, x.v, p.v)};
        return choose(compare(equal, x, zero), zero,
                      g * power * call<math::LogOp>(x));
      });
  rules["math.fpowi"] = [](Operation *op, unsigned, Value adjoint,
                           B &b) -> Value {
    Term g{b, adjoint}, x{b, op->getOperand(0)};
    Value n = op->getOperand(1);
    Value one = arith::ConstantOp::create(b, b.getIntegerAttr(n.getType(), 1));
    Value less = arith::SubIOp::create(b, n, one);
    Term power{b, math::FPowIOp::create(b, x.v, less)};
    Term factor{b, arith::SIToFPOp::create(b, x.type(), n)};
    Value zero = arith::ConstantOp::create(b, b.getIntegerAttr(n.getType(), 0));
    Value isZero = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, n, zero);
    return choose(isZero, g.number(0), g * factor * power).v;
  };
  rules["math.sqrt"] = slope([](Term, Term y) { return 0.5 / y; });
  rules["math.rsqrt"] = slope([](Term x, Term y) { return -0.5 * (y / x); });
  rules["math.cbrt"] = slope([](Term, Term y) { return 1 / (3.0 * (y * y)); });
}

static void addExponentials(llvm::StringMap<Rule> &rules) {
  using std::numbers::ln10, std::numbers::ln2;
  rules["math.exp"] = slope([](Term, Term y) { return y; });
  rules["math.exp2"] = slope([](Term, Term y) { return ln2 * y; });
  rules["math.expm1"] = slope([](Term, Term y) { return y + 1; });
  rules["math.log"] = slope([](Term x, Term) { return 1 / x; });
  rules["math.log2"] = slope([](Term x, Term) { return 1 / (ln2 * x); });
  rules["math.log10"] = slope([](Term x, Term) { return 1 / (ln10 * x); });
  rules["math.log1p"] = slope([](Term x, Term) { return 1 / (x + 1); });
  rules["math.tanh"] = slope([](Term, Term y) { return 1 - y * y; });
  auto gauss = [](double factor) {
    return slope([factor](Term x, Term) {
      return factor * call<math::ExpOp>(-(x * x));
    });
  };
  rules["math.erf"] = gauss(2 * std::numbers::inv_sqrtpi);
  rules["math.erfc"] = gauss(-2 * std::numbers::inv_sqrtpi);
}

static void addTrigonometry(llvm::StringMap<Rule> &rules) {
  rules["math.sin"] = slope([](Term x, Term) { return call<math::CosOp>(x); });
  rules["math.cos"] = slope([](Term x, Term) { return -call<math::SinOp>(x); });
  rules["math.tan"] = slope([](Term, Term y) { return y * y + 1; });
  rules["math.sinh"] =
      slope([](Term x, Term) { return call<math::CoshOp>(x); });
  rules["math.cosh"] =
      slope([](Term x, Term) { return call<math::SinhOp>(x); });
  rules["math.asin"] =
      slope([](Term x, Term) { return call<math::RsqrtOp>(1 - x * x); });
  rules["math.acos"] =
      slope([](Term x, Term) { return -call<math::RsqrtOp>(1 - x * x); });
  rules["math.atan"] = slope([](Term x, Term) { return 1 / (x * x + 1); });
  rules["math.asinh"] =
      slope([](Term x, Term) { return call<math::RsqrtOp>(x * x + 1); });
  rules["math.acosh"] =
      slope([](Term x, Term) { return call<math::RsqrtOp>(x * x - 1); });
  rules["math.atanh"] = slope([](Term x, Term) { return 1 / (1 - x * x); });
  rules["math.atan2"] =
      binary([](Term g, Term y, Term x) { return g * x / (x * x + y * y); },
             [](Term g, Term y, Term x) { return -(g * y) / (x * x + y * y); });
}

static void addSteps(llvm::StringMap<Rule> &rules) {
  for (StringRef name : {"math.ceil", "math.floor", "math.round",
                         "math.roundeven", "math.trunc"})
    rules[name] = none;
  rules["math.absf"] = slope([](Term x, Term) {
    Term zero = x.number(0);
    return choose(compare(greater, x, zero), x.number(1),
                  choose(compare(less, x, zero), x.number(-1), zero));
  });
  rules["math.copysign"] = [](Operation *op, unsigned operand, Value adjoint,
                              B &b) -> Value {
    if (operand == 1)
      return nullptr;
    Term g{b, adjoint}, one = g.number(1);
    auto sign = [&](Value v) {
      return Term{b, math::CopySignOp::create(b, one.v, v)};
    };
    return (g * sign(op->getOperand(0)) * sign(op->getOperand(1))).v;
  };
  rules["math.fma"] = [](Operation *op, unsigned operand, Value adjoint,
                         B &b) -> Value {
    if (operand == 2)
      return adjoint;
    return (Term{b, adjoint} * Term{b, op->getOperand(1 - operand)}).v;
  };
}

void twist::addScalarRules(GradientRules &rules) {
  addArithmetic(rules.scalar);
  addPowers(rules.scalar);
  addExponentials(rules.scalar);
  addTrigonometry(rules.scalar);
  addSteps(rules.scalar);
}

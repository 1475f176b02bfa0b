//===- Elementwise.cpp - The table of elementwise ops
//-----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

using Order = ScalarMath::Order;

namespace {

/// What a body sees: scalars of the operands, and the op.
struct Scalars : ScalarMath {
  Scalars(ImplicitLocOpBuilder &b, Operation *op, ValueRange x)
      : ScalarMath(b, lowering::isUnsigned(onnxElement(op))), op(op), x(x) {}
  Operation *op;
  ValueRange x;

  Value number(double value) { return constant(x[0], value); }
  Value attribute(const APFloat &value) {
    return number(value.convertToDouble());
  }
  template <typename OpTy> OpTy get() { return ::mlir::cast<OpTy>(op); }
};

using ScalarBody = Value (*)(Scalars &);
enum Precision { Native, Wide };

struct Entry {
  const char *name;
  Precision precision;
  ScalarBody body;
};

} // namespace

//===----------------------------------------------------------------------===//
// Bodies longer than a line
//===----------------------------------------------------------------------===//

template <typename OpTy> static Value callBody(Scalars &s) {
  return s.call<OpTy>(s.x[0]);
}
template <Order order> static Value compareBody(Scalars &s) {
  return s.compare(order, s.x[0], s.x[1]);
}
template <typename OpTy> static Value binaryBody(Scalars &s) {
  return OpTy::create(s.b, s.x[0], s.x[1]);
}
template <Value (ScalarMath::*combine)(Value, Value)>
static Value foldBody(Scalars &s) {
  Value result = s.x[0];
  for (Value next : s.x.drop_front())
    result = (s.*combine)(result, next);
  return result;
}

static Value signBody(Scalars &s) {
  Value x = s.x[0], zero = s.number(0);
  Value negative = s.isUnsigned ? x
                                : s.select(s.compare(Order::LT, x, zero),
                                           s.number(-1), x); // NaN, 0
  return s.select(s.compare(Order::GT, x, zero), s.number(1), negative);
}

static Value geluBody(Scalars &s) {
  Value x = s.x[0], half = s.number(0.5), one = s.number(1);
  if (s.get<onnx::GeluOp>().getApproximate() == "tanh") {
    Value cube = s.mul(s.mul(x, x), x);
    Value inner = s.add(x, s.mul(s.number(0.044715), cube));
    inner = s.mul(s.number(0.79788456080286535588), inner); // sqrt(2 / pi)
    return s.mul(s.mul(half, x), s.add(one, s.call<math::TanhOp>(inner)));
  }
  Value scaled = s.mul(x, s.number(0.70710678118654752440));
  return s.mul(s.mul(half, x), s.add(one, s.call<math::ErfOp>(scaled)));
}

static Value isInfBody(Scalars &s) {
  auto op = s.get<onnx::IsInfOp>();
  double inf = std::numeric_limits<double>::infinity();
  Value result = arith::ConstantOp::create(s.b, s.b.getBoolAttr(false));
  if (!s.isFloat(s.x[0]))
    return result;
  if (op.getDetectPositive())
    result = arith::OrIOp::create(s.b, result,
                                  s.compare(Order::EQ, s.x[0], s.number(inf)));
  if (op.getDetectNegative())
    result = arith::OrIOp::create(s.b, result,
                                  s.compare(Order::EQ, s.x[0], s.number(-inf)));
  return result;
}

/// alpha * (exp(x) - 1) where x < 0, of x and scale * x elsewhere.
static Value exponentialUnit(Scalars &s, Value x, Value alpha) {
  Value low = s.mul(alpha, s.call<math::ExpM1Op>(x));
  return s.select(s.compare(Order::LT, x, s.number(0)), low, x);
}

static Value celuBody(Scalars &s) {
  Value x = s.x[0], alpha = s.attribute(s.get<onnx::CeluOp>().getAlpha());
  Value low = s.mul(alpha, s.call<math::ExpM1Op>(s.div(x, alpha)));
  return s.select(s.compare(Order::LT, x, s.number(0)), low, x);
}

static Value hardSigmoid(Scalars &s, Value x, Value alpha, Value beta) {
  Value y = s.add(s.mul(alpha, x), beta);
  return s.max(s.number(0), s.min(s.number(1), y));
}

/// x + bias where x < -lambd, x - bias where x > lambd, 0 between.
static Value shrinkBody(Scalars &s) {
  auto op = s.get<onnx::ShrinkOp>();
  Value x = s.x[0], bias = s.attribute(op.getBias());
  Value lambd = s.attribute(op.getLambd());
  Value high =
      s.select(s.compare(Order::GT, x, lambd), s.sub(x, bias), s.number(0));
  return s.select(s.compare(Order::LT, x, s.neg(lambd)), s.add(x, bias), high);
}

static Value thresholdedReluBody(Scalars &s) {
  Value alpha = s.attribute(s.get<onnx::ThresholdedReluOp>().getAlpha());
  return s.select(s.compare(Order::GT, s.x[0], alpha), s.x[0], s.number(0));
}

static Value leakyBody(Scalars &s, Value slope) {
  return s.select(s.compare(Order::LT, s.x[0], s.number(0)),
                  s.mul(s.x[0], slope), s.x[0]);
}

static Value modBody(Scalars &s) {
  Value x = s.x[0], y = s.x[1], r = s.rem(x, y);
  if (s.get<onnx::ModOp>().getFmod() || s.isUnsigned)
    return r;
  // The sign of the divisor: add it where the remainder has the other one.
  Value zero = s.number(0);
  Value differ = arith::XOrIOp::create(s.b, s.compare(Order::LT, r, zero),
                                       s.compare(Order::LT, y, zero));
  Value wrong =
      arith::AndIOp::create(s.b, differ, s.compare(Order::NE, r, zero));
  return s.select(wrong, s.add(r, y), r);
}

/// The amount counts as unsigned; beyond the width all bits are shifted out.
static Value bitShiftBody(Scalars &s) {
  Value x = s.x[0], by = s.x[1];
  ScalarMath amounts(s.b, /*isUnsigned=*/true);
  unsigned width = x.getType().getIntOrFloatBitWidth();
  Value inside = amounts.compare(Order::LT, by, s.number(width));
  Value safe = s.select(inside, by, s.number(width - 1));
  if (s.get<onnx::BitShiftOp>().getDirection() == "LEFT")
    return s.select(inside, arith::ShLIOp::create(s.b, x, safe), s.number(0));
  if (!s.isUnsigned)
    return arith::ShRSIOp::create(s.b, x, safe);
  return s.select(inside, arith::ShRUIOp::create(s.b, x, safe), s.number(0));
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

static const Entry kEntries[] = {
    {"Abs", Native, [](Scalars &s) { return s.abs(s.x[0]); }},
    {"Acos", Wide, callBody<math::AcosOp>},
    {"Acosh", Wide, callBody<math::AcoshOp>},
    {"Asin", Wide, callBody<math::AsinOp>},
    {"Asinh", Wide, callBody<math::AsinhOp>},
    {"Atan", Wide, callBody<math::AtanOp>},
    {"Atanh", Wide, callBody<math::AtanhOp>},
    {"BitwiseNot", Native,
     [](Scalars &s) -> Value {
       return arith::XOrIOp::create(s.b, s.x[0], s.number(-1));
     }},
    {"Ceil", Native, callBody<math::CeilOp>},
    {"Celu", Wide, celuBody},
    {"Cos", Wide, callBody<math::CosOp>},
    {"Cosh", Wide, callBody<math::CoshOp>},
    {"Elu", Wide,
     [](Scalars &s) {
       return exponentialUnit(s, s.x[0],
                              s.attribute(s.get<onnx::EluOp>().getAlpha()));
     }},
    {"Erf", Wide, callBody<math::ErfOp>},
    {"Exp", Wide, callBody<math::ExpOp>},
    {"Floor", Native, callBody<math::FloorOp>},
    {"Gelu", Wide, geluBody},
    {"HardSigmoid", Wide,
     [](Scalars &s) {
       auto op = s.get<onnx::HardSigmoidOp>();
       return hardSigmoid(s, s.x[0], s.attribute(op.getAlpha()),
                          s.attribute(op.getBeta()));
     }},
    {"HardSwish", Wide,
     [](Scalars &s) {
       return s.mul(s.x[0],
                    hardSigmoid(s, s.x[0], s.number(1.0 / 6.0), s.number(0.5)));
     }},
    {"IsInf", Native, isInfBody},
    {"IsNaN", Native, [](Scalars &s) { return s.isNaN(s.x[0]); }},
    {"LeakyRelu", Wide,
     [](Scalars &s) {
       return leakyBody(s, s.attribute(s.get<onnx::LeakyReluOp>().getAlpha()));
     }},
    {"Log", Wide, callBody<math::LogOp>},
    {"Mish", Wide,
     [](Scalars &s) {
       return s.mul(s.x[0], s.call<math::TanhOp>(s.softplus(s.x[0])));
     }},
    {"Neg", Native, [](Scalars &s) { return s.neg(s.x[0]); }},
    {"Not", Native,
     [](Scalars &s) { return s.compare(Order::EQ, s.x[0], s.number(0)); }},
    {"Reciprocal", Wide, [](Scalars &s) { return s.div(s.number(1), s.x[0]); }},
    {"Relu", Native, [](Scalars &s) { return s.max(s.x[0], s.number(0)); }},
    {"Round", Native, callBody<math::RoundEvenOp>},
    {"Selu", Wide,
     [](Scalars &s) {
       auto op = s.get<onnx::SeluOp>();
       return s.mul(s.attribute(op.getGamma()),
                    exponentialUnit(s, s.x[0], s.attribute(op.getAlpha())));
     }},
    {"Shrink", Wide, shrinkBody},
    {"Sigmoid", Wide, [](Scalars &s) { return s.sigmoid(s.x[0]); }},
    {"Sign", Native, signBody},
    {"Sin", Wide, callBody<math::SinOp>},
    {"Sinh", Wide, callBody<math::SinhOp>},
    {"Softplus", Wide, [](Scalars &s) { return s.softplus(s.x[0]); }},
    {"Softsign", Wide,
     [](Scalars &s) {
       return s.div(s.x[0], s.add(s.number(1), s.abs(s.x[0])));
     }},
    {"Sqrt", Wide, callBody<math::SqrtOp>},
    {"Swish", Wide,
     [](Scalars &s) {
       Value alpha = s.attribute(s.get<onnx::SwishOp>().getAlpha());
       return s.mul(s.x[0], s.sigmoid(s.mul(alpha, s.x[0])));
     }},
    {"Tan", Wide, callBody<math::TanOp>},
    {"Tanh", Wide, callBody<math::TanhOp>},
    {"ThresholdedRelu", Native, thresholdedReluBody},

    {"Add", Native, [](Scalars &s) { return s.add(s.x[0], s.x[1]); }},
    {"And", Native, binaryBody<arith::AndIOp>},
    {"BitShift", Native, bitShiftBody},
    {"BitwiseAnd", Native, binaryBody<arith::AndIOp>},
    {"BitwiseOr", Native, binaryBody<arith::OrIOp>},
    {"BitwiseXor", Native, binaryBody<arith::XOrIOp>},
    {"Div", Native, [](Scalars &s) { return s.div(s.x[0], s.x[1]); }},
    {"Equal", Native, compareBody<Order::EQ>},
    {"Greater", Native, compareBody<Order::GT>},
    {"GreaterOrEqual", Native, compareBody<Order::GE>},
    {"Less", Native, compareBody<Order::LT>},
    {"LessOrEqual", Native, compareBody<Order::LE>},
    {"Mod", Native, modBody},
    {"Mul", Native, [](Scalars &s) { return s.mul(s.x[0], s.x[1]); }},
    {"Or", Native, binaryBody<arith::OrIOp>},
    {"Pow", Wide, [](Scalars &s) { return s.pow(s.x[0], s.x[1]); }},
    {"PRelu", Native, [](Scalars &s) { return leakyBody(s, s.x[1]); }},
    {"Sub", Native, [](Scalars &s) { return s.sub(s.x[0], s.x[1]); }},
    {"SwiGLU", Wide,
     [](Scalars &s) {
       Value alpha = s.attribute(s.get<onnx::SwiGLUOp>().getAlpha());
       Value gate = s.mul(s.x[0], s.sigmoid(s.mul(alpha, s.x[0])));
       return s.mul(gate, s.x[1]);
     }},
    {"Xor", Native, binaryBody<arith::XOrIOp>},

    {"Max", Native, foldBody<&ScalarMath::max>},
    {"Mean", Wide,
     [](Scalars &s) {
       return s.div(foldBody<&ScalarMath::add>(s), s.number(s.x.size()));
     }},
    {"Min", Native, foldBody<&ScalarMath::min>},
    {"Sum", Native, foldBody<&ScalarMath::add>},
};

static Results lowerEntry(Lowering &l, Operation *op) {
  StringRef name = op->getName().stripDialect();
  const Entry *entry = llvm::find_if(
      kEntries, [&](const Entry &entry) { return name == entry.name; });
  return lowerElementwise(l, op, l.operands(op), entry->precision == Wide,
                          [&](ImplicitLocOpBuilder &b, ValueRange x) {
                            Scalars scalars(b, op, x);
                            return entry->body(scalars);
                          });
}

//===----------------------------------------------------------------------===//
// Those with optional operands or types of their own
//===----------------------------------------------------------------------===//

static Results lowerIdentity(Lowering &l, Operation *op) {
  return l.operands(op);
}

static Results lowerCast(Lowering &l, Operation *op) {
  Type from = onnxElement(op), to = getElementTypeOrSelf(op->getResult(0));
  if (storageType(from) == storageType(to) && !to.isInteger(1))
    return l.operands(op);
  return lowerElementwise(l, op, l.operands(op), false,
                          [&](ImplicitLocOpBuilder &b, ValueRange x) {
                            return castScalar(b, x[0], from, to);
                          });
}

/// The same bits as another type of the same width; a bool is 0 or 1.
static Results lowerBitCast(Lowering &l, Operation *op) {
  Type from = onnxElement(op), to = resultElement(op);
  if (storageType(from) == to)
    return l.operands(op);
  if (storageType(from).getIntOrFloatBitWidth() != to.getIntOrFloatBitWidth()) {
    op->emitError() << "a bit cast from " << from << " to " << to
                    << " changes the width";
    return failure();
  }
  return lowerElementwise(l, op, l.operands(op), false,
                          [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
                            return arith::BitcastOp::create(b, to, x[0]);
                          });
}

static Results lowerClip(Lowering &l, Operation *op) {
  SmallVector<Value> operands = l.operands(op);
  bool hasMin = operands.size() > 1 && operands[1];
  bool hasMax = operands.size() > 2 && operands[2];
  llvm::erase(operands, Value());
  return lowerElementwise(l, op, operands, false,
                          [&](ImplicitLocOpBuilder &b, ValueRange x) {
                            ScalarMath s(b, isUnsigned(onnxElement(op)));
                            Value result = x[0];
                            if (hasMin)
                              result = s.max(result, x[1]);
                            return hasMax ? s.min(result, x.back()) : result;
                          });
}

static Results lowerWhere(Lowering &l, Operation *op) {
  return lowerElementwise(l, op, l.operands(op), false,
                          [&](ImplicitLocOpBuilder &b, ValueRange x) {
                            ScalarMath s(b, false);
                            return s.select(s.isTrue(x[0]), x[1], x[2]);
                          });
}

void lowering::addElementwise(LoweringTable &table) {
  for (const Entry &entry : kEntries)
    table[entry.name] = lowerEntry;
  table["Identity"] = lowerIdentity;
  table["Cast"] = lowerCast;
  table["BitCast"] = lowerBitCast;
  table["Clip"] = lowerClip;
  table["Where"] = lowerWhere;
}

//===- Sources.cpp - Constants, Range, ConstantOfShape
//----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

static Results lowerNone(Lowering &, Operation *) {
  return SmallVector<Value>{Value()};
}

/// The same values in their storage type.
static DenseElementsAttr storedElements(ElementsAttr value) {
  auto type =
      storageTensorType(::mlir::cast<RankedTensorType>(value.getShapedType()));
  Type element = type.getElementType();
  SmallVector<Attribute> elements;
  if (auto dense = dyn_cast<DenseElementsAttr>(value);
      dense && dense.getType() == type)
    return dense;
  bool isBool = value.getElementType().isInteger(1);
  for (const APInt &x : value.getValues<APInt>())
    elements.push_back(IntegerAttr::get(
        element, isBool ? APInt(8, x.getBoolValue())
                        : x.zextOrTrunc(element.getIntOrFloatBitWidth())));
  return DenseElementsAttr::get(type, elements);
}

static Results lowerConstant(Lowering &l, Operation *op) {
  auto value = ::mlir::cast<onnx::ConstantOp>(op).getValue();
  auto elements = dyn_cast<DenseElementsAttr>(value);
  if (!elements && !value.getElementType().isInteger()) {
    op->emitError("a constant of floats must have dense elements");
    return failure();
  }
  return SmallVector<Value>{
      arith::ConstantOp::create(l.b, storedElements(value))};
}

static Results lowerConstantOfShape(Lowering &l, Operation *op) {
  FailureOr<Sizes> shape = l.sizesIn(op, 0);
  if (failed(shape))
    return failure();
  Value scalar;
  auto value = ::mlir::cast<onnx::ConstantOfShapeOp>(op).getValue();
  if (value && value->getNumElements() != 1)
    return op->emitError() << "fills with one value, it has "
                           << value->getNumElements();
  if (value)
    scalar = arith::ConstantOp::create(
        l.b, ::mlir::cast<TypedAttr>(
                 *storedElements(*value).value_begin<Attribute>()));
  else
    scalar = l.constant(resultElement(op), 0);
  if (RankedTensorType type = l.scalarResultType(op)) {
    SmallVector<Value> all(type.getNumElements(), scalar);
    return SmallVector<Value>{l.fromScalars(all, type)};
  }
  return SmallVector<Value>{l.fill(scalar, l.refine(op->getResult(0), *shape))};
}

/// max(ceil((limit - start) / delta), 0) elements start + i * delta.
static Results lowerRange(Lowering &l, Operation *op) {
  SmallVector<Value> scalars;
  for (Value operand : l.operands(op)) {
    auto one = l.scalarsOf(operand);
    if (one && one->size() == 1)
      scalars.push_back(one->front());
    else
      scalars.push_back(
          tensor::ExtractOp::create(l.b, l.reshape(operand, {}), ValueRange()));
  }
  Value start = scalars[0], limit = scalars[1], delta = scalars[2];
  Type element = resultElement(op), wide = wideType(element);
  Size size;
  if (auto step = getConstantIntValue(delta); step && *step != 0) {
    SizeArithmetic &s = l.sizes;
    Size length = s.sub(s.fromInteger(limit), s.fromInteger(start));
    if (*step < 0)
      length = s.sub(s.constant(0), length);
    size = s.max(s.ceilDiv(length, s.constant(std::abs(*step))), s.constant(0));
  } else {
    ScalarMath m(l.b, false);
    Type f64 = l.b.getF64Type();
    auto real = [&](Value v) { return convertScalar(l.b, v, f64); };
    Value n = m.div(real(m.sub(limit, start)), real(delta));
    n = m.max(m.call<math::CeilOp>(n), m.constant(n, 0));
    size = l.sizes.fromInteger(castScalar(l.b, n, f64, l.b.getI64Type()));
  }
  Sizes out = l.refine(op->getResult(0), {size});
  Value result = l.parallelGeneric(
      {}, {}, out, element, [&](ImplicitLocOpBuilder &b, ValueRange) {
        ScalarMath m(b, false);
        Value i = arith::IndexCastOp::create(b, b.getI64Type(),
                                             linalg::IndexOp::create(b, 0));
        i = convertScalar(b, i, wide);
        Value value = m.add(convertScalar(b, start, wide),
                            m.mul(i, convertScalar(b, delta, wide)));
        return convertScalar(b, value, element);
      });
  return SmallVector<Value>{result};
}

void lowering::addSources(LoweringTable &table) {
  table["None"] = lowerNone;
  table["Constant"] = lowerConstant;
  table["ConstantOfShape"] = lowerConstantOfShape;
  table["Range"] = lowerRange;
}

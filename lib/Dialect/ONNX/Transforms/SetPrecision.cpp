//===- SetPrecision.cpp - Compute in one floating-point type --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"

#include "llvm/ADT/StringSwitch.h"

namespace twist::onnx {
#define GEN_PASS_DEF_ONNXSETPRECISION
#include "twist/Dialect/ONNX/Transforms/Passes.h.inc"
} // namespace twist::onnx

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

static bool isComputeFloat(Type type) {
  return isa<Float16Type, BFloat16Type, Float32Type, Float64Type>(type);
}

/// The type with its floating-point element type replaced by `element`.
static Type convertType(Type type, Type element) {
  auto tensor = dyn_cast<TensorType>(type);
  if (!tensor || !isComputeFloat(tensor.getElementType()))
    return type;
  return tensor.clone(element);
}

static ElementsAttr convertElements(ElementsAttr elements, FloatType element) {
  auto dense = dyn_cast<DenseElementsAttr>(elements);
  if (!dense || !isComputeFloat(dense.getElementType()))
    return elements;
  auto convert = [&](APFloat value) {
    bool lost, finite = value.isFinite();
    value.convert(element.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                  &lost);
    // "Very negative" stays a number: as infinity, times 0 it would be NaN.
    if (finite && value.isInfinity())
      value = APFloat::getLargest(value.getSemantics(), value.isNegative());
    return value;
  };
  auto type = cast<ShapedType>(convertType(dense.getType(), element));
  if (dense.isSplat())
    return DenseElementsAttr::get(type,
                                  convert(dense.getSplatValue<APFloat>()));
  SmallVector<APFloat> values;
  for (const APFloat &value : dense.getValues<APFloat>())
    values.push_back(convert(value));
  return DenseElementsAttr::get(type, values);
}

/// Attributes that name or hold an element type.
static void convertAttributes(Operation *op, FloatType element) {
  if (auto constant = dyn_cast<ConstantOp>(op))
    constant.setValueAttr(convertElements(constant.getValue(), element));
  if (auto filled = dyn_cast<ConstantOfShapeOp>(op)) {
    // Without a value it is an f32 zero.
    OpBuilder builder(op);
    ElementsAttr value = DenseElementsAttr::get(
        RankedTensorType::get({1}, builder.getF32Type()), 0.0f);
    filled.setValueAttr(
        convertElements(filled.getValue().value_or(value), element));
  }
  auto number = IntegerAttr::get(
      IntegerType::get(op->getContext(), 64, IntegerType::Signed),
      dataTypeOf(element));
  if (auto cast = dyn_cast<CastOp>(op)) {
    Type target = elementTypeOf(op->getContext(), cast.getTo());
    if (target && isComputeFloat(target))
      cast.setToAttr(number);
  }
  // The inner precision of a norm must not fall below the graph's, nor below
  // f32.
  if (element.getWidth() < 32)
    return;
  if (auto norm = dyn_cast<LayerNormalizationOp>(op))
    norm.setStashTypeAttr(number);
  if (auto norm = dyn_cast<RMSNormalizationOp>(op))
    norm.setStashTypeAttr(number);
}

LogicalResult twist::onnx::setPrecision(func::FuncOp function,
                                        FloatType element) {
  bool ok = true;
  auto isFloat = [](Value value) {
    auto tensor = dyn_cast<TensorType>(value.getType());
    return tensor && isComputeFloat(tensor.getElementType());
  };
  function.walk([&](Operation *op) {
    if (auto node = dyn_cast<NodeOp>(op)) {
      if (llvm::any_of(op->getOperands(), isFloat) ||
          llvm::any_of(op->getResults(), isFloat)) {
        node.emitError("the precision of an unknown node (")
            << node.getOpType() << ") can't be changed";
        ok = false;
      }
      return;
    }
    convertAttributes(op, element);
    for (Value result : op->getResults())
      result.setType(convertType(result.getType(), element));
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (BlockArgument argument : block.getArguments())
          argument.setType(convertType(argument.getType(), element));
  });
  auto convertAll = [&](ArrayRef<Type> types) {
    return llvm::map_to_vector(
        types, [&](Type type) { return convertType(type, element); });
  };
  function.setFunctionType(FunctionType::get(
      function.getContext(), convertAll(function.getArgumentTypes()),
      convertAll(function.getResultTypes())));
  return success(ok);
}

namespace {
struct SetPrecision : onnx::impl::ONNXSetPrecisionBase<SetPrecision> {
  using ONNXSetPrecisionBase::ONNXSetPrecisionBase;
  void runOnOperation() override {
    Builder b(&getContext());
    FloatType element = llvm::StringSwitch<FloatType>(precision)
                            .Case("f64", b.getF64Type())
                            .Case("f32", b.getF32Type())
                            .Case("f16", b.getF16Type())
                            .Case("bf16", b.getBF16Type())
                            .Default(FloatType());
    if (!element) {
      getOperation().emitError("unknown precision '")
          << precision.getValue() << "'; known are f64, f32, f16 and bf16";
      return signalPassFailure();
    }
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (failed(setPrecision(function, element)))
        signalPassFailure();
  }
};
} // namespace

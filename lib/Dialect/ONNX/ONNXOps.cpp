//===- ONNXOps.cpp - ONNX ops ---------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Relations.h"

#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

#define GET_OP_CLASSES
#include "twist/Dialect/ONNX/ONNXOps.cpp.inc"

//===----------------------------------------------------------------------===//
// Element types by ONNX's numbers
//===----------------------------------------------------------------------===//

/// TensorProto.DataType, for the types the importer maps to MLIR's.
static SmallVector<std::pair<int64_t, Type>, 16>
dataTypes(MLIRContext *context) {
  auto integer = [&](unsigned width) -> Type {
    return IntegerType::get(context, width);
  };
  auto natural = [&](unsigned width) -> Type {
    return IntegerType::get(context, width, IntegerType::Unsigned);
  };
  return {{1, Float32Type::get(context)},
          {2, natural(8)},
          {3, integer(8)},
          {4, natural(16)},
          {5, integer(16)},
          {6, integer(32)},
          {7, integer(64)},
          {8, StringType::get(context)},
          {9, integer(1)},
          {10, Float16Type::get(context)},
          {11, Float64Type::get(context)},
          {12, natural(32)},
          {13, natural(64)},
          {14, ComplexType::get(Float32Type::get(context))},
          {15, ComplexType::get(Float64Type::get(context))},
          {16, BFloat16Type::get(context)},
          {17, Float8E4M3FNType::get(context)},
          {18, Float8E4M3FNUZType::get(context)},
          {19, Float8E5M2Type::get(context)},
          {20, Float8E5M2FNUZType::get(context)},
          {21, natural(4)},
          {22, integer(4)},
          {23, Float4E2M1FNType::get(context)},
          {24, Float8E8M0FNUType::get(context)},
          {25, natural(2)},
          {26, integer(2)}};
}

int64_t twist::onnx::dataTypeOf(Type elementType) {
  for (auto [number, type] : dataTypes(elementType.getContext()))
    if (type == elementType)
      return number;
  return 0;
}

Type twist::onnx::elementTypeOf(MLIRContext *context, int64_t dataType) {
  for (auto [number, type] : dataTypes(context))
    if (number == dataType)
      return type;
  return nullptr;
}

ElementsAttr twist::onnx::constantOf(Value value) {
  auto constant = value.getDefiningOp<ConstantOp>();
  return constant ? constant.getValue() : nullptr;
}

//===----------------------------------------------------------------------===//
// Verifiers
//===----------------------------------------------------------------------===//

LogicalResult twist::onnx::verifyAxisInRange(Operation *op) {
  auto axis = op->getAttrOfType<IntegerAttr>("axis");
  // One scale for all leaves the axis without meaning.
  if (!axis || op->getNumOperands() == 0 ||
      isa<QuantizeLinearOp, DequantizeLinearOp>(op))
    return success();
  auto type = dyn_cast<RankedTensorType>(op->getOperand(0).getType());
  if (!type)
    return success();
  // Flatten's axis stands between dimensions, so that it may be the rank, and
  // OneHot's is one of its result.
  int64_t value = axis.getValue().getSExtValue(), rank = type.getRank();
  rank += isa<OneHotOp>(op);
  int64_t end = rank + (isa<FlattenOp>(op) ? 1 : 0);
  if (value >= -rank && value < end)
    return success();
  return op->emitOpError("axis ") << value << " is out of range for " << type;
}

LogicalResult ConstantOp::verify() {
  if (getValue().getType() == getType())
    return success();
  return emitOpError("has a value of type ")
         << getValue().getType() << ", not " << getType();
}

LogicalResult CastOp::verify() {
  Type target = elementTypeOf(getContext(), getTo());
  if (!target)
    return emitOpError("casts to ") << getTo() << ", which is no data type";
  auto type = dyn_cast<TensorType>(getType());
  if (!type || type.getElementType() == target)
    return success();
  return emitOpError("casts to ") << target << ", but its result is " << type;
}

LogicalResult TransposeOp::verify() {
  std::optional<ArrayRef<int64_t>> perm = getPerm();
  if (!perm)
    return success();
  SmallVector<int64_t> sorted(*perm);
  llvm::sort(sorted);
  if (!llvm::equal(sorted, llvm::seq<int64_t>(sorted.size())))
    return emitOpError("perm is no permutation");
  auto type = dyn_cast<RankedTensorType>(getX().getType());
  if (type && static_cast<size_t>(type.getRank()) != perm->size())
    return emitOpError("perm is for rank ")
           << perm->size() << ", its operand is " << type;
  return success();
}

//===----------------------------------------------------------------------===//
// Folds
//===----------------------------------------------------------------------===//

OpFoldResult NoneOp::fold(FoldAdaptor) { return UnitAttr::get(getContext()); }

OpFoldResult IdentityOp::fold(FoldAdaptor) {
  return getX().getType() == getType() ? getX() : OpFoldResult();
}

/// Whether every value of `from` survives a cast to `to` and any cast after it
/// gives what it gave from `from`.
static bool isLossless(Type from, Type to) {
  if (from == to)
    return true;
  auto fromInt = dyn_cast<IntegerType>(from), toInt = dyn_cast<IntegerType>(to);
  auto fromFloat = dyn_cast<FloatType>(from), toFloat = dyn_cast<FloatType>(to);
  // Of one sign, as the other changes what a cast to a float means.
  if (fromInt && toInt)
    return fromInt.getWidth() <= toInt.getWidth() &&
           fromInt.isUnsigned() == toInt.isUnsigned() && !from.isInteger(1);
  if (fromFloat && toFloat) {
    const llvm::fltSemantics &a = fromFloat.getFloatSemantics();
    const llvm::fltSemantics &b = toFloat.getFloatSemantics();
    return fromFloat.getWidth() >= 16 && APFloat::isRepresentableBy(a, b);
  }
  return false;
}

OpFoldResult CastOp::fold(FoldAdaptor) {
  if (getX().getType() == getType())
    return getX();
  // Cast(Cast(x, wider), t) = Cast(x, t)
  auto inner = getX().getDefiningOp<CastOp>();
  auto from = inner ? dyn_cast<TensorType>(inner.getX().getType()) : nullptr;
  auto through = dyn_cast<TensorType>(getX().getType());
  if (!from || !through ||
      !isLossless(from.getElementType(), through.getElementType()))
    return {};
  setOperand(inner.getX());
  return getResult();
}

/// The permutation, with its default (reversal) spelt out; empty if neither the
/// attribute nor the rank is known.
static SmallVector<int64_t> permutationOf(TransposeOp op) {
  if (std::optional<ArrayRef<int64_t>> perm = op.getPerm())
    return SmallVector<int64_t>(*perm);
  auto type = dyn_cast<RankedTensorType>(op.getX().getType());
  return type ? llvm::to_vector(
                    llvm::reverse(llvm::seq<int64_t>(type.getRank())))
              : SmallVector<int64_t>();
}

OpFoldResult TransposeOp::fold(FoldAdaptor) {
  SmallVector<int64_t> perm = permutationOf(*this);
  if (perm.empty())
    return {};
  bool identity = llvm::equal(perm, llvm::seq<int64_t>(perm.size()));
  if (identity && getX().getType() == getType())
    return getX();
  // Transpose(Transpose(x, p), q) = Transpose(x, p∘q)
  auto inner = getX().getDefiningOp<TransposeOp>();
  SmallVector<int64_t> first = inner ? permutationOf(inner) : perm;
  if (!inner || first.size() != perm.size())
    return {};
  for (int64_t &dim : perm)
    dim = first[dim];
  setPerm(perm);
  setOperand(inner.getX());
  return getResult();
}

OpFoldResult ReshapeOp::fold(FoldAdaptor adaptor) {
  auto type = dyn_cast<RankedTensorType>(getType());
  if (getData().getType() == getType() && type && type.hasStaticShape())
    return getData();
  // Reshape(Reshape(x, _), s) = Reshape(x, s), if s copies no dimension.
  auto inner = getData().getDefiningOp<ReshapeOp>();
  auto shape = dyn_cast_or_null<DenseIntElementsAttr>(constantOf(getShape()));
  if (!inner || !shape ||
      llvm::any_of(shape, [](const APInt &size) { return size.isZero(); }))
    return {};
  setOperand(0, inner.getData());
  return getResult();
}

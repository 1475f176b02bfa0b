//===- Gathers.cpp - Gather, Scatter and their kin
//--------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Gather.h"
#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

Value lowering::gather(Lowering &l, Value data, Value indices, int64_t axis) {
  Sizes sizes = l.sizesOf(data), picks = l.sizesOf(indices), out;
  ArrayRef<Size> all(sizes);
  llvm::append_range(out, all.take_front(axis));
  llvm::append_range(out, picks);
  llvm::append_range(out, all.drop_front(axis + 1));
  Value init = l.empty(out, getElementTypeOrSelf(data));
  return nn::GatherOp::create(l.b, init.getType(), data, indices, init,
                              l.b.getI64IntegerAttr(axis))
      .getResult();
}

Value lowering::gatherComputed(
    Lowering &l, Value data, int64_t axis, Size size,
    function_ref<Value(ImplicitLocOpBuilder &, Value i)> index) {
  Type i64 = l.b.getI64Type();
  Value indices = l.parallelGeneric(
      {}, {}, {size}, i64, [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
        Value at = index(b, linalg::IndexOp::create(b, 0));
        return arith::IndexCastOp::create(b, i64, at);
      });
  return gather(l, data, indices, axis);
}

/// A user's index as a position in [0, size): negative ones from the end.
static Value position(ImplicitLocOpBuilder &b, Value index, Value size) {
  ScalarMath s(b, false);
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  Value i = b.createOrFold<arith::IndexCastOp>(b.getIndexType(), index);
  i = s.select(s.compare(ScalarMath::Order::LT, i, zero), s.add(i, size), i);
  return s.max(s.min(i, s.sub(size, one)), zero);
}

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

/// Scalars picked out of scalars, at known positions or not.
static Value gatherScalars(Lowering &l, Operation *op, Value data,
                           Value indices) {
  RankedTensorType type = l.scalarResultType(op);
  auto scalars = l.scalarsOf(data, /*orRead=*/false);
  auto known = l.constantsOf(indices);
  if (!type || !scalars || rankOf(data) != 1 || !known)
    return nullptr;
  SmallVector<Value> picked;
  int64_t size = scalars->size();
  for (int64_t index : *known) {
    if (index < -size || index >= size)
      return nullptr;
    picked.push_back((*scalars)[index < 0 ? index + size : index]);
  }
  return l.fromScalars(picked, type);
}

/// One known index: a slice whose dimension disappears.
static Value gatherSlice(Lowering &l, Value data, int64_t index, int64_t axis) {
  Sizes sizes = l.sizesOf(data);
  Size at = l.sizes.constant(index);
  if (index < 0)
    at = l.sizes.max(l.sizes.add(sizes[axis], at), l.sizes.constant(0));
  Sizes offsets(sizes.size(), l.sizes.constant(0));
  Sizes steps(sizes.size(), l.sizes.constant(1));
  offsets[axis] = at;
  sizes[axis] = l.sizes.constant(1);
  Value slice =
      tensor::ExtractSliceOp::create(l.b, data, offsets, sizes, steps);
  return l.dropUnitDims(slice, axis);
}

static Results lowerGather(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0), indices = l.operand(op, 1);
  auto axis = normaliseAxis(op, ::mlir::cast<onnx::GatherOp>(op).getAxis(),
                            rankOf(data));
  if (failed(axis))
    return failure();
  if (Value scalars = gatherScalars(l, op, data, indices))
    return SmallVector<Value>{scalars};
  if (rankOf(indices) == 0)
    if (auto known = l.constantsOf(indices);
        known &&
        l.sizes.compare(l.sizeOf(data, *axis),
                        l.sizes.constant(known->front())) == 1 &&
        known->front() >= 0)
      return SmallVector<Value>{gatherSlice(l, data, known->front(), *axis)};
  if (rankOf(indices) == 0)
    if (auto known = l.constantsOf(indices))
      if (auto size = constantOf(l.sizeOf(data, *axis));
          size && known->front() < 0 && known->front() >= -*size)
        return SmallVector<Value>{
            gatherSlice(l, data, known->front() + *size, *axis)};
  return SmallVector<Value>{gather(l, data, indices, *axis)};
}

//===----------------------------------------------------------------------===//
// GatherElements, GatherND
//===----------------------------------------------------------------------===//

static Results lowerGatherElements(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0), indices = l.operand(op, 1);
  int64_t rank = rankOf(data);
  auto axis = normaliseAxis(
      op, ::mlir::cast<onnx::GatherElementsOp>(op).getAxis(), rank);
  if (failed(axis))
    return failure();
  Value size = l.sizes.toValue(l.sizeOf(data, *axis));
  Value result = l.parallelGeneric(
      indices, l.identity(rank), l.sizesOf(indices), resultElement(op),
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        SmallVector<Value> at;
        for (int64_t d = 0; d < rank; ++d)
          at.push_back(d == *axis ? position(b, x[0], size)
                                  : linalg::IndexOp::create(b, d).getResult());
        return tensor::ExtractOp::create(b, data, at);
      });
  return SmallVector<Value>{result};
}

/// The number of dimensions each index tuple addresses, which must be static.
static FailureOr<int64_t> tupleLength(Operation *op, Value indices) {
  auto type = ::mlir::cast<RankedTensorType>(indices.getType());
  if (type.getRank() == 0 || type.isDynamicDim(type.getRank() - 1)) {
    op->emitError("the last dimension of its indices must have a known size");
    return failure();
  }
  return type.getShape().back();
}

static Results lowerGatherND(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0), indices = l.operand(op, 1);
  FailureOr<int64_t> length = tupleLength(op, indices);
  if (failed(length))
    return failure();
  int64_t batch = ::mlir::cast<onnx::GatherNDOp>(op).getBatchDims();
  Sizes dims = l.sizesOf(data), out = l.sizesOf(indices);
  out.pop_back();
  int64_t outer = out.size(), first = batch + *length;
  if (first > rankOf(data)) {
    op->emitError() << "its indices address " << first
                    << " dimensions of data of rank " << rankOf(data);
    return failure();
  }
  llvm::append_range(out, ArrayRef<Size>(dims).drop_front(first));
  SmallVector<Value> sizes;
  for (Size dim : dims)
    sizes.push_back(l.sizes.toValue(dim));
  Value result = l.parallelGeneric(
      {}, {}, l.refine(op->getResult(0), out), resultElement(op),
      [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
        SmallVector<Value> tuple, at;
        for (int64_t d = 0; d < outer; ++d)
          tuple.push_back(linalg::IndexOp::create(b, d));
        for (int64_t d = 0; d < batch; ++d)
          at.push_back(tuple[d]);
        for (int64_t i = 0; i < *length; ++i) {
          SmallVector<Value> entry(tuple);
          entry.push_back(arith::ConstantIndexOp::create(b, i));
          Value index = tensor::ExtractOp::create(b, indices, entry);
          at.push_back(position(b, index, sizes[batch + i]));
        }
        for (int64_t d = outer, e = out.size(); d < e; ++d)
          at.push_back(linalg::IndexOp::create(b, d));
        return tensor::ExtractOp::create(b, data, at);
      });
  return SmallVector<Value>{result};
}

//===----------------------------------------------------------------------===//
// ScatterND
//===----------------------------------------------------------------------===//

/// What an update does to the element it meets.
static Value combineUpdate(ScalarMath &s, StringRef reduction, Value old,
                           Value update) {
  if (reduction == "add")
    return s.add(old, update);
  if (reduction == "mul")
    return s.mul(old, update);
  if (reduction == "max")
    return s.max(old, update);
  if (reduction == "min")
    return s.min(old, update);
  return update;
}

/// One loop over all elements of the updates, in order.
static Results lowerScatterND(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0), indices = l.operand(op, 1);
  Value updates = l.operand(op, 2);
  FailureOr<int64_t> length = tupleLength(op, indices);
  if (failed(length))
    return failure();
  StringRef reduction = ::mlir::cast<onnx::ScatterNDOp>(op).getReduction();
  int64_t outer = rankOf(indices) - 1, rank = rankOf(data);
  SmallVector<Value> dims, bounds;
  for (Size size : l.sizesOf(data))
    dims.push_back(l.sizes.toValue(size));
  for (Size size : l.sizesOf(updates))
    bounds.push_back(l.sizes.toValue(size));
  Value zero = l.sizes.toValue(l.sizes.constant(0));
  Value one = l.sizes.toValue(l.sizes.constant(1));
  bool isUnsignedData = isUnsigned(onnxElement(op));
  auto update = [&](ImplicitLocOpBuilder &b, ValueRange loops,
                    Value into) -> Value {
    SmallVector<Value> at;
    for (int64_t i = 0; i < *length; ++i) {
      SmallVector<Value> entry(loops.take_front(outer));
      entry.push_back(arith::ConstantIndexOp::create(b, i));
      Value index = tensor::ExtractOp::create(b, indices, entry);
      at.push_back(position(b, index, dims[i]));
    }
    for (int64_t d = *length; d < rank; ++d)
      at.push_back(loops[outer + d - *length]);
    ScalarMath s(b, isUnsignedData);
    Value old = tensor::ExtractOp::create(b, into, at);
    Value value = combineUpdate(s, reduction, old,
                                tensor::ExtractOp::create(b, updates, loops));
    return tensor::InsertOp::create(b, value, into, at);
  };
  std::function<Value(ImplicitLocOpBuilder &, SmallVector<Value>, Value)> nest =
      [&](ImplicitLocOpBuilder &b, SmallVector<Value> loops,
          Value into) -> Value {
    if (loops.size() == bounds.size())
      return update(b, loops, into);
    auto loop = scf::ForOp::create(
        b, zero, bounds[loops.size()], one, into,
        [&](OpBuilder &nested, Location loc, Value i, ValueRange state) {
          ImplicitLocOpBuilder inner(loc, nested);
          SmallVector<Value> next(loops);
          next.push_back(i);
          scf::YieldOp::create(inner, nest(inner, next, state[0]));
        });
    return loop.getResult(0);
  };
  return SmallVector<Value>{nest(l.b, {}, data)};
}

void lowering::addGathers(LoweringTable &table) {
  table["Gather"] = lowerGather;
  table["GatherElements"] = lowerGatherElements;
  table["GatherND"] = lowerGatherND;
  table["ScatterND"] = lowerScatterND;
}

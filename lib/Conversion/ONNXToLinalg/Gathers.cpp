//===- Gathers.cpp - Gather, Scatter and their kin ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Gather.h"
#include "Loops.h"
#include "Reduce.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"

using namespace twist;
using namespace twist::lowering;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

static void assertInside(Lowering &l, Value holds) {
  cf::AssertOp::create(l.b, holds,
                       "an index is outside the dimension it points into");
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

/// Known indices: they need a dimension of some size.
static LogicalResult requireKnown(Lowering &l, Operation *op,
                                  ArrayRef<int64_t> indices, Size size) {
  int64_t needed = 0, worst = 0;
  for (int64_t index : indices)
    if (int64_t needs = index < 0 ? -index : index + 1; needs > needed)
      std::tie(needed, worst) = std::pair(needs, index);
  Size least = l.sizes.constant(needed);
  if (auto known = constantOf(size); known && *known < needed)
    return op->emitError() << "index " << worst
                           << " is outside a dimension of size " << *known;
  if (needed && !constantOf(size))
    assertInside(l, arith::CmpIOp::create(l.b, arith::CmpIPredicate::sge,
                                          l.sizes.toValue(size),
                                          l.sizes.toValue(least)));
  return success();
}

LogicalResult lowering::requireIndices(Lowering &l, Operation *op,
                                       Value indices, Size size) {
  if (auto known = l.constantsOf(indices))
    return requireKnown(l, op, *known, size);
  auto type = ::mlir::cast<RankedTensorType>(indices.getType());
  Value bound = arith::IndexCastOp::create(l.b, type.getElementType(),
                                           l.sizes.toValue(size));
  using Order = ScalarMath::Order;
  Reduction outside;
  outside.combine = [](ScalarMath &s, Value a, Value b) { return s.max(a, b); };
  outside.map = [&](ScalarMath &s, Value index) {
    Value zero = s.constant(index, 0), one = s.constant(index, 1);
    Value low = s.compare(Order::LT, index, s.neg(bound));
    Value high = s.compare(Order::GE, index, bound);
    return s.select(low, one, s.select(high, one, zero));
  };
  SmallVector<int64_t> all =
      llvm::to_vector(llvm::seq<int64_t>(0, type.getRank()));
  Value any =
      type.getRank() ? reduce(l, indices, all, Type(), outside) : indices;
  Value found = tensor::ExtractOp::create(l.b, any, ValueRange());
  ScalarMath s(l.b, /*isUnsigned=*/false);
  if (!type.getRank())
    found = outside.map(s, found);
  assertInside(l, s.compare(Order::EQ, found, s.constant(found, 0)));
  return success();
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

Value lowering::position(ImplicitLocOpBuilder &b, Value index, Value size) {
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
  if (failed(requireIndices(l, op, indices, l.sizeOf(data, *axis))))
    return failure();
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
  if (failed(requireIndices(l, op, indices, l.sizeOf(data, *axis))))
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
static FailureOr<int64_t> tupleLength(Operation *op, Value indices, Value data,
                                      int64_t batch) {
  auto type = ::mlir::cast<RankedTensorType>(indices.getType());
  if (type.getRank() == 0 || type.isDynamicDim(type.getRank() - 1)) {
    op->emitError("the last dimension of its indices must have a known size");
    return failure();
  }
  int64_t length = type.getShape().back();
  if (batch < 0 || batch >= type.getRank() || batch + length > rankOf(data)) {
    op->emitError() << "its indices address " << batch + length
                    << " dimensions of data of rank " << rankOf(data);
    return failure();
  }
  return length;
}

/// Indices [..., length] into the dimensions of `data` from `first` on.
static LogicalResult requireTuples(Lowering &l, Operation *op, Value data,
                                   Value indices, int64_t first,
                                   int64_t length) {
  if (length == 1)
    return requireIndices(l, op, indices, l.sizeOf(data, first));
  for (int64_t i = 0; i < length; ++i) {
    Sizes sizes = l.sizesOf(indices);
    Sizes offsets(sizes.size(), l.sizes.constant(0));
    Sizes steps(sizes.size(), l.sizes.constant(1));
    offsets.back() = l.sizes.constant(i);
    sizes.back() = l.sizes.constant(1);
    Value column =
        tensor::ExtractSliceOp::create(l.b, indices, offsets, sizes, steps);
    if (failed(requireIndices(l, op, column, l.sizeOf(data, first + i))))
      return failure();
  }
  return success();
}

static Results lowerGatherND(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0), indices = l.operand(op, 1);
  int64_t batch = ::mlir::cast<onnx::GatherNDOp>(op).getBatchDims();
  FailureOr<int64_t> length = tupleLength(op, indices, data, batch);
  if (failed(length))
    return failure();
  Sizes dims = l.sizesOf(data), out = l.sizesOf(indices);
  out.pop_back();
  int64_t outer = out.size(), first = batch + *length;
  if (failed(requireTuples(l, op, data, indices, batch, *length)))
    return failure();
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
// ScatterND, ScatterElements, TensorScatter
//===----------------------------------------------------------------------===//

SmallVector<Value> lowering::boundsOf(Lowering &l, Value tensor) {
  SmallVector<Value> bounds;
  for (Size size : l.sizesOf(tensor))
    bounds.push_back(l.sizes.toValue(size));
  return bounds;
}

static SmallVector<Value> nestFrom(ImplicitLocOpBuilder &b, ValueRange bounds,
                                   ValueRange state, SmallVector<Value> loops,
                                   LoopBody body) {
  if (loops.size() == bounds.size())
    return body(b, loops, state);
  Value zero = arith::ConstantIndexOp::create(b, 0);
  Value one = arith::ConstantIndexOp::create(b, 1);
  auto loop = scf::ForOp::create(
      b, zero, bounds[loops.size()], one, state,
      [&](OpBuilder &nested, Location loc, Value i, ValueRange inside) {
        ImplicitLocOpBuilder inner(loc, nested);
        SmallVector<Value> next(loops);
        next.push_back(i);
        scf::YieldOp::create(inner,
                             nestFrom(inner, bounds, inside, next, body));
      });
  return SmallVector<Value>(loop.getResults());
}

SmallVector<Value> lowering::loopNest(ImplicitLocOpBuilder &b,
                                      ValueRange bounds, ValueRange state,
                                      LoopBody body) {
  return nestFrom(b, bounds, state, {}, body);
}

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

/// Where the update at an index goes.
using Target =
    function_ref<SmallVector<Value>(ImplicitLocOpBuilder &, ValueRange loops)>;

/// One loop over all elements of the updates, in order.
static Value scatter(Lowering &l, Value data, Value updates, Target target,
                     StringRef reduction, bool isUnsignedData) {
  return loopNest(l.b, boundsOf(l, updates), data,
                  [&](ImplicitLocOpBuilder &b, ValueRange loops,
                      ValueRange state) -> SmallVector<Value> {
                    SmallVector<Value> at = target(b, loops);
                    ScalarMath s(b, isUnsignedData);
                    Value old = tensor::ExtractOp::create(b, state[0], at);
                    Value value = combineUpdate(
                        s, reduction, old,
                        tensor::ExtractOp::create(b, updates, loops));
                    return {tensor::InsertOp::create(b, value, state[0], at)};
                  })
      .front();
}

static Results lowerScatterND(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0), indices = l.operand(op, 1);
  FailureOr<int64_t> length = tupleLength(op, indices, data, 0);
  if (failed(length))
    return failure();
  int64_t outer = rankOf(indices) - 1, rank = rankOf(data);
  if (rankOf(l.operand(op, 2)) != outer + rank - *length) {
    op->emitError() << "its updates must have " << outer + rank - *length
                    << " dimensions, have " << rankOf(l.operand(op, 2));
    return failure();
  }
  SmallVector<Value> dims = boundsOf(l, data);
  auto target = [&](ImplicitLocOpBuilder &b, ValueRange loops) {
    SmallVector<Value> at;
    for (int64_t i = 0; i < *length; ++i) {
      SmallVector<Value> entry(loops.take_front(outer));
      entry.push_back(arith::ConstantIndexOp::create(b, i));
      Value index = tensor::ExtractOp::create(b, indices, entry);
      at.push_back(position(b, index, dims[i]));
    }
    for (int64_t d = *length; d < rank; ++d)
      at.push_back(loops[outer + d - *length]);
    return at;
  };
  if (failed(requireTuples(l, op, data, indices, 0, *length)))
    return failure();
  StringRef reduction = ::mlir::cast<onnx::ScatterNDOp>(op).getReduction();
  return SmallVector<Value>{scatter(l, data, l.operand(op, 2), target,
                                    reduction, isUnsigned(onnxElement(op)))};
}

static Results lowerScatterElements(Lowering &l, Operation *op) {
  auto scatterOp = ::mlir::cast<onnx::ScatterElementsOp>(op);
  Value data = l.operand(op, 0), indices = l.operand(op, 1);
  auto axis = normaliseAxis(op, scatterOp.getAxis(), rankOf(data));
  if (failed(axis) ||
      failed(requireIndices(l, op, indices, l.sizeOf(data, *axis))))
    return failure();
  Value size = l.sizes.toValue(l.sizeOf(data, *axis));
  auto target = [&](ImplicitLocOpBuilder &b, ValueRange loops) {
    SmallVector<Value> at(loops);
    Value index = tensor::ExtractOp::create(b, indices, loops);
    at[*axis] = position(b, index, size);
    return at;
  };
  return SmallVector<Value>{scatter(l, data, l.operand(op, 2), target,
                                    scatterOp.getReduction(),
                                    isUnsigned(onnxElement(op)))};
}

/// The update's step i goes to step write_indices[batch] + i of the cache,
/// around its end if it is circular.
static Results lowerTensorScatter(Lowering &l, Operation *op) {
  auto scatterOp = ::mlir::cast<onnx::TensorScatterOp>(op);
  Value data = l.operand(op, 0), first = l.operand(op, 2);
  auto axis = normaliseAxis(op, scatterOp.getAxis(), rankOf(data));
  if (failed(axis))
    return failure();
  if (*axis == 0 ||
      !llvm::is_contained({"linear", "circular"}, scatterOp.getMode())) {
    op->emitError("needs an axis after the batch and the mode linear or "
                  "circular, has axis ")
        << *axis << " and mode '" << scatterOp.getMode() << "'";
    return failure();
  }
  Value size = l.sizes.toValue(l.sizeOf(data, *axis));
  bool circular = scatterOp.getMode() == "circular";
  auto target = [&](ImplicitLocOpBuilder &b, ValueRange loops) {
    SmallVector<Value> at(loops);
    if (first) {
      Value start = tensor::ExtractOp::create(b, first, loops[0]);
      start = arith::IndexCastOp::create(b, b.getIndexType(), start);
      at[*axis] = arith::AddIOp::create(b, start, at[*axis]);
    }
    if (circular)
      at[*axis] = arith::RemSIOp::create(b, at[*axis], size);
    at[*axis] = position(b, at[*axis], size);
    return at;
  };
  return SmallVector<Value>{
      scatter(l, data, l.operand(op, 1), target, "none", false)};
}

void lowering::addGathers(LoweringTable &table) {
  table["Gather"] = lowerGather;
  table["GatherElements"] = lowerGatherElements;
  table["GatherND"] = lowerGatherND;
  table["ScatterElements"] = lowerScatterElements;
  table["ScatterND"] = lowerScatterND;
  table["TensorScatter"] = lowerTensorScatter;
}

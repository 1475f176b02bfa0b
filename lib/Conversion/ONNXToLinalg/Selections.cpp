//===- Selections.cpp - Elements by rank, by class, by place --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Gather.h"
#include "Loops.h"
#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

using Order = ScalarMath::Order;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

/// The only element of operand `i`, an integer, as a size.
static FailureOr<Size> sizeIn(Lowering &l, Operation *op, unsigned i) {
  FailureOr<Sizes> sizes = l.sizesIn(op, i);
  if (failed(sizes))
    return failure();
  if (sizes->size() != 1) {
    op->emitError() << "operand " << i << " must have one element";
    return failure();
  }
  return sizes->front();
}

//===----------------------------------------------------------------------===//
// TopK
//===----------------------------------------------------------------------===//

namespace {
/// For each row, the best so far stand sorted in the results; what is better
/// than the last of them is inserted. Of equal elements the first is the
/// better, and NaN counts as the largest, as in numpy's sort.
struct BestOfRow {
  int64_t axis;
  bool largest, isUnsigned;
  Value count; // k

  SmallVector<Value> at(ValueRange row, Value place) const {
    SmallVector<Value> index(row);
    index.insert(index.begin() + axis, place);
    return index;
  }
  Value isBetter(ImplicitLocOpBuilder &b, Value x, Value than) const;
  SmallVector<Value> insert(ImplicitLocOpBuilder &b, ValueRange row, Value i,
                            Value x, ValueRange state) const;
};
} // namespace

Value BestOfRow::isBetter(ImplicitLocOpBuilder &b, Value x, Value than) const {
  ScalarMath s(b, isUnsigned);
  Value better = s.compare(largest ? Order::GT : Order::LT, x, than);
  if (!s.isFloat(x))
    return better;
  Value xIsNaN = s.isNaN(x), thanIsNaN = s.isNaN(than);
  Value top = largest ? xIsNaN : thanIsNaN;
  Value bottom = largest ? thanIsNaN : xIsNaN;
  Value never = arith::ConstantOp::create(b, b.getBoolAttr(false));
  return arith::OrIOp::create(b, better, s.select(bottom, never, top));
}

/// Each place from the first on takes what is better and passes the old on.
SmallVector<Value> BestOfRow::insert(ImplicitLocOpBuilder &b, ValueRange row,
                                     Value i, Value x, ValueRange state) const {
  Value moving = arith::ConstantOp::create(b, b.getBoolAttr(false));
  Value index = arith::IndexCastOp::create(b, b.getI64Type(), i);
  SmallVector<Value> inits{state[0], state[1], x, index, moving};
  SmallVector<Value> done = loopNest(
      b, count, inits,
      [&](ImplicitLocOpBuilder &b, ValueRange loop,
          ValueRange in) -> SmallVector<Value> {
        SmallVector<Value> place = at(row, loop[0]);
        Value old = tensor::ExtractOp::create(b, in[0], place);
        Value oldIndex = tensor::ExtractOp::create(b, in[1], place);
        Value isFree =
            arith::CmpIOp::create(b, arith::CmpIPredicate::sge, loop[0], i);
        Value takes = arith::OrIOp::create(
            b, arith::OrIOp::create(b, in[4], isFree), isBetter(b, in[2], old));
        ScalarMath s(b, isUnsigned);
        Value values = tensor::InsertOp::create(b, s.select(takes, in[2], old),
                                                in[0], place);
        Value indices = tensor::InsertOp::create(
            b, s.select(takes, in[3], oldIndex), in[1], place);
        return {values, indices, s.select(takes, old, in[2]),
                s.select(takes, oldIndex, in[3]), takes};
      });
  return {done[0], done[1]};
}

static Results lowerTopK(Lowering &l, Operation *op) {
  auto topK = ::mlir::cast<onnx::TopKOp>(op);
  Value data = l.operand(op, 0);
  auto axis = normaliseAxis(op, topK.getAxis(), rankOf(data));
  FailureOr<Size> k = sizeIn(l, op, 1);
  if (failed(axis) || failed(k))
    return failure();
  Sizes sizes = l.sizesOf(data);
  std::optional<int64_t> length = constantOf(sizes[*axis]),
                         wants = constantOf(*k);
  if (wants && (*wants < 0 || (length && *wants > *length))) {
    op->emitError() << "k is " << *wants << ", but axis " << *axis << " has "
                    << (length ? std::to_string(*length) : "some")
                    << " elements";
    return failure();
  }
  Value count = l.sizes.toValue(*k);
  Value step = l.sizes.toValue(l.sizes.constant(1));
  Value zero = l.sizes.toValue(l.sizes.constant(0));
  SmallVector<Value> bounds = boundsOf(l, data);
  // Without a place there is nothing to do.
  Value none =
      arith::CmpIOp::create(l.b, arith::CmpIPredicate::eq, count, zero);
  Value last = arith::SelectOp::create(l.b, none, zero, bounds[*axis]);
  bounds.erase(bounds.begin() + *axis);
  bounds.push_back(last);
  sizes[*axis] = *k;
  Value values = l.fill(l.constant(getElementTypeOrSelf(data), 0), sizes);
  Value indices = l.fill(l.constant(l.b.getI64Type(), 0), sizes);
  BestOfRow best{*axis, topK.getLargest() != 0, isUnsigned(onnxElement(op)),
                 count};
  return loopNest(
      l.b, bounds, {values, indices},
      [&](ImplicitLocOpBuilder &b, ValueRange loops,
          ValueRange state) -> SmallVector<Value> {
        ValueRange row = loops.drop_back();
        Value i = loops.back();
        Value x = tensor::ExtractOp::create(b, data, best.at(row, i));
        Value end = arith::SubIOp::create(b, count, step);
        Value worst = tensor::ExtractOp::create(b, state[0], best.at(row, end));
        Value isFree =
            arith::CmpIOp::create(b, arith::CmpIPredicate::slt, i, count);
        Value enters =
            arith::OrIOp::create(b, isFree, best.isBetter(b, x, worst));
        auto branch = scf::IfOp::create(
            b, enters,
            [&](OpBuilder &nested, Location loc) {
              ImplicitLocOpBuilder inner(loc, nested);
              scf::YieldOp::create(inner, best.insert(inner, row, i, x, state));
            },
            [&](OpBuilder &nested, Location loc) {
              scf::YieldOp::create(nested, loc, state);
            });
        return SmallVector<Value>(branch.getResults());
      });
}

//===----------------------------------------------------------------------===//
// OneHot, EyeLike
//===----------------------------------------------------------------------===//

/// values[1] where the place along the axis is the index, values[0] elsewhere.
static Results lowerOneHot(Lowering &l, Operation *op) {
  Value indices = l.operand(op, 0), values = l.operand(op, 2);
  auto axis = normaliseAxis(op, ::mlir::cast<onnx::OneHotOp>(op).getAxis(),
                            rankOf(indices) + 1);
  if (failed(axis))
    return failure();
  Size depth;
  Sizes sizes = l.sizesOf(indices);
  auto declared = ::mlir::cast<RankedTensorType>(op->getResult(0).getType());
  if (!declared.isDynamicDim(*axis)) {
    depth = l.sizes.constant(declared.getDimSize(*axis));
  } else {
    FailureOr<Size> given = sizeIn(l, op, 1);
    if (failed(given))
      return failure();
    depth = *given;
  }
  sizes.insert(sizes.begin() + *axis, depth);
  Type from = onnxElement(op), i64 = l.b.getI64Type();
  Value size = l.sizes.toInteger(depth, i64);
  SmallVector<Value> choices;
  for (int64_t i = 0; i < 2; ++i)
    choices.push_back(tensor::ExtractOp::create(
        l.b, values, l.sizes.toValue(l.sizes.constant(i))));
  AffineMap map = l.identity(sizes.size()).dropResult(*axis);
  return SmallVector<Value>{l.parallelGeneric(
      indices, map, sizes, resultElement(op),
      [&](ImplicitLocOpBuilder &b, ValueRange x) {
        ScalarMath s(b, false);
        Value index = castScalar(b, x[0], from, i64);
        Value isNegative = s.compare(Order::LT, index, s.constant(index, 0));
        index = s.select(isNegative, s.add(index, size), index);
        Value here = arith::IndexCastOp::create(
            b, i64, linalg::IndexOp::create(b, *axis));
        return s.select(s.compare(Order::EQ, index, here), choices[1],
                        choices[0]);
      })};
}

static Results lowerEyeLike(Lowering &l, Operation *op) {
  Value input = l.operand(op, 0);
  if (rankOf(input) != 2) {
    op->emitError("takes a tensor of rank 2");
    return failure();
  }
  int64_t k = ::mlir::cast<onnx::EyeLikeOp>(op).getK();
  Type element = resultElement(op);
  return SmallVector<Value>{l.parallelGeneric(
      {}, {}, l.sizesOf(input), element,
      [&](ImplicitLocOpBuilder &b, ValueRange) {
        Value offset = arith::ConstantIndexOp::create(b, k);
        Value i =
            arith::AddIOp::create(b, linalg::IndexOp::create(b, 0), offset);
        Value j = linalg::IndexOp::create(b, 1);
        Value one = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, i, j);
        return convertScalar(b, one, element, true);
      })};
}

//===----------------------------------------------------------------------===//
// Compress, ReverseSequence, CenterCropPad
//===----------------------------------------------------------------------===//

/// Gather at the places where the condition, which must be constant, holds.
static Results lowerCompress(Lowering &l, Operation *op) {
  auto known = l.constantsOf(l.operand(op, 1));
  if (!known) {
    op->emitError("how many elements it picks depends on data");
    return failure();
  }
  Value data = l.operand(op, 0);
  int64_t axis = 0;
  if (std::optional<int64_t> given =
          ::mlir::cast<onnx::CompressOp>(op).getAxis()) {
    auto normal = normaliseAxis(op, *given, rankOf(data));
    if (failed(normal))
      return failure();
    axis = *normal;
  } else {
    data = l.reshape(data, {l.sizes.product(l.sizesOf(data))});
  }
  SmallVector<int64_t> places;
  for (auto [i, holds] : llvm::enumerate(*known))
    if (holds)
      places.push_back(i);
  auto type = RankedTensorType::get({static_cast<int64_t>(places.size())},
                                    l.b.getI64Type());
  Value indices = arith::ConstantOp::create(
      l.b, DenseElementsAttr::get(type, ArrayRef<int64_t>(places)));
  return SmallVector<Value>{gather(l, data, indices, axis)};
}

/// Step t of a sequence of n steps is step n - 1 - t, for t < n.
static Results lowerReverseSequence(Lowering &l, Operation *op) {
  auto reverse = ::mlir::cast<onnx::ReverseSequenceOp>(op);
  Value data = l.operand(op, 0), lengths = l.operand(op, 1);
  int64_t rank = rankOf(data);
  auto time = normaliseAxis(op, reverse.getTimeAxis(), rank);
  auto batch = normaliseAxis(op, reverse.getBatchAxis(), rank);
  if (failed(time) || failed(batch))
    return failure();
  Value size = l.sizes.toValue(l.sizeOf(data, *time));
  AffineMap map = AffineMap::get(rank, 0, l.b.getAffineDimExpr(*batch));
  return SmallVector<Value>{l.parallelGeneric(
      lengths, map, l.sizesOf(data), resultElement(op),
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> Value {
        ScalarMath s(b, false);
        SmallVector<Value> at;
        for (int64_t d = 0; d < rank; ++d)
          at.push_back(linalg::IndexOp::create(b, d));
        Value t = at[*time], one = arith::ConstantIndexOp::create(b, 1);
        Value length = arith::IndexCastOp::create(b, b.getIndexType(), x[0]);
        Value mirrored = s.sub(s.sub(length, one), t);
        Value from = s.select(s.compare(Order::LT, t, length), mirrored, t);
        at[*time] = position(b, from, size);
        return tensor::ExtractOp::create(b, data, at);
      })};
}

/// Output i is input i + (in - out) / 2, or i - (out - in) / 2 where it grows;
/// zeros around.
static Results lowerCenterCropPad(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  int64_t rank = rankOf(data);
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(rank));
  if (auto given = ::mlir::cast<onnx::CenterCropPadOp>(op).getAxes())
    axes = llvm::to_vector(*given);
  FailureOr<Sizes> target = l.sizesIn(op, 1);
  if (failed(target))
    return failure();
  if (target->size() != axes.size()) {
    op->emitError() << "has " << target->size() << " sizes for " << axes.size()
                    << " axes";
    return failure();
  }
  FailureOr<SmallVector<int64_t>> dims = normaliseAxes(op, axes, rank);
  if (failed(dims))
    return failure();
  SmallVector<Value> before = boundsOf(l, data), bounds = before;
  Sizes out = l.sizesOf(data);
  llvm::SmallBitVector changed(rank);
  for (auto [dim, size] : llvm::zip_equal(*dims, *target)) {
    changed.set(dim);
    Size two = l.sizes.constant(2);
    Size cropped = l.sizes.floorDiv(l.sizes.sub(out[dim], size), two);
    Size padded = l.sizes.floorDiv(l.sizes.sub(size, out[dim]), two);
    // One of both is negative or both are 0.
    Size zero = l.sizes.constant(0);
    before[dim] = l.sizes.toValue(
        l.sizes.sub(l.sizes.max(cropped, zero), l.sizes.max(padded, zero)));
    out[dim] = size;
  }
  Type element = resultElement(op);
  return SmallVector<Value>{l.parallelGeneric(
      {}, {}, l.refine(op->getResult(0), out), element,
      [&](ImplicitLocOpBuilder &b, ValueRange) {
        SmallVector<Value> at;
        Value inside = arith::ConstantOp::create(b, b.getBoolAttr(true));
        ScalarMath s(b, false), places(b, /*isUnsigned=*/true);
        for (int64_t d = 0; d < rank; ++d) {
          at.push_back(linalg::IndexOp::create(b, d));
          if (!changed[d])
            continue;
          at[d] = s.add(at[d], before[d]);
          inside = arith::AndIOp::create(
              b, inside, places.compare(Order::LT, at[d], bounds[d]));
          Value last = s.sub(bounds[d], arith::ConstantIndexOp::create(b, 1));
          Value zero = arith::ConstantIndexOp::create(b, 0);
          at[d] = s.max(s.min(at[d], last), zero);
        }
        Value x = tensor::ExtractOp::create(b, data, at);
        return s.select(inside, x, s.constant(x, 0));
      })};
}

void lowering::addSelections(LoweringTable &table) {
  table["CenterCropPad"] = lowerCenterCropPad;
  table["Compress"] = lowerCompress;
  table["EyeLike"] = lowerEyeLike;
  table["OneHot"] = lowerOneHot;
  table["ReverseSequence"] = lowerReverseSequence;
  table["TopK"] = lowerTopK;
}

//===- ContentRules.cpp - Elements of tensors that hold sizes -------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Exporters write arithmetic on shapes with the ops of the data, some of it in
// floats (scale factors) and in booleans (the masks of Expand). Elements are
// polynomials; false and true are 0 and 1; a float is followed while it is
// known to be an integer. An op without a rule, or an element that is not
// decided, ends the chain.
//
//===----------------------------------------------------------------------===//

#include "ShapeRules.h"
#include "twist/Dialect/ONNX/ONNX.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist::onnx;

using MaybeContents = std::optional<Contents>;
using MaybeSize = std::optional<SizeExpr>;

//===----------------------------------------------------------------------===//
// Indices of small static tensors
//===----------------------------------------------------------------------===//

static SmallVector<int64_t> staticDims(const Dims &dims) {
  SmallVector<int64_t> shape;
  for (const SizeExpr &size : dims)
    shape.push_back(*size.constant());
  return shape;
}

/// The static shape of a value whose contents are known.
static SmallVector<int64_t> shapeOf(const ShapeState &state, Value value) {
  return staticDims(*state.dims(value));
}

/// Calls `visit` with every index of `shape`, in row-major order.
static void forEachIndex(ArrayRef<int64_t> shape,
                         llvm::function_ref<void(ArrayRef<int64_t>)> visit) {
  if (llvm::is_contained(shape, 0))
    return;
  SmallVector<int64_t> index(shape.size(), 0);
  while (true) {
    visit(index);
    size_t dim = shape.size();
    while (dim > 0 && ++index[dim - 1] == shape[dim - 1])
      index[--dim] = 0;
    if (dim == 0)
      return;
  }
}

/// The row-major position of `index`, aligned at the right and with dimensions
/// of size 1 repeated.
static int64_t linearise(ArrayRef<int64_t> shape, ArrayRef<int64_t> index) {
  int64_t position = 0;
  size_t skip = index.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i)
    position = position * shape[i] + (shape[i] == 1 ? 0 : index[skip + i]);
  return position;
}

/// Whether elements of `shape` can be repeated to fill `larger`.
static bool broadcastsTo(ArrayRef<int64_t> shape, ArrayRef<int64_t> larger) {
  if (shape.size() > larger.size())
    return false;
  for (auto [size, target] : llvm::zip(shape, larger.take_back(shape.size())))
    if (size != target && size != 1)
      return false;
  return true;
}

static Type elementType(Value value) {
  auto type = dyn_cast<TensorType>(value.getType());
  return type ? type.getElementType() : Type();
}

static bool isBool(Type type) { return type && type.isInteger(1); }

/// Wraps a constant to the integers of `type`; a symbolic size fits.
static SizeExpr wrapTo(Type type, const SizeExpr &value) {
  auto integer = dyn_cast_or_null<IntegerType>(type);
  std::optional<int64_t> constant = value.constant();
  if (!integer || !constant || integer.getWidth() >= 64)
    return value;
  APInt bits = APInt(64, *constant, true).trunc(integer.getWidth());
  bool natural = integer.isUnsigned() || integer.getWidth() == 1;
  return SizeExpr(natural ? bits.getZExtValue() : bits.getSExtValue());
}

//===----------------------------------------------------------------------===//
// Element-wise rules
//===----------------------------------------------------------------------===//

static MaybeSize decided(std::optional<bool> truth) {
  return truth ? MaybeSize(SizeExpr(*truth)) : std::nullopt;
}
static std::optional<bool> negated(std::optional<bool> truth) {
  return truth ? std::optional<bool>(!*truth) : std::nullopt;
}

/// ONNX's integer division rounds towards zero; a float quotient is followed
/// where it is an integer.
static MaybeSize divideElements(MLIRContext *context, bool isInteger,
                                const SizeExpr &a, const SizeExpr &b) {
  if (MaybeSize exact = a.exactDiv(b))
    return exact;
  if (!isInteger)
    return std::nullopt;
  std::optional<int64_t> x = a.constant(), y = b.constant();
  if (x && y)
    return *y == 0 || (*x == INT64_MIN && *y == -1)
               ? std::nullopt
               : MaybeSize(SizeExpr(*x / *y));
  if (a.isNonNegative() && b.isNonNegative())
    return floorDiv(context, a, b);
  return std::nullopt;
}

static MaybeSize moduloElements(MLIRContext *context, bool truncating,
                                const SizeExpr &a, const SizeExpr &b) {
  std::optional<int64_t> x = a.constant(), y = b.constant();
  if (y == 0)
    return std::nullopt;
  if (x && y && truncating)
    return SizeExpr(*y == -1 ? 0 : *x % *y);
  if ((x && y) || a.exactDiv(b) || (a.isNonNegative() && b.isNonNegative()))
    return modulo(context, a, b);
  return std::nullopt;
}

static MaybeSize castElement(Type from, Type to, const SizeExpr &value) {
  if (isBool(to) && !isBool(from))
    return decided(negated(value.compareEqual(SizeExpr(0))));
  // A float far from an integer type's range has no defined cast.
  return wrapTo(to, value);
}

/// a op b.
static MaybeSize binaryElement(const ShapeState &state, Operation *op,
                               const SizeExpr &a, const SizeExpr &b) {
  bool isInteger = isa_and_nonnull<IntegerType>(elementType(op->getOperand(0)));
  MLIRContext *context = state.context;
  auto asTruth = [](const SizeExpr &value) -> std::optional<bool> {
    std::optional<int64_t> constant = value.constant();
    return constant ? std::optional<bool>(*constant != 0) : std::nullopt;
  };
  std::optional<bool> p = asTruth(a), q = asTruth(b);
  return TypeSwitch<Operation *, MaybeSize>(op)
      .Case<AddOp, SumOp>([&](auto) { return a + b; })
      .Case<SubOp>([&](auto) { return a - b; })
      .Case<MulOp>([&](auto) { return a * b; })
      .Case<DivOp>(
          [&](auto) { return divideElements(context, isInteger, a, b); })
      .Case<ModOp>([&](ModOp mod) {
        return moduloElements(context, mod.getFmod() != 0, a, b);
      })
      .Case<MinOp>([&](auto) { return minimum(context, a, b); })
      .Case<MaxOp>([&](auto) { return maximum(context, a, b); })
      .Case<EqualOp>([&](auto) { return decided(a.compareEqual(b)); })
      .Case<LessOp>([&](auto) { return decided(a.compareLess(b)); })
      .Case<GreaterOp>([&](auto) { return decided(b.compareLess(a)); })
      .Case<LessOrEqualOp>(
          [&](auto) { return decided(negated(b.compareLess(a))); })
      .Case<GreaterOrEqualOp>(
          [&](auto) { return decided(negated(a.compareLess(b))); })
      .Case<AndOp>([&](auto) -> MaybeSize {
        if (p == false || q == false)
          return SizeExpr(0);
        return p && q ? MaybeSize(SizeExpr(1)) : std::nullopt;
      })
      .Case<OrOp>([&](auto) -> MaybeSize {
        if (p == true || q == true)
          return SizeExpr(1);
        return p && q ? MaybeSize(SizeExpr(0)) : std::nullopt;
      })
      .Case<XorOp>([&](auto) -> MaybeSize {
        return p && q ? MaybeSize(SizeExpr(*p != *q)) : std::nullopt;
      })
      .Default([](Operation *) { return MaybeSize(); });
}

static MaybeSize unaryElement(const ShapeState &state, Operation *op,
                              const SizeExpr &x) {
  return TypeSwitch<Operation *, MaybeSize>(op)
      .Case<IdentityOp, FloorOp, CeilOp, RoundOp>([&](auto) { return x; })
      .Case<CastOp>([&](CastOp cast) {
        return castElement(elementType(cast.getX()), elementType(cast.getY()),
                           x);
      })
      .Case<NegOp>([&](auto) { return SizeExpr(0) - x; })
      .Case<NotOp>([&](auto) { return decided(x.compareEqual(SizeExpr(0))); })
      .Case<AbsOp>([&](auto) -> MaybeSize {
        if (x.isNonNegative())
          return x;
        std::optional<int64_t> constant = x.constant();
        return constant ? MaybeSize(SizeExpr(0) - x) : std::nullopt;
      })
      .Default([](Operation *) { return MaybeSize(); });
}

/// condition ? x : y, for one element.
static MaybeSize selectElement(ArrayRef<SizeExpr> operands) {
  std::optional<int64_t> condition = operands[0].constant();
  if (!condition)
    return operands[1] == operands[2] ? MaybeSize(operands[1]) : std::nullopt;
  return operands[*condition ? 1 : 2];
}

static MaybeSize elementOf(const ShapeState &state, Operation *op,
                           ArrayRef<SizeExpr> operands) {
  if (isa<WhereOp>(op))
    return selectElement(operands);
  if (operands.size() == 1 && op->getNumOperands() == 1)
    return isa<MinOp, MaxOp, SumOp, MeanOp>(op)
               ? MaybeSize(operands[0])
               : unaryElement(state, op, operands[0]);
  MaybeSize value = operands[0];
  for (const SizeExpr &operand : operands.drop_front())
    value = value ? binaryElement(state, op, *value, operand) : std::nullopt;
  return value;
}

/// Floor(a / b) and Cast(a / b) of floats: what no integer says is rounded
/// where both are known to be positive.
static MaybeContents roundedQuotient(const ShapeState &state, Operation *op) {
  if (!isa<FloorOp, CastOp>(op) ||
      !isa_and_nonnull<FloatType>(elementType(op->getOperand(0))))
    return std::nullopt;
  if (isa<CastOp>(op) &&
      !isa_and_nonnull<IntegerType>(elementType(op->getResult(0))))
    return std::nullopt;
  auto quotient = op->getOperand(0).getDefiningOp<DivOp>();
  if (!quotient)
    return std::nullopt;
  const MaybeContents &a = state.contents(quotient.getA());
  const MaybeContents &b = state.contents(quotient.getB());
  if (!a || !b || a->size() != 1 || b->size() != 1 ||
      !a->front().isNonNegative() || !b->front().isNonNegative() ||
      b->front().isConstant(0))
    return std::nullopt;
  return Contents{floorDiv(state.context, a->front(), b->front())};
}

static MaybeContents elementwise(const ShapeState &state, OpResult result) {
  Operation *op = result.getOwner();
  SmallVector<const Contents *> operands;
  SmallVector<SmallVector<int64_t>> shapes;
  for (Value operand : op->getOperands()) {
    const MaybeContents &contents = state.contents(operand);
    if (!contents)
      return roundedQuotient(state, op);
    operands.push_back(&*contents);
    shapes.push_back(shapeOf(state, operand));
    if (!broadcastsTo(shapes.back(), staticDims(*state.dims(result))))
      return std::nullopt;
  }
  Contents values;
  bool known = !operands.empty();
  forEachIndex(staticDims(*state.dims(result)), [&](ArrayRef<int64_t> index) {
    SmallVector<SizeExpr> elements;
    for (auto [contents, shape] : llvm::zip(operands, shapes))
      elements.push_back((*contents)[linearise(shape, index)]);
    MaybeSize value = known ? elementOf(state, op, elements) : std::nullopt;
    known = value.has_value();
    if (known)
      values.push_back(wrapTo(elementType(result), *value));
  });
  return known ? MaybeContents(values) : std::nullopt;
}

//===----------------------------------------------------------------------===//
// Constants and sources
//===----------------------------------------------------------------------===//

static MaybeContents ofElements(ElementsAttr elements) {
  auto dense = dyn_cast_or_null<DenseElementsAttr>(elements);
  if (!dense || dense.getNumElements() > kMaxContents)
    return std::nullopt;
  Contents contents;
  if (auto integer = dyn_cast<IntegerType>(dense.getElementType())) {
    bool natural = integer.isUnsigned() || integer.getWidth() == 1;
    for (const APInt &value : dense.getValues<APInt>())
      contents.push_back(SizeExpr(static_cast<int64_t>(
          natural ? value.getZExtValue() : value.getSExtValue())));
    return contents;
  }
  if (!isa<FloatType>(dense.getElementType()))
    return std::nullopt;
  for (const APFloat &value : dense.getValues<APFloat>()) {
    APSInt integer(64, /*isUnsigned=*/false);
    bool exact = false;
    // A negative zero is no integer here: its sign would be lost.
    if (value.isNegZero() ||
        value.convertToInteger(integer, APFloat::rmTowardZero, &exact) !=
            APFloat::opOK)
      return std::nullopt;
    contents.push_back(SizeExpr(integer.getSExtValue()));
  }
  return contents;
}

static MaybeContents ofShape(const ShapeState &state, ShapeOp op) {
  const std::optional<Dims> &dims = state.dims(op.getData());
  if (!dims)
    return std::nullopt;
  int64_t rank = dims->size();
  auto bound = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  int64_t from = bound(op.getStart()), to = bound(op.getEnd().value_or(rank));
  Contents sizes;
  for (int64_t i = from; i < to; ++i)
    sizes.push_back((*dims)[i]);
  return sizes;
}

static MaybeContents ofSize(const ShapeState &state, SizeOp op) {
  const std::optional<Dims> &dims = state.dims(op.getX());
  if (!dims)
    return std::nullopt;
  SizeExpr product(1);
  for (const SizeExpr &size : *dims)
    product = product * size;
  return Contents{product};
}

static MaybeContents ofRange(const ShapeState &state, RangeOp op,
                             int64_t count) {
  const MaybeContents &start = state.contents(op.getStart());
  const MaybeContents &delta = state.contents(op.getDelta());
  if (!start || !delta || start->size() != 1 || delta->size() != 1)
    return std::nullopt;
  Contents values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(start->front() + delta->front() * SizeExpr(i));
  return values;
}

static MaybeContents ofConstantOfShape(ConstantOfShapeOp op, int64_t count) {
  MaybeContents value = Contents{SizeExpr(0)};
  if (std::optional<ElementsAttr> given = op.getValue())
    value = ofElements(*given);
  if (!value || value->size() != 1)
    return std::nullopt;
  return Contents(count, value->front());
}

//===----------------------------------------------------------------------===//
// Movement
//===----------------------------------------------------------------------===//

/// Elements of `data` at the index `from` gives for each index of the result.
static MaybeContents
moved(const ShapeState &state, OpResult result, Value data,
      llvm::function_ref<SmallVector<int64_t>(ArrayRef<int64_t>)> from) {
  const MaybeContents &source = state.contents(data);
  if (!source)
    return std::nullopt;
  SmallVector<int64_t> shape = shapeOf(state, data);
  Contents values;
  bool inside = true;
  forEachIndex(staticDims(*state.dims(result)), [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> at = from(index);
    inside &= at.size() == shape.size();
    for (auto [i, size] : llvm::zip(at, shape))
      inside &= i >= 0 && i < size;
    if (inside)
      values.push_back((*source)[linearise(shape, at)]);
  });
  return inside ? MaybeContents(values) : std::nullopt;
}

static MaybeContents ofGather(const ShapeState &state, GatherOp op) {
  std::optional<SmallVector<int64_t>> indices =
      state.constants(op.getIndices());
  if (!state.contents(op.getData()) || !indices)
    return std::nullopt;
  SmallVector<int64_t> shape = shapeOf(state, op.getData());
  SmallVector<int64_t> indexShape = shapeOf(state, op.getIndices());
  size_t axis = op.getAxis() + (op.getAxis() < 0 ? shape.size() : 0);
  return moved(
      state, op->getResult(0), op.getData(), [&](ArrayRef<int64_t> index) {
        SmallVector<int64_t> at(index.take_front(axis));
        ArrayRef<int64_t> inner = index.slice(axis, indexShape.size());
        int64_t chosen = (*indices)[linearise(indexShape, inner)];
        at.push_back(chosen < 0 ? chosen + shape[axis] : chosen);
        llvm::append_range(at, index.drop_front(axis + indexShape.size()));
        return at;
      });
}

static MaybeContents ofSlice(const ShapeState &state, SliceOp op) {
  auto starts = state.constants(op.getStarts());
  auto ends = state.constants(op.getEnds());
  if (!state.contents(op.getData()) || !starts || !ends)
    return std::nullopt;
  SmallVector<int64_t> shape = shapeOf(state, op.getData());
  std::optional<SmallVector<int64_t>> axes, steps;
  axes = isa<NoneType>(op.getAxes().getType())
             ? llvm::to_vector(llvm::seq<int64_t>(starts->size()))
             : state.constants(op.getAxes());
  steps = isa<NoneType>(op.getSteps().getType())
              ? SmallVector<int64_t>(starts->size(), 1)
              : state.constants(op.getSteps());
  if (!axes || !steps || axes->size() != starts->size() ||
      steps->size() != starts->size() || ends->size() != starts->size())
    return std::nullopt;
  SmallVector<int64_t> first(shape.size(), 0), stride(shape.size(), 1);
  for (size_t i = 0; i < axes->size(); ++i) {
    size_t axis = (*axes)[i] + ((*axes)[i] < 0 ? shape.size() : 0);
    if (axis >= shape.size())
      return std::nullopt;
    auto range =
        sliceRange(state.context, SizeExpr(shape[axis]), SizeExpr((*starts)[i]),
                   SizeExpr((*ends)[i]), (*steps)[i]);
    if (!range)
      return std::nullopt;
    first[axis] = *range->start.constant();
    stride[axis] = (*steps)[i];
  }
  return moved(state, op->getResult(0), op.getData(),
               [&](ArrayRef<int64_t> index) {
                 SmallVector<int64_t> at;
                 for (auto [i, from, by] : llvm::zip(index, first, stride))
                   at.push_back(from + i * by);
                 return at;
               });
}

/// Concat and Split: along one axis, at an offset.
static MaybeContents ofConcat(const ShapeState &state, ConcatOp op) {
  for (Value input : op.getInputs())
    if (!state.contents(input))
      return std::nullopt;
  SmallVector<int64_t> shape = staticDims(*state.dims(op->getResult(0)));
  size_t axis = op.getAxis() + (op.getAxis() < 0 ? shape.size() : 0);
  for (Value input : op.getInputs())
    if (axis >= shape.size() || shapeOf(state, input).size() != shape.size())
      return std::nullopt;
  Contents values;
  forEachIndex(shape, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> at(index);
    for (Value input : op.getInputs()) {
      SmallVector<int64_t> inputShape = shapeOf(state, input);
      if (at[axis] < inputShape[axis]) {
        values.push_back((*state.contents(input))[linearise(inputShape, at)]);
        break;
      }
      at[axis] -= inputShape[axis];
    }
  });
  return values;
}

static MaybeContents ofSplit(const ShapeState &state, SplitOp op,
                             OpResult result) {
  size_t rank = state.dims(result)->size();
  size_t axis = op.getAxis() + (op.getAxis() < 0 ? rank : 0);
  if (axis >= rank)
    return std::nullopt;
  int64_t offset = 0;
  for (OpResult earlier :
       op->getResults().take_front(result.getResultNumber())) {
    const std::optional<Dims> &dims = state.dims(earlier);
    std::optional<int64_t> size =
        dims && dims->size() == rank ? (*dims)[axis].constant() : std::nullopt;
    if (!size)
      return std::nullopt;
    offset += *size;
  }
  return moved(state, result, op.getInput(), [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> at(index);
    at[axis] += offset;
    return at;
  });
}

static MaybeContents ofTranspose(const ShapeState &state, TransposeOp op) {
  std::optional<ArrayRef<int64_t>> perm = op.getPerm();
  return moved(state, op->getResult(0), op.getX(),
               [&](ArrayRef<int64_t> index) {
                 SmallVector<int64_t> at(index);
                 for (size_t i = 0; i < index.size(); ++i)
                   at[perm ? (*perm)[i] : index.size() - 1 - i] = index[i];
                 return at;
               });
}

static MaybeContents ofBroadcast(const ShapeState &state, OpResult result,
                                 Value data, bool repeats) {
  if (!state.contents(data))
    return std::nullopt;
  SmallVector<int64_t> shape = shapeOf(state, data);
  return moved(state, result, data, [&](ArrayRef<int64_t> index) {
    SmallVector<int64_t> at(index.take_back(shape.size()));
    for (auto [i, size] : llvm::zip(at, shape))
      i = repeats || size == 1 ? i % std::max<int64_t>(size, 1) : i;
    return at;
  });
}

/// Sums and products of all elements, which sizes of windows come from.
static MaybeContents ofReduction(const ShapeState &state, Operation *op) {
  const MaybeContents &data = state.contents(op->getOperand(0));
  const std::optional<Dims> &dims = state.dims(op->getResult(0));
  if (!data || data->empty() || !llvm::all_of(*dims, [](const SizeExpr &size) {
        return size.isConstant(1);
      }))
    return std::nullopt;
  SizeExpr value = data->front();
  for (const SizeExpr &element : llvm::drop_begin(*data)) {
    if (isa<ReduceSumOp>(op))
      value = value + element;
    else if (isa<ReduceProdOp>(op))
      value = value * element;
    else if (isa<ReduceMaxOp>(op))
      value = maximum(state.context, value, element);
    else
      value = minimum(state.context, value, element);
  }
  return Contents{wrapTo(elementType(op->getResult(0)), value)};
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

MaybeContents twist::onnx::inferContents(const ShapeState &state,
                                         OpResult result) {
  Operation *op = result.getOwner();
  int64_t count = 1;
  for (const SizeExpr &size : *state.dims(result))
    count *= *size.constant();
  if (op->hasTrait<Elementwise>())
    return elementwise(state, result);
  if (!isa_and_nonnull<ONNXDialect>(op->getDialect()))
    return std::nullopt;
  return TypeSwitch<Operation *, MaybeContents>(op)
      .Case<ConstantOp>(
          [&](ConstantOp op) { return ofElements(op.getValue()); })
      .Case<ShapeOp>([&](ShapeOp op) { return ofShape(state, op); })
      .Case<SizeOp>([&](SizeOp op) { return ofSize(state, op); })
      .Case<RangeOp>([&](RangeOp op) { return ofRange(state, op, count); })
      .Case<ConstantOfShapeOp>(
          [&](ConstantOfShapeOp op) { return ofConstantOfShape(op, count); })
      .Case<ReshapeOp, FlattenOp, SqueezeOp, UnsqueezeOp>([&](auto op) {
        const MaybeContents &data = state.contents(op->getOperand(0));
        return data && static_cast<int64_t>(data->size()) == count
                   ? data
                   : MaybeContents();
      })
      .Case<GatherOp>([&](GatherOp op) { return ofGather(state, op); })
      .Case<SliceOp>([&](SliceOp op) { return ofSlice(state, op); })
      .Case<ConcatOp>([&](ConcatOp op) { return ofConcat(state, op); })
      .Case<SplitOp>([&](SplitOp op) { return ofSplit(state, op, result); })
      .Case<TransposeOp>([&](TransposeOp op) { return ofTranspose(state, op); })
      .Case<ExpandOp>([&](ExpandOp op) {
        return ofBroadcast(state, result, op.getInput(), /*repeats=*/false);
      })
      .Case<TileOp>([&](TileOp op) {
        return ofBroadcast(state, result, op.getInput(), /*repeats=*/true);
      })
      .Case<ReduceSumOp, ReduceProdOp, ReduceMaxOp, ReduceMinOp>(
          [&](auto op) { return ofReduction(state, op); })
      .Default([](Operation *) { return MaybeContents(); });
}

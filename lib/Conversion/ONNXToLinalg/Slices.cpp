//===- Slices.cpp - Slice, Split, Concat, Pad, Tile
//-------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Gather.h"
#include "Images.h"
#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

/// data[offset : offset + size : step] along every dimension.
static Value extract(Lowering &l, Value data, const Sizes &offsets,
                     const Sizes &sizes, const Sizes &steps) {
  auto isZero = [](Size s) { return constantOf(s) == 0; };
  Sizes from = l.sizesOf(data);
  if (llvm::all_of(offsets, isZero) &&
      llvm::all_of(llvm::zip_equal(from, sizes), [&](auto pair) {
        return l.sizes.same(std::get<0>(pair), std::get<1>(pair));
      }))
    return data;
  // Of nothing the place does not matter, and it may be just past the end.
  Sizes within = offsets;
  for (auto [offset, size] : llvm::zip_equal(within, sizes))
    if (isZero(size))
      offset = l.sizes.constant(0);
  return tensor::ExtractSliceOp::create(l.b, data, within, sizes, steps);
}

//===----------------------------------------------------------------------===//
// Slice
//===----------------------------------------------------------------------===//

namespace {
/// One axis of a Slice, with bounds clamped: element i of the result is
/// element start + i * step.
struct Window {
  Size start, size;
  int64_t step;
};
} // namespace

/// `at` counted from the front and clamped to [low, high].
static Size clampBound(Lowering &l, Size at, Size dim, Size low, Size high) {
  SizeArithmetic &s = l.sizes;
  if (std::optional<int64_t> known = constantOf(at)) {
    // Beyond any size: what exporters write for "to the end".
    constexpr int64_t kHuge = std::numeric_limits<int32_t>::max();
    if (*known >= kHuge)
      return high;
    if (*known <= -kHuge)
      return low;
    if (*known < 0)
      at = s.add(dim, at);
  } else if (!s.isNonNegative(at)) {
    Value isNegative =
        arith::CmpIOp::create(l.b, arith::CmpIPredicate::slt, s.toValue(at),
                              s.toValue(s.constant(0)));
    at = s.select(isNegative, s.add(at, dim), at);
  }
  return s.max(s.min(at, high), low);
}

static Window clampRange(Lowering &l, Size start, Size end, int64_t step,
                         Size dim) {
  SizeArithmetic &s = l.sizes;
  Size zero = s.constant(0), one = s.constant(1);
  if (step > 0) {
    Size first = clampBound(l, start, dim, zero, dim);
    Size last = clampBound(l, end, dim, zero, dim);
    Size length = s.max(s.sub(last, first), zero);
    return {first, s.ceilDiv(length, s.constant(step)), step};
  }
  Size back = s.sub(dim, one);
  Size first = clampBound(l, start, dim, zero, back);
  Size last = clampBound(l, end, dim, s.constant(-1), back);
  Size length = s.max(s.sub(first, last), zero);
  return {first, s.ceilDiv(length, s.constant(-step)), step};
}

/// The picked scalars, if the data are scalars and the slice is known.
static Value sliceScalars(Lowering &l, Operation *op, Value data,
                          ArrayRef<Window> ranges) {
  RankedTensorType type = l.scalarResultType(op);
  auto scalars = l.scalarsOf(data, /*orRead=*/false);
  if (!type || !scalars || ranges.size() != 1)
    return nullptr;
  auto start = constantOf(ranges[0].start), size = constantOf(ranges[0].size);
  if (!start || !size)
    return nullptr;
  SmallVector<Value> picked;
  for (int64_t i = 0; i < *size; ++i)
    picked.push_back((*scalars)[*start + i * ranges[0].step]);
  return l.fromScalars(picked, type.clone(ArrayRef<int64_t>{*size}));
}

/// Element start + i * step along `axis`, for a negative step.
static Value gatherRange(Lowering &l, Value data, int64_t axis,
                         const Window &range) {
  Value start = l.sizes.toValue(range.start);
  Value step = l.sizes.toValue(l.sizes.constant(range.step));
  return gatherComputed(l, data, axis, range.size,
                        [&](ImplicitLocOpBuilder &b, Value i) -> Value {
                          return arith::AddIOp::create(
                              b, start, arith::MulIOp::create(b, i, step));
                        });
}

static Results lowerSlice(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  FailureOr<Sizes> starts = l.sizesIn(op, 1), ends = l.sizesIn(op, 2);
  if (failed(starts) || failed(ends))
    return failure();
  auto axes = llvm::to_vector(llvm::seq<int64_t>(0, starts->size()));
  SmallVector<int64_t> steps(starts->size(), 1);
  for (auto [i, into] :
       {std::pair<unsigned, SmallVector<int64_t> *>{3, &axes}, {4, &steps}}) {
    if (!l.operand(op, i))
      continue;
    std::optional<SmallVector<int64_t>> known = l.constantsOf(l.operand(op, i));
    if (!known) {
      op->emitError("its axes and steps must be known at compile time");
      return failure();
    }
    *into = *known;
  }
  if (axes.size() != starts->size() || ends->size() != starts->size() ||
      steps.size() != starts->size()) {
    op->emitError("starts, ends, axes and steps must have the same length");
    return failure();
  }
  Sizes dims = l.sizesOf(data);
  int64_t rank = dims.size();
  SmallVector<Window> ranges;
  for (Size dim : dims)
    ranges.push_back({l.sizes.constant(0), dim, 1});
  auto declared = ::mlir::cast<RankedTensorType>(op->getResult(0).getType());
  FailureOr<SmallVector<int64_t>> along = normaliseAxes(op, axes, rank);
  if (failed(along))
    return failure();
  for (auto [i, axis] : llvm::enumerate(*along)) {
    if (steps[i] == 0) {
      op->emitError("a step must not be 0");
      return failure();
    }
    Window &range = ranges[axis];
    range = clampRange(l, (*starts)[i], (*ends)[i], steps[i], dims[axis]);
    if (declared.getRank() == rank && !declared.isDynamicDim(axis))
      range.size = l.sizes.constant(declared.getDimSize(axis));
  }
  if (Value scalars = sliceScalars(l, op, data, ranges))
    return SmallVector<Value>{scalars};
  Sizes offsets, sizes, strides;
  for (auto [d, range] : llvm::enumerate(ranges)) {
    bool isBackward = range.step < 0;
    offsets.push_back(isBackward ? l.sizes.constant(0) : range.start);
    sizes.push_back(isBackward ? dims[d] : range.size);
    strides.push_back(l.sizes.constant(isBackward ? 1 : range.step));
  }
  Value result = extract(l, data, offsets, sizes, strides);
  for (auto [d, range] : llvm::enumerate(ranges))
    if (range.step < 0)
      result = gatherRange(l, result, d, range);
  return SmallVector<Value>{result};
}

//===----------------------------------------------------------------------===//
// Split, Concat
//===----------------------------------------------------------------------===//

static FailureOr<Sizes> splitSizes(Lowering &l, onnx::SplitOp op, Size whole) {
  if (l.operand(op, 1))
    return l.sizesIn(op, 1);
  int64_t count = op->getNumResults();
  Size chunk = l.sizes.ceilDiv(whole, l.sizes.constant(count));
  Sizes result(count, chunk);
  if (!l.sizes.same(l.sizes.mul(chunk, l.sizes.constant(count)), whole))
    result.back() =
        l.sizes.sub(whole, l.sizes.mul(chunk, l.sizes.constant(count - 1)));
  return result;
}

static Results lowerSplit(Lowering &l, Operation *op) {
  auto split = ::mlir::cast<onnx::SplitOp>(op);
  Value data = l.operand(op, 0);
  Sizes sizes = l.sizesOf(data);
  auto axis = normaliseAxis(op, split.getAxis(), sizes.size());
  if (failed(axis))
    return failure();
  FailureOr<Sizes> parts = splitSizes(l, split, sizes[*axis]);
  if (failed(parts))
    return failure();
  if (parts->size() != op->getNumResults()) {
    op->emitError() << "splits into " << parts->size() << " parts, but has "
                    << op->getNumResults() << " results";
    return failure();
  }
  auto scalars = l.scalarsOf(data, /*orRead=*/false);
  Sizes offsets(sizes.size(), l.sizes.constant(0));
  Sizes steps(sizes.size(), l.sizes.constant(1));
  SmallVector<Value> results;
  for (auto [i, part] : llvm::enumerate(*parts)) {
    sizes[*axis] = part;
    Sizes refined = l.refine(op->getResult(i), sizes);
    auto at = constantOf(offsets[*axis]), length = constantOf(refined[*axis]);
    if (scalars && sizes.size() == 1 && at && length)
      results.push_back(
          l.fromScalars(ArrayRef<Value>(*scalars).slice(*at, *length),
                        RankedTensorType::get(*length, resultElement(op, i))));
    else
      results.push_back(extract(l, data, offsets, refined, steps));
    offsets[*axis] = l.sizes.add(offsets[*axis], refined[*axis]);
  }
  return results;
}

static Results lowerConcat(Lowering &l, Operation *op) {
  SmallVector<Value> inputs = l.operands(op);
  auto axis = normaliseAxis(op, ::mlir::cast<onnx::ConcatOp>(op).getAxis(),
                            rankOf(inputs[0]));
  if (failed(axis))
    return failure();
  if (RankedTensorType type = l.scalarResultType(op)) {
    SmallVector<Value> all;
    bool isScalars = true;
    for (Value input : inputs) {
      auto scalars = l.scalarsOf(input);
      if ((isScalars &= scalars.has_value()))
        all.append(*scalars);
    }
    if (isScalars)
      return SmallVector<Value>{l.fromScalars(all, type)};
  }
  if (inputs.size() == 1)
    return inputs;
  Sizes sizes = l.sizesOf(inputs[0]);
  Size total = l.sizes.constant(0);
  for (Value input : inputs)
    total = l.sizes.add(total, l.sizeOf(input, *axis));
  sizes[*axis] = total;
  // Another operand may know a size that the first does not.
  for (Value input : inputs)
    for (auto [d, size] : llvm::enumerate(l.sizesOf(input)))
      if (static_cast<int64_t>(d) != *axis && constantOf(size))
        sizes[d] = size;
  sizes = l.refine(op->getResult(0), sizes);
  Value result = l.empty(sizes, resultElement(op));
  Sizes offsets(sizes.size(), l.sizes.constant(0));
  Sizes steps(sizes.size(), l.sizes.constant(1));
  for (Value input : inputs) {
    Sizes part = sizes;
    part[*axis] = l.sizeOf(input, *axis);
    SmallVector<int64_t> shape;
    for (Size size : part)
      shape.push_back(constantOf(size).value_or(ShapedType::kDynamic));
    input = l.cast(input, RankedTensorType::get(shape, resultElement(op)));
    result =
        tensor::InsertSliceOp::create(l.b, input, result, offsets, part, steps);
    offsets[*axis] = l.sizes.add(offsets[*axis], part[*axis]);
  }
  return SmallVector<Value>{result};
}

//===----------------------------------------------------------------------===//
// Pad
//===----------------------------------------------------------------------===//

static FailureOr<Padding> paddingOf(Lowering &l, onnx::PadOp op, int64_t rank) {
  FailureOr<Sizes> pads = l.sizesIn(op, 1);
  if (failed(pads))
    return failure();
  auto axes = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (l.operand(op, 3)) {
    auto known = l.constantsOf(l.operand(op, 3));
    if (!known) {
      op.emitError("its axes must be known at compile time");
      return failure();
    }
    axes = *known;
  }
  if (pads->size() != 2 * axes.size()) {
    op.emitError() << "needs two pads an axis, has " << pads->size() << " for "
                   << axes.size() << " axes";
    return failure();
  }
  Padding result;
  result.before.assign(rank, l.sizes.constant(0));
  result.after = result.before;
  FailureOr<SmallVector<int64_t>> along = normaliseAxes(op, axes, rank);
  if (failed(along))
    return failure();
  for (auto [i, axis] : llvm::enumerate(*along)) {
    result.before[axis] = (*pads)[i];
    result.after[axis] = (*pads)[i + axes.size()];
  }
  return result;
}

/// A constant around the data: fill, then insert what stays of it.
Value lowering::padConstant(Lowering &l, Value data, Value value,
                            const Padding &padding) {
  SizeArithmetic &s = l.sizes;
  Sizes from = l.sizesOf(data), out, at, kept, source;
  Size zero = s.constant(0);
  for (auto [d, size] : llvm::enumerate(from)) {
    Size before = padding.before[d], after = padding.after[d];
    out.push_back(s.add(size, s.add(before, after)));
    at.push_back(s.max(before, zero));
    source.push_back(s.max(s.sub(zero, before), zero));
    Size cut = s.add(source.back(), s.max(s.sub(zero, after), zero));
    kept.push_back(s.sub(size, cut));
  }
  Sizes steps(from.size(), s.constant(1));
  Value inner = extract(l, data, source, kept, steps);
  return tensor::InsertSliceOp::create(l.b, inner, l.fill(value, out), at, kept,
                                       steps);
}

/// Where position i of the padded axis reads: reflect without repeating the
/// edge, the edge, or round and round.
static Value padIndex(ImplicitLocOpBuilder &b, StringRef mode, Value i,
                      Value before, Value size) {
  ScalarMath s(b, false);
  Value zero = s.constant(i, 0), one = s.constant(i, 1);
  Value at = s.sub(i, before), last = s.sub(size, one);
  if (mode == "edge")
    return s.max(s.min(at, last), zero);
  auto wrap = [&](Value x, Value period) {
    Value r = s.rem(x, period);
    return s.select(s.compare(ScalarMath::Order::LT, r, zero), s.add(r, period),
                    r);
  };
  if (mode == "wrap")
    return wrap(at, size);
  Value period = s.max(s.mul(last, s.constant(i, 2)), one);
  Value r = wrap(at, period);
  return s.select(s.compare(ScalarMath::Order::GT, r, last), s.sub(period, r),
                  r);
}

static Results lowerPad(Lowering &l, Operation *op) {
  auto pad = ::mlir::cast<onnx::PadOp>(op);
  Value data = l.operand(op, 0);
  FailureOr<Padding> padding = paddingOf(l, pad, rankOf(data));
  if (failed(padding))
    return failure();
  Type element = resultElement(op);
  if (pad.getMode() == "constant") {
    Value value = l.constant(element, 0);
    if (Value given = l.operand(op, 2)) {
      auto scalars = l.scalarsOf(given, false);
      value = scalars && scalars->size() == 1
                  ? scalars->front()
                  : tensor::ExtractOp::create(l.b, l.reshape(given, {}),
                                              ValueRange())
                        .getResult();
    }
    return SmallVector<Value>{padConstant(l, data, value, *padding)};
  }
  if (!llvm::is_contained({"reflect", "edge", "wrap"}, pad.getMode())) {
    op->emitError() << "unknown padding mode '" << pad.getMode() << "'";
    return failure();
  }
  Sizes from = l.sizesOf(data);
  for (auto [d, size] : llvm::enumerate(from)) {
    Size before = padding->before[d], after = padding->after[d];
    Size out = l.sizes.add(size, l.sizes.add(before, after));
    if (l.sizes.same(out, size) && constantOf(before) == 0)
      continue;
    Value first = l.sizes.toValue(before), all = l.sizes.toValue(size);
    data =
        gatherComputed(l, data, d, out, [&](ImplicitLocOpBuilder &b, Value i) {
          return padIndex(b, pad.getMode(), i, first, all);
        });
  }
  return SmallVector<Value>{data};
}

//===----------------------------------------------------------------------===//
// Tile, Trilu
//===----------------------------------------------------------------------===//

/// [n] -> [repeats, n] by broadcasting -> [repeats * n].
static Results lowerTile(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  FailureOr<Sizes> repeats = l.sizesIn(op, 1);
  if (failed(repeats))
    return failure();
  Sizes from = l.sizesOf(data), split, out, wide;
  if (repeats->size() != from.size()) {
    op->emitError() << "needs a repeat for each of " << from.size()
                    << " dimensions, has " << repeats->size();
    return failure();
  }
  if (RankedTensorType type = l.scalarResultType(op))
    if (auto scalars = l.scalarsOf(data, false)) {
      SmallVector<Value> all;
      for (int64_t i = 0; i < type.getNumElements(); ++i)
        all.push_back((*scalars)[i % scalars->size()]);
      return SmallVector<Value>{l.fromScalars(all, type)};
    }
  for (auto [size, times] : llvm::zip_equal(from, *repeats)) {
    out.push_back(l.sizes.mul(size, times));
    if (constantOf(times) != 1) {
      split.push_back(l.sizes.constant(1));
      wide.push_back(times);
    }
    split.push_back(size);
    wide.push_back(size);
  }
  Value repeated = l.broadcastTo(l.reshape(data, split), wide);
  return SmallVector<Value>{
      l.reshape(repeated, l.refine(op->getResult(0), out))};
}

/// The input on and above (below) diagonal k, 0 elsewhere.
static Results lowerTrilu(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  Sizes sizes = l.sizesOf(data);
  int64_t rank = sizes.size();
  Value k = l.sizes.toValue(l.sizes.constant(0));
  if (l.operand(op, 1)) {
    FailureOr<Sizes> given = l.sizesIn(op, 1);
    if (failed(given))
      return failure();
    k = l.sizes.toValue(given->front());
  }
  bool upper = ::mlir::cast<onnx::TriluOp>(op).getUpper();
  Type element = resultElement(op);
  Value scalar;
  if (auto fill = data.getDefiningOp<linalg::FillOp>())
    scalar = fill.getInputs()[0];
  SmallVector<AffineMap> maps = {l.identity(rank)};
  Value result = l.parallelGeneric(
      scalar ? ValueRange() : ValueRange(data),
      scalar ? ArrayRef<AffineMap>() : ArrayRef<AffineMap>(maps), sizes,
      element, [&](ImplicitLocOpBuilder &b, ValueRange x) {
        ScalarMath s(b, false);
        Value row = linalg::IndexOp::create(b, rank - 2);
        Value column = linalg::IndexOp::create(b, rank - 1);
        Value kept =
            s.compare(upper ? ScalarMath::Order::GE : ScalarMath::Order::LE,
                      column, s.add(row, k));
        Value value = scalar ? scalar : x[0];
        return s.select(kept, value, s.constant(value, 0));
      });
  return SmallVector<Value>{result};
}

void lowering::addSlices(LoweringTable &table) {
  table["Slice"] = lowerSlice;
  table["Split"] = lowerSplit;
  table["Concat"] = lowerConcat;
  table["Pad"] = lowerPad;
  table["Tile"] = lowerTile;
  table["Trilu"] = lowerTrilu;
}

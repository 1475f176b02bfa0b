//===- Sampling.cpp - GridSample, AffineGrid, Col2Im ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Loops.h"
#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

using Order = ScalarMath::Order;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

static Value asFloat(ImplicitLocOpBuilder &b, Value index, Type type) {
  Value integer = arith::IndexCastOp::create(b, b.getI64Type(), index);
  return arith::SIToFPOp::create(b, type, integer);
}

//===----------------------------------------------------------------------===//
// GridSample
//===----------------------------------------------------------------------===//

namespace {
/// An element that is read along one dimension, and its share.
struct Tap {
  Value index, weight, isInside; // isInside: null if it always is
};

/// Along one dimension of `size` elements.
struct Sampler {
  ScalarMath &s;
  bool alignCorners, zeros, reflection;
  Value size, count; // index; the same as a float

  Value number(double value) { return s.constant(count, value); }
  Value last() { return s.sub(count, number(1)); }
  /// Where -1 to 1 leads, from 0.
  Value place(Value coordinate);
  /// Mirrored at both ends until it is inside.
  Value reflect(Value x);
  Value pad(Value x);
  /// The element at a whole number `at`.
  Tap tap(Value at, Value weight);
  SmallVector<Tap> taps(Value x, StringRef mode);
};
} // namespace

Value Sampler::place(Value coordinate) {
  Value up = s.add(coordinate, number(1));
  if (alignCorners)
    return s.mul(s.mul(up, number(0.5)), last());
  return s.mul(s.sub(s.mul(up, count), number(1)), number(0.5));
}

Value Sampler::reflect(Value x) {
  Value low = number(alignCorners ? 0 : -0.5);
  Value high = alignCorners ? last() : s.sub(count, number(0.5));
  Value range = s.sub(high, low);
  auto floor = [&](Value v) { return s.call<math::FloorOp>(v); };
  auto bounce = [&](Value by, Value from, Value to, bool upwards) {
    Value turns = floor(s.div(by, range));
    Value rest = s.sub(by, s.mul(turns, range));
    Value half = s.mul(turns, number(0.5));
    Value even = s.compare(Order::EQ, half, floor(half));
    auto away = [&](Value start, bool up) {
      return up ? s.add(start, rest) : s.sub(start, rest);
    };
    return s.select(even, away(from, upwards), away(to, !upwards));
  };
  Value below = bounce(s.sub(low, x), low, high, true);
  Value above = bounce(s.sub(x, high), high, low, false);
  Value inside = s.select(s.compare(Order::GT, x, high), above, x);
  return s.select(s.compare(Order::LT, x, low), below, inside);
}

Value Sampler::pad(Value x) {
  if (zeros)
    return x;
  return reflection ? reflect(x) : s.max(number(0), s.min(x, last()));
}

Tap Sampler::tap(Value at, Value weight) {
  Value isInside;
  if (zeros)
    isInside = arith::AndIOp::create(s.b, s.compare(Order::GE, at, number(0)),
                                     s.compare(Order::LE, at, last()));
  else
    at = pad(at);
  at = s.max(number(0), s.min(at, last()));
  Value index = castScalar(s.b, at, at.getType(), s.b.getI64Type());
  index = arith::IndexCastOp::create(s.b, s.b.getIndexType(), index);
  return {position(s.b, index, size), weight, isInside};
}

/// x from 0; cubic weights: Keys, "Cubic convolution interpolation", eq. 4,
/// with a = -0.75.
SmallVector<Tap> Sampler::taps(Value x, StringRef mode) {
  if (mode == "nearest")
    return {tap(pad(s.call<math::RoundEvenOp>(x)), number(1))};
  x = pad(x);
  Value first = s.call<math::FloorOp>(x), rest = s.sub(x, first);
  Value one = number(1), left = s.sub(one, rest);
  if (mode == "linear" || mode == "bilinear")
    return {tap(first, left), tap(s.add(first, one), rest)};
  const double a = -0.75;
  auto near = [&](Value t) { // |t| <= 1
    Value y = s.sub(s.mul(number(a + 2), t), number(a + 3));
    return s.add(s.mul(s.mul(y, t), t), one);
  };
  auto far = [&](Value t) { // 1 <= |t| <= 2
    Value y = s.sub(s.mul(number(a), t), number(5 * a));
    y = s.add(s.mul(y, t), number(8 * a));
    return s.sub(s.mul(y, t), number(4 * a));
  };
  return {tap(s.sub(first, one), far(s.add(rest, one))), tap(first, near(rest)),
          tap(s.add(first, one), near(left)),
          tap(s.add(first, number(2)), far(s.add(left, one)))};
}

/// The sum over all taps of all dimensions from `dim` on; `at` holds those
/// chosen so far.
static Value sumTaps(ScalarMath &s, Value data, ArrayRef<SmallVector<Tap>> taps,
                     SmallVector<Value> at, Value weight, Value isInside) {
  if (taps.empty()) {
    Value x = tensor::ExtractOp::create(s.b, data, at);
    x = s.mul(convertScalar(s.b, x, weight.getType()), weight);
    return isInside ? s.select(isInside, x, s.constant(x, 0)) : x;
  }
  Value sum;
  for (const Tap &tap : taps.front()) {
    SmallVector<Value> next(at);
    next.push_back(tap.index);
    Value inside = isInside;
    if (tap.isInside)
      inside =
          inside ? arith::AndIOp::create(s.b, inside, tap.isInside).getResult()
                 : tap.isInside;
    Value part = sumTaps(s, data, taps.drop_front(), next,
                         s.mul(weight, tap.weight), inside);
    sum = sum ? s.add(sum, part) : part;
  }
  return sum;
}

// X [batch, channels, image...], grid [batch, out..., coordinates], the first
// coordinate for the last dimension
static Results lowerGridSample(Lowering &l, Operation *op) {
  auto sample = ::mlir::cast<onnx::GridSampleOp>(op);
  Value data = l.operand(op, 0), grid = l.operand(op, 1);
  int64_t rank = rankOf(data), spatial = rank - 2;
  Sizes gridSizes = l.sizesOf(grid);
  if (rank < 3 || rankOf(grid) != rank ||
      constantOf(gridSizes.back()).value_or(spatial) != spatial) {
    op->emitError() << "a grid of type " << op->getOperand(1).getType()
                    << " does not address an operand of type "
                    << op->getOperand(0).getType();
    return failure();
  }
  Sizes out{l.sizeOf(data, 0), l.sizeOf(data, 1)};
  llvm::append_range(out, ArrayRef<Size>(gridSizes).drop_front().drop_back());
  SmallVector<Value> bounds = boundsOf(l, data);
  Type element = resultElement(op);
  Type wide = isa<IntegerType>(element) ? l.b.getF32Type() : wideType(element);
  return SmallVector<Value>{l.parallelGeneric(
      {}, {}, out, element, [&](ImplicitLocOpBuilder &b, ValueRange) {
        ScalarMath s(b, false);
        SmallVector<Value> loops, from;
        for (int64_t d = 0; d < rank; ++d)
          loops.push_back(linalg::IndexOp::create(b, d));
        from.push_back(loops[0]);
        llvm::append_range(from, ArrayRef(loops).drop_front(2));
        SmallVector<SmallVector<Tap>> taps;
        for (int64_t d = 0; d < spatial; ++d) {
          SmallVector<Value> at(from);
          at.push_back(arith::ConstantIndexOp::create(b, spatial - 1 - d));
          Value coordinate = tensor::ExtractOp::create(b, grid, at);
          Value size = bounds[2 + d];
          Sampler sampler{s,
                          sample.getAlignCorners() != 0,
                          sample.getPaddingMode() == "zeros",
                          sample.getPaddingMode() == "reflection",
                          size,
                          asFloat(b, size, wide)};
          Value x = sampler.place(convertScalar(b, coordinate, wide));
          taps.push_back(sampler.taps(x, sample.getMode()));
        }
        Value one = arith::ConstantOp::create(b, b.getFloatAttr(wide, 1));
        Value sum = sumTaps(s, data, taps, {loops[0], loops[1]}, one, Value());
        return castScalar(b, sum, wide, element);
      })};
}

//===----------------------------------------------------------------------===//
// AffineGrid
//===----------------------------------------------------------------------===//

/// theta · (…, y, x, 1) for each place of an image, counted from -1 to 1.
static Results lowerAffineGrid(Lowering &l, Operation *op) {
  Value theta = l.operand(op, 0);
  bool align = ::mlir::cast<onnx::AffineGridOp>(op).getAlignCorners() != 0;
  FailureOr<Sizes> size = l.sizesIn(op, 1);
  if (failed(size))
    return failure();
  int64_t spatial = static_cast<int64_t>(size->size()) - 2;
  if (spatial < 1 || rankOf(theta) != 3) {
    op->emitError("takes matrices and the sizes of batch, channels and image");
    return failure();
  }
  Sizes out{l.sizeOf(theta, 0)};
  llvm::append_range(out, ArrayRef<Size>(*size).drop_front(2));
  out.push_back(l.sizes.constant(spatial));
  SmallVector<Value> bounds;
  for (Size dim : ArrayRef<Size>(*size).drop_front(2))
    bounds.push_back(l.sizes.toValue(dim));
  Type element = resultElement(op), wide = wideType(element);
  return SmallVector<Value>{l.parallelGeneric(
      {}, {}, l.refine(op->getResult(0), out), element,
      [&](ImplicitLocOpBuilder &b, ValueRange) {
        ScalarMath s(b, false);
        Value batch = linalg::IndexOp::create(b, 0);
        Value row = linalg::IndexOp::create(b, spatial + 1);
        auto entry = [&](int64_t column) {
          Value at = arith::ConstantIndexOp::create(b, column);
          Value x =
              tensor::ExtractOp::create(b, theta, ValueRange{batch, row, at});
          return convertScalar(b, x, wide);
        };
        Value sum = entry(spatial);
        for (int64_t d = 0; d < spatial; ++d) {
          Value i = asFloat(b, linalg::IndexOp::create(b, 1 + d), wide);
          Value count = asFloat(b, bounds[d], wide), one = s.constant(i, 1);
          Value twice = s.add(i, i), from;
          if (align)
            from = s.div(twice, s.max(s.sub(count, one), one));
          else
            from = s.div(s.add(twice, one), count);
          sum = s.add(sum, s.mul(entry(spatial - 1 - d), s.sub(from, one)));
        }
        return convertScalar(b, sum, element);
      })};
}

//===----------------------------------------------------------------------===//
// Col2Im
//===----------------------------------------------------------------------===//

namespace {
/// One dimension of the image and of the blocks that lie on it.
struct BlockDim {
  Value block, columns; // the block's size, how many blocks there are
  int64_t stride, dilation, before;
};
} // namespace

static FailureOr<SmallVector<BlockDim>> blockDims(Lowering &l,
                                                  onnx::Col2ImOp op,
                                                  const Sizes &image,
                                                  const Sizes &block) {
  size_t count = image.size();
  auto valuesOf = [&](std::optional<ArrayRef<int64_t>> given, size_t length,
                      int64_t usual) {
    return given ? SmallVector<int64_t>(*given)
                 : SmallVector<int64_t>(length, usual);
  };
  SmallVector<int64_t> strides = valuesOf(op.getStrides(), count, 1);
  SmallVector<int64_t> dilations = valuesOf(op.getDilations(), count, 1);
  SmallVector<int64_t> pads = valuesOf(op.getPads(), 2 * count, 0);
  if (block.size() != count || strides.size() != count ||
      dilations.size() != count || pads.size() != 2 * count) {
    op.emitError("blocks, strides, dilations and pads must be of as many "
                 "dimensions as the image");
    return failure();
  }
  SmallVector<BlockDim> dims;
  SizeArithmetic &s = l.sizes;
  for (size_t d = 0; d < count; ++d) {
    Size span =
        s.add(s.mul(s.sub(block[d], s.constant(1)), s.constant(dilations[d])),
              s.constant(1));
    Size room = s.add(image[d], s.constant(pads[d] + pads[count + d]));
    Size columns = s.add(s.floorDiv(s.sub(room, span), s.constant(strides[d])),
                         s.constant(1));
    dims.push_back({s.toValue(block[d]), s.toValue(columns), strides[d],
                    dilations[d], pads[d]});
  }
  return dims;
}

/// Each pixel sums the elements of all blocks that lie on it.
static Results lowerCol2Im(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  FailureOr<Sizes> image = l.sizesIn(op, 1), block = l.sizesIn(op, 2);
  if (failed(image) || failed(block))
    return failure();
  auto dims = blockDims(l, ::mlir::cast<onnx::Col2ImOp>(op), *image, *block);
  if (failed(dims))
    return failure();
  Size elements = l.sizes.product(*block);
  Sizes out{l.sizeOf(data, 0), l.sizes.floorDiv(l.sizeOf(data, 1), elements)};
  llvm::append_range(out, *image);
  Value size = l.sizes.toValue(elements);
  SmallVector<Value> bounds;
  for (const BlockDim &dim : *dims)
    bounds.push_back(dim.block);
  Type element = resultElement(op), wide = wideType(element);
  SmallVector<Value> loops; // of the image
  auto pixel = [&](ImplicitLocOpBuilder &b, ValueRange inBlock,
                   ValueRange state) -> SmallVector<Value> {
    ScalarMath s(b, false);
    auto index = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(b, value);
    };
    Value column = index(0), place = index(0);
    Value inside = arith::ConstantOp::create(b, b.getBoolAttr(true));
    auto andAlso = [&](Value holds) {
      inside = arith::AndIOp::create(b, inside, holds);
    };
    for (auto [d, dim] : llvm::enumerate(*dims)) {
      Value y = s.add(loops[2 + d], index(dim.before));
      y = s.sub(y, s.mul(inBlock[d], index(dim.dilation)));
      Value at = arith::DivSIOp::create(b, y, index(dim.stride));
      andAlso(s.compare(Order::EQ, s.mul(at, index(dim.stride)), y));
      andAlso(s.compare(Order::GE, y, index(0)));
      andAlso(s.compare(Order::LT, at, dim.columns));
      column = s.add(s.mul(column, dim.columns), position(b, at, dim.columns));
      place = s.add(s.mul(place, dim.block), inBlock[d]);
    }
    Value channel = s.mul(loops[1], size);
    Value x = tensor::ExtractOp::create(
        b, data, ValueRange{loops[0], s.add(channel, place), column});
    x = convertScalar(b, x, wide);
    return {s.add(state[0], s.select(inside, x, s.constant(x, 0)))};
  };
  return SmallVector<Value>{l.parallelGeneric(
      {}, {}, l.refine(op->getResult(0), out), element,
      [&](ImplicitLocOpBuilder &b, ValueRange) {
        for (size_t d = 0; d < out.size(); ++d)
          loops.push_back(linalg::IndexOp::create(b, d));
        Value zero = arith::ConstantOp::create(b, b.getZeroAttr(wide));
        return convertScalar(b, loopNest(b, bounds, zero, pixel).front(),
                             element);
      })};
}

void lowering::addSampling(LoweringTable &table) {
  table["AffineGrid"] = lowerAffineGrid;
  table["Col2Im"] = lowerCol2Im;
  table["GridSample"] = lowerGridSample;
}

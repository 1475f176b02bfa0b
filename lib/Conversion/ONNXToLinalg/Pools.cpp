//===- Pools.cpp - Pooling, DepthToSpace, SpaceToDepth --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Images.h"
#include "Reduce.h"

using namespace twist;
using namespace twist::lowering;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

/// Dimensions first, first + 1, … of `count`, as expressions.
static SmallVector<AffineExpr> dimsFrom(Lowering &l, unsigned first,
                                        unsigned count) {
  SmallVector<AffineExpr> dims;
  for (unsigned d = first; d < first + count; ++d)
    dims.push_back(l.b.getAffineDimExpr(d));
  return dims;
}

/// A reduction over each window of a padded [lead…, s…], with results
/// y[lead…, o…] that begin as `initial`: `body` gets
/// x[lead…, o·stride + k·dilation…], the size of windows and y, over the loops
/// lead…, o…, k….
static linalg::GenericOp
overWindows(Lowering &l, Value padded, const Slides &slides, ValueRange initial,
            function_ref<void(OpBuilder &, Location, ValueRange)> body) {
  unsigned spatial = slides.dims.size(), lead = rankOf(padded) - spatial;
  unsigned loops = lead + 2 * spatial;
  SmallVector<AffineExpr> from = dimsFrom(l, 0, lead);
  SmallVector<int64_t> kernel;
  for (auto [i, window] : llvm::enumerate(slides.dims)) {
    from.push_back(l.b.getAffineDimExpr(lead + i) * window.stride +
                   l.b.getAffineDimExpr(lead + spatial + i) * window.dilation);
    kernel.push_back(window.kernel);
  }
  MLIRContext *context = l.b.getContext();
  SmallVector<AffineMap> maps = {
      AffineMap::get(loops, 0, from, context),
      AffineMap::get(loops, 0, dimsFrom(l, lead + spatial, spatial), context)};
  maps.append(
      initial.size(),
      AffineMap::get(loops, 0, dimsFrom(l, 0, lead + spatial), context));
  SmallVector<utils::IteratorType> iterators(loops,
                                             utils::IteratorType::reduction);
  std::fill_n(iterators.begin(), lead + spatial, utils::IteratorType::parallel);
  Sizes sizes(ArrayRef<Size>(l.sizesOf(padded)).take_front(lead));
  llvm::append_range(sizes, slides.out);
  // Nobody reads it; it says how large the windows are.
  Value window = tensor::EmptyOp::create(l.b, kernel, l.b.getF32Type());
  SmallVector<Value> inits;
  for (Value value : initial)
    inits.push_back(l.fill(value, sizes));
  return linalg::GenericOp::create(l.b, ValueRange(inits).getTypes(),
                                   ValueRange{padded, window}, inits, maps,
                                   iterators, body);
}

/// The reduction over each window of a padded [lead…, s…], from `neutral`:
/// y[lead…, o…] = ⊕_{k…} x[lead…, o·stride + k·dilation…].
static Value slide(Lowering &l, Value padded, const Slides &slides,
                   Value neutral,
                   function_ref<Value(ScalarMath &, Value, Value)> combine,
                   bool isUnsigned = false) {
  return overWindows(l, padded, slides, neutral,
                     [&](OpBuilder &nested, Location loc, ValueRange args) {
                       ImplicitLocOpBuilder b(loc, nested);
                       ScalarMath s(b, isUnsigned);
                       Value x = convertScalar(b, args[0], neutral.getType(),
                                               isUnsigned);
                       linalg::YieldOp::create(b, combine(s, args[2], x));
                     })
      .getResult(0);
}

/// How many taps of each window lie in [low, high) along one dimension, 0
/// being the first element of the input: a vector of `type`.
static Value countTaps(Lowering &l, const onnx::Window &window, Size before,
                       Size out, Size low, Size high, Type type) {
  SmallVector<Value> bounds;
  for (Size size : {before, low, high})
    bounds.push_back(l.sizes.toValue(size));
  return l.parallelGeneric(
      {}, {}, {out}, type, [&](ImplicitLocOpBuilder &b, ValueRange) {
        auto index = [&](int64_t value) -> Value {
          return arith::ConstantIndexOp::create(b, value);
        };
        ScalarMath s(b, false);
        Value start =
            s.sub(s.mul(linalg::IndexOp::create(b, 0), index(window.stride)),
                  bounds[0]);
        // The taps before a bound: those at start + t·dilation < bound.
        auto tapsBefore = [&](Value bound) {
          Value room = s.max(s.sub(bound, start), index(0));
          Value taps =
              arith::CeilDivUIOp::create(b, room, index(window.dilation));
          return s.min(taps, index(window.kernel));
        };
        Value count = s.sub(tapsBefore(bounds[2]), tapsBefore(bounds[1]));
        Value integer = arith::IndexCastOp::create(b, b.getI32Type(), count);
        return convertScalar(b, integer, type);
      });
}

//===----------------------------------------------------------------------===//
// MaxPool, AveragePool, LpPool
//===----------------------------------------------------------------------===//

/// Where in the whole [batch, channels, s…] the first maximum of each window
/// lies: padding is none. `columns`: of spatial dimensions the first is the
/// inmost.
static Value locateMaxima(Lowering &l, Value input, Value padded,
                          const Slides &slides, Value lowest, bool columns,
                          bool isUnsigned) {
  unsigned spatial = slides.dims.size(), lead = 2;
  SmallVector<Value> sizes, before;
  for (Size size : l.sizesOf(input))
    sizes.push_back(l.sizes.toValue(size));
  for (Size size : slides.before)
    before.push_back(l.sizes.toValue(size));
  Value none = l.constant(l.b.getI64Type(), -1);
  auto body = [&](OpBuilder &nested, Location loc, ValueRange args) {
    ImplicitLocOpBuilder b(loc, nested);
    ScalarMath s(b, isUnsigned), places(b, /*isUnsigned=*/true);
    auto index = [&](int64_t value) -> Value {
      return arith::ConstantIndexOp::create(b, value);
    };
    Value inside = arith::ConstantOp::create(b, b.getBoolAttr(true));
    SmallVector<Value> at;
    for (auto [d, window] : llvm::enumerate(slides.dims)) {
      Value start = places.mul(linalg::IndexOp::create(b, lead + d),
                               index(window.stride));
      Value tap = places.mul(linalg::IndexOp::create(b, lead + spatial + d),
                             index(window.dilation));
      // Below 0 it is above every size.
      at.push_back(places.sub(places.add(start, tap), before[d]));
      inside = arith::AndIOp::create(
          b, inside,
          places.compare(ScalarMath::Order::LT, at[d], sizes[lead + d]));
    }
    Value place =
        places.add(places.mul(linalg::IndexOp::create(b, 0), sizes[1]),
                   linalg::IndexOp::create(b, 1));
    for (unsigned i = 0; i < spatial; ++i) {
      unsigned d = columns ? spatial - 1 - i : i;
      place = places.add(places.mul(place, sizes[lead + d]), at[d]);
    }
    Value here = arith::IndexCastOp::create(b, b.getI64Type(), place);
    Value isFirst = s.compare(ScalarMath::Order::EQ, args[3], none);
    Value better = arith::OrIOp::create(
        b, isFirst, s.compare(ScalarMath::Order::GT, args[0], args[2]));
    better = arith::AndIOp::create(b, better, inside);
    linalg::YieldOp::create(b, ValueRange{s.select(better, args[0], args[2]),
                                          s.select(better, here, args[3])});
  };
  return overWindows(l, padded, slides, {lowest, none}, body).getResult(1);
}

static Results lowerMaxPool(Lowering &l, Operation *op) {
  auto pool = ::mlir::cast<onnx::MaxPoolOp>(op);
  Value input = l.operand(op, 0);
  FailureOr<Slides> slides = slidesOf(l, op, input, pool.getCeilMode() != 0);
  if (failed(slides))
    return failure();
  Type element = resultElement(op);
  bool isUnsigned = lowering::isUnsigned(onnxElement(op));
  Value lowest = initialValue(l, Reduction::Init::Lowest, element, isUnsigned);
  Value padded = padSpatial(l, input, lowest, *slides);
  Value result = slide(
      l, padded, *slides, lowest,
      [](ScalarMath &s, Value best, Value x) { return s.max(best, x); },
      isUnsigned);
  Value places;
  if (!pool.getIndices().use_empty())
    places = locateMaxima(l, input, padded, *slides, lowest,
                          pool.getStorageOrder() != 0, isUnsigned);
  return SmallVector<Value>{result, places};
}

/// The sum of each window divided by its number of elements.
static Results lowerAveragePool(Lowering &l, Operation *op) {
  auto pool = ::mlir::cast<onnx::AveragePoolOp>(op);
  Value input = l.operand(op, 0);
  FailureOr<Slides> slides = slidesOf(l, op, input, pool.getCeilMode() != 0);
  FailureOr<onnx::Windows> declared = onnx::windowsOf(op);
  if (failed(slides) || failed(declared))
    return failure();
  Type element = resultElement(op), wide = wideType(element);
  Value padded = padSpatial(l, input, l.constant(element, 0), *slides);
  Value sums =
      slide(l, padded, *slides, l.constant(wide, 0),
            [](ScalarMath &s, Value sum, Value x) { return s.add(sum, x); });
  SmallVector<Value> operands = {sums};
  int64_t rank = rankOf(sums), taps = 1;
  SmallVector<AffineMap> maps = {l.identity(rank)};
  SizeArithmetic &s = l.sizes;
  bool counted = pool.getCountIncludePad() != 0;
  for (auto [i, window] : llvm::enumerate(slides->dims)) {
    Size zero = s.constant(0), size = l.sizeOf(input, i + 2);
    Size before = slides->before[i], after = slides->after[i];
    // What a rounded-up last window has beyond the padding never counts.
    bool reaches = pool.getCeilMode() != 0 && window.stride > 1;
    bool whole =
        !reaches &&
        (counted || (constantOf(before) == 0 && constantOf(after) == 0));
    if (whole) {
      taps *= window.kernel;
      continue;
    }
    if (reaches && declared->autoPad == onnx::AutoPad::None)
      after = s.constant(window.after);
    Size low = counted ? s.sub(zero, before) : zero;
    Size high = counted ? s.add(size, after) : size;
    operands.push_back(
        countTaps(l, window, before, slides->out[i], low, high, wide));
    maps.push_back(
        AffineMap::get(rank, 0, l.b.getAffineDimExpr(i + 2), l.b.getContext()));
  }
  Value result =
      l.parallelGeneric(operands, maps, l.sizesOf(sums), element,
                        [&](ImplicitLocOpBuilder &b, ValueRange x) {
                          ScalarMath s(b, false);
                          Value count = s.constant(x[0], taps);
                          for (Value along : x.drop_front())
                            count = s.mul(count, along);
                          return convertScalar(b, s.div(x[0], count), element);
                        });
  return SmallVector<Value>{result};
}

/// |x| to the power p.
static Value powerOf(ScalarMath &s, Value x, int64_t p) {
  Value size = s.abs(x);
  if (p == 1)
    return size;
  return p == 2 ? s.mul(x, x) : s.pow(size, s.constant(x, p));
}
static Value rootOf(ScalarMath &s, Value x, int64_t p) {
  if (p == 1)
    return x;
  return p == 2 ? s.call<math::SqrtOp>(x)
                : s.pow(x, s.constant(x, 1.0 / static_cast<double>(p)));
}

static LogicalResult verifyPower(Operation *op, int64_t p) {
  if (p >= 1)
    return success();
  return op->emitError() << "p must be positive, is " << p;
}

static Results lowerLpPool(Lowering &l, Operation *op) {
  auto pool = ::mlir::cast<onnx::LpPoolOp>(op);
  int64_t p = pool.getP();
  Value input = l.operand(op, 0);
  FailureOr<Slides> slides = slidesOf(l, op, input, pool.getCeilMode() != 0);
  if (failed(slides) || failed(verifyPower(op, p)))
    return failure();
  Type element = resultElement(op), wide = wideType(element);
  Value padded = padSpatial(l, input, l.constant(element, 0), *slides);
  Value sums = slide(l, padded, *slides, l.constant(wide, 0),
                     [p](ScalarMath &s, Value sum, Value x) {
                       return s.add(sum, powerOf(s, x, p));
                     });
  Value result =
      l.parallelGeneric(sums, l.identity(rankOf(sums)), l.sizesOf(sums),
                        element, [&](ImplicitLocOpBuilder &b, ValueRange x) {
                          ScalarMath s(b, false);
                          return convertScalar(b, rootOf(s, x[0], p), element);
                        });
  return SmallVector<Value>{result};
}

//===----------------------------------------------------------------------===//
// Global pools
//===----------------------------------------------------------------------===//

/// Over all spatial dimensions, which stay as dimensions of size 1.
static Results overAll(Lowering &l, Operation *op, const Reduction &reduction) {
  Value input = l.operand(op, 0);
  int64_t rank = rankOf(input);
  if (rank < 3)
    return SmallVector<Value>{input};
  auto axes = llvm::to_vector(llvm::seq<int64_t>(2, rank));
  // One run of elements for each channel.
  Sizes sizes = l.sizesOf(input);
  Size all = l.sizes.product(ArrayRef<Size>(sizes).drop_front(2));
  Value rows = l.reshape(input, {sizes[0], sizes[1], all});
  Value result = reduce(l, rows, {2}, onnxElement(op), reduction);
  return SmallVector<Value>{l.insertUnitDims(result, axes)};
}

static Results lowerGlobalAveragePool(Lowering &l, Operation *op) {
  return overAll(l, op, average());
}
static Results lowerGlobalMaxPool(Lowering &l, Operation *op) {
  return overAll(l, op, maximum());
}
static Results lowerGlobalLpPool(Lowering &l, Operation *op) {
  int64_t p = ::mlir::cast<onnx::GlobalLpPoolOp>(op).getP();
  if (failed(verifyPower(op, p)))
    return failure();
  Reduction norm = sum();
  norm.map = [p](ScalarMath &s, Value x) { return powerOf(s, x, p); };
  norm.finish = [p](ScalarMath &s, Value x, Value) { return rootOf(s, x, p); };
  return overAll(l, op, norm);
}

//===----------------------------------------------------------------------===//
// LRN
//===----------------------------------------------------------------------===//

/// x / (bias + alpha / size · Σ x²)^beta, over `size` neighbouring channels.
static Results lowerLRN(Lowering &l, Operation *op) {
  auto lrn = ::mlir::cast<onnx::LRNOp>(op);
  Value input = l.operand(op, 0);
  Sizes from = l.sizesOf(input);
  int64_t size = lrn.getSize();
  if (from.size() < 2 || size < 1) {
    op->emitError("needs channels and a positive size");
    return failure();
  }
  Type element = resultElement(op), wide = wideType(element);
  SizeArithmetic &s = l.sizes;
  // Channels are the spatial dimension of [n, s…, c] read as it lies: [n, c,
  // s].
  Size rest = s.product(ArrayRef<Size>(from).drop_front(2));
  Value flat = l.reshape(input, {from[0], from[1], rest});
  Padding padding;
  padding.before = {s.constant(0), s.constant((size - 1) / 2), s.constant(0)};
  padding.after = {s.constant(0), s.constant(size / 2), s.constant(0)};
  Value padded = padConstant(l, flat, l.constant(element, 0), padding);
  // Two windows, the one over the rest of a single element.
  Slides slides;
  slides.dims = {onnx::Window{size}, onnx::Window{}};
  slides.out = {from[1], rest};
  Value sums = slide(l, padded, slides, l.constant(wide, 0),
                     [](ScalarMath &s, Value sum, Value x) {
                       return s.add(sum, s.mul(x, x));
                     });
  double alpha = lrn.getAlpha().convertToDouble() / double(size);
  double beta = lrn.getBeta().convertToDouble();
  double bias = lrn.getBias().convertToDouble();
  AffineMap id = l.identity(3);
  Value result = l.parallelGeneric(
      {flat, sums}, {id, id}, l.sizesOf(flat), element,
      [&](ImplicitLocOpBuilder &b, ValueRange x) {
        ScalarMath s(b, false);
        Value base =
            s.add(s.mul(x[1], s.constant(x[1], alpha)), s.constant(x[1], bias));
        Value scale = s.pow(base, s.constant(base, beta));
        return convertScalar(b, s.div(convertScalar(b, x[0], wide), scale),
                             element);
      });
  return SmallVector<Value>{l.reshape(result, from)};
}

//===----------------------------------------------------------------------===//
// DepthToSpace, SpaceToDepth
//===----------------------------------------------------------------------===//

/// DCR: [n, b, b, c, h, w] → [n, c, h, b, w, b]; CRD has c before the blocks.
static Results lowerDepthToSpace(Lowering &l, Operation *op) {
  auto shuffle = ::mlir::cast<onnx::DepthToSpaceOp>(op);
  Value input = l.operand(op, 0);
  Sizes from = l.sizesOf(input);
  Size block = l.sizes.constant(shuffle.getBlocksize());
  Size channels = l.sizes.floorDiv(from[1], l.sizes.mul(block, block));
  bool blocksFirst = shuffle.getMode() == "DCR";
  Sizes split = blocksFirst
                    ? Sizes{from[0], block, block, channels, from[2], from[3]}
                    : Sizes{from[0], channels, block, block, from[2], from[3]};
  SmallVector<int64_t> perm = blocksFirst
                                  ? SmallVector<int64_t>{0, 3, 4, 1, 5, 2}
                                  : SmallVector<int64_t>{0, 1, 4, 2, 5, 3};
  Value moved = l.transpose(l.reshape(input, split), perm);
  return SmallVector<Value>{
      l.reshape(moved, {from[0], channels, l.sizes.mul(from[2], block),
                        l.sizes.mul(from[3], block)})};
}

/// [n, c, h, b, w, b] → [n, b, b, c, h, w].
static Results lowerSpaceToDepth(Lowering &l, Operation *op) {
  Value input = l.operand(op, 0);
  Sizes from = l.sizesOf(input);
  Size block =
      l.sizes.constant(::mlir::cast<onnx::SpaceToDepthOp>(op).getBlocksize());
  Size rows = l.sizes.floorDiv(from[2], block),
       columns = l.sizes.floorDiv(from[3], block);
  Value split =
      l.reshape(input, {from[0], from[1], rows, block, columns, block});
  Value moved = l.transpose(split, {0, 3, 5, 1, 2, 4});
  Size channels = l.sizes.mul(from[1], l.sizes.mul(block, block));
  return SmallVector<Value>{
      l.reshape(moved, {from[0], channels, rows, columns})};
}

void lowering::addPools(LoweringTable &table) {
  table["MaxPool"] = lowerMaxPool;
  table["AveragePool"] = lowerAveragePool;
  table["LpPool"] = lowerLpPool;
  table["GlobalAveragePool"] = lowerGlobalAveragePool;
  table["GlobalMaxPool"] = lowerGlobalMaxPool;
  table["GlobalLpPool"] = lowerGlobalLpPool;
  table["LRN"] = lowerLRN;
  table["DepthToSpace"] = lowerDepthToSpace;
  table["SpaceToDepth"] = lowerSpaceToDepth;
}

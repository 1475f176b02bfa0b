//===- Resize.cpp - Resize ------------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Interpolation is separable: one dimension after the other. Along a dimension
// result o is Σ_t weight[t, o] · x[index[t, o]]; both tables are computed from
// the coordinate of o in the input, in f64.
//
//===----------------------------------------------------------------------===//

#include "Gather.h"
#include "Images.h"
#include "ScalarMath.h"

#include "llvm/ADT/StringSwitch.h"

using namespace twist;
using namespace twist::lowering;

namespace {
enum class Coordinates {
  HalfPixel,
  HalfPixelSymmetric,
  PytorchHalfPixel,
  AlignCorners,
  Asymmetric,
  CropAndResize
};
enum class Mode { Nearest, Linear, Cubic };
enum class Rounding { PreferFloor, PreferCeil, Floor, Ceil };

/// One dimension that changes.
struct Axis {
  int64_t dim;
  Size in, out;
  /// out / in, or as the model gives it: an f64 scalar, and its value if known.
  Value scale;
  std::optional<double> knownScale;
  /// Part of the input that is looked at (tf_crop_and_resize).
  double start = 0, end = 1;
};

/// What all dimensions share.
struct Resizing {
  Lowering &l;
  onnx::ResizeOp op;
  Coordinates coordinates = Coordinates::HalfPixel;
  Mode mode = Mode::Linear;
  Rounding rounding = Rounding::PreferFloor;
  SmallVector<Axis> axes = {};

  LogicalResult readModes();
  LogicalResult readAxes();
  Value apply(Value data, const Axis &axis);

private:
  LogicalResult readScales(ArrayRef<int64_t> dims);
  LogicalResult readSizes(ArrayRef<int64_t> dims);
  LogicalResult keepAspectRatio();
  LogicalResult readRegion(ArrayRef<int64_t> dims);
  FailureOr<int64_t> countTaps(const Axis &axis);

  /// Scalars that the body of a table uses.
  struct Terms {
    Value in, out, scale;
  };
  Terms termsOf(const Axis &axis);
  Value coordinate(ScalarMath &s, Value o, const Axis &axis,
                   const Terms &terms);
  Value firstTap(ScalarMath &s, Value x, int64_t taps);
  Value weight(ScalarMath &s, Value x, Value index, const Axis &axis);
  Value nearest(ScalarMath &s, Value x);
  Value table(const Axis &axis, int64_t taps, bool wantsWeights);
  Value extrapolate(Value result, Value data, const Axis &axis);
};
} // namespace

//===----------------------------------------------------------------------===//
// What is asked for
//===----------------------------------------------------------------------===//

LogicalResult Resizing::readModes() {
  auto coordinatesOr =
      llvm::StringSwitch<std::optional<Coordinates>>(
          op.getCoordinateTransformationMode())
          .Case("half_pixel", Coordinates::HalfPixel)
          .Case("half_pixel_symmetric", Coordinates::HalfPixelSymmetric)
          .Case("pytorch_half_pixel", Coordinates::PytorchHalfPixel)
          .Case("align_corners", Coordinates::AlignCorners)
          .Case("asymmetric", Coordinates::Asymmetric)
          .Case("tf_crop_and_resize", Coordinates::CropAndResize)
          .Default(std::nullopt);
  auto modeOr = llvm::StringSwitch<std::optional<Mode>>(op.getMode())
                    .Case("nearest", Mode::Nearest)
                    .Case("linear", Mode::Linear)
                    .Case("cubic", Mode::Cubic)
                    .Default(std::nullopt);
  auto roundingOr =
      llvm::StringSwitch<std::optional<Rounding>>(op.getNearestMode())
          .Case("round_prefer_floor", Rounding::PreferFloor)
          .Case("round_prefer_ceil", Rounding::PreferCeil)
          .Case("floor", Rounding::Floor)
          .Case("ceil", Rounding::Ceil)
          .Default(std::nullopt);
  if (!coordinatesOr)
    return op.emitError() << "unknown coordinate_transformation_mode '"
                          << op.getCoordinateTransformationMode() << "'";
  if (!modeOr)
    return op.emitError() << "unknown mode '" << op.getMode() << "'";
  if (!roundingOr)
    return op.emitError() << "unknown nearest_mode '" << op.getNearestMode()
                          << "'";
  if (*modeOr == Mode::Nearest && op.getAntialias())
    return op.emitError("antialias is for linear and cubic interpolation");
  coordinates = *coordinatesOr;
  mode = *modeOr;
  rounding = *roundingOr;
  return success();
}

/// The floats of a small constant.
static std::optional<SmallVector<double>> floatsOf(Lowering &l, Value tensor) {
  auto scalars = l.scalarsOf(tensor, /*orRead=*/false);
  if (!scalars)
    return std::nullopt;
  SmallVector<double> floats;
  for (Value scalar : *scalars) {
    FloatAttr value;
    if (!matchPattern(scalar, m_Constant(&value)))
      return std::nullopt;
    floats.push_back(value.getValueAsDouble());
  }
  return floats;
}

LogicalResult Resizing::readScales(ArrayRef<int64_t> dims) {
  auto scales = floatsOf(l, l.operand(op, 2));
  if (!scales)
    return op.emitError("its scales must be known at compile time");
  if (scales->size() != dims.size())
    return op.emitError() << "has " << scales->size() << " scales for "
                          << dims.size() << " dimensions";
  for (auto [dim, scale] : llvm::zip_equal(dims, *scales)) {
    if (!(scale > 0))
      return op.emitError() << "its scales must be positive, not " << scale;
    Size in = l.sizeOf(l.operand(op, 0), dim), out = in;
    Value factor = l.constant(l.b.getF64Type(), scale);
    if (std::optional<int64_t> known = constantOf(in)) {
      out = l.sizes.constant(
          static_cast<int64_t>(std::floor(double(*known) * scale)));
    } else if (scale != 1) {
      Value wide = arith::SIToFPOp::create(
          l.b, l.b.getF64Type(), l.sizes.toInteger(in, l.b.getI64Type()));
      Value product = arith::MulFOp::create(l.b, wide, factor);
      // Sizes are not negative, so truncation rounds down.
      Value whole = arith::FPToSIOp::create(l.b, l.b.getI64Type(), product);
      out = scale == std::floor(scale)
                ? l.sizes.mul(in, l.sizes.constant(int64_t(scale)))
                : l.sizes.fromInteger(whole);
    }
    axes.push_back({dim, in, out, factor, scale});
  }
  return success();
}

LogicalResult Resizing::readSizes(ArrayRef<int64_t> dims) {
  FailureOr<Sizes> sizes = l.sizesIn(op, 3);
  if (failed(sizes))
    return failure();
  if (sizes->size() != dims.size())
    return op.emitError() << "has " << sizes->size() << " sizes for "
                          << dims.size() << " dimensions";
  for (auto [dim, out] : llvm::zip_equal(dims, *sizes))
    axes.push_back(
        {dim, l.sizeOf(l.operand(op, 0), dim), out, Value(), std::nullopt});
  if (op.getKeepAspectRatioPolicy() != "stretch")
    return keepAspectRatio();
  for (Axis &axis : axes) {
    auto in = constantOf(axis.in), out = constantOf(axis.out);
    if (in && out && *in > 0) {
      axis.knownScale = double(*out) / double(*in);
      axis.scale = l.constant(l.b.getF64Type(), *axis.knownScale);
      continue;
    }
    auto real = [&](Size size) -> Value {
      return arith::SIToFPOp::create(l.b, l.b.getF64Type(),
                                     l.sizes.toInteger(size, l.b.getI64Type()));
    };
    axis.scale = arith::DivFOp::create(l.b, real(axis.out), real(axis.in));
  }
  return success();
}

/// One scale for all: the smallest or the largest that the sizes ask for.
LogicalResult Resizing::keepAspectRatio() {
  bool larger = op.getKeepAspectRatioPolicy() == "not_smaller";
  if (!larger && op.getKeepAspectRatioPolicy() != "not_larger")
    return op.emitError() << "unknown keep_aspect_ratio_policy '"
                          << op.getKeepAspectRatioPolicy() << "'";
  std::optional<double> scale;
  for (const Axis &axis : axes) {
    auto in = constantOf(axis.in), out = constantOf(axis.out);
    if (!in || !out || *in == 0)
      return op.emitError("keeps an aspect ratio that is not known at compile "
                          "time");
    double own = double(*out) / double(*in);
    scale = !scale   ? own
            : larger ? std::max(*scale, own)
                     : std::min(*scale, own);
  }
  for (Axis &axis : axes) {
    axis.knownScale = scale;
    axis.scale = l.constant(l.b.getF64Type(), *scale);
    axis.out = l.sizes.constant(
        static_cast<int64_t>(*scale * double(*constantOf(axis.in)) + 0.5));
  }
  return success();
}

LogicalResult Resizing::readRegion(ArrayRef<int64_t> dims) {
  if (coordinates != Coordinates::CropAndResize)
    return success();
  auto region = l.operand(op, 1) ? floatsOf(l, l.operand(op, 1)) : std::nullopt;
  if (!region || region->size() != 2 * dims.size())
    return op.emitError("its region must be known at compile time, with two "
                        "numbers a dimension");
  for (auto [i, axis] : llvm::enumerate(axes)) {
    axis.start = (*region)[i];
    axis.end = (*region)[i + dims.size()];
  }
  return success();
}

LogicalResult Resizing::readAxes() {
  int64_t rank =
      ::mlir::cast<RankedTensorType>(l.operand(op, 0).getType()).getRank();
  auto dims = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  if (op.getAxes()) {
    FailureOr<SmallVector<int64_t>> given =
        normaliseAxes(op, *op.getAxes(), rank);
    if (failed(given))
      return failure();
    dims = *given;
  }
  bool bySizes = bool(l.operand(op, 3));
  if (!bySizes && !l.operand(op, 2))
    return op.emitError("has neither scales nor sizes");
  if (failed(bySizes ? readSizes(dims) : readScales(dims)) ||
      failed(readRegion(dims)))
    return failure();
  llvm::erase_if(axes, [&](const Axis &axis) {
    bool whole = axis.start == 0 && axis.end == 1;
    return whole && l.sizes.same(axis.in, axis.out) &&
           axis.knownScale.value_or(1) == 1;
  });
  return success();
}

//===----------------------------------------------------------------------===//
// Coordinates and weights, in f64
//===----------------------------------------------------------------------===//

Resizing::Terms Resizing::termsOf(const Axis &axis) {
  auto real = [&](Size size) -> Value {
    if (std::optional<int64_t> known = constantOf(size))
      return l.constant(l.b.getF64Type(), double(*known));
    return arith::SIToFPOp::create(l.b, l.b.getF64Type(),
                                   l.sizes.toInteger(size, l.b.getI64Type()));
  };
  return {real(axis.in), real(axis.out), axis.scale};
}

/// Where result `o` lies in the input; element i covers [i - 0.5, i + 0.5].
Value Resizing::coordinate(ScalarMath &s, Value o, const Axis &axis,
                           const Terms &terms) {
  auto number = [&](double value) { return s.constant(o, value); };
  Value one = number(1), half = number(0.5);
  // As large as the scale says, which may be no integer.
  Value width = s.mul(terms.scale, terms.in);
  Value isOne = s.compare(ScalarMath::Order::EQ, width, one);
  Value last = s.sub(terms.in, one), lastOut = s.sub(width, one);
  Value centred = s.sub(s.div(s.add(o, half), terms.scale), half);
  switch (coordinates) {
  case Coordinates::HalfPixel:
    return centred;
  case Coordinates::HalfPixelSymmetric: {
    Value adjusted = s.sub(one, s.div(terms.out, width));
    return s.add(s.mul(s.mul(terms.in, half), adjusted), centred);
  }
  case Coordinates::PytorchHalfPixel:
    return s.select(isOne, number(-0.5), centred);
  case Coordinates::AlignCorners:
    return s.select(isOne, number(0), s.div(s.mul(o, last), lastOut));
  case Coordinates::Asymmetric:
    return s.div(o, terms.scale);
  case Coordinates::CropAndResize: {
    Value length = s.mul(number(axis.end - axis.start), last);
    Value at =
        s.select(isOne, s.mul(length, half), s.div(s.mul(o, length), lastOut));
    return s.add(at, s.mul(number(axis.start), last));
  }
  }
  llvm_unreachable("all modes are covered");
}

/// Taps of the kernel: with antialias as many as its support stretched by the
/// scale covers.
FailureOr<int64_t> Resizing::countTaps(const Axis &axis) {
  int64_t support = mode == Mode::Cubic ? 2 : 1;
  if (!op.getAntialias())
    return 2 * support;
  if (!axis.knownScale) {
    op.emitError("antialias needs scales known at compile time");
    return failure();
  }
  double scale = std::min(*axis.knownScale, 1.0);
  int64_t start = int64_t(std::floor(-double(support) / scale)) + 1;
  return 2 - 2 * start;
}

/// The first of `taps` neighbours of x, an even number of them. An x that is an
/// integer is the right neighbour of the middle.
Value Resizing::firstTap(ScalarMath &s, Value x, int64_t taps) {
  Value right = s.call<math::CeilOp>(x);
  return s.sub(right, s.constant(x, double(taps / 2)));
}

/// |distance| in units of the kernel to weight.
Value Resizing::weight(ScalarMath &s, Value x, Value index, const Axis &axis) {
  double stretch = 1;
  if (op.getAntialias())
    stretch = std::min(*axis.knownScale, 1.0);
  auto number = [&](double value) { return s.constant(x, value); };
  Value d = s.mul(s.abs(s.sub(index, x)), number(stretch));
  Value zero = number(0), one = number(1);
  if (mode == Mode::Linear)
    return s.max(s.sub(one, d), zero);
  // Keys' cubic convolution with the parameter a.
  double a = op.getCubicCoeffA().convertToDouble();
  auto polynomial = [&](ArrayRef<double> coefficients) {
    Value sum = number(coefficients.front());
    for (double next : coefficients.drop_front())
      sum = s.add(s.mul(sum, d), number(next));
    return sum;
  };
  Value near = polynomial({a + 2, -(a + 3), 0, 1});
  Value far = polynomial({a, -5 * a, 8 * a, -4 * a});
  Value isNear = s.compare(ScalarMath::Order::LE, d, one);
  Value isFar = s.compare(ScalarMath::Order::LT, d, number(2));
  return s.select(isNear, near, s.select(isFar, far, zero));
}

Value Resizing::nearest(ScalarMath &s, Value x) {
  Value half = s.constant(x, 0.5);
  switch (rounding) {
  case Rounding::PreferFloor:
    return s.call<math::CeilOp>(s.sub(x, half));
  case Rounding::PreferCeil:
    return s.call<math::FloorOp>(s.add(x, half));
  case Rounding::Floor:
    return s.call<math::FloorOp>(x);
  case Rounding::Ceil:
    return s.call<math::CeilOp>(x);
  }
  llvm_unreachable("all roundings are covered");
}

/// [taps, out]: the indices (i64) of the taps, or their weights (f64) before
/// they are made to sum to 1.
Value Resizing::table(const Axis &axis, int64_t taps, bool wantsWeights) {
  Terms terms = termsOf(axis);
  Type f64 = l.b.getF64Type(), i64 = l.b.getI64Type();
  Sizes sizes = {l.sizes.constant(taps), axis.out};
  return l.parallelGeneric(
      {}, {}, sizes, wantsWeights ? f64 : i64,
      [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
        ScalarMath s(b, false);
        auto real = [&](int64_t dim) -> Value {
          Value integer = arith::IndexCastOp::create(
              b, i64, linalg::IndexOp::create(b, dim));
          return arith::SIToFPOp::create(b, f64, integer);
        };
        Value x = coordinate(s, real(1), axis, terms);
        Value index = mode == Mode::Nearest
                          ? nearest(s, x)
                          : s.add(firstTap(s, x, taps), real(0));
        Value zero = s.constant(x, 0);
        Value last = s.sub(terms.in, s.constant(x, 1));
        if (!wantsWeights) {
          Value inside = s.max(s.min(index, last), zero);
          return arith::FPToSIOp::create(b, i64, inside);
        }
        Value result = weight(s, x, index, axis);
        if (!op.getExcludeOutside())
          return result;
        Value below = s.compare(ScalarMath::Order::LT, index, zero);
        Value above = s.compare(ScalarMath::Order::GT, index, last);
        return s.select(arith::OrIOp::create(b, below, above), zero, result);
      });
}

//===----------------------------------------------------------------------===//
// One dimension
//===----------------------------------------------------------------------===//

/// A constant where the coordinate lies outside of the input.
Value Resizing::extrapolate(Value result, Value data, const Axis &axis) {
  if (coordinates != Coordinates::CropAndResize)
    return result;
  Terms terms = termsOf(axis);
  double outside = op.getExtrapolationValue().convertToDouble();
  int64_t rank = ::mlir::cast<RankedTensorType>(result.getType()).getRank();
  Type element = getElementTypeOrSelf(result), f64 = l.b.getF64Type();
  return l.parallelGeneric(
      result, l.identity(rank), l.sizesOf(result), element,
      [&](ImplicitLocOpBuilder &b, ValueRange args) {
        ScalarMath s(b, false);
        Value integer = arith::IndexCastOp::create(
            b, b.getI64Type(), linalg::IndexOp::create(b, axis.dim));
        Value x = coordinate(s, arith::SIToFPOp::create(b, f64, integer), axis,
                             terms);
        Value last = s.sub(terms.in, s.constant(x, 1));
        Value out = arith::OrIOp::create(
            b, s.compare(ScalarMath::Order::LT, x, s.constant(x, 0)),
            s.compare(ScalarMath::Order::GT, x, last));
        return s.select(out, s.constant(args[0], outside), args[0]);
      });
}

Value Resizing::apply(Value data, const Axis &axis) {
  if (mode == Mode::Nearest) {
    Value indices = l.reshape(table(axis, 1, false), {axis.out});
    return extrapolate(gather(l, data, indices, axis.dim), data, axis);
  }
  FailureOr<int64_t> taps = countTaps(axis);
  if (failed(taps))
    return nullptr;
  Type element = getElementTypeOrSelf(data);
  Value weights = table(axis, *taps, true);
  // Weights sum to 1: only what is stretched or cut off does not already.
  if (op.getAntialias() || op.getExcludeOutside()) {
    Value sums =
        contract(l, weights, {l.identity(2), l.identity(2).dropResult(0)},
                 {axis.out}, l.b.getF64Type());
    AffineMap column = l.identity(2).dropResult(0);
    weights = l.parallelGeneric(
        {weights, sums}, {l.identity(2), column}, l.sizesOf(weights),
        l.b.getF64Type(), [](ImplicitLocOpBuilder &b, ValueRange x) {
          ScalarMath s(b, false);
          Value zero = s.constant(x[1], 0), one = s.constant(x[1], 1);
          Value empty = s.compare(ScalarMath::Order::EQ, x[1], zero);
          return s.div(x[0], s.select(empty, one, x[1]));
        });
  }
  weights = l.convertElements(weights, element);
  // [a, in, b] → [a, taps, out, b] → [a, out, b].
  Sizes from = l.sizesOf(data);
  ArrayRef<Size> all(from);
  Size before = l.sizes.product(all.take_front(axis.dim)),
       after = l.sizes.product(all.drop_front(axis.dim + 1));
  Value rows = l.reshape(data, {before, axis.in, after});
  Value picked = gather(l, rows, table(axis, *taps, false), 1);
  AffineExpr a, o, c, t;
  bindDims(l.b.getContext(), a, o, c, t);
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(4, 0, exprs, l.b.getContext());
  };
  Value sum = contract(l, {weights, picked},
                       {map({t, o}), map({a, t, o, c}), map({a, o, c})},
                       {before, axis.out, after}, element);
  Sizes to = from;
  to[axis.dim] = axis.out;
  return extrapolate(l.reshape(sum, to), data, axis);
}

static Results lowerResize(Lowering &l, Operation *op) {
  Resizing resizing{l, ::mlir::cast<onnx::ResizeOp>(op)};
  if (failed(resizing.readModes()) || failed(resizing.readAxes()))
    return failure();
  Value data = l.operand(op, 0);
  Type element = resultElement(op);
  bool exact = resizing.mode == Mode::Nearest;
  // Integers are interpolated as f64 and cut off towards zero.
  Type wide = exact                 ? element
              : element.isInteger() ? Type(l.b.getF64Type())
                                    : wideType(element);
  if (!exact)
    data =
        lowering::isUnsigned(onnxElement(op))
            ? l.parallelGeneric(
                  data,
                  l.identity(
                      ::mlir::cast<RankedTensorType>(data.getType()).getRank()),
                  l.sizesOf(data), wide,
                  [&](ImplicitLocOpBuilder &b, ValueRange x) {
                    return convertScalar(b, x[0], wide, true);
                  })
            : l.convertElements(data, wide);
  for (const Axis &axis : resizing.axes)
    if (!(data = resizing.apply(data, axis)))
      return failure();
  if (exact || wide == element)
    return SmallVector<Value>{data};
  int64_t rank = ::mlir::cast<RankedTensorType>(data.getType()).getRank();
  return SmallVector<Value>{
      l.parallelGeneric(data, l.identity(rank), l.sizesOf(data), element,
                        [&](ImplicitLocOpBuilder &b, ValueRange x) {
                          return castScalar(b, x[0], wide, onnxElement(op));
                        })};
}

void lowering::addResize(LoweringTable &table) {
  table["Resize"] = lowerResize;
}

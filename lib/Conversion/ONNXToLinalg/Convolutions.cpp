//===- Convolutions.cpp - Conv, ConvTranspose -----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// A convolution is one sum of products over the padded input:
//
//   y[n, g, m, o…] = Σ_{c, k…} x[n, g, c, o·stride + k·dilation…] · w[g, m, c,
//   k…]
//
// without g for one group, without c where a group has one channel. Where every
// kernel is one element the spatial dimensions are columns of a matrix product.
//
//===----------------------------------------------------------------------===//

#include "Images.h"
#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

FailureOr<Slides> lowering::slidesOf(Lowering &l, Operation *op, Value input,
                                     bool ceil) {
  FailureOr<onnx::Windows> windows = onnx::windowsOf(op);
  if (failed(windows))
    return failure();
  SizeArithmetic &s = l.sizes;
  Slides slides;
  slides.dims = windows->dims;
  Size one = s.constant(1), zero = s.constant(0);
  for (auto [i, window] : llvm::enumerate(windows->dims)) {
    Size size = l.sizeOf(input, i + 2), stride = s.constant(window.stride);
    Size extent = s.constant(window.extent());
    Size before = s.constant(window.before), after = s.constant(window.after);
    Size out;
    if (windows->autoPad != onnx::AutoPad::None) {
      out = s.ceilDiv(size, stride);
      Size reach = s.add(s.mul(s.sub(out, one), stride), extent);
      Size total = s.max(s.sub(reach, size), zero);
      Size half = s.floorDiv(total, s.constant(2));
      bool upper = windows->autoPad == onnx::AutoPad::SameUpper;
      before = upper ? half : s.sub(total, half);
      after = s.sub(total, before);
    } else {
      Size room = s.sub(s.add(size, s.add(before, after)), extent);
      out = s.add(s.floorDiv(room, stride), one);
      if (ceil && window.stride > 1) {
        Size starts = s.ceilDiv(s.add(size, before), stride);
        out = s.min(s.add(s.ceilDiv(room, stride), one), starts);
        Size reach = s.add(s.mul(s.sub(out, one), stride), extent);
        after = s.max(s.sub(reach, s.add(size, before)), after);
      }
    }
    slides.before.push_back(before);
    slides.after.push_back(after);
    slides.out.push_back(out);
  }
  return slides;
}

Value lowering::padSpatial(Lowering &l, Value input, Value value,
                           const Slides &slides) {
  auto isZero = [](Size size) { return constantOf(size) == 0; };
  if (llvm::all_of(slides.before, isZero) && llvm::all_of(slides.after, isZero))
    return input;
  Sizes zeros(rankOf(input) - slides.dims.size(), l.sizes.constant(0));
  Padding padding{zeros, zeros};
  llvm::append_range(padding.before, slides.before);
  llvm::append_range(padding.after, slides.after);
  return padConstant(l, input, value, padding);
}

//===----------------------------------------------------------------------===//
// The sum of products
//===----------------------------------------------------------------------===//

namespace {
/// A convolution over a padded input.
struct Convolution {
  Lowering &l;
  Value input, weight; // [n, (g·c), s…] and [(g·m), c, k…]
  int64_t groups;
  SmallVector<onnx::Window, 3> dims;
  Sizes out; // spatial
  Type element;
  Size batch = {}, share = {}, perGroup = {};

  /// [n, (g·m), o…]
  Value build();

private:
  bool hasGroups() const { return groups > 1; }
  /// Whether a group has one channel, which needs no loop.
  bool isDepthwise() const { return hasGroups() && constantOf(share) == 1; }
  void sample();
  void splitGroups();
  Value buildPoints();
  Value buildWindows();
};
} // namespace

/// Along dimensions with a kernel of one element, strides only pick elements.
void Convolution::sample() {
  Sizes sizes = l.sizesOf(input);
  Sizes steps(sizes.size(), l.sizes.constant(1));
  bool any = false;
  for (auto [i, window] : llvm::enumerate(dims)) {
    if (window.kernel != 1 || window.stride == 1)
      continue;
    any = true;
    sizes[i + 2] = out[i];
    steps[i + 2] = l.sizes.constant(window.stride);
    window.stride = 1;
  }
  Sizes offsets(sizes.size(), l.sizes.constant(0));
  if (any)
    input = tensor::ExtractSliceOp::create(l.b, input, offsets, sizes, steps);
}

/// [n, (g·c), s…] → [n, g, c, s…], [(g·m), c, k…] → [g, m, c, k…]; a channel
/// that is alone in its group has no dimension.
void Convolution::splitGroups() {
  batch = l.sizeOf(input, 0);
  share = l.sizeOf(weight, 1);
  Size count = l.sizes.constant(groups), units = l.sizeOf(weight, 0);
  perGroup = l.sizes.floorDiv(units, count);
  if (!hasGroups())
    return;
  Sizes in = l.sizesOf(input), kernel = l.sizesOf(weight);
  Sizes newIn = {batch, count}, newKernel = {count, perGroup};
  if (!isDepthwise()) {
    newIn.push_back(share);
    newKernel.push_back(share);
  }
  newIn.append(in.begin() + 2, in.end());
  newKernel.append(kernel.begin() + 2, kernel.end());
  input = l.reshape(input, newIn);
  weight = l.reshape(weight, newKernel);
}

/// Kernels of one element: y[n, g, m, p] = Σ_c x[n, g, c, p] · w[g, m, c].
Value Convolution::buildPoints() {
  unsigned lead = hasGroups() ? 2 : 1;
  Size points = l.sizes.product(out);
  Sizes in(ArrayRef<Size>(l.sizesOf(input)).drop_back(dims.size()));
  in.push_back(points);
  Sizes kernel(ArrayRef<Size>(l.sizesOf(weight)).drop_back(dims.size()));
  Value x = l.reshape(input, in), w = l.reshape(weight, kernel);
  // Loops: n, (g), m, p, (c).
  MLIRContext *context = l.b.getContext();
  unsigned loops = lead + 2 + !isDepthwise();
  auto dim = [&](unsigned d) { return l.b.getAffineDimExpr(d); };
  SmallVector<AffineExpr> xs = {dim(0)}, ws, ys = {dim(0)};
  if (hasGroups())
    for (auto *exprs : {&xs, &ws, &ys})
      exprs->push_back(dim(1));
  ws.push_back(dim(lead));
  ys.append({dim(lead), dim(lead + 1)});
  if (!isDepthwise()) {
    xs.push_back(dim(lead + 2));
    ws.push_back(dim(lead + 2));
  }
  xs.push_back(dim(lead + 1));
  SmallVector<AffineMap> maps;
  for (auto *exprs : {&ws, &xs, &ys})
    maps.push_back(AffineMap::get(loops, 0, *exprs, context));
  Sizes sizes = {batch};
  if (hasGroups())
    sizes.push_back(l.sizes.constant(groups));
  sizes.append({perGroup, points});
  return contract(l, {w, x}, maps, sizes, element);
}

Value Convolution::buildWindows() {
  unsigned lead = hasGroups() ? 2 : 1, spatial = dims.size();
  // Loops: n, (g), m, o…, (c), k….
  unsigned channel = lead + 1 + spatial, tap = channel + !isDepthwise();
  MLIRContext *context = l.b.getContext();
  auto dim = [&](unsigned d) { return l.b.getAffineDimExpr(d); };
  SmallVector<AffineExpr> xs = {dim(0)}, ws, ys = {dim(0)};
  if (hasGroups())
    for (auto *exprs : {&xs, &ws, &ys})
      exprs->push_back(dim(1));
  ws.push_back(dim(lead));
  ys.push_back(dim(lead));
  if (!isDepthwise()) {
    xs.push_back(dim(channel));
    ws.push_back(dim(channel));
  }
  for (auto [i, window] : llvm::enumerate(dims)) {
    xs.push_back(dim(lead + 1 + i) * window.stride +
                 dim(tap + i) * window.dilation);
    ws.push_back(dim(tap + i));
    ys.push_back(dim(lead + 1 + i));
  }
  SmallVector<AffineMap> maps;
  for (auto *exprs : {&ws, &xs, &ys})
    maps.push_back(AffineMap::get(tap + spatial, 0, *exprs, context));
  Sizes sizes = {batch};
  if (hasGroups())
    sizes.push_back(l.sizes.constant(groups));
  sizes.push_back(perGroup);
  llvm::append_range(sizes, out);
  return contract(l, {weight, input}, maps, sizes, element);
}

Value Convolution::build() {
  sample();
  Size units = l.sizeOf(weight, 0);
  splitGroups();
  bool points = llvm::all_of(
      dims, [](const onnx::Window &window) { return window.kernel == 1; });
  Value result = points ? buildPoints() : buildWindows();
  Sizes sizes = {batch, units};
  llvm::append_range(sizes, out);
  return l.reshape(result, sizes);
}

/// Adds one value a channel, if there is one, and rounds once.
static Value addBias(Lowering &l, Value result, Value bias, Type element) {
  if (!bias)
    return l.convertElements(result, element);
  int64_t rank = rankOf(result);
  AffineMap channel =
      AffineMap::get(rank, 0, l.b.getAffineDimExpr(1), l.b.getContext());
  Type wide = getElementTypeOrSelf(result);
  return l.parallelGeneric(
      {result, bias}, {l.identity(rank), channel}, l.sizesOf(result), element,
      [&](ImplicitLocOpBuilder &b, ValueRange x) {
        ScalarMath s(b, false);
        Value sum = s.add(x[0], convertScalar(b, x[1], wide));
        return convertScalar(b, sum, element);
      });
}

static LogicalResult requireFloats(Operation *op) {
  if (isa<FloatType>(resultElement(op)))
    return success();
  return op->emitError() << op->getName().stripDialect()
                         << " is for floats, not " << onnxElement(op);
}

static Results lowerConv(Lowering &l, Operation *op) {
  auto conv = ::mlir::cast<onnx::ConvOp>(op);
  Value input = l.operand(op, 0), weight = l.operand(op, 1);
  FailureOr<Slides> slides = slidesOf(l, op, input, /*ceil=*/false);
  if (failed(slides) || failed(requireFloats(op)))
    return failure();
  Type element = resultElement(op);
  input = padSpatial(l, input, l.constant(element, 0), *slides);
  Value result = Convolution{l,
                             input,
                             weight,
                             static_cast<int64_t>(conv.getGroup()),
                             slides->dims,
                             slides->out,
                             element}
                     .build();
  return SmallVector<Value>{addBias(l, result, l.operand(op, 2), element)};
}

//===----------------------------------------------------------------------===//
// ConvTranspose
//===----------------------------------------------------------------------===//

/// [(g·c), m, k…] → [(g·m), c, k…], the kernel backwards.
static Value flipWeight(Lowering &l, Value weight, int64_t groups) {
  Sizes sizes = l.sizesOf(weight);
  Size count = l.sizes.constant(groups), units = sizes[1];
  Size share = l.sizes.floorDiv(sizes[0], count);
  Sizes split = {count, share, units};
  split.append(sizes.begin() + 2, sizes.end());
  Value grouped = l.reshape(weight, split);
  Sizes flipped = {count, units, share};
  flipped.append(sizes.begin() + 2, sizes.end());
  unsigned rank = flipped.size();
  SmallVector<AffineExpr> exprs = {l.b.getAffineDimExpr(0),
                                   l.b.getAffineDimExpr(2),
                                   l.b.getAffineDimExpr(1)};
  for (unsigned d = 3; d < rank; ++d)
    exprs.push_back(*constantOf(flipped[d]) - 1 - l.b.getAffineDimExpr(d));
  Value turned = l.parallelGeneric(
      grouped, AffineMap::get(rank, 0, exprs, l.b.getContext()), flipped,
      getElementTypeOrSelf(weight),
      [](ImplicitLocOpBuilder &, ValueRange x) { return x[0]; });
  Sizes joined = {l.sizes.mul(count, units), share};
  joined.append(sizes.begin() + 2, sizes.end());
  return l.reshape(turned, joined);
}

namespace {
/// A transposed convolution as a convolution of stride 1 over the input with
/// zeros between and around its elements.
struct Transposed {
  Lowering &l;
  onnx::ConvTransposeOp op;
  onnx::Windows windows;
  SmallVector<onnx::Window, 3> dims; // of the convolution
  Sizes before, after, out;

  void plan(Value input);
  Value spread(Value input);
};
} // namespace

/// Result o is the sum over input i and tap k with o = i·stride + k·dilation -
/// before. What lies before the first and behind the last element follows.
void Transposed::plan(Value input) {
  SizeArithmetic &s = l.sizes;
  for (auto [i, window] : llvm::enumerate(windows.dims)) {
    Size size = l.sizeOf(input, i + 2), one = s.constant(1);
    Size stuffed =
        s.add(s.mul(s.sub(size, one), s.constant(window.stride)), one);
    Size reach = s.constant(window.extent() - 1);
    int64_t extra = op.getOutputPadding() ? (*op.getOutputPadding())[i] : 0;
    Size full = s.add(s.add(stuffed, reach), s.constant(extra));
    Size first = s.constant(window.before), last = s.constant(window.after);
    // A given size of the result decides what is cut off, each half on one
    // side.
    std::optional<Size> wanted;
    if (op.getOutputShape())
      wanted = s.constant((*op.getOutputShape())[i]);
    else if (windows.autoPad != onnx::AutoPad::None)
      wanted = s.mul(size, s.constant(window.stride));
    if (wanted) {
      Size total = s.max(s.sub(full, *wanted), s.constant(0));
      Size half = s.floorDiv(total, s.constant(2));
      bool upper = windows.autoPad != onnx::AutoPad::SameLower;
      first = upper ? half : s.sub(total, half);
      last = s.sub(s.sub(full, *wanted), first);
    }
    out.push_back(s.sub(s.sub(full, first), last));
    before.push_back(s.sub(reach, first));
    after.push_back(s.add(s.sub(reach, last), s.constant(extra)));
    dims.push_back({window.kernel, 1, window.dilation, 0, 0});
  }
}

/// stride - 1 zeros between neighbours, then the padding around.
Value Transposed::spread(Value input) {
  SizeArithmetic &s = l.sizes;
  Value zero = l.constant(getElementTypeOrSelf(input), 0);
  Sizes from = l.sizesOf(input), wide = from, steps(from.size(), s.constant(1));
  bool strided = false;
  for (auto [i, window] : llvm::enumerate(windows.dims)) {
    Size stride = s.constant(window.stride), one = s.constant(1);
    wide[i + 2] = s.add(s.mul(s.sub(from[i + 2], one), stride), one);
    steps[i + 2] = stride;
    strided |= window.stride > 1;
  }
  Sizes offsets(from.size(), s.constant(0));
  if (strided)
    input = tensor::InsertSliceOp::create(l.b, input, l.fill(zero, wide),
                                          offsets, from, steps);
  Padding padding{{s.constant(0), s.constant(0)},
                  {s.constant(0), s.constant(0)}};
  llvm::append_range(padding.before, before);
  llvm::append_range(padding.after, after);
  return padConstant(l, input, zero, padding);
}

static Results lowerConvTranspose(Lowering &l, Operation *op) {
  auto conv = ::mlir::cast<onnx::ConvTransposeOp>(op);
  FailureOr<onnx::Windows> windows = onnx::windowsOf(op);
  if (failed(windows) || failed(requireFloats(op)))
    return failure();
  int64_t groups = conv.getGroup();
  Transposed transposed{l, conv, *windows, {}, {}, {}, {}};
  transposed.plan(l.operand(op, 0));
  Type element = resultElement(op);
  Value result = Convolution{l,
                             transposed.spread(l.operand(op, 0)),
                             flipWeight(l, l.operand(op, 1), groups),
                             groups,
                             transposed.dims,
                             transposed.out,
                             element}
                     .build();
  return SmallVector<Value>{addBias(l, result, l.operand(op, 2), element)};
}

void lowering::addConvolutions(LoweringTable &table) {
  table["Conv"] = lowerConv;
  table["ConvTranspose"] = lowerConvTranspose;
}

//===- Convolution.cpp - Sliding sums of products to cpu.gemm
//---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// A convolution is a gemm that reads its input in place. Output positions are
// the columns, counted over the width of the padded input: then tap (k0, k1) of
// every column lies at one distance from it, and columns are contiguous.
//
//      x: . . . . . .      columns 0 … 5, 6 … 11 are two rows of the output and
//         . a b c d .      the ends of the windows that wrap around, whose
//         . e f g h .      results nobody reads.
//
// With strides, the input is taken apart into its residues first, each an image
// of its own:
//
//   x[i·s + r] → x'[r, i]
//
// Taps of one residue of k·dilation make one gemm; the gemms add up. No copy is
// larger than the padded input.
//
//===----------------------------------------------------------------------===//

#include "Contraction.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

#include <numeric>

using namespace mlir;
using namespace twist;
using namespace twist::cpu;

//===----------------------------------------------------------------------===//
// Matching
//===----------------------------------------------------------------------===//

namespace {
/// out · stride + tap · dilation, as loops.
struct Slide {
  unsigned out = 0, tap = 0;
  int64_t stride = 1, dilation = 1;
};

/// y[n, g, m, o…] = Σ x[n, g, c, o·stride + k·dilation…] · w[g, m, c, k…], any
/// of n, g, m, c left out or repeated.
struct Convolution {
  linalg::LinalgOp op;
  Value image, weight;
  AffineMap imageMap, weightMap, outMap;
  SmallVector<Slide> slides;
  Type accumulator;

  unsigned lead() const { return imageMap.getNumResults() - slides.size(); }
};
} // namespace

/// The slide that an index is; none if it is none.
static std::optional<Slide> matchSlide(AffineExpr expr,
                                       ArrayRef<utils::IteratorType> kinds) {
  auto sum = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!sum || sum.getKind() != AffineExprKind::Add)
    return std::nullopt;
  Slide slide;
  bool hasOut = false, hasTap = false;
  for (AffineExpr term : {sum.getLHS(), sum.getRHS()}) {
    int64_t factor = 1;
    if (auto product = dyn_cast<AffineBinaryOpExpr>(term)) {
      auto constant = dyn_cast<AffineConstantExpr>(product.getRHS());
      if (product.getKind() != AffineExprKind::Mul || !constant ||
          constant.getValue() < 1)
        return std::nullopt;
      factor = constant.getValue();
      term = product.getLHS();
    }
    auto dim = dyn_cast<AffineDimExpr>(term);
    if (!dim)
      return std::nullopt;
    bool isTap = kinds[dim.getPosition()] == utils::IteratorType::reduction;
    (isTap ? hasTap : hasOut) = true;
    (isTap ? slide.tap : slide.out) = dim.getPosition();
    (isTap ? slide.dilation : slide.stride) = factor;
  }
  return hasOut && hasTap ? std::optional<Slide>(slide) : std::nullopt;
}

static std::optional<Convolution> matchConvolution(linalg::LinalgOp op) {
  if (!isa<linalg::GenericOp>(op) || !op.hasPureTensorSemantics() ||
      op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      !llvm::all_of(op->getOperandTypes(), llvm::IsaPred<RankedTensorType>))
    return std::nullopt;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  SmallVector<utils::IteratorType> kinds = op.getIteratorTypesArray();
  unsigned image = maps[0].isProjectedPermutation() ? 1 : 0;
  Convolution conv{op,
                   op.getDpsInputs()[image],
                   op.getDpsInputs()[1 - image],
                   maps[image],
                   maps[1 - image],
                   maps[2],
                   {},
                   Type()};
  if (!conv.weightMap.isProjectedPermutation() ||
      !conv.outMap.isProjectedPermutation() ||
      !isSumOfProducts(*op.getBlock(), conv.accumulator) ||
      !isa<FloatType>(conv.accumulator) ||
      getElementTypeOrSelf(op->getResult(0).getType()) != conv.accumulator)
    return std::nullopt;
  bool inSlides = false;
  for (AffineExpr expr : conv.imageMap.getResults()) {
    std::optional<Slide> slide = matchSlide(expr, kinds);
    if (slide)
      conv.slides.push_back(*slide);
    else if (inSlides || !isa<AffineDimExpr>(expr))
      return std::nullopt;
    inSlides |= slide.has_value();
  }
  // Spatial dimensions come last everywhere, in one order.
  unsigned count = conv.slides.size();
  if (count == 0 || conv.weightMap.getNumResults() < count ||
      conv.outMap.getNumResults() < count)
    return std::nullopt;
  auto weightTaps = conv.weightMap.getResults().take_back(count);
  auto outs = conv.outMap.getResults().take_back(count);
  auto taps =
      cast<RankedTensorType>(conv.weight.getType()).getShape().take_back(count);
  for (auto [i, slide] : llvm::enumerate(conv.slides))
    if (weightTaps[i] != getAffineDimExpr(slide.tap, op.getContext()) ||
        outs[i] != getAffineDimExpr(slide.out, op.getContext()) ||
        ShapedType::isDynamic(taps[i]))
      return std::nullopt;
  return conv;
}

//===----------------------------------------------------------------------===//
// The input, padded so that every read lies within it, in residues
//===----------------------------------------------------------------------===//

namespace {
/// Taps first, first + step, … of one dimension, `count` of them; tap number i
/// reads residue `phase` at distance start + i · advance. With `eachPhase` tap
/// i reads residue i at distance 0.
struct Taps {
  int64_t first = 0, step = 1, count = 1;
  int64_t phase = 0, start = 0, advance = 1;
  bool eachPhase = false;
};

class GemmFormer {
public:
  GemmFormer(OpBuilder &b, Convolution &conv, TargetInfo target)
      : b(b), loc(conv.op.getLoc()), conv(conv), target(target),
        e(b, loc, target) {}

  Value build();
  unsigned numGemms = 0;

private:
  unsigned spatial() const { return conv.slides.size(); }
  OpFoldResult fold(Value size) { return getAsOpFoldResult(size); }
  SmallVector<SmallVector<Taps>> partition();
  void planSizes();
  Value padded();
  Value residues(Value image);
  Value gemm(Value image, ArrayRef<Taps> taps, Value sum);
  Value crop(Value wide);

  OpBuilder &b;
  Location loc;
  Convolution &conv;
  TargetInfo target;
  Emitter e;
  /// Sizes of the taps and the results; of the input before and after padding,
  /// the latter in windows (elements / stride); columns.
  SmallVector<int64_t> kernel;
  SmallVector<Value> out, rows;
  Value columns;
};
} // namespace

/// The sets of taps along each dimension that make a gemm.
SmallVector<SmallVector<Taps>> GemmFormer::partition() {
  SmallVector<SmallVector<Taps>> all;
  for (auto [slide, size] : llvm::zip_equal(conv.slides, kernel)) {
    SmallVector<Taps> &sets = all.emplace_back();
    int64_t stride = slide.stride, dilation = slide.dilation;
    if (stride > 1 && dilation == 1 && size <= stride) {
      sets.push_back({0, 1, size, 0, 0, 0, true});
      continue;
    }
    int64_t common = std::gcd(stride, dilation), step = stride / common;
    for (int64_t first = 0; first < std::min(size, step); ++first)
      sets.push_back({first, step, (size - first + step - 1) / step,
                      first * dilation % stride, first * dilation / stride,
                      dilation / common, false});
  }
  return all;
}

void GemmFormer::planSizes() {
  auto weight = cast<RankedTensorType>(conv.weight.getType());
  kernel.assign(weight.getShape().end() - spatial(), weight.getShape().end());
  Value init = conv.op.getDpsInits()[0];
  unsigned rank = conv.outMap.getNumResults();
  auto sizeOf = [&](Value tensor, unsigned dim) {
    return getValueOrCreateConstantIndexOp(
        b, loc, tensor::getMixedSize(b, loc, tensor, dim));
  };
  for (unsigned i = 0; i < spatial(); ++i)
    out.push_back(sizeOf(init, rank - spatial() + i));
  // Windows along each dimension, and how far beyond the first column of the
  // last row of taps reads go.
  SmallVector<int64_t> reach;
  for (auto [i, slide] : llvm::enumerate(conv.slides)) {
    reach.push_back((kernel[i] - 1) * slide.dilation / slide.stride);
    rows.push_back(e.add(out[i], e.index(reach[i])));
  }
  columns = out[0];
  Value width = e.index(1);
  for (unsigned i = 1; i < spatial(); ++i) {
    columns = e.mul(columns, rows[i]);
    width = e.mul(width, rows[i]);
  }
  int64_t extra = 0;
  if (std::optional<int64_t> count = constantOf(columns)) {
    int64_t panel = target.panelColumns(*count, conv.accumulator);
    int64_t whole = llvm::divideCeil(*count, panel) * panel;
    extra = whole - *count;
    columns = e.index(whole);
  }
  // Reads end at columns + Σ reach · width, the rows at out + reach.
  int64_t tail = extra;
  if (spatial() > 1)
    tail += reach.back();
  if (spatial() > 2)
    for (unsigned i = 1; i + 1 < spatial(); ++i)
      rows[0] = e.add(rows[0], e.index(reach[i] > 0));
  rows[0] = e.add(rows[0], e.ceilDiv(e.index(tail), width));
}

/// The input in a larger one of whole strides; what was padded before is padded
/// in one go.
Value GemmFormer::padded() {
  Value image = conv.image, fillValue;
  unsigned lead = conv.lead(), rank = conv.imageMap.getNumResults();
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, image);
  SmallVector<OpFoldResult> wanted = sizes;
  auto insert = image.getDefiningOp<tensor::InsertSliceOp>();
  auto fill =
      insert ? insert.getDest().getDefiningOp<linalg::FillOp>() : nullptr;
  bool isPadding = fill && insert.hasUnitStride() &&
                   insert.getSourceType().getRank() == int64_t(rank);
  // Anything else may lie in memory with gaps.
  bool fits = isPadding;
  for (auto [i, slide] : llvm::enumerate(conv.slides)) {
    wanted[lead + i] = fold(e.mul(rows[i], e.index(slide.stride)));
    fits &= isEqualConstantIntOrValue(wanted[lead + i], sizes[lead + i]);
  }
  if (fits)
    return image;
  SmallVector<OpFoldResult> offsets(rank, b.getIndexAttr(0)),
      ones(rank, b.getIndexAttr(1));
  Type element = cast<RankedTensorType>(image.getType()).getElementType();
  if (isPadding) {
    image = insert.getSource();
    sizes = insert.getMixedSizes();
    offsets = insert.getMixedOffsets();
    fillValue = fill.getInputs()[0];
  } else {
    fillValue = arith::ConstantOp::create(b, loc, b.getZeroAttr(element));
  }
  // The windows need not reach the last elements.
  for (unsigned d = lead; d < rank; ++d) {
    Value size = getValueOrCreateConstantIndexOp(b, loc, sizes[d]);
    Value before = getValueOrCreateConstantIndexOp(b, loc, offsets[d]);
    Value end = getValueOrCreateConstantIndexOp(b, loc, wanted[d]);
    sizes[d] = fold(e.min(size, e.sub(e.max(end, before), before)));
  }
  SmallVector<OpFoldResult> zeros(rank, b.getIndexAttr(0));
  image = tensor::ExtractSliceOp::create(b, loc, image, zeros, sizes, ones);
  Value larger = tensor::EmptyOp::create(b, loc, wanted, element);
  larger = linalg::FillOp::create(b, loc, fillValue, larger).getResult(0);
  return tensor::InsertSliceOp::create(b, loc, image, larger, offsets, sizes,
                                       ones);
}

/// [lead…, p…] → [lead…, residues…, windows…], for dimensions with strides.
Value GemmFormer::residues(Value image) {
  if (llvm::all_of(conv.slides, [](Slide s) { return s.stride == 1; }))
    return image;
  unsigned lead = conv.lead();
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, image);
  sizes.truncate(lead);
  SmallVector<AffineExpr> exprs;
  for (unsigned d = 0; d < lead; ++d)
    exprs.push_back(b.getAffineDimExpr(d));
  unsigned phases =
      llvm::count_if(conv.slides, [](Slide slide) { return slide.stride > 1; });
  for (const Slide &slide : conv.slides)
    if (slide.stride > 1)
      sizes.push_back(b.getIndexAttr(slide.stride));
  unsigned phase = lead;
  for (auto [i, slide] : llvm::enumerate(conv.slides)) {
    AffineExpr at = b.getAffineDimExpr(lead + phases + i);
    if (slide.stride > 1)
      at = at * slide.stride + b.getAffineDimExpr(phase++);
    exprs.push_back(at);
    sizes.push_back(fold(rows[i]));
  }
  unsigned rank = sizes.size();
  Type element = cast<RankedTensorType>(image.getType()).getElementType();
  Value empty = tensor::EmptyOp::create(b, loc, sizes, element);
  SmallVector<utils::IteratorType> kinds(rank, utils::IteratorType::parallel);
  SmallVector<AffineMap> maps = {AffineMap::get(rank, 0, exprs, b.getContext()),
                                 b.getMultiDimIdentityMap(rank)};
  return linalg::GenericOp::create(
             b, loc, empty.getType(), image, empty, maps, kinds,
             [](OpBuilder &nested, Location at, ValueRange args) {
               linalg::YieldOp::create(nested, at, args[0]);
             })
      .getResult(0);
}

//===----------------------------------------------------------------------===//
// The gemms
//===----------------------------------------------------------------------===//

/// One set of taps a dimension: `sum` (null: nothing) plus their products.
Value GemmFormer::gemm(Value image, ArrayRef<Taps> taps, Value sum) {
  MLIRContext *context = b.getContext();
  unsigned numLoops = conv.imageMap.getNumDims(), lead = conv.lead();
  // Loops in the order of a gemm: batch, rows, column, k.
  SmallVector<unsigned> batch, units, depth;
  auto outLead = conv.outMap.getResults().drop_back(spatial());
  for (AffineExpr expr : outLead) {
    unsigned d = cast<AffineDimExpr>(expr).getPosition();
    (conv.imageMap.isFunctionOfDim(d) ? batch : units).push_back(d);
  }
  for (unsigned d = 0; d < numLoops; ++d) {
    bool isTap = llvm::any_of(conv.slides, [&](Slide s) { return s.tap == d; });
    if (!conv.outMap.isFunctionOfDim(d) && !isTap)
      depth.push_back(d);
  }
  for (const Slide &slide : conv.slides)
    depth.push_back(slide.tap);
  SmallVector<AffineExpr> place(numLoops);
  unsigned next = 0;
  for (unsigned d : batch)
    place[d] = b.getAffineDimExpr(next++);
  for (unsigned d : units)
    place[d] = b.getAffineDimExpr(next++);
  AffineExpr column = b.getAffineDimExpr(next++);
  for (unsigned d : depth)
    place[d] = b.getAffineDimExpr(next++);

  auto placed = [&](AffineExpr expr) {
    return place[cast<AffineDimExpr>(expr).getPosition()];
  };
  SmallVector<AffineExpr> lhs, rhs, init;
  for (AffineExpr expr : conv.weightMap.getResults())
    lhs.push_back(placed(expr));
  for (AffineExpr expr : conv.imageMap.getResults().take_front(lead))
    rhs.push_back(placed(expr));
  for (AffineExpr expr : outLead)
    init.push_back(placed(expr));
  init.push_back(column);
  for (auto [set, slide] : llvm::zip_equal(taps, conv.slides))
    if (slide.stride > 1)
      rhs.push_back(set.eachPhase ? place[slide.tap]
                                  : getAffineConstantExpr(set.phase, context));
  for (auto [i, set] : llvm::enumerate(taps)) {
    AffineExpr at = getAffineConstantExpr(set.start, context);
    if (!set.eachPhase)
      at = at + place[conv.slides[i].tap] * set.advance;
    rhs.push_back(i + 1 == spatial() ? at + column : at);
  }

  // The weight's taps, a view where they are not all.
  Value weight = conv.weight;
  unsigned weightRank = lhs.size();
  SmallVector<OpFoldResult> offsets(weightRank, b.getIndexAttr(0)),
      sizes = tensor::getMixedSizes(b, loc, weight),
      steps(weightRank, b.getIndexAttr(1));
  bool all = true;
  for (auto [i, set] : llvm::enumerate(taps)) {
    unsigned d = weightRank - spatial() + i;
    all &= set.count == kernel[i];
    offsets[d] = b.getIndexAttr(set.first);
    sizes[d] = b.getIndexAttr(set.count);
    steps[d] = b.getIndexAttr(set.step);
  }
  if (!all)
    weight =
        tensor::ExtractSliceOp::create(b, loc, weight, offsets, sizes, steps);

  SmallVector<OpFoldResult> shape =
      tensor::getMixedSizes(b, loc, conv.op.getDpsInits()[0]);
  shape.truncate(outLead.size());
  shape.push_back(fold(columns));
  Value empty = tensor::EmptyOp::create(b, loc, shape, conv.accumulator);
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(next, 0, exprs, context);
  };
  SmallVector<AffineMap> maps = {map(lhs), map(rhs)};
  SmallVector<Value> extras;
  if (sum) {
    extras.push_back(sum);
    maps.push_back(map(init));
  }
  maps.push_back(map(init));
  auto result =
      GemmOp::create(b, loc, empty.getType(), weight, image, extras, empty,
                     b.getAffineMapArrayAttr(maps), batch.size(), units.size(),
                     IntegerAttr(), conv.accumulator, /*lhs_unsigned=*/false,
                     /*rhs_unsigned=*/false, depth.size());
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&result.getEpilogue());
  Value value = body->addArgument(conv.accumulator, loc);
  if (sum)
    value = arith::AddFOp::create(b, loc, value,
                                  body->addArgument(conv.accumulator, loc));
  YieldOp::create(b, loc, value);
  ++numGemms;
  return result.getResult(0);
}

/// [lead…, columns] → [lead…, out…], without the windows that wrap around.
Value GemmFormer::crop(Value wide) {
  unsigned lead = conv.outMap.getNumResults() - spatial();
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, wide);
  SmallVector<OpFoldResult> shape(ArrayRef(sizes).take_front(lead));
  SmallVector<ReassociationIndices> groups;
  for (unsigned d = 0; d < lead; ++d)
    groups.push_back({int64_t(d)});
  groups.emplace_back();
  Value count = e.index(1);
  for (unsigned i = 0; i < spatial(); ++i) {
    Value size = i == 0 ? out[0] : rows[i];
    groups.back().push_back(lead + i);
    shape.push_back(fold(size));
    count = e.mul(count, size);
  }
  auto slice = [&](Value from, ArrayRef<OpFoldResult> to) -> Value {
    SmallVector<OpFoldResult> zeros(to.size(), b.getIndexAttr(0)),
        ones(to.size(), b.getIndexAttr(1));
    return tensor::ExtractSliceOp::create(b, loc, from, zeros, to, ones);
  };
  sizes[lead] = fold(count);
  wide = slice(wide, sizes);
  if (spatial() > 1) {
    auto type = RankedTensorType::get(decomposeMixedValues(shape).first,
                                      conv.accumulator);
    wide = tensor::ExpandShapeOp::create(b, loc, type, wide, groups, shape);
    for (unsigned i = 1; i < spatial(); ++i)
      shape[lead + i] = fold(out[i]);
    wide = slice(wide, shape);
  }
  return wide;
}

Value GemmFormer::build() {
  planSizes();
  Value image = residues(padded());
  SmallVector<SmallVector<Taps>> sets = partition();
  // Every choice of one set a dimension.
  int64_t choices = 1;
  for (auto &along : sets)
    choices *= along.size();
  Value sum;
  for (int64_t choice = 0; choice < choices; ++choice) {
    SmallVector<Taps> taps(spatial());
    int64_t rest = choice;
    for (int64_t i = spatial() - 1; i >= 0; --i) {
      taps[i] = sets[i][rest % sets[i].size()];
      rest /= sets[i].size();
    }
    sum = gemm(image, taps, sum);
  }
  Value result = crop(sum);
  Type type = conv.op->getResult(0).getType();
  if (result.getType() != type)
    result = tensor::CastOp::create(b, loc, type, result);
  return result;
}

unsigned twist::cpu::formConvolution(linalg::LinalgOp op, TargetInfo target) {
  std::optional<Convolution> conv = matchConvolution(op);
  if (!conv || !isZeroFill(op.getDpsInits()[0]))
    return 0;
  OpBuilder b(op);
  GemmFormer builder(b, *conv, target);
  op->getResult(0).replaceAllUsesWith(builder.build());
  op.erase();
  return builder.numGemms;
}

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
// of its own, x'[r, i] = x[i·s + r]; the distances of the taps are a table
// then. No copy is larger than the padded input.
//
//===----------------------------------------------------------------------===//

#include "Contraction.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

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
class GemmFormer {
public:
  GemmFormer(OpBuilder &b, Convolution &conv, TargetInfo target)
      : b(b), loc(conv.op.getLoc()), conv(conv), target(target),
        e(b, loc, target) {}

  Value build();

private:
  unsigned spatial() const { return conv.slides.size(); }
  OpFoldResult fold(Value size) { return getAsOpFoldResult(size); }
  Value value(OpFoldResult size) {
    return getValueOrCreateConstantIndexOp(b, loc, size);
  }
  SmallVector<OpFoldResult> sizesOf(Value tensor) {
    return tensor::getMixedSizes(b, loc, tensor);
  }
  Value slice(Value from, ArrayRef<OpFoldResult> offsets,
              ArrayRef<OpFoldResult> sizes, ArrayRef<OpFoldResult> steps);
  Value crop(Value from, ArrayRef<OpFoldResult> sizes);
  /// Whether tap k reads residue k at distance 0: patches that don't overlap.
  bool isPatch(unsigned i) const {
    const Slide &slide = conv.slides[i];
    return slide.stride > 1 && slide.dilation == 1 && kernel[i] <= slide.stride;
  }
  void planSizes();
  Value image();
  void insertResidue(Value &into, Value from, ArrayRef<OpFoldResult> before,
                     ArrayRef<int64_t> residue);
  Value tapTable();
  Value gemm(Value image);
  Value unpad(Value wide);

  OpBuilder &b;
  Location loc;
  Convolution &conv;
  TargetInfo target;
  Emitter e;
  SmallVector<int64_t> kernel;
  /// Sizes of the result; of the padded input in windows (elements / stride);
  /// columns.
  SmallVector<Value> out, rows;
  Value columns;
  /// Whether tap distances are no multiple of the tap.
  bool tapped = false;
};
} // namespace

Value GemmFormer::slice(Value from, ArrayRef<OpFoldResult> offsets,
                        ArrayRef<OpFoldResult> sizes,
                        ArrayRef<OpFoldResult> steps) {
  return tensor::ExtractSliceOp::create(b, loc, from, offsets, sizes, steps);
}

Value GemmFormer::crop(Value from, ArrayRef<OpFoldResult> sizes) {
  SmallVector<OpFoldResult> zeros(sizes.size(), b.getIndexAttr(0)),
      ones(sizes.size(), b.getIndexAttr(1));
  return slice(from, zeros, sizes, ones);
}

void GemmFormer::planSizes() {
  auto weight = cast<RankedTensorType>(conv.weight.getType());
  kernel.assign(weight.getShape().end() - spatial(), weight.getShape().end());
  SmallVector<OpFoldResult> sizes = sizesOf(conv.op.getDpsInits()[0]);
  for (OpFoldResult size : ArrayRef(sizes).take_back(spatial()))
    out.push_back(value(size));
  // How many windows beyond its own a tap reads at most.
  SmallVector<int64_t> reach;
  for (auto [i, slide] : llvm::enumerate(conv.slides)) {
    reach.push_back((kernel[i] - 1) * slide.dilation / slide.stride);
    rows.push_back(e.add(out[i], e.index(reach[i])));
    tapped |= slide.stride > 1 && !isPatch(i);
  }
  columns = out[0];
  Value width = e.index(1);
  for (unsigned i = 1; i < spatial(); ++i) {
    columns = e.mul(columns, rows[i]);
    width = e.mul(width, rows[i]);
  }
  // Whole panels need no masks.
  int64_t tail = 0;
  if (std::optional<int64_t> count = constantOf(columns)) {
    int64_t panel = target.panelColumns(*count, conv.accumulator);
    int64_t whole = llvm::divideCeil(*count, panel) * panel;
    tail = whole - *count;
    columns = e.index(whole);
  }
  // The last read is at columns - 1 + Σ reach · width; the first dimension has
  // room for its own reach, and gets more for that of the others.
  if (spatial() > 1)
    tail += reach.back();
  for (unsigned i = 1; i + 1 < spatial(); ++i)
    rows[0] = e.add(rows[0], e.index(reach[i] > 0));
  rows[0] = e.add(rows[0], e.ceilDiv(e.index(tail), width));
}

/// x'[…, residue, i…] = x[…, i · stride + residue - before…], where there is
/// such an element.
void GemmFormer::insertResidue(Value &into, Value from,
                               ArrayRef<OpFoldResult> before,
                               ArrayRef<int64_t> residue) {
  unsigned lead = conv.lead();
  SmallVector<OpFoldResult> source(lead, b.getIndexAttr(0)), at = source;
  SmallVector<OpFoldResult> sizes = sizesOf(from),
                            steps(lead, b.getIndexAttr(1));
  SmallVector<OpFoldResult> counts(ArrayRef(sizes).take_front(lead)), inner;
  for (auto [i, slide] : llvm::enumerate(conv.slides))
    if (slide.stride > 1) {
      at.push_back(b.getIndexAttr(residue[i]));
      counts.push_back(b.getIndexAttr(1));
    }
  for (auto [i, slide] : llvm::enumerate(conv.slides)) {
    Value stride = e.index(slide.stride), padding = value(before[lead + i]);
    Value size = value(sizes[lead + i]), phase = e.index(residue[i]);
    // The first window with an element: i · stride + residue >= padding.
    Value first = e.ceilDiv(e.sub(e.max(padding, phase), phase), stride);
    Value start = e.sub(e.add(e.mul(first, stride), phase), padding);
    Value left = e.sub(e.max(size, start), start);
    Value room = e.sub(e.max(rows[i], first), first);
    Value count = e.min(e.ceilDiv(left, stride), room);
    source.push_back(fold(start));
    steps.push_back(b.getIndexAttr(slide.stride));
    inner.push_back(fold(count));
    at.push_back(fold(e.min(first, rows[i])));
  }
  SmallVector<OpFoldResult> taken(ArrayRef(counts).take_front(lead));
  taken.append(inner);
  counts.append(inner);
  Value part = slice(from, source, taken, steps);
  SmallVector<OpFoldResult> ones(counts.size(), b.getIndexAttr(1));
  into = tensor::InsertSliceOp::create(b, loc, part, into, at, counts, ones);
}

/// [lead…, residues…, windows…] of the input, the residues of dimensions with
/// strides only. What was padded before is padded in one go.
Value GemmFormer::image() {
  Value from = conv.image, fillValue;
  unsigned lead = conv.lead(), rank = conv.imageMap.getNumResults();
  Type element = getElementTypeOrSelf(from.getType());
  SmallVector<OpFoldResult> sizes = sizesOf(from),
                            before(rank, b.getIndexAttr(0));
  auto insert = from.getDefiningOp<tensor::InsertSliceOp>();
  auto fill =
      insert ? insert.getDest().getDefiningOp<linalg::FillOp>() : nullptr;
  if (fill && insert.hasUnitStride() &&
      insert.getSourceType().getRank() == int64_t(rank)) {
    bool fits = true;
    for (unsigned i = 0; i < spatial(); ++i)
      fits &= conv.slides[i].stride == 1 &&
              isEqualConstantIntOrValue(fold(rows[i]), sizes[lead + i]);
    if (fits)
      return from;
    from = insert.getSource();
    before = insert.getMixedOffsets();
    fillValue = fill.getInputs()[0];
  } else {
    fillValue = arith::ConstantOp::create(b, loc, b.getZeroAttr(element));
  }
  SmallVector<OpFoldResult> shape(ArrayRef(sizes).take_front(lead));
  int64_t residues = 1;
  for (const Slide &slide : conv.slides) {
    residues *= slide.stride;
    if (slide.stride > 1)
      shape.push_back(b.getIndexAttr(slide.stride));
  }
  for (Value size : rows)
    shape.push_back(fold(size));
  Value result = tensor::EmptyOp::create(b, loc, shape, element);
  result = linalg::FillOp::create(b, loc, fillValue, result).getResult(0);
  for (int64_t number = 0; number < residues; ++number) {
    SmallVector<int64_t> residue(spatial());
    int64_t rest = number;
    for (int64_t i = spatial() - 1; i >= 0; --i) {
      residue[i] = rest % conv.slides[i].stride;
      rest /= conv.slides[i].stride;
    }
    insertResidue(result, from, before, residue);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// The gemm
//===----------------------------------------------------------------------===//

/// For each tap, the last dimension fastest, how many elements of the image lie
/// between a column and what it reads.
Value GemmFormer::tapTable() {
  // Strides of the image, from the innermost dimension outwards.
  SmallVector<Value> rowStep(spatial()), phaseStep(spatial());
  Value step = e.index(1);
  for (int64_t i = spatial() - 1; i >= 0; --i) {
    rowStep[i] = step;
    step = e.mul(step, rows[i]);
  }
  for (int64_t i = spatial() - 1; i >= 0; --i) {
    phaseStep[i] = step;
    step = e.mul(step, e.index(conv.slides[i].stride));
  }
  int64_t count = llvm::product_of(kernel);
  SmallVector<Value> distances;
  for (int64_t number = 0; number < count; ++number) {
    int64_t rest = number;
    Value distance = e.index(0);
    for (int64_t i = spatial() - 1; i >= 0; --i) {
      const Slide &slide = conv.slides[i];
      int64_t at = rest % kernel[i] * slide.dilation;
      rest /= kernel[i];
      distance = e.add(distance, e.mul(e.index(at / slide.stride), rowStep[i]));
      distance =
          e.add(distance, e.mul(e.index(at % slide.stride), phaseStep[i]));
    }
    distances.push_back(distance);
  }
  auto type = RankedTensorType::get({count}, b.getIndexType());
  SmallVector<Attribute> known;
  for (Value distance : distances)
    if (std::optional<int64_t> constant = constantOf(distance))
      known.push_back(b.getIndexAttr(*constant));
  if (known.size() == distances.size())
    return arith::ConstantOp::create(b, loc, type,
                                     DenseElementsAttr::get(type, known));
  return tensor::FromElementsOp::create(b, loc, type, distances);
}

/// [lead…, columns] from the image.
Value GemmFormer::gemm(Value image) {
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
  // All taps are one loop over a table.
  if (tapped)
    depth.truncate(depth.size() - spatial() + 1);
  SmallVector<AffineExpr> place(numLoops);
  unsigned next = 0;
  for (unsigned d : llvm::concat<unsigned>(batch, units))
    place[d] = b.getAffineDimExpr(next++);
  AffineExpr column = b.getAffineDimExpr(next++);
  for (unsigned d : depth)
    place[d] = b.getAffineDimExpr(next++);

  auto placed = [&](AffineExpr expr) {
    return place[cast<AffineDimExpr>(expr).getPosition()];
  };
  SmallVector<AffineExpr> lhs, rhs, init;
  unsigned weightDims = conv.weightMap.getNumResults();
  if (tapped)
    weightDims -= spatial() - 1;
  for (AffineExpr expr : conv.weightMap.getResults().take_front(weightDims))
    lhs.push_back(placed(expr));
  for (AffineExpr expr : conv.imageMap.getResults().take_front(lead))
    rhs.push_back(placed(expr));
  for (AffineExpr expr : outLead)
    init.push_back(placed(expr));
  init.push_back(column);
  AffineExpr zero = getAffineConstantExpr(0, context);
  for (auto [i, slide] : llvm::enumerate(conv.slides))
    if (slide.stride > 1)
      rhs.push_back(tapped ? zero : place[slide.tap]);
  for (auto [i, slide] : llvm::enumerate(conv.slides)) {
    AffineExpr at =
        tapped || isPatch(i) ? zero : place[slide.tap] * slide.dilation;
    rhs.push_back(i + 1 == spatial() ? at + column : at);
  }
  Value weight = conv.weight;
  if (tapped && spatial() > 1) {
    SmallVector<ReassociationIndices> groups;
    for (unsigned d = 0, rank = conv.weightMap.getNumResults(); d < rank; ++d) {
      if (groups.size() < weightDims)
        groups.emplace_back();
      groups.back().push_back(d);
    }
    weight = tensor::CollapseShapeOp::create(b, loc, weight, groups);
  }

  SmallVector<OpFoldResult> shape = sizesOf(conv.op.getDpsInits()[0]);
  shape.truncate(outLead.size());
  shape.push_back(fold(columns));
  Value empty = tensor::EmptyOp::create(b, loc, shape, conv.accumulator);
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(next, 0, exprs, context);
  };
  SmallVector<AffineMap> maps = {map(lhs), map(rhs)};
  Value taps;
  if (tapped) {
    taps = tapTable();
    maps.push_back(map(b.getAffineDimExpr(next - 1)));
  }
  maps.push_back(map(init));
  auto result = GemmOp::create(
      b, loc, empty.getType(), weight, image, ValueRange(), taps, empty,
      b.getAffineMapArrayAttr(maps), batch.size(), units.size(), IntegerAttr(),
      conv.accumulator, /*lhs_unsigned=*/false, /*rhs_unsigned=*/false,
      depth.size(), /*triangle=*/DenseI64ArrayAttr());
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&result.getEpilogue());
  YieldOp::create(b, loc, body->addArgument(conv.accumulator, loc));
  return result.getResult(0);
}

/// [lead…, columns] → [lead…, out…], without the windows that wrap around.
Value GemmFormer::unpad(Value wide) {
  unsigned lead = conv.outMap.getNumResults() - spatial();
  SmallVector<OpFoldResult> sizes = sizesOf(wide);
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
  sizes[lead] = fold(count);
  wide = crop(wide, sizes);
  if (spatial() == 1)
    return wide;
  auto type = RankedTensorType::get(decomposeMixedValues(shape).first,
                                    conv.accumulator);
  wide = tensor::ExpandShapeOp::create(b, loc, type, wide, groups, shape);
  for (unsigned i = 1; i < spatial(); ++i)
    shape[lead + i] = fold(out[i]);
  return crop(wide, shape);
}

Value GemmFormer::build() {
  planSizes();
  Value result = unpad(gemm(image()));
  Type type = conv.op->getResult(0).getType();
  if (result.getType() != type)
    result = tensor::CastOp::create(b, loc, type, result);
  return result;
}

bool twist::cpu::formConvolution(linalg::LinalgOp op, TargetInfo target) {
  std::optional<Convolution> conv = matchConvolution(op);
  if (!conv || !isZeroFill(op.getDpsInits()[0]))
    return false;
  OpBuilder b(op);
  op->getResult(0).replaceAllUsesWith(GemmFormer(b, *conv, target).build());
  op.erase();
  return true;
}

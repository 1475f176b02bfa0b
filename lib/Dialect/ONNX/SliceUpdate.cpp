//===- SliceUpdate.cpp - Ops re-emit their sizes after a cut --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// All arithmetic on shapes stays in dense numbers: an op that reads a size
// (Shape, Size) scales it back, an op that takes sizes (Reshape, Expand, …)
// scales those of its own result. So what happens in between, divisions and
// comparisons included, never sees a cut.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

using Ratio = std::pair<int64_t, int64_t>;
static constexpr Ratio kWhole = {1, 1};

/// The integers of a constant operand, row-major.
static std::optional<SmallVector<int64_t>> constantInts(Value value) {
  auto constant = value.getDefiningOp<ConstantOp>();
  if (!constant)
    return std::nullopt;
  auto elements = dyn_cast<DenseIntElementsAttr>(constant.getValue());
  if (!elements)
    return std::nullopt;
  SmallVector<int64_t> ints;
  for (const APInt &element : elements.getValues<APInt>())
    ints.push_back(element.getSExtValue());
  return ints;
}

static Value intsConstant(OpBuilder &builder, Location loc,
                          ArrayRef<int64_t> ints, RankedTensorType type) {
  SmallVector<APInt> values;
  for (int64_t value : ints)
    values.emplace_back(type.getElementTypeBitWidth(), value, /*isSigned=*/true,
                        /*implicitTrunc=*/true);
  return ConstantOp::create(builder, loc, type,
                            DenseElementsAttr::get(type, values));
}

static Value intsConstant(OpBuilder &builder, Location loc,
                          ArrayRef<int64_t> ints) {
  return intsConstant(
      builder, loc, ints,
      RankedTensorType::get({int64_t(ints.size())}, builder.getI64Type()));
}

/// A one-dimensional tensor of sizes with some entries set and some scaled.
struct SizeEdit {
  SmallVector<std::optional<int64_t>> fixed; ///< the entry becomes this
  SmallVector<Ratio> scaled;                 ///< the entry times this
  int64_t above = 0; ///< entries <= this are no sizes and stay

  explicit SizeEdit(int64_t length) : fixed(length), scaled(length, kWhole) {}
  bool empty() const {
    return llvm::none_of(fixed, [](auto &f) { return f.has_value(); }) &&
           llvm::all_of(scaled, [](Ratio r) { return r == kWhole; });
  }
};

/// Applies an edit to a tensor of sizes known at compile time.
static SmallVector<int64_t> applyEdit(const SizeEdit &edit,
                                      ArrayRef<int64_t> sizes) {
  SmallVector<int64_t> result(sizes);
  for (auto [i, size] : llvm::enumerate(result)) {
    if (size <= edit.above)
      continue;
    auto [numerator, denominator] = edit.scaled[i];
    size = edit.fixed[i] ? *edit.fixed[i] : size / denominator * numerator;
  }
  return result;
}

/// The same for one computed at run time:
///   fixed:  Where(isFixed, value, sizes)
///   scaled: Where(sizes == noSize, sizes, sizes / denominators · numerators)
static Value applyEdit(OpBuilder &builder, Location loc, const SizeEdit &edit,
                       Value sizes) {
  int64_t length = edit.fixed.size();
  auto type = RankedTensorType::get({length}, builder.getI64Type());
  auto bools = RankedTensorType::get({length}, builder.getI1Type());
  if (llvm::any_of(edit.fixed, [](auto &f) { return f.has_value(); })) {
    SmallVector<bool> isFixed;
    SmallVector<int64_t> values;
    for (auto &value : edit.fixed) {
      isFixed.push_back(value.has_value());
      values.push_back(value.value_or(0));
    }
    Value mask = ConstantOp::create(builder, loc, bools,
                                    DenseElementsAttr::get(bools, isFixed));
    sizes = WhereOp::create(builder, loc, type, mask,
                            intsConstant(builder, loc, values), sizes);
  }
  if (llvm::all_of(edit.scaled, [](Ratio r) { return r == kWhole; }))
    return sizes;
  // -1 or Expand's 1 stays; 0 is 0 when scaled. Equality, for it can be decided
  // of sizes such as 4 · batch; with -1 where nothing is scaled, of all sizes.
  SmallVector<int64_t> numerators, denominators, noSizes;
  for (auto [numerator, denominator] : edit.scaled) {
    numerators.push_back(numerator);
    denominators.push_back(denominator);
    bool isScaled = Ratio(numerator, denominator) != kWhole;
    noSizes.push_back(isScaled && edit.above > 0 ? edit.above : -1);
  }
  Value scaled = DivOp::create(builder, loc, type, sizes,
                               intsConstant(builder, loc, denominators));
  scaled = MulOp::create(builder, loc, type, scaled,
                         intsConstant(builder, loc, numerators));
  Value stays = EqualOp::create(builder, loc, bools, sizes,
                                intsConstant(builder, loc, noSizes));
  return WhereOp::create(builder, loc, type, stays, sizes, scaled);
}

static int64_t rankOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getRank();
}
static int64_t sizeOf(Value value, int64_t dim) {
  return cast<RankedTensorType>(value.getType()).getDimSize(dim);
}
static int64_t axisOf(int64_t axis, Value value) {
  return axis < 0 ? axis + rankOf(value) : axis;
}

/// Rewrites the operand that gives the shape of `result`, whose last entries
/// are the result's last dimensions. Entries up to `above` are no sizes.
static LogicalResult updateShapeOperand(Operation *op, OpOperand &shape,
                                        Value result, int64_t above,
                                        SliceUpdate &update) {
  int64_t rank = rankOf(result);
  auto shapeType = cast<RankedTensorType>(shape.get().getType());
  if (shapeType.getRank() != 1 || shapeType.isDynamicDim(0))
    return op->emitError() << "its shape operand has no static length";
  int64_t length = shapeType.getDimSize(0);
  SizeEdit edit(length);
  edit.above = above;
  for (int64_t i = 0; i < length; ++i) {
    int64_t dim = rank - length + i;
    if (dim < 0 || update.ratio(result, dim) == kWhole)
      continue;
    if (update.kept(result, dim))
      edit.fixed[i] = update.newSize(result, dim);
    else
      edit.scaled[i] = update.ratio(result, dim);
  }
  if (edit.empty())
    return success();
  OpBuilder &builder = update.builder();
  if (auto ints = constantInts(shape.get()))
    shape.set(intsConstant(builder, op->getLoc(), applyEdit(edit, *ints)));
  else
    shape.set(applyEdit(builder, op->getLoc(), edit, shape.get()));
  return success();
}

LogicalResult ReshapeOp::updateForSlice(SliceUpdate &update) {
  // 0 copies the operand's size at the same place: where the operand is cut
  // otherwise there, the size is written out.
  auto ints = constantInts(getShape());
  if (ints && !getAllowzero()) {
    bool changed = false;
    for (auto [i, size] : llvm::enumerate(*ints)) {
      if (size != 0 ||
          update.ratio(getData(), i) == update.ratio(getReshaped(), i))
        continue;
      if (ShapedType::isDynamic(sizeOf(getReshaped(), i)))
        return emitError("copies a size that is cut otherwise in its result");
      size = sizeOf(getReshaped(), i);
      changed = true;
    }
    if (changed)
      getShapeMutable().assign(intsConstant(update.builder(), getLoc(), *ints));
  }
  return updateShapeOperand(*this, getShapeMutable(), getReshaped(), 0, update);
}

LogicalResult ExpandOp::updateForSlice(SliceUpdate &update) {
  return updateShapeOperand(*this, getShapeMutable(), getOutput(), 1, update);
}

LogicalResult ConstantOfShapeOp::updateForSlice(SliceUpdate &update) {
  return updateShapeOperand(*this, getInputMutable(), getOutput(), 0, update);
}

LogicalResult TileOp::updateForSlice(SliceUpdate &update) {
  SizeEdit edit(rankOf(getOutput()));
  for (int64_t dim = 0; dim < rankOf(getOutput()); ++dim) {
    auto [outNum, outDen] = update.ratio(getOutput(), dim);
    auto [inNum, inDen] = update.ratio(getInput(), dim);
    if (outNum == 0 || inNum == 0)
      continue;
    int64_t numerator = outNum * inDen, denominator = outDen * inNum;
    int64_t divisor = std::gcd(numerator, denominator);
    edit.scaled[dim] = {numerator / divisor, denominator / divisor};
  }
  if (edit.empty())
    return success();
  OpBuilder &builder = update.builder();
  if (auto ints = constantInts(getRepeats()))
    getRepeatsMutable().assign(
        intsConstant(builder, getLoc(), applyEdit(edit, *ints)));
  else
    getRepeatsMutable().assign(
        applyEdit(builder, getLoc(), edit, getRepeats()));
  return success();
}

/// The values of a range at the kept indices.
LogicalResult RangeOp::updateForSlice(SliceUpdate &update) {
  auto kept = update.kept(getOutput(), 0);
  if (!kept)
    return success();
  OpBuilder &builder = update.builder();
  auto type = cast<RankedTensorType>(getOutput().getType());
  Value range = RangeOp::create(builder, getLoc(), type, getStart(), getLimit(),
                                getDelta());
  auto cut =
      RankedTensorType::get({int64_t(kept->size())}, type.getElementType());
  update.replace(getOutput(),
                 GatherOp::create(builder, getLoc(), cut, range,
                                  intsConstant(builder, getLoc(), *kept), 0));
  return success();
}

/// The entries of a Shape's result that somebody looks at.
static llvm::BitVector entriesUsed(Value shape) {
  int64_t length = sizeOf(shape, 0);
  llvm::BitVector used(length);
  for (Operation *user : shape.getUsers()) {
    auto gather = dyn_cast<GatherOp>(user);
    auto indices = gather && gather.getData() == shape
                       ? constantInts(gather.getIndices())
                       : std::nullopt;
    if (!indices)
      return used.set(), used;
    for (int64_t index : *indices) {
      if (index < -length || index >= length)
        return used.set(), used; // an error where the model runs
      used.set(index < 0 ? index + length : index);
    }
  }
  return used;
}

LogicalResult ShapeOp::updateForSlice(SliceUpdate &update) {
  int64_t rank = rankOf(getData());
  int64_t start = getStart() < 0 ? getStart() + rank : int64_t(getStart());
  start = std::clamp<int64_t>(start, 0, rank);
  int64_t length = sizeOf(getShape(), 0);
  llvm::BitVector used = entriesUsed(getShape());
  SizeEdit edit(length);
  edit.above = -1;
  for (int64_t i = 0; i < length; ++i) {
    auto [numerator, denominator] = update.ratio(getData(), start + i);
    if (numerator == denominator || !used.test(i))
      continue;
    int64_t dense = sizeOf(getData(), start + i);
    if (!ShapedType::isDynamic(dense))
      edit.fixed[i] = dense;
    else if (numerator != 0)
      edit.scaled[i] = {denominator, numerator};
  }
  if (edit.empty())
    return success();
  OpBuilder &builder = update.builder();
  auto clone = cast<ShapeOp>(builder.clone(**this));
  update.replace(getShape(),
                 applyEdit(builder, getLoc(), edit, clone.getShape()));
  return success();
}

LogicalResult SizeOp::updateForSlice(SliceUpdate &update) {
  OpBuilder &builder = update.builder();
  int64_t numerator = 1, denominator = 1;
  for (int64_t dim = 0; dim < rankOf(getX()); ++dim) {
    auto [n, d] = update.ratio(getX(), dim);
    numerator *= n;
    denominator *= d;
  }
  if (numerator == denominator || numerator == 0)
    return success();
  auto scalar = RankedTensorType::get({}, builder.getI64Type());
  Value size = cast<SizeOp>(builder.clone(**this)).getY();
  size = DivOp::create(builder, getLoc(), scalar, size,
                       intsConstant(builder, getLoc(), {numerator}, scalar));
  update.replace(getY(), MulOp::create(builder, getLoc(), scalar, size,
                                       intsConstant(builder, getLoc(),
                                                    {denominator}, scalar)));
  return success();
}

LogicalResult SplitOp::updateForSlice(SliceUpdate &update) {
  int64_t axis = axisOf(getAxis(), getInput());
  if (update.ratio(getInput(), axis) == kWhole)
    return success();
  SmallVector<int64_t> sizes;
  for (Value output : getOutputs()) {
    if (ShapedType::isDynamic(sizeOf(output, axis)))
      return emitError("splits a cut dimension of unknown size");
    sizes.push_back(update.newSize(output, axis));
  }
  getSplitMutable().assign(intsConstant(update.builder(), getLoc(), sizes));
  removeNumOutputsAttr();
  return success();
}

/// Where the kept indices of a result dimension lie among the kept indices of
/// the operand's, result index r being operand index start + r·step.
static FailureOr<SmallVector<int64_t>> positions(Operation *op,
                                                 ArrayRef<int64_t> sources,
                                                 Value data, int64_t dim,
                                                 SliceUpdate &update) {
  auto kept = update.kept(data, dim);
  SmallVector<int64_t> result;
  for (int64_t source : sources) {
    if (!kept) {
      result.push_back(source);
      continue;
    }
    auto at = llvm::lower_bound(*kept, source);
    if (at == kept->end() || *at != source)
      return op->emitError() << "takes index " << source << " of dimension "
                             << dim << ", which is cut away";
    result.push_back(at - kept->begin());
  }
  return result;
}

/// The distance of equally spaced positions, 1 for fewer than two; none
/// otherwise.
static std::optional<int64_t> spacing(ArrayRef<int64_t> positions) {
  if (positions.size() < 2)
    return 1;
  int64_t step = positions[1] - positions[0];
  for (size_t i = 1; i < positions.size(); ++i)
    if (positions[i] - positions[i - 1] != step)
      return std::nullopt;
  return step;
}

/// The indices of `value`'s dimension that are left, in dense numbers.
static SmallVector<int64_t> keptOrAll(Value value, int64_t dim,
                                      SliceUpdate &update) {
  if (auto kept = update.kept(value, dim))
    return SmallVector<int64_t>(*kept);
  return llvm::to_vector(llvm::seq<int64_t>(0, sizeOf(value, dim)));
}

LogicalResult SliceOp::updateForSlice(SliceUpdate &update) {
  if (rankOf(getStarts()) != 1)
    return emitError("its starts are no list");
  auto starts = constantInts(getStarts()), ends = constantInts(getEnds());
  std::optional<SmallVector<int64_t>> axes, steps;
  int64_t count = sizeOf(getStarts(), 0);
  if (isa<NoneType>(getAxes().getType()))
    axes = llvm::to_vector(llvm::seq<int64_t>(0, count));
  else
    axes = constantInts(getAxes());
  if (isa<NoneType>(getSteps().getType()))
    steps.emplace(count, 1);
  else
    steps = constantInts(getSteps());
  if (!axes)
    return emitError("slices along axes known at run time only");
  if (axes->size() != size_t(count) ||
      (starts && starts->size() != axes->size()) ||
      (ends && ends->size() != axes->size()) ||
      (steps && steps->size() != axes->size()))
    return emitError("its starts, ends, axes and steps do not fit");
  bool changed = false;
  for (auto [i, signedAxis] : llvm::enumerate(*axes)) {
    int64_t rank = rankOf(getData());
    if (signedAxis < -rank || signedAxis >= rank)
      return emitError("slices a dimension its data does not have");
    int64_t axis = axisOf(signedAxis, getData());
    if (update.ratio(getData(), axis) == kWhole &&
        update.ratio(getOutput(), axis) == kWhole)
      continue;
    int64_t size = sizeOf(getData(), axis);
    if (!starts || !ends || !steps || ShapedType::isDynamic(size) ||
        (*steps)[i] < 1)
      return emitError("slices a cut dimension by what is known at run time");
    int64_t start = (*starts)[i] < 0 ? (*starts)[i] + size : (*starts)[i];
    start = std::clamp<int64_t>(start, 0, size);
    SmallVector<int64_t> sources = keptOrAll(getOutput(), axis, update);
    for (int64_t &source : sources)
      source = start + source * (*steps)[i];
    auto at = positions(*this, sources, getData(), axis, update);
    if (failed(at))
      return failure();
    auto step = spacing(*at);
    if (!step)
      return emitError("its cut leaves no regular slice");
    (*starts)[i] = at->empty() ? 0 : at->front();
    (*ends)[i] = at->empty() ? 0 : at->back() + 1;
    (*steps)[i] = *step;
    changed = true;
  }
  if (!changed)
    return success();
  OpBuilder &builder = update.builder();
  auto like = [&](ArrayRef<int64_t> ints) {
    return intsConstant(builder, getLoc(), ints,
                        cast<RankedTensorType>(getStarts().getType()));
  };
  Value newStarts = like(*starts), newEnds = like(*ends);
  if (!isa<NoneType>(getSteps().getType()) ||
      llvm::any_of(*steps, [](int64_t s) { return s != 1; })) {
    if (isa<NoneType>(getAxes().getType()))
      getAxesMutable().assign(like(*axes));
    getStepsMutable().assign(like(*steps));
  }
  getStartsMutable().assign(newStarts);
  getEndsMutable().assign(newEnds);
  return success();
}

/// Constant indices of a gather: those whose result is kept, counted among the
/// kept ones of the data.
LogicalResult GatherOp::updateForSlice(SliceUpdate &update) {
  int64_t axis = axisOf(getAxis(), getData());
  auto type = cast<RankedTensorType>(getIndices().getType());
  bool cut = update.ratio(getData(), axis) != kWhole;
  for (int64_t d = 0; d < type.getRank(); ++d)
    cut |= update.ratio(getOutput(), axis + d) != kWhole;
  if (!cut)
    return success();
  auto indices = constantInts(getIndices());
  if (!indices || !type.hasStaticShape())
    return emitError("gathers from a cut dimension what is known at run time");
  SmallVector<int64_t> sources, shape;
  sources = std::move(*indices);
  int64_t outer = 1, inner = sources.size();
  for (int64_t d = 0; d < type.getRank(); ++d) {
    int64_t size = type.getDimSize(d);
    inner = size == 0 ? 0 : inner / size;
    SmallVector<int64_t> kept = keptOrAll(getOutput(), axis + d, update), next;
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t k : kept)
        for (int64_t i = 0; i < inner; ++i)
          next.push_back(sources[(o * size + k) * inner + i]);
    sources = std::move(next);
    shape.push_back(kept.size());
    outer *= kept.size();
  }
  int64_t size = sizeOf(getData(), axis);
  for (int64_t &source : sources)
    source = source < 0 ? source + size : source;
  auto at = positions(*this, sources, getData(), axis, update);
  if (failed(at))
    return failure();
  getIndicesMutable().assign(
      intsConstant(update.builder(), getLoc(), *at, type.clone(shape)));
  return success();
}

//===----------------------------------------------------------------------===//
// Numbers of groups
//===----------------------------------------------------------------------===//

/// As many groups as there are channels for the weight's share of each.
LogicalResult ConvOp::updateForSlice(SliceUpdate &update) {
  if (getGroup() == 1 ||
      (update.ratio(getX(), 1) == kWhole && update.ratio(getW(), 1) == kWhole))
    return success();
  int64_t channels = update.newSize(getX(), 1);
  int64_t share = update.newSize(getW(), 1);
  if (share != 0)
    setGroup(channels / share);
  return success();
}

LogicalResult ConvTransposeOp::updateForSlice(SliceUpdate &update) {
  if (getGroup() == 1 ||
      (update.ratio(getY(), 1) == kWhole && update.ratio(getW(), 1) == kWhole))
    return success();
  int64_t units = update.newSize(getY(), 1);
  int64_t share = update.newSize(getW(), 1);
  if (share != 0)
    setGroup(units / share);
  return success();
}

LogicalResult GroupNormalizationOp::updateForSlice(SliceUpdate &update) {
  auto [numerator, denominator] = update.ratio(getX(), 1);
  setNumGroups(getNumGroups() / denominator * numerator);
  return success();
}

LogicalResult ResizeOp::updateForSlice(SliceUpdate &update) {
  if (isa<NoneType>(getSizes().getType()) || getAxes())
    return success();
  return updateShapeOperand(*this, getSizesMutable(), getY(), 0, update);
}

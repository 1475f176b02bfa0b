//===- ShapeRules.cpp - Sizes of each op's results ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ShapeRules.h"
#include "twist/Dialect/ONNX/EinsumEquation.h"
#include "twist/Dialect/ONNX/ONNX.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist::onnx;

using MaybeDims = std::optional<Dims>;

namespace {
/// One rule for each op: the sizes of result number `number`, none if too
/// little is known of its operands.
struct DimsRule {
  const ShapeState &state;
  OpResult result;

  const MaybeDims &dims(Value value) const { return state.dims(value); }
  SizeExpr fresh(unsigned dim) const { return state.fresh(result, dim); }
  Dims freshDims(int64_t rank) const {
    Dims sizes;
    for (int64_t i = 0; i < rank; ++i)
      sizes.push_back(fresh(i));
    return sizes;
  }
  /// `rank` less `count` dimensions that nothing says which.
  MaybeDims lessDims(int64_t rank, std::optional<int64_t> count) const {
    if (!count || *count > rank)
      return std::nullopt;
    return freshDims(rank - *count);
  }
  /// `axis` counted from the end if negative; none if out of range.
  static std::optional<unsigned> wrap(int64_t axis, size_t rank) {
    if (axis < 0)
      axis += rank;
    if (axis < 0 || axis >= static_cast<int64_t>(rank))
      return std::nullopt;
    return axis;
  }

  MaybeDims broadcastAll(ValueRange values) const;
  MaybeDims visit(MatMulOp op) const;
  MaybeDims visit(GemmOp op) const;
  MaybeDims visit(EinsumOp op) const;
  MaybeDims visitNormStatistics(Value x, int64_t axis) const;
  MaybeDims reduce(Value data, std::optional<SmallVector<int64_t>> axes,
                   bool known, bool keep,
                   std::optional<int64_t> count = std::nullopt) const;
  MaybeDims visit(ReshapeOp op) const;
  MaybeDims visit(FlattenOp op) const;
  MaybeDims visit(TransposeOp op) const;
  MaybeDims visit(SqueezeOp op) const;
  MaybeDims visit(UnsqueezeOp op) const;
  MaybeDims visit(ConcatOp op) const;
  MaybeDims visit(SplitOp op) const;
  MaybeDims visit(SliceOp op) const;
  MaybeDims visit(PadOp op) const;
  MaybeDims visit(ExpandOp op) const;
  MaybeDims visit(TileOp op) const;
  MaybeDims visit(GatherOp op) const;
  MaybeDims visit(GatherNDOp op) const;
  MaybeDims visit(ShapeOp op) const;
  MaybeDims visit(RangeOp op) const;
  MaybeDims visit(ConstantOfShapeOp op) const;
};
} // namespace

//===----------------------------------------------------------------------===//
// Element-wise, contractions, reductions
//===----------------------------------------------------------------------===//

Dims twist::onnx::broadcastDims(MLIRContext *context, const Dims &a,
                                const Dims &b) {
  size_t rank = std::max(a.size(), b.size());
  Dims sizes(rank, SizeExpr(1));
  for (size_t i = 0; i < rank; ++i) {
    SizeExpr &size = sizes[rank - 1 - i];
    if (i < a.size())
      size = a[a.size() - 1 - i];
    if (i < b.size())
      size = broadcast(context, size, b[b.size() - 1 - i]);
  }
  return sizes;
}

MaybeDims DimsRule::broadcastAll(ValueRange values) const {
  Dims sizes;
  for (Value value : values) {
    if (isa<NoneType>(value.getType()))
      continue;
    if (!dims(value))
      return std::nullopt;
    sizes = broadcastDims(state.context, sizes, *dims(value));
  }
  return sizes;
}

MaybeDims DimsRule::visit(MatMulOp op) const {
  if (!dims(op.getA()) || !dims(op.getB()))
    return std::nullopt;
  Dims a = *dims(op.getA()), b = *dims(op.getB());
  if (a.empty() || b.empty())
    return std::nullopt;
  bool rowVector = a.size() == 1, columnVector = b.size() == 1;
  if (rowVector)
    a.insert(a.begin(), SizeExpr(1));
  if (columnVector)
    b.push_back(SizeExpr(1));
  Dims sizes =
      broadcastDims(state.context, Dims(ArrayRef<SizeExpr>(a).drop_back(2)),
                    Dims(ArrayRef<SizeExpr>(b).drop_back(2)));
  if (!rowVector)
    sizes.push_back(a[a.size() - 2]);
  if (!columnVector)
    sizes.push_back(b.back());
  return sizes;
}

MaybeDims DimsRule::visit(GemmOp op) const {
  const MaybeDims &a = dims(op.getA()), &b = dims(op.getB());
  if (!a || !b || a->size() != 2 || b->size() != 2)
    return std::nullopt;
  return Dims{(*a)[op.getTransA() ? 1 : 0], (*b)[op.getTransB() ? 0 : 1]};
}

MaybeDims DimsRule::visit(EinsumOp op) const {
  auto equation = EinsumEquation::parse(op.getEquation());
  if (!equation || equation->inputs.size() != op.getInputs().size())
    return std::nullopt;
  llvm::DenseMap<char, SizeExpr> sizeOf;
  Dims ellipsis;
  for (auto [term, input] : llvm::zip(equation->inputs, op.getInputs())) {
    const MaybeDims &sizes = dims(input);
    bool hasDots = EinsumEquation::hasDots(term);
    size_t letters = term.size() - hasDots;
    if (!sizes || sizes->size() < letters ||
        (!hasDots && sizes->size() != letters))
      return std::nullopt;
    size_t hidden = sizes->size() - letters, dim = 0;
    for (char label : term) {
      if (label == EinsumEquation::kDots) {
        Dims here(ArrayRef<SizeExpr>(*sizes).slice(dim, hidden));
        ellipsis = broadcastDims(state.context, ellipsis, here);
        dim += hidden;
        continue;
      }
      auto [at, fresh] = sizeOf.try_emplace(label, (*sizes)[dim]);
      if (!fresh)
        at->second = broadcast(state.context, at->second, (*sizes)[dim]);
      ++dim;
    }
  }
  Dims sizes;
  for (char label : equation->output)
    if (label == EinsumEquation::kDots)
      llvm::append_range(sizes, ellipsis);
    else
      sizes.push_back(sizeOf.find(label)->second);
  return sizes;
}

/// Mean and InvStdDev: 1 from `axis` on.
MaybeDims DimsRule::visitNormStatistics(Value x, int64_t axis) const {
  if (!dims(x))
    return std::nullopt;
  std::optional<unsigned> first = wrap(axis, dims(x)->size());
  if (!first)
    return std::nullopt;
  Dims sizes = *dims(x);
  std::fill(sizes.begin() + *first, sizes.end(), SizeExpr(1));
  return sizes;
}

/// `axes` none: all of them; `known` false: not followed, but `count` of them.
MaybeDims DimsRule::reduce(Value data, std::optional<SmallVector<int64_t>> axes,
                           bool known, bool keep,
                           std::optional<int64_t> count) const {
  if (!dims(data))
    return std::nullopt;
  size_t rank = dims(data)->size();
  if (!known && keep)
    return freshDims(rank);
  if (!known)
    return lessDims(rank, count);
  llvm::SmallBitVector reduced(rank, !axes);
  if (axes)
    for (int64_t axis : *axes) {
      std::optional<unsigned> dim = wrap(axis, rank);
      if (!dim)
        return std::nullopt;
      reduced.set(*dim);
    }
  Dims sizes;
  for (auto [index, size] : llvm::enumerate(*dims(data)))
    if (!reduced.test(index))
      sizes.push_back(size);
    else if (keep)
      sizes.push_back(SizeExpr(1));
  return sizes;
}

//===----------------------------------------------------------------------===//
// Data movement
//===----------------------------------------------------------------------===//

static SizeExpr productOf(ArrayRef<SizeExpr> sizes) {
  SizeExpr product(1);
  for (const SizeExpr &size : sizes)
    product = product * size;
  return product;
}

MaybeDims DimsRule::visit(ReshapeOp op) const {
  const std::optional<Contents> &target = state.contents(op.getShape());
  const MaybeDims &input = dims(op.getData());
  if (!target) {
    std::optional<int64_t> rank = state.length(op.getShape());
    return rank ? MaybeDims(freshDims(*rank)) : std::nullopt;
  }
  Dims sizes;
  std::optional<unsigned> rest;
  for (auto [index, entry] : llvm::enumerate(*target)) {
    sizes.push_back(entry);
    if (entry.isConstant(0) && !op.getAllowzero()) {
      if (!input || index >= input->size())
        return std::nullopt;
      sizes.back() = (*input)[index];
    } else if (entry.isConstant(-1)) {
      if (rest)
        return std::nullopt;
      rest = index;
      sizes.back() = SizeExpr(1);
    }
  }
  if (rest && !input)
    sizes[*rest] = fresh(*rest);
  else if (rest)
    sizes[*rest] = floorDiv(state.context, productOf(*input), productOf(sizes));
  return sizes;
}

MaybeDims DimsRule::visit(FlattenOp op) const {
  if (!dims(op.getX()))
    return std::nullopt;
  ArrayRef<SizeExpr> sizes = *dims(op.getX());
  int64_t axis = op.getAxis() + (op.getAxis() < 0 ? sizes.size() : 0);
  if (axis < 0 || axis > static_cast<int64_t>(sizes.size()))
    return std::nullopt;
  return Dims{productOf(sizes.take_front(axis)),
              productOf(sizes.drop_front(axis))};
}

MaybeDims DimsRule::visit(TransposeOp op) const {
  if (!dims(op.getX()))
    return std::nullopt;
  const Dims &input = *dims(op.getX());
  Dims sizes(llvm::reverse(input));
  if (std::optional<ArrayRef<int64_t>> perm = op.getPerm()) {
    if (perm->size() != input.size())
      return std::nullopt;
    for (auto [index, from] : llvm::enumerate(*perm)) {
      if (from < 0 || from >= static_cast<int64_t>(input.size()))
        return std::nullopt;
      sizes[index] = input[from];
    }
  }
  return sizes;
}

MaybeDims DimsRule::visit(SqueezeOp op) const {
  if (!dims(op.getData()))
    return std::nullopt;
  const Dims &input = *dims(op.getData());
  llvm::SmallBitVector dropped(input.size());
  if (isa<NoneType>(op.getAxes().getType())) {
    for (auto [index, size] : llvm::enumerate(input))
      if (size.isConstant(1))
        dropped.set(index);
      else if (!size.constant())
        return std::nullopt;
  } else {
    auto axes = state.constants(op.getAxes());
    if (!axes)
      return lessDims(input.size(), state.length(op.getAxes()));
    for (int64_t axis : *axes) {
      std::optional<unsigned> dim = wrap(axis, input.size());
      if (!dim)
        return std::nullopt;
      dropped.set(*dim);
    }
  }
  Dims sizes;
  for (auto [index, size] : llvm::enumerate(input))
    if (!dropped.test(index))
      sizes.push_back(size);
  return sizes;
}

MaybeDims DimsRule::visit(UnsqueezeOp op) const {
  auto axes = state.constants(op.getAxes());
  if (!dims(op.getData()))
    return std::nullopt;
  const Dims &input = *dims(op.getData());
  if (!axes) {
    std::optional<int64_t> added = state.length(op.getAxes());
    return added ? MaybeDims(freshDims(input.size() + *added)) : std::nullopt;
  }
  size_t rank = input.size() + axes->size();
  llvm::SmallBitVector added(rank);
  for (int64_t axis : *axes) {
    std::optional<unsigned> dim = wrap(axis, rank);
    if (!dim || added.test(*dim))
      return std::nullopt;
    added.set(*dim);
  }
  Dims sizes;
  const SizeExpr *next = input.begin();
  for (size_t i = 0; i < rank; ++i)
    sizes.push_back(added.test(i) ? SizeExpr(1) : *next++);
  return sizes;
}

MaybeDims DimsRule::visit(ConcatOp op) const {
  Dims sizes;
  for (auto [index, input] : llvm::enumerate(op.getInputs())) {
    if (!dims(input))
      return std::nullopt;
    if (index == 0) {
      sizes = *dims(input);
      continue;
    }
    std::optional<unsigned> axis = wrap(op.getAxis(), sizes.size());
    if (!axis || dims(input)->size() != sizes.size())
      return std::nullopt;
    sizes[*axis] = sizes[*axis] + (*dims(input))[*axis];
    // The other sizes are equal; take the one that says more.
    for (size_t i = 0; i < sizes.size(); ++i)
      if (i != *axis && !sizes[i].constant() && (*dims(input))[i].constant())
        sizes[i] = (*dims(input))[i];
  }
  return sizes;
}

MaybeDims DimsRule::visit(SplitOp op) const {
  if (!dims(op.getInput()))
    return std::nullopt;
  Dims sizes = *dims(op.getInput());
  std::optional<unsigned> axis = wrap(op.getAxis(), sizes.size());
  if (!axis)
    return std::nullopt;
  SizeExpr &size = sizes[*axis];
  unsigned number = result.getResultNumber();
  if (!isa<NoneType>(op.getSplit().getType())) {
    const std::optional<Contents> &parts = state.contents(op.getSplit());
    size = parts && number < parts->size() ? (*parts)[number] : fresh(*axis);
    return sizes;
  }
  // Equal parts, rounded up; the last takes what is left.
  int64_t count = op->getNumResults();
  SizeExpr part = floorDiv(state.context, size + SizeExpr(count - 1), count);
  if (std::optional<SizeExpr> even = size.exactDiv(SizeExpr(count)))
    part = *even;
  size = number + 1 < count ? part : size - part * SizeExpr(count - 1);
  return sizes;
}

MaybeDims DimsRule::visit(SliceOp op) const {
  if (!dims(op.getData()))
    return std::nullopt;
  Dims sizes = *dims(op.getData());
  const std::optional<Contents> &starts = state.contents(op.getStarts());
  const std::optional<Contents> &ends = state.contents(op.getEnds());
  std::optional<SmallVector<int64_t>> axes, steps;
  std::optional<int64_t> count = state.length(op.getStarts());
  if (!count)
    return std::nullopt;
  if (isa<NoneType>(op.getAxes().getType()))
    axes = llvm::to_vector(llvm::seq<int64_t>(*count));
  else
    axes = state.constants(op.getAxes());
  if (isa<NoneType>(op.getSteps().getType()))
    steps.emplace(*count, 1);
  else
    steps = state.constants(op.getSteps());
  if (!axes)
    return freshDims(sizes.size());
  for (auto [index, axis] : llvm::enumerate(*axes)) {
    std::optional<unsigned> dim = wrap(axis, sizes.size());
    if (!dim)
      return std::nullopt;
    std::optional<SliceRange> range;
    if (starts && ends && steps && index < starts->size() &&
        index < ends->size() && index < steps->size())
      range = sliceRange(state.context, sizes[*dim], (*starts)[index],
                         (*ends)[index], (*steps)[index]);
    sizes[*dim] = range ? range->size : fresh(*dim);
  }
  return sizes;
}

MaybeDims DimsRule::visit(PadOp op) const {
  if (!dims(op.getData()))
    return std::nullopt;
  Dims sizes = *dims(op.getData());
  const std::optional<Contents> &pads = state.contents(op.getPads());
  std::optional<SmallVector<int64_t>> axes =
      llvm::to_vector(llvm::seq<int64_t>(sizes.size()));
  if (!isa<NoneType>(op.getAxes().getType()))
    axes = state.constants(op.getAxes());
  if (!pads || !axes || pads->size() != 2 * axes->size())
    return freshDims(sizes.size());
  for (auto [index, axis] : llvm::enumerate(*axes)) {
    std::optional<unsigned> dim = wrap(axis, sizes.size());
    if (!dim)
      return std::nullopt;
    sizes[*dim] = sizes[*dim] + (*pads)[index] + (*pads)[index + axes->size()];
  }
  return sizes;
}

MaybeDims DimsRule::visit(ExpandOp op) const {
  if (!dims(op.getInput()))
    return std::nullopt;
  if (const std::optional<Contents> &shape = state.contents(op.getShape()))
    return broadcastDims(state.context, *dims(op.getInput()),
                         Dims(shape->begin(), shape->end()));
  std::optional<int64_t> rank = state.length(op.getShape());
  if (!rank)
    return std::nullopt;
  return freshDims(std::max<int64_t>(*rank, dims(op.getInput())->size()));
}

MaybeDims DimsRule::visit(TileOp op) const {
  if (!dims(op.getInput()))
    return std::nullopt;
  Dims sizes = *dims(op.getInput());
  const std::optional<Contents> &repeats = state.contents(op.getRepeats());
  if (!repeats || repeats->size() != sizes.size())
    return freshDims(sizes.size());
  for (auto [size, repeat] : llvm::zip(sizes, *repeats))
    size = size * repeat;
  return sizes;
}

MaybeDims DimsRule::visit(GatherOp op) const {
  const MaybeDims &data = dims(op.getData()), &indices = dims(op.getIndices());
  if (!data || !indices)
    return std::nullopt;
  std::optional<unsigned> axis = wrap(op.getAxis(), data->size());
  if (!axis)
    return std::nullopt;
  Dims sizes(ArrayRef<SizeExpr>(*data).take_front(*axis));
  llvm::append_range(sizes, *indices);
  llvm::append_range(sizes, ArrayRef<SizeExpr>(*data).drop_front(*axis + 1));
  return sizes;
}

MaybeDims DimsRule::visit(GatherNDOp op) const {
  const MaybeDims &data = dims(op.getData()), &indices = dims(op.getIndices());
  if (!data || !indices || indices->empty())
    return std::nullopt;
  std::optional<int64_t> depth = indices->back().constant();
  int64_t batch = op.getBatchDims();
  if (!depth || *depth < 0 || batch < 0 ||
      batch + *depth > static_cast<int64_t>(data->size()))
    return std::nullopt;
  Dims sizes(ArrayRef<SizeExpr>(*indices).drop_back());
  llvm::append_range(sizes,
                     ArrayRef<SizeExpr>(*data).drop_front(batch + *depth));
  return sizes;
}

//===----------------------------------------------------------------------===//
// Sizes and sources
//===----------------------------------------------------------------------===//

MaybeDims DimsRule::visit(ShapeOp op) const {
  if (!dims(op.getData()))
    return std::nullopt;
  int64_t rank = dims(op.getData())->size();
  auto bound = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  int64_t from = bound(op.getStart()), to = bound(op.getEnd().value_or(rank));
  return Dims{SizeExpr(std::max<int64_t>(to - from, 0))};
}

MaybeDims DimsRule::visit(RangeOp op) const {
  const std::optional<Contents> &start = state.contents(op.getStart());
  const std::optional<Contents> &limit = state.contents(op.getLimit());
  std::optional<SmallVector<int64_t>> delta = state.constants(op.getDelta());
  bool scalars = start && limit && delta && start->size() == 1 &&
                 limit->size() == 1 && delta->size() == 1;
  if (!scalars || delta->front() == 0)
    return Dims{fresh(0)};
  SizeExpr step(delta->front());
  SizeExpr length = limit->front() - start->front();
  std::optional<SizeExpr> count = length.exactDiv(step);
  if (!count)
    count = SizeExpr(0) -
            floorDiv(state.context, SizeExpr(0) - length, step); // rounded up
  if (std::optional<int64_t> constant = count->constant())
    return Dims{SizeExpr(std::max<int64_t>(*constant, 0))};
  return Dims{*count};
}

MaybeDims DimsRule::visit(ConstantOfShapeOp op) const {
  if (const std::optional<Contents> &shape = state.contents(op.getInput()))
    return Dims(shape->begin(), shape->end());
  std::optional<int64_t> rank = state.length(op.getInput());
  return rank ? MaybeDims(freshDims(*rank)) : std::nullopt;
}

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

/// Axes of a reduction that takes them as an operand.
template <typename Op>
static MaybeDims reduceByOperand(const DimsRule &rule, Op op) {
  auto axes = rule.state.constants(op.getAxes());
  bool none = isa<NoneType>(op.getAxes().getType());
  bool empty = none || (axes && axes->empty());
  if (empty && op.getNoopWithEmptyAxes())
    return rule.dims(op.getData());
  if (empty)
    return rule.reduce(op.getData(), std::nullopt, true, op.getKeepdims());
  return rule.reduce(op.getData(), axes, axes.has_value(), op.getKeepdims(),
                     rule.state.length(op.getAxes()));
}

MaybeDims twist::onnx::inferDims(const ShapeState &state, OpResult result) {
  Operation *op = result.getOwner();
  DimsRule rule{state, result};
  if (op->hasTrait<Elementwise>())
    return rule.broadcastAll(op->getOperands());
  // What changes neither type nor size, whichever dialect it is of (gates).
  bool foreign = !isa_and_nonnull<ONNXDialect>(op->getDialect());
  if (foreign && op->getNumOperands() == 1 && op->getNumResults() == 1 &&
      op->getOperand(0).getType() == result.getType())
    return rule.dims(op->getOperand(0));
  return TypeSwitch<Operation *, MaybeDims>(op)
      .Case<SoftmaxOp, LogSoftmaxOp, HardmaxOp, CumSumOp, RMSNormalizationOp,
            ScatterNDOp, TriluOp>(
          [&](auto op) { return rule.dims(op->getOperand(0)); })
      .Case<LayerNormalizationOp>([&](auto op) {
        return result.getResultNumber() == 0
                   ? rule.dims(op.getX())
                   : rule.visitNormStatistics(op.getX(), op.getAxis());
      })
      .Case<GatherElementsOp>(
          [&](auto op) { return rule.dims(op.getIndices()); })
      .Case<ReduceL1Op, ReduceL2Op, ReduceLogSumOp, ReduceLogSumExpOp,
            ReduceMaxOp, ReduceMeanOp, ReduceMinOp, ReduceProdOp, ReduceSumOp,
            ReduceSumSquareOp>(
          [&](auto op) { return reduceByOperand(rule, op); })
      .Case<ArgMaxOp, ArgMinOp>([&](auto op) {
        SmallVector<int64_t> axis{static_cast<int64_t>(op.getAxis())};
        return rule.reduce(op.getData(), axis, true, op.getKeepdims());
      })
      .Case<SizeOp>([&](auto) { return MaybeDims(Dims{}); })
      .Case<MatMulOp, GemmOp, EinsumOp, ReshapeOp, FlattenOp, TransposeOp,
            SqueezeOp, UnsqueezeOp, ConcatOp, SplitOp, SliceOp, PadOp, ExpandOp,
            TileOp, GatherOp, GatherNDOp, ShapeOp, RangeOp, ConstantOfShapeOp>(
          [&](auto op) { return rule.visit(op); })
      .Default([&](Operation *) {
        MaybeDims sizes = inferImageDims(state, result);
        return sizes ? sizes : inferOtherDims(state, result);
      });
}

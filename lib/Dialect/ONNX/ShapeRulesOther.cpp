//===- ShapeRulesOther.cpp - Sizes after indexing, recurrence, losses -----===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ShapeRules.h"
#include "twist/Dialect/ONNX/ONNX.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist::onnx;

using MaybeDims = std::optional<Dims>;

namespace {
/// As DimsRule in ShapeRules.cpp.
struct OtherDims {
  const ShapeState &state;
  OpResult result;

  const MaybeDims &dims(Value value) const { return state.dims(value); }
  /// `axis` from 0; none if out of range.
  static std::optional<size_t> wrap(int64_t axis, size_t rank) {
    if (axis < 0)
      axis += rank;
    return axis < 0 || axis >= static_cast<int64_t>(rank)
               ? std::nullopt
               : std::optional<size_t>(axis);
  }
  /// The only element of `value`, or a size that nothing else says.
  SizeExpr elementOr(Value value, unsigned dim) const {
    const std::optional<Contents> &contents = state.contents(value);
    return contents && contents->size() == 1 ? contents->front()
                                             : state.fresh(result, dim);
  }

  MaybeDims visit(TopKOp op) const;
  MaybeDims visit(OneHotOp op) const;
  MaybeDims visit(CenterCropPadOp op) const;
  MaybeDims visit(Col2ImOp op) const;
  MaybeDims visit(GridSampleOp op) const;
  MaybeDims visit(CompressOp op) const;
  MaybeDims visit(NonZeroOp op) const;
  MaybeDims visit(UniqueOp op) const;
  MaybeDims visit(AffineGridOp op) const;
  MaybeDims visit(MatMulIntegerOp op) const;
  template <typename Op> MaybeDims visitLoss(Op op) const;
  MaybeDims visitRecurrent(Operation *op, bool batchFirst) const;
};
} // namespace

MaybeDims OtherDims::visit(TopKOp op) const {
  if (!dims(op.getX()))
    return std::nullopt;
  Dims sizes = *dims(op.getX());
  std::optional<size_t> axis = wrap(op.getAxis(), sizes.size());
  if (!axis)
    return std::nullopt;
  sizes[*axis] = elementOr(op.getK(), *axis);
  return sizes;
}

MaybeDims OtherDims::visit(OneHotOp op) const {
  if (!dims(op.getIndices()))
    return std::nullopt;
  Dims sizes = *dims(op.getIndices());
  std::optional<size_t> axis = wrap(op.getAxis(), sizes.size() + 1);
  if (!axis)
    return std::nullopt;
  sizes.insert(sizes.begin() + *axis, elementOr(op.getDepth(), *axis));
  return sizes;
}

MaybeDims OtherDims::visit(CenterCropPadOp op) const {
  if (!dims(op.getInputData()))
    return std::nullopt;
  Dims sizes = *dims(op.getInputData());
  SmallVector<int64_t> axes = llvm::to_vector(llvm::seq<int64_t>(sizes.size()));
  if (op.getAxes())
    axes = llvm::to_vector(*op.getAxes());
  const std::optional<Contents> &shape = state.contents(op.getShape());
  for (auto [index, axis] : llvm::enumerate(axes)) {
    std::optional<size_t> dim = wrap(axis, sizes.size());
    if (!dim || (shape && index >= shape->size()))
      return std::nullopt;
    sizes[*dim] = shape ? (*shape)[index] : state.fresh(result, *dim);
  }
  return sizes;
}

// [batch, channels * block, columns] to [batch, channels, image...]
MaybeDims OtherDims::visit(Col2ImOp op) const {
  const std::optional<Contents> &image = state.contents(op.getImageShape());
  const std::optional<Contents> &block = state.contents(op.getBlockShape());
  std::optional<int64_t> count = state.length(op.getImageShape());
  if (!dims(op.getInput()) || dims(op.getInput())->size() != 3 || !count)
    return std::nullopt;
  Dims sizes{dims(op.getInput())->front(), state.fresh(result, 1)};
  if (block) {
    SizeExpr elements(1);
    for (const SizeExpr &size : *block)
      elements = elements * size;
    sizes[1] = floorDiv(state.context, (*dims(op.getInput()))[1], elements);
  }
  for (int64_t i = 0; i < *count; ++i)
    sizes.push_back(image ? (*image)[i] : state.fresh(result, 2 + i));
  return sizes;
}

MaybeDims OtherDims::visit(GridSampleOp op) const {
  const MaybeDims &x = dims(op.getX()), &grid = dims(op.getGrid());
  if (!x || !grid || x->size() < 3 || grid->size() != x->size())
    return std::nullopt;
  Dims sizes(ArrayRef<SizeExpr>(*x).take_front(2));
  llvm::append_range(sizes, ArrayRef<SizeExpr>(*grid).drop_front().drop_back());
  return sizes;
}

MaybeDims OtherDims::visit(CompressOp op) const {
  const std::optional<Contents> &condition = state.contents(op.getCondition());
  std::optional<SizeExpr> count = SizeExpr(0);
  if (!condition)
    count = std::nullopt;
  else
    for (const SizeExpr &element : *condition)
      count = *count + element;
  if (!op.getAxis())
    return Dims{count ? *count : state.fresh(result, 0)};
  if (!dims(op.getInput()))
    return std::nullopt;
  Dims sizes = *dims(op.getInput());
  std::optional<size_t> axis = wrap(*op.getAxis(), sizes.size());
  if (!axis)
    return std::nullopt;
  sizes[*axis] = count ? *count : state.fresh(result, *axis);
  return sizes;
}

MaybeDims OtherDims::visit(NonZeroOp op) const {
  if (!dims(op.getX()))
    return std::nullopt;
  return Dims{SizeExpr(dims(op.getX())->size()), state.fresh(result, 1)};
}

MaybeDims OtherDims::visit(UniqueOp op) const {
  if (result.getResultNumber() != 0 || !op.getAxis())
    return Dims{state.fresh(result, 0)};
  if (!dims(op.getX()))
    return std::nullopt;
  Dims sizes = *dims(op.getX());
  std::optional<size_t> axis = wrap(*op.getAxis(), sizes.size());
  if (!axis)
    return std::nullopt;
  sizes[*axis] = state.fresh(result, *axis);
  return sizes;
}

// size (batch, channels, image...) gives [batch, image..., coordinates]
MaybeDims OtherDims::visit(AffineGridOp op) const {
  const std::optional<Contents> &size = state.contents(op.getSize());
  std::optional<int64_t> rank = state.length(op.getSize());
  if (!rank || *rank < 3)
    return std::nullopt;
  Dims sizes;
  for (int64_t i = 0; i < *rank; ++i)
    if (i != 1)
      sizes.push_back(size ? (*size)[i] : state.fresh(result, sizes.size()));
  sizes.push_back(SizeExpr(*rank - 2));
  return sizes;
}

MaybeDims OtherDims::visit(MatMulIntegerOp op) const {
  const MaybeDims &a = dims(op.getA()), &b = dims(op.getB());
  if (!a || !b || a->size() < 2 || b->size() != 2)
    return std::nullopt;
  Dims sizes = *a;
  sizes.back() = b->back();
  return sizes;
}

template <typename Op> MaybeDims OtherDims::visitLoss(Op op) const {
  if (result.getResultNumber() == 1)
    return dims(op->getOperand(0));
  return op.getReduction() == "none" ? dims(op->getOperand(1))
                                     : MaybeDims(Dims{});
}

// Y [s, d, b, h] or [b, s, d, h]; the last states [d, b, h] or [b, d, h]
MaybeDims OtherDims::visitRecurrent(Operation *op, bool batchFirst) const {
  const MaybeDims &x = dims(op->getOperand(0)), &r = dims(op->getOperand(2));
  if (!x || !r || x->size() != 3 || r->size() != 3)
    return std::nullopt;
  SizeExpr sequence = (*x)[batchFirst], batch = (*x)[!batchFirst];
  SizeExpr directions = (*r)[0], hidden = (*r)[2];
  bool all = result.getResultNumber() == 0;
  Dims sizes;
  if (batchFirst)
    sizes.push_back(batch);
  if (all)
    sizes.push_back(sequence);
  sizes.push_back(directions);
  if (!batchFirst)
    sizes.push_back(batch);
  sizes.push_back(hidden);
  return sizes;
}

MaybeDims twist::onnx::inferOtherDims(const ShapeState &state,
                                      OpResult result) {
  OtherDims rule{state, result};
  return TypeSwitch<Operation *, MaybeDims>(result.getOwner())
      .Case<QuantizeLinearOp, DequantizeLinearOp, LpNormalizationOp,
            MeanVarianceNormalizationOp, CumProdOp, ScatterElementsOp,
            TensorScatterOp, ReverseSequenceOp, EyeLikeOp>(
          [&](auto op) { return rule.dims(op->getOperand(0)); })
      .Case<NegativeLogLikelihoodLossOp, SoftmaxCrossEntropyLossOp>(
          [&](auto op) { return rule.visitLoss(op); })
      .Case<RNNOp, GRUOp, LSTMOp>(
          [&](auto op) { return rule.visitRecurrent(op, op.getLayout() == 1); })
      .Case<TopKOp, OneHotOp, CenterCropPadOp, Col2ImOp, GridSampleOp,
            CompressOp, NonZeroOp, UniqueOp, AffineGridOp, MatMulIntegerOp>(
          [&](auto op) { return rule.visit(op); })
      .Default([&](Operation *) { return inferFusedDims(state, result); });
}

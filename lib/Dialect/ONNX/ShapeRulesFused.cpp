//===- ShapeRulesFused.cpp - Sizes of fused attention and its like --------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Relations.h"
#include "ShapeRules.h"
#include "twist/Dialect/ONNX/FusedAttention.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist::onnx;

using MaybeDims = std::optional<Dims>;

namespace {
/// What the results of an attention have in common.
struct AttentionDims {
  SizeExpr batch, rows, keys; ///< keys without the past
  SizeExpr past = 0;
  HeadSizes heads;

  SizeExpr total() const { return past + keys; }
  Dims output3D() const {
    return {batch, rows, SizeExpr(heads.heads() * heads.valueWidth)};
  }
  Dims output4D() const {
    return {batch, SizeExpr(heads.heads()), rows, SizeExpr(heads.valueWidth)};
  }
  Dims state(int64_t width) const {
    return {batch, SizeExpr(heads.groups), total(), SizeExpr(width)};
  }
  Dims scores() const {
    return {batch, SizeExpr(heads.heads()), rows, total()};
  }
  /// Output, present key, present value, scores.
  MaybeDims result(unsigned number, bool is4D = false) const {
    switch (number) {
    case 0:
      return is4D ? output4D() : output3D();
    case 1:
      return state(heads.width);
    case 2:
      return state(heads.valueWidth);
    default:
      return scores();
    }
  }
};
} // namespace

/// A size of an optional operand; 0 where it is absent.
static std::optional<SizeExpr> sizeOrZero(const ShapeState &state, Value value,
                                          unsigned dim) {
  if (!isPresent(value))
    return SizeExpr(0);
  const MaybeDims &dims = state.dims(value);
  if (!dims || dim >= dims->size())
    return std::nullopt;
  return (*dims)[dim];
}

static MaybeDims infer(const ShapeState &state, AttentionOp op,
                       unsigned number) {
  std::string why;
  auto heads = headSizesOf(op, why);
  const MaybeDims &q = state.dims(op.getQ()), &k = state.dims(op.getK());
  auto past = sizeOrZero(state, op.getPastKey(), 2);
  if (!heads || !q || !k || !past)
    return std::nullopt;
  bool is4D = q->size() == 4;
  return AttentionDims{(*q)[0], (*q)[is4D ? 2 : 1], (*k)[is4D ? 2 : 1], *past,
                       *heads}
      .result(number, is4D);
}

static MaybeDims infer(const ShapeState &state, MSMultiHeadAttentionOp op,
                       unsigned number) {
  std::string why;
  auto heads = headSizesOf(op, why);
  const MaybeDims &q = state.dims(op.getQuery()), &k = state.dims(op.getKey());
  auto past = sizeOrZero(state, op.getPastKey(), 2);
  if (!heads || !q || !k || !past)
    return std::nullopt;
  return AttentionDims{(*q)[0], (*q)[1], (*k)[k->size() == 4 ? 2 : 1], *past,
                       *heads}
      .result(number);
}

static MaybeDims infer(const ShapeState &state, MSAttentionOp op,
                       unsigned number) {
  std::string why;
  auto heads = headSizesOf(op, why);
  const MaybeDims &x = state.dims(op.getInput());
  auto past = sizeOrZero(state, op.getPast(), 3);
  if (!heads || !x || x->size() != 3 || !past)
    return std::nullopt;
  AttentionDims dims{(*x)[0], (*x)[1], (*x)[1], *past, *heads};
  if (number == 0)
    return dims.output3D();
  Dims present = dims.state(heads->width);
  present.insert(present.begin(), SizeExpr(2));
  return present;
}

// The cache's size is what total_sequence_length says.
static MaybeDims infer(const ShapeState &state, MSGroupQueryAttentionOp op,
                       unsigned number) {
  std::string why;
  auto heads = headSizesOf(op, why);
  const MaybeDims &q = state.dims(op.getQuery());
  auto past = sizeOrZero(state, op.getPastKey(), 2);
  if (!heads || !q || !past)
    return std::nullopt;
  return AttentionDims{(*q)[0], (*q)[1], (*q)[1], *past, *heads}.result(number);
}

/// Like the first operand; statistics have 1 as their last size.
static MaybeDims inferSkipNorm(const ShapeState &state, OpResult result,
                               Value input) {
  MaybeDims dims = state.dims(input);
  unsigned number = result.getResultNumber();
  if (dims && !dims->empty() && (number == 1 || number == 2))
    dims->back() = SizeExpr(1);
  return dims;
}

static MaybeDims infer(const ShapeState &state, MSEmbedLayerNormalizationOp op,
                       unsigned number) {
  const MaybeDims &ids = state.dims(op.getInputIds());
  const MaybeDims &table = state.dims(op.getWordEmbedding());
  if (!ids || !table || ids->size() != 2 || table->size() != 2)
    return std::nullopt;
  if (number == 1)
    return Dims{(*ids)[0]};
  return Dims{(*ids)[0], (*ids)[1], (*table)[1]};
}

static MaybeDims infer(const ShapeState &state, MSFusedMatMulOp op) {
  const MaybeDims &a = state.dims(op.getA()), &b = state.dims(op.getB());
  if (!a || !b || a->size() < 2 || b->size() < 2 ||
      op.getTransBatchA().value_or(0) || op.getTransBatchB().value_or(0))
    return std::nullopt;
  Dims sizes =
      broadcastDims(state.context, Dims(ArrayRef<SizeExpr>(*a).drop_back(2)),
                    Dims(ArrayRef<SizeExpr>(*b).drop_back(2)));
  sizes.push_back((*a)[a->size() - (op.getTransA().value_or(0) ? 1 : 2)]);
  sizes.push_back((*b)[b->size() - (op.getTransB().value_or(0) ? 2 : 1)]);
  return sizes;
}

static MaybeDims infer(const ShapeState &state, MSFusedGemmOp op) {
  const MaybeDims &a = state.dims(op.getA()), &b = state.dims(op.getB());
  if (!a || !b || a->size() != 2 || b->size() != 2)
    return std::nullopt;
  return Dims{(*a)[op.getTransA().value_or(0) ? 1 : 0],
              (*b)[op.getTransB().value_or(0) ? 0 : 1]};
}

/// Attention whose heads nothing tells has ranks still: why it can't be cut or
/// compiled is for others to say.
static MaybeDims inferRank(const ShapeState &state, OpResult result) {
  Operation *op = result.getOwner();
  const MaybeDims &first = state.dims(op->getOperand(0));
  if (!first)
    return std::nullopt;
  int64_t rank = result.getResultNumber() == 0 ? int64_t(first->size())
                 : isa<MSAttentionOp>(op)      ? 5
                                               : 4;
  Dims sizes;
  for (int64_t dim = 0; dim < rank; ++dim)
    sizes.push_back(state.fresh(result, dim));
  return sizes;
}

MaybeDims twist::onnx::inferFusedDims(const ShapeState &state,
                                      OpResult result) {
  unsigned number = result.getResultNumber();
  if (!isPresent(result))
    return std::nullopt;
  return TypeSwitch<Operation *, MaybeDims>(result.getOwner())
      .Case<AttentionOp, MSAttentionOp, MSMultiHeadAttentionOp,
            MSGroupQueryAttentionOp>([&](auto op) {
        MaybeDims sizes = infer(state, op, number);
        return sizes ? sizes : inferRank(state, result);
      })
      .Case([&](MSEmbedLayerNormalizationOp op) {
        return infer(state, op, number);
      })
      .Case<MSFusedMatMulOp, MSFusedGemmOp>(
          [&](auto op) { return infer(state, op); })
      .Case<RotaryEmbeddingOp, MSRotaryEmbeddingOp>(
          [&](auto op) { return state.dims(op->getOperand(0)); })
      .Case([&](MSSkipLayerNormalizationOp op) {
        return inferSkipNorm(state, result, op.getInput());
      })
      .Case([&](MSSkipSimplifiedLayerNormalizationOp op) {
        return inferSkipNorm(state, result, op.getInput());
      })
      .Case([&](SimplifiedLayerNormalizationOp op) -> MaybeDims {
        MaybeDims dims = state.dims(op.getX());
        if (!dims || number == 0)
          return dims;
        int64_t axis = fromZero(op.getAxis(), dims->size());
        for (int64_t dim = axis; dim < int64_t(dims->size()); ++dim)
          (*dims)[dim] = SizeExpr(1);
        return dims;
      })
      .Default([](Operation *) { return MaybeDims(); });
}

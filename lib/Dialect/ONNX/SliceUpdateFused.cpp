//===- SliceUpdateFused.cpp - Fused attention after a cut -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/FusedAttention.h"

#include "Relations.h"

#include <cmath>
#include <set>

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

namespace {
/// Heads and width left of a packed dimension's `heads · width` indices from
/// `offset` on.
struct Left {
  int64_t heads, width;
};
} // namespace

static Left leftOf(SliceUpdate &update, Value value, int64_t dim, int64_t heads,
                   int64_t width, int64_t offset = 0) {
  auto kept = update.kept(value, dim);
  if (!kept)
    return {heads, width};
  std::set<int64_t> left, inner;
  for (int64_t index : *kept)
    if (index >= offset && index < offset + heads * width) {
      left.insert((index - offset) / width);
      inner.insert((index - offset) % width);
    }
  return {int64_t(left.size()), int64_t(inner.size())};
}

/// The default scale depends on the width, which was another before the cut.
static FloatAttr denseScale(Builder builder, std::optional<llvm::APFloat> given,
                            int64_t width) {
  if (given)
    return builder.getF32FloatAttr(given->convertToFloat());
  return builder.getF32FloatAttr(float(1 / std::sqrt(double(width))));
}

static LogicalResult noSizes(Operation *op, StringRef why) {
  return op->emitError() << why;
}

/// Without queries the op goes, but not if somebody wants its cache.
static LogicalResult checkNothingLeft(Operation *op, Value present,
                                      int64_t keyHeads) {
  if (keyHeads == 0 || !isPresent(present) || present.use_empty())
    return success();
  return op->emitError("has no query left, but its keys are an output: keep at "
                       "least one query of each group");
}

LogicalResult AttentionOp::updateForSlice(SliceUpdate &update) {
  std::string why;
  auto sizes = headSizesOf(*this, why);
  if (!sizes)
    return noSizes(*this, why);
  bool packed = rankOf(getQ()) == 3;
  Left q{update.newSize(getQ(), 1), 0}, k{update.newSize(getK(), 1), 0};
  if (packed) {
    q = leftOf(update, getQ(), 2, sizes->heads(), sizes->width);
    k = leftOf(update, getK(), 2, sizes->groups, sizes->width);
  } else {
    q.width = update.newSize(getQ(), 3);
  }
  if (q.heads == 0)
    return checkNothingLeft(*this, getPresentKey(), k.heads);
  if (packed || getQNumHeads()) {
    setQNumHeads(q.heads);
    setKvNumHeads(k.heads);
  }
  if (q.width != sizes->width)
    setScaleAttr(denseScale(update.builder(), getScale(), sizes->width));
  return success();
}

LogicalResult MSMultiHeadAttentionOp::updateForSlice(SliceUpdate &update) {
  std::string why;
  auto sizes = headSizesOf(*this, why);
  if (!sizes)
    return noSizes(*this, why);
  Left q = leftOf(update, getQuery(), 2, sizes->heads(), sizes->width);
  if (q.heads == 0)
    return success();
  setNumHeads(q.heads);
  if (q.width != sizes->width)
    setScaleAttr(denseScale(update.builder(), getScale(), sizes->width));
  return success();
}

LogicalResult MSAttentionOp::updateForSlice(SliceUpdate &update) {
  std::string why;
  auto sizes = headSizesOf(*this, why);
  if (!sizes)
    return noSizes(*this, why);
  int64_t heads = sizes->heads(), queries = heads * sizes->width;
  Left q = leftOf(update, getWeights(), 1, heads, sizes->width);
  Left v =
      leftOf(update, getWeights(), 1, heads, sizes->valueWidth, 2 * queries);
  if (q.heads == 0)
    return success();
  setNumHeads(q.heads);
  if (getQkvHiddenSizes() || q.width != v.width)
    setQkvHiddenSizes(SmallVector<int64_t>{q.heads * q.width, q.heads * q.width,
                                           v.heads * v.width});
  if (q.width != sizes->width)
    setScaleAttr(denseScale(update.builder(), getScale(), sizes->width));
  return success();
}

LogicalResult MSGroupQueryAttentionOp::updateForSlice(SliceUpdate &update) {
  std::string why;
  auto sizes = headSizesOf(*this, why);
  if (!sizes)
    return noSizes(*this, why);
  int64_t width = sizes->width;
  Left q = leftOf(update, getQuery(), 2, sizes->heads(), width);
  Left k = isPresent(getKey())
               ? leftOf(update, getKey(), 2, sizes->groups, width)
               : leftOf(update, getQuery(), 2, sizes->groups, width,
                        sizes->heads() * width);
  if (q.heads == 0)
    return checkNothingLeft(*this, getPresentKey(), k.heads);
  setNumHeads(q.heads);
  setKvNumHeads(k.heads);
  return success();
}

/// What is left of the heads and of the elements that are turned.
static std::pair<int64_t, int64_t>
leftOfRotary(SliceUpdate &update, Value input, const RotarySizes &sizes) {
  int64_t last = rankOf(input) - 1;
  auto kept = update.kept(input, last);
  if (!kept)
    return {sizes.heads, sizes.rotary};
  std::set<int64_t> heads, turned;
  for (int64_t index : *kept) {
    heads.insert(index / sizes.width);
    if (index % sizes.width < sizes.rotary)
      turned.insert(index % sizes.width);
  }
  return {int64_t(heads.size()), int64_t(turned.size())};
}

LogicalResult RotaryEmbeddingOp::updateForSlice(SliceUpdate &update) {
  std::string why;
  auto sizes = rotarySizesOf(*this, why);
  if (!sizes)
    return noSizes(*this, why);
  auto [heads, rotary] = leftOfRotary(update, getX(), *sizes);
  if (rankOf(getX()) == 3)
    setNumHeads(heads);
  if (getRotaryEmbeddingDim() != 0)
    setRotaryEmbeddingDim(rotary);
  if (rotary == 0 && heads != 0)
    return emitError("would turn no element: keep at least one pair");
  return success();
}

LogicalResult MSRotaryEmbeddingOp::updateForSlice(SliceUpdate &update) {
  std::string why;
  auto sizes = rotarySizesOf(*this, why);
  if (!sizes)
    return noSizes(*this, why);
  auto [heads, rotary] = leftOfRotary(update, getInput(), *sizes);
  if (getNumHeads().value_or(0) != 0)
    setNumHeads(heads);
  if (getRotaryEmbeddingDim().value_or(0) != 0)
    setRotaryEmbeddingDim(rotary);
  if (rotary == 0 && heads != 0)
    return emitError("would turn no element: keep at least one pair");
  return success();
}

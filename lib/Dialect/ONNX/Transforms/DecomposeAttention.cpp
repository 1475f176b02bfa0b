//===- DecomposeAttention.cpp - Attention in terms of plain ops -----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// What each form of attention means by its operands; AttentionCore is what they
// share. Sources: the ONNX operator specification and the documentation of
// onnxruntime's contrib operators.
//
//===----------------------------------------------------------------------===//

#include "AttentionCore.h"
#include "DecomposeFused.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

static constexpr double kMinusInfinity =
    -std::numeric_limits<double>::infinity();

/// Rounded to f32 as an attribute would be, so that a cut, which writes it
/// down, changes nothing.
static double scaleOf(std::optional<llvm::APFloat> given, int64_t width,
                      bool zeroIsDefault) {
  if (given && !(zeroIsDefault && given->isZero()))
    return given->convertToFloat();
  return float(1 / std::sqrt(double(width)));
}

static bool isRead(Value result) {
  return isPresent(result) && !result.use_empty();
}

/// Places a past holds, as a scalar; null without one.
static Value pastLength(GraphBuilder &b, Value past, int64_t dim) {
  return isPresent(past) ? b.size(past, dim) : Value();
}

static Value extend(GraphBuilder &b, Value past, Value present) {
  return isPresent(past) ? b.concat({past, present}, 2) : present;
}

//===----------------------------------------------------------------------===//
// onnx.Attention
//===----------------------------------------------------------------------===//

/// A mask that is shorter than the keys forbids what it does not say.
static Value padMask(AttentionOp op, GraphBuilder &b, Value mask, Value total,
                     const SymbolicShapes &shapes) {
  int64_t rank = b.rankOf(mask), kRank = b.rankOf(op.getK());
  onnx::SizeExpr all = shapes.dimsOf(op.getK())[kRank == 4 ? 2 : 1];
  if (isPresent(op.getPastKey()))
    all = all + shapes.dimsOf(op.getPastKey())[2];
  if (shapes.dimsOf(op.getAttnMask()).back() == all)
    return mask;
  Value missing = b.unsqueeze(b.sub(total, b.size(mask, rank - 1)), {0});
  SmallVector<int64_t> zeros(2 * rank - 1, 0);
  Value pads = b.concat({b.ints(zeros), missing}, 0);
  Type element = b.elementOf(mask);
  return PadOp::create(
      b.builder, b.loc, TypeRange{b.openType(rank, element)},
      ValueRange{mask, pads, b.number(kMinusInfinity, element), b.none()});
}

/// The biases of mask, order and padding.
static LogicalResult addBiases(AttentionOp op, GraphBuilder &b, Value q,
                               Value k, const SymbolicShapes &shapes,
                               AttentionCore &core) {
  Type element = b.elementOf(q);
  Value rows = b.size(q, 2), total = b.size(k, 2);
  Value offset = pastLength(b, op.getPastKey(), 2);
  Value valid; // [B, 1, 1, 1]
  if (isPresent(op.getNonpadKvSeqlen()))
    valid = b.unsqueeze(b.cast(op.getNonpadKvSeqlen(), b.builder.getI64Type()),
                        {1, 2, 3});
  if (valid && !offset)
    offset = b.sub(valid, rows);
  if (isPresent(op.getAttnMask())) {
    Value mask = op.getAttnMask();
    if (b.elementOf(mask).isInteger(1))
      mask = biasOf(b, mask, element, kMinusInfinity);
    if (b.elementOf(mask) != element)
      return unsupported(op, "a mask of another type than the queries");
    core.biases.push_back(padMask(op, b, mask, total, shapes));
    core.zeroMaskedRows = true;
  }
  int64_t left = op.getLeftWindowSize().value_or(-1);
  int64_t right = op.getRightWindowSize().value_or(-1);
  if (op.getIsCausal() || left >= 0 || right >= 0) {
    Places places(b, rows, total, offset);
    auto forbid = [&](Value allowed) {
      core.biases.push_back(biasOf(b, allowed, element, kMinusInfinity));
    };
    if (op.getIsCausal())
      forbid(places.upTo(b, 0));
    if (right >= 0)
      forbid(places.upTo(b, right));
    if (left >= 0)
      forbid(places.from(b, left));
    core.zeroMaskedRows |= left >= 0 || right >= 0 || valid;
  }
  if (valid) {
    Value columns = b.unsqueeze(b.range(total), {0});
    core.biases.push_back(
        biasOf(b, b.compare<LessOp>(columns, valid), element, kMinusInfinity));
    core.zeroMaskedRows = true;
  }
  return success();
}

Decomposed onnx::decompose(AttentionOp op, GraphBuilder &b,
                           const SymbolicShapes &shapes) {
  std::string why;
  auto sizes = headSizesOf(op, why);
  if (!sizes)
    return op.emitError() << why;
  bool packed = b.rankOf(op.getQ()) == 3;
  Value q = op.getQ(), k = op.getK(), v = op.getV();
  if (packed) {
    q = splitHeads(b, q, sizes->heads(), sizes->width);
    k = splitHeads(b, k, sizes->groups, sizes->width);
    v = splitHeads(b, v, sizes->groups, sizes->valueWidth);
  }
  k = extend(b, op.getPastKey(), k);
  v = extend(b, op.getPastValue(), v);
  AttentionCore core{q, k, v, *sizes};
  core.scale = scaleOf(op.getScale(), sizes->width, /*zeroIsDefault=*/false);
  core.softcap = op.getSoftcap().convertToFloat();
  if (auto precision = op.getSoftmaxPrecision()) {
    core.softmaxType = elementTypeOf(op.getContext(), *precision);
    if (!isa_and_nonnull<FloatType>(core.softmaxType))
      return op.emitError() << "softmax_precision " << *precision
                            << " is no floating-point type";
  }
  if (failed(addBiases(op, b, q, k, shapes, core)))
    return failure();
  core.build(b);
  Value output = core.output;
  if (packed)
    output = joinHeads(b, output, sizes->heads(), sizes->valueWidth);
  int64_t mode = op.getQkMatmulOutputMode();
  if (mode < 0 || mode > 3)
    return op.emitError() << "qk_matmul_output_mode " << mode
                          << " is none of 0 to 3";
  Value scores[] = {core.products, core.capped, core.biased, core.weights};
  return SmallVector<Value>{output, k, v, scores[mode]};
}

//===----------------------------------------------------------------------===//
// com.microsoft.Attention and MultiHeadAttention
//===----------------------------------------------------------------------===//

/// What is added where a mask hides a position.
template <typename OpTy> static float filterOf(OpTy op) {
  return op.getMaskFilterValue() ? op.getMaskFilterValue()->convertToFloat()
                                 : -10000.0f;
}

/// A bias from an integer mask: [B, T] and [B, S, T] say where to look, [B] how
/// far. None after an error.
static FailureOr<Value> paddingBias(Operation *op, GraphBuilder &b, Value mask,
                                    Value batchOf, Value total,
                                    double otherwise, Type element,
                                    const SymbolicShapes &shapes) {
  Value zero = b.cast(b.scalar(0), b.elementOf(mask));
  switch (b.rankOf(mask)) {
  case 1: {
    if (shapes.dimsOf(mask)[0] != shapes.dimsOf(batchOf)[0])
      return unsupported(op, "a mask of one dimension that is not the batch");
    Value ends = b.unsqueeze(b.cast(mask, b.builder.getI64Type()), {1, 2, 3});
    Value columns = b.unsqueeze(b.range(total), {0});
    return biasOf(b, b.compare<LessOp>(columns, ends), element, otherwise);
  }
  case 2:
    return biasOf(b, b.unsqueeze(b.compare<GreaterOp>(mask, zero), {1, 2}),
                  element, otherwise);
  case 3:
    return biasOf(b, b.unsqueeze(b.compare<GreaterOp>(mask, zero), {1}),
                  element, otherwise);
  default:
    return unsupported(op, "a mask of rank " + Twine(b.rankOf(mask)));
  }
}

/// A row sees no place after its own.
static Value causalBias(GraphBuilder &b, Value rows, Value total, Value past,
                        Type element) {
  return biasOf(b, Places(b, rows, total, past).upTo(b, 0), element,
                kMinusInfinity);
}

Decomposed onnx::decompose(MSAttentionOp op, GraphBuilder &b,
                           const SymbolicShapes &shapes) {
  std::string why;
  auto sizes = headSizesOf(op, why);
  if (!sizes)
    return op.emitError() << why;
  if (op.getDoRotary().value_or(0))
    return unsupported(op, "do_rotary");
  if (op.getPastPresentShareBuffer().value_or(0) ||
      isPresent(op.getPastSequenceLength()))
    return unsupported(op, "past_present_share_buffer");
  int64_t heads = sizes->heads();
  int64_t width = sizes->width, valueWidth = sizes->valueWidth;
  Value packed = b.matmul(op.getInput(), op.getWeights());
  if (isPresent(op.getBias()))
    packed = b.add(packed, op.getBias());
  SmallVector<Value> qkv =
      b.split(packed, {heads * width, heads * width, heads * valueWidth}, 2);
  Value q = splitHeads(b, qkv[0], heads, width);
  Value k = splitHeads(b, qkv[1], heads, width);
  Value v = splitHeads(b, qkv[2], heads, valueWidth);
  if (isPresent(op.getPast())) {
    SmallVector<Value> past = b.split(op.getPast(), {1, 1}, 0);
    k = b.concat({b.squeeze(past[0], {0}), k}, 2);
    v = b.concat({b.squeeze(past[1], {0}), v}, 2);
  }
  AttentionCore core{q, k, v, *sizes};
  Type element = b.elementOf(q);
  core.scale = scaleOf(op.getScale(), width, /*zeroIsDefault=*/true);
  Value total = b.size(k, 2);
  if (isPresent(op.getMaskIndex())) {
    FailureOr<Value> bias = paddingBias(op, b, op.getMaskIndex(), op.getInput(),
                                        total, filterOf(op), element, shapes);
    if (failed(bias))
      return failure();
    core.biases.push_back(*bias);
  }
  if (isPresent(op.getAttentionBias()))
    core.biases.push_back(op.getAttentionBias());
  if (op.getUnidirectional().value_or(0))
    core.biases.push_back(causalBias(b, b.size(q, 2), total,
                                     pastLength(b, op.getPast(), 3), element));
  core.build(b);
  Value present;
  if (isRead(op.getPresent()))
    present = b.concat({b.unsqueeze(k, {0}), b.unsqueeze(v, {0})}, 0);
  return SmallVector<Value>{joinHeads(b, core.output, heads, valueWidth),
                            present};
}

Decomposed onnx::decompose(MSMultiHeadAttentionOp op, GraphBuilder &b,
                           const SymbolicShapes &shapes) {
  std::string why;
  auto sizes = headSizesOf(op, why);
  if (!sizes)
    return op.emitError() << why;
  if (isPresent(op.getPastSequenceLength()) ||
      isPresent(op.getCacheIndirection()))
    return unsupported(op, "a cache in a shared buffer");
  if (isRead(op.getQk()))
    return unsupported(op, "its output qk");
  int64_t heads = sizes->heads();
  int64_t width = sizes->width, valueWidth = sizes->valueWidth;
  Value q = op.getQuery(), k = op.getKey(), v = op.getValue();
  bool keysSplit = b.rankOf(k) == 4;
  if (isPresent(op.getBias())) {
    if (keysSplit)
      return unsupported(op, "a bias on keys of rank 4");
    SmallVector<Value> bias = b.split(
        op.getBias(), {heads * width, heads * width, heads * valueWidth}, 0);
    q = b.add(q, bias[0]);
    k = b.add(k, bias[1]);
    v = b.add(v, bias[2]);
  }
  q = splitHeads(b, q, heads, width);
  if (!keysSplit) {
    k = splitHeads(b, k, heads, width);
    v = splitHeads(b, v, heads, valueWidth);
  }
  k = extend(b, op.getPastKey(), k);
  v = extend(b, op.getPastValue(), v);
  AttentionCore core{q, k, v, *sizes};
  Type element = b.elementOf(q);
  core.scale = scaleOf(op.getScale(), width, /*zeroIsDefault=*/true);
  Value total = b.size(k, 2);
  if (isPresent(op.getKeyPaddingMask())) {
    FailureOr<Value> bias =
        paddingBias(op, b, op.getKeyPaddingMask(), op.getQuery(), total,
                    filterOf(op), element, shapes);
    if (failed(bias))
      return failure();
    core.biases.push_back(*bias);
  }
  if (isPresent(op.getAttentionBias()))
    core.biases.push_back(op.getAttentionBias());
  if (op.getUnidirectional().value_or(0))
    core.biases.push_back(causalBias(
        b, b.size(q, 2), total, pastLength(b, op.getPastKey(), 2), element));
  core.build(b);
  return SmallVector<Value>{joinHeads(b, core.output, heads, valueWidth), k, v,
                            Value()};
}

//===----------------------------------------------------------------------===//
// com.microsoft.GroupQueryAttention
//===----------------------------------------------------------------------===//

/// What this form does not have a meaning for here.
static LogicalResult checkForm(MSGroupQueryAttentionOp op) {
  auto quantised = [](std::optional<StringRef> type) {
    return type && *type != "NONE";
  };
  if (quantised(op.getKQuantType()) || quantised(op.getVQuantType()) ||
      op.getKvCacheBitWidth().value_or(0) || isPresent(op.getKScale()) ||
      isPresent(op.getVScale()))
    return unsupported(op, "a quantised cache");
  if (op.getSmoothSoftmax().value_or(0) > 0 || isPresent(op.getHeadSink()))
    return unsupported(op, "smooth_softmax");
  if (isPresent(op.getQNormWeight()) || isPresent(op.getKNormWeight()))
    return unsupported(op, "a norm of queries and keys");
  if (op.getSlidingWindowCache().value_or(0) || isPresent(op.getQuerySeqlens()))
    return unsupported(op, "a cache that slides");
  if (!op.getCausal().value_or(1))
    return unsupported(op, "causal = 0");
  if (isRead(op.getOutputQk()))
    return unsupported(op, "its output output_qk");
  if (op.getDoRotary().value_or(0) &&
      !(isPresent(op.getCosCache()) && isPresent(op.getSinCache())))
    return op.emitError() << "do_rotary needs cos_cache and sin_cache";
  return success();
}

/// NaN for every row of the batch whose cache is not filled to its end: there
/// the places of new keys are others than at the end of the past.
static Value unevenRows(MSGroupQueryAttentionOp op, GraphBuilder &b, Value past,
                        Value total, Type element) {
  Value lengths =
      b.add(b.cast(op.getSeqlensK(), b.builder.getI64Type()), b.scalar(1));
  lengths = b.reshape(lengths, {-1, 1, 1, 1});
  Value even = b.compare<EqualOp>(lengths, total);
  Value first = b.compare<EqualOp>(past, b.scalar(0));
  return biasOf(b, b.compare<OrOp>(even, first), element,
                std::numeric_limits<double>::quiet_NaN());
}

static Value turnHeads(MSGroupQueryAttentionOp op, GraphBuilder &b, Value x,
                       int64_t heads, int64_t width, Value positions) {
  int64_t half =
      cast<RankedTensorType>(op.getCosCache().getType()).getDimSize(1);
  return rotate(b, x, b.gather(op.getCosCache(), positions, 0),
                b.gather(op.getSinCache(), positions, 0),
                RotarySizes{heads, width, 2 * half},
                op.getRotaryInterleaved().value_or(0) != 0,
                /*headsFirst=*/true);
}

Decomposed onnx::decompose(MSGroupQueryAttentionOp op, GraphBuilder &b,
                           const SymbolicShapes &shapes) {
  std::string why;
  auto sizes = headSizesOf(op, why);
  if (!sizes)
    return op.emitError() << why;
  if (failed(checkForm(op)))
    return failure();
  int64_t heads = sizes->heads(), groups = sizes->groups;
  int64_t width = sizes->width;
  SmallVector<Value> qkv = {op.getQuery(), op.getKey(), op.getValue()};
  if (!isPresent(op.getKey()))
    qkv = b.split(op.getQuery(),
                  {heads * width, groups * width, groups * width}, 2);
  Value q = splitHeads(b, qkv[0], heads, width);
  Value k = splitHeads(b, qkv[1], groups, width);
  Value v = splitHeads(b, qkv[2], groups, width);
  Value rows = b.size(q, 2);
  Value past = pastLength(b, op.getPastKey(), 2);
  if (op.getDoRotary().value_or(0)) {
    if (ShapedType::isDynamic(
            cast<RankedTensorType>(op.getCosCache().getType()).getDimSize(1)))
      return op.emitError() << "the width of cos_cache is not known";
    Value positions;
    if (isPresent(op.getPositionIds())) {
      positions = op.getPositionIds();
    } else {
      positions = b.range(rows);
      positions = b.unsqueeze(past ? b.add(positions, past) : positions, {0});
    }
    q = turnHeads(op, b, q, heads, width, positions);
    k = turnHeads(op, b, k, groups, width, positions);
  }
  k = extend(b, op.getPastKey(), k);
  v = extend(b, op.getPastValue(), v);
  AttentionCore core{q, k, v, *sizes};
  Type element = b.elementOf(q);
  core.scale = scaleOf(op.getScale(), width, /*zeroIsDefault=*/true);
  if (op.getSoftcap())
    core.softcap = op.getSoftcap()->convertToFloat();
  Value total = b.size(k, 2);
  Places places(b, rows, total, past);
  core.biases.push_back(biasOf(b, places.upTo(b, 0), element, kMinusInfinity));
  if (int64_t window = op.getLocalWindowSize().value_or(-1); window >= 0)
    core.biases.push_back(
        biasOf(b, places.from(b, window - 1), element, kMinusInfinity));
  if (past)
    core.biases.push_back(unevenRows(op, b, past, total, element));
  if (isPresent(op.getAttentionBias()))
    core.biases.push_back(op.getAttentionBias());
  core.build(b);
  return SmallVector<Value>{joinHeads(b, core.output, heads, width), k, v,
                            Value()};
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

/// x of rank 3 or 4, with tables [B or 1, S, rotary / 2].
static Value rotateAny(GraphBuilder &b, Value x, Value cosines, Value sines,
                       const RotarySizes &sizes, bool interleaved) {
  bool packed = b.rankOf(x) == 3;
  Value split = packed ? b.reshape(x, {0, 0, sizes.heads, sizes.width}) : x;
  Value y = rotate(b, split, cosines, sines, sizes, interleaved,
                   /*headsFirst=*/!packed);
  return packed ? b.reshape(y, {0, 0, sizes.heads * sizes.width}) : y;
}

Decomposed onnx::decompose(RotaryEmbeddingOp op, GraphBuilder &b,
                           const SymbolicShapes &) {
  std::string why;
  auto sizes = rotarySizesOf(op, why);
  if (!sizes)
    return op.emitError() << why;
  Value cosines = op.getCosCache(), sines = op.getSinCache();
  if (isPresent(op.getPositionIds())) {
    cosines = b.gather(cosines, op.getPositionIds(), 0);
    sines = b.gather(sines, op.getPositionIds(), 0);
  }
  if (b.rankOf(cosines) != 3 || b.rankOf(sines) != 3)
    return op.emitError() << "its tables are not of the rank its position_ids "
                             "ask for";
  return SmallVector<Value>{rotateAny(b, op.getX(), cosines, sines, *sizes,
                                      op.getInterleaved() != 0)};
}

Decomposed onnx::decompose(MSRotaryEmbeddingOp op, GraphBuilder &b,
                           const SymbolicShapes &) {
  std::string why;
  auto sizes = rotarySizesOf(op, why);
  if (!sizes)
    return op.emitError() << why;
  if (op.getIsPackedBatching().value_or(0))
    return unsupported(op, "is_packed_batching");
  if (op.getScale() && op.getScale()->convertToFloat() != 1)
    return unsupported(op, "a scale other than 1");
  Value x = op.getInput(), positions = op.getPositionIds();
  // One position is that of the first row of all.
  if (b.rankOf(positions) == 1) {
    Value rows = b.size(x, b.rankOf(x) == 4 ? 2 : 1);
    positions = b.unsqueeze(b.add(b.range(rows), positions), {0});
  }
  return SmallVector<Value>{
      rotateAny(b, x, b.gather(op.getCosCache(), positions, 0),
                b.gather(op.getSinCache(), positions, 0), *sizes,
                op.getInterleaved().value_or(0) != 0)};
}

//===- Emitter.cpp - Writes the code of kernels
//-----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace twist::cpu;

//===----------------------------------------------------------------------===//
// Target
//===----------------------------------------------------------------------===//

int64_t TargetInfo::blockRows(int64_t vectors) const {
  // 24 accumulators of 32 registers, 12 of 16.
  int64_t accumulators = vectorBits == 512 ? 24 : 12;
  return std::max<int64_t>(1, std::min<int64_t>(12, accumulators / vectors));
}

int64_t TargetInfo::panelColumns(int64_t columns, Type accumulator,
                                 bool manyRows) const {
  int64_t width = lanes(accumulator);
  SmallVector<int64_t> choices = {3, 4, 2};
  if (manyRows)
    std::swap(choices[0], choices[1]);
  if (vectorBits != 512)
    choices = {2, 3};
  if (ShapedType::isDynamic(columns))
    return choices.front() * width;
  if (columns <= width)
    return width;
  // The least padding; the earlier choice where equal.
  int64_t best = 0, bestPadded = 0;
  for (int64_t vectors : choices) {
    int64_t panel = vectors * width;
    int64_t padded = llvm::divideCeil(columns, panel) * panel;
    // A better fit must save more than the less square block costs.
    if (best == 0 || padded * 33 < bestPadded * 32) {
      best = panel;
      bestPadded = padded;
    }
  }
  return best;
}

//===----------------------------------------------------------------------===//
// Index arithmetic
//===----------------------------------------------------------------------===//

std::optional<int64_t> twist::cpu::constantOf(Value value) {
  return getConstantIntValue(value);
}

template <typename Op> Value Emitter::fold(Value x, Value y) {
  return b.createOrFold<Op>(loc, x, y);
}

Value Emitter::index(int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}

Value Emitter::add(Value x, Value y) {
  if (constantOf(x) == 0)
    return y;
  return fold<arith::AddIOp>(x, y);
}

Value Emitter::sub(Value x, Value y) { return fold<arith::SubIOp>(x, y); }

Value Emitter::mul(Value x, Value y) {
  if (constantOf(x) == 1)
    return y;
  if (constantOf(x) == 0)
    return x;
  return fold<arith::MulIOp>(x, y);
}

Value Emitter::div(Value x, Value y) { return fold<arith::DivUIOp>(x, y); }
Value Emitter::rem(Value x, Value y) {
  if (constantOf(y) == 1)
    return index(0);
  return fold<arith::RemUIOp>(x, y);
}

Value Emitter::ceilDiv(Value x, Value y) {
  if (constantOf(y) == 1)
    return x;
  return div(add(x, sub(y, index(1))), y);
}

Value Emitter::min(Value x, Value y) { return fold<arith::MinUIOp>(x, y); }
Value Emitter::max(Value x, Value y) { return fold<arith::MaxUIOp>(x, y); }

Value Emitter::less(Value x, Value y) {
  return b.createOrFold<arith::CmpIOp>(loc, arith::CmpIPredicate::ult, x, y);
}

Value Emitter::product(ValueRange factors) {
  Value result = index(1);
  for (Value factor : factors)
    result = mul(result, factor);
  return result;
}

Value Emitter::dot(Value start, ValueRange x, ValueRange y) {
  for (auto [a, c] : llvm::zip_equal(x, y))
    start = add(start, mul(a, c));
  return start;
}

SmallVector<Value> Emitter::delinearize(Value linear, ValueRange extents) {
  SmallVector<Value> indices(extents.size());
  for (int64_t d = extents.size() - 1; d >= 0; --d) {
    if (d == 0) {
      indices[0] = linear;
      break;
    }
    indices[d] = rem(linear, extents[d]);
    linear = div(linear, extents[d]);
  }
  return indices;
}

Value Emitter::size(Value memref, int64_t dim) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(dim))
    return index(type.getDimSize(dim));
  return memref::DimOp::create(b, loc, memref, dim);
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

SmallVector<Value> Emitter::loop(Value from, Value to, Value step,
                                 ValueRange carried, LoopBody body) {
  auto loop =
      scf::ForOp::create(b, loc, from, to, step, carried,
                         [&](OpBuilder &, Location, Value iv, ValueRange args) {
                           // The builder is ours, placed in the body.
                           scf::YieldOp::create(b, loc, body(iv, args));
                         });
  return SmallVector<Value>(loop.getResults());
}

void Emitter::loop(Value from, Value to, Value step,
                   function_ref<void(Value)> body) {
  std::optional<int64_t> lower = constantOf(from), upper = constantOf(to),
                         stride = constantOf(step);
  if (lower && upper && *upper <= *lower)
    return;
  if (lower && upper && stride && *lower + *stride >= *upper) {
    body(from);
    return;
  }
  loop(from, to, step, ValueRange(), [&](Value iv, ValueRange) {
    body(iv);
    return SmallVector<Value>();
  });
}

void Emitter::branch(Value condition, function_ref<void()> then,
                     function_ref<void()> otherwise) {
  if (std::optional<int64_t> known = constantOf(condition)) {
    if (*known)
      then();
    else if (otherwise)
      otherwise();
    return;
  }
  auto branch =
      scf::IfOp::create(b, loc, condition, static_cast<bool>(otherwise));
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  then();
  if (otherwise) {
    b.setInsertionPointToStart(branch.elseBlock());
    otherwise();
  }
}

SmallVector<Value>
Emitter::choose(Value condition, function_ref<SmallVector<Value>()> then,
                function_ref<SmallVector<Value>()> otherwise) {
  if (std::optional<int64_t> known = constantOf(condition))
    return *known ? then() : otherwise();
  auto build = [](function_ref<SmallVector<Value>()> values) {
    return [values](OpBuilder &b, Location loc) {
      scf::YieldOp::create(b, loc, values());
    };
  };
  return SmallVector<Value>(
      scf::IfOp::create(b, loc, condition, build(then), build(otherwise))
          .getResults());
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Buffer Emitter::buffer(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  Buffer result;
  result.element = type.getElementType();
  auto metadata = memref::ExtractStridedMetadataOp::create(b, loc, memref);
  SmallVector<int64_t> strides;
  int64_t offset = ShapedType::kDynamic;
  if (failed(type.getStridesAndOffset(strides, offset)))
    strides.assign(type.getRank(), ShapedType::kDynamic);
  result.offset =
      ShapedType::isDynamic(offset) ? metadata.getOffset() : index(offset);
  for (int64_t d = 0; d < type.getRank(); ++d) {
    result.sizes.push_back(size(memref, d));
    result.strides.push_back(ShapedType::isDynamic(strides[d])
                                 ? metadata.getStrides()[d]
                                 : index(strides[d]));
  }
  // The extent of the flat view bounds nothing: accesses are computed from the
  // buffer's own sizes.
  auto flatType =
      MemRefType::get({ShapedType::kDynamic}, result.element,
                      MemRefLayoutAttrInterface(), type.getMemorySpace());
  result.flat = memref::ReinterpretCastOp::create(
      b, loc, flatType, metadata.getBaseBuffer(),
      OpFoldResult(b.getIndexAttr(0)),
      ArrayRef<OpFoldResult>{index(int64_t(1) << 40)},
      ArrayRef<OpFoldResult>{b.getIndexAttr(1)});
  return result;
}

Value Emitter::splat(Value scalar, int64_t lanes) {
  if (isa<VectorType>(scalar.getType()))
    return scalar;
  return vector::BroadcastOp::create(b, loc, vector(scalar.getType(), lanes),
                                     scalar);
}

Value Emitter::constant(Type type, double value) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr attr;
  if (auto floating = dyn_cast<FloatType>(element))
    attr = b.getFloatAttr(floating, value);
  else
    attr = b.getIntegerAttr(element, static_cast<int64_t>(value));
  if (auto vectorType = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vectorType, attr);
  return arith::ConstantOp::create(b, loc, attr);
}

Mask Emitter::mask(Value count, int64_t lanes) {
  std::optional<int64_t> known = constantOf(count);
  if (known && *known >= lanes)
    return Mask();
  return vector::CreateMaskOp::create(b, loc, vector(b.getI1Type(), lanes),
                                      ValueRange{count});
}

Value Emitter::laneOffsets(Value stride, int64_t lanes) {
  // 32-bit lanes suffice: a stride times 16 lanes stays below 2^31 elements.
  auto type = vector(b.getI32Type(), lanes);
  auto steps = llvm::to_vector(llvm::seq<int32_t>(0, lanes));
  Value lane = arith::ConstantOp::create(b, loc, b.getI32VectorAttr(steps));
  Value wide = arith::IndexCastOp::create(b, loc, b.getI32Type(), stride);
  return arith::MulIOp::create(b, loc, lane,
                               vector::BroadcastOp::create(b, loc, type, wide));
}

Value Emitter::load(const Buffer &buffer, Value offset, Value stride,
                    int64_t lanes, Mask mask) {
  std::optional<int64_t> known = constantOf(stride);
  if (known == 0)
    return splat(loadScalar(buffer, offset), lanes);
  auto type = vector(buffer.element, lanes);
  if (known == 1 && !mask)
    return vector::LoadOp::create(b, loc, type, buffer.flat, offset);
  Value fill = constant(type, 1);
  if (known == 1)
    return vector::MaskedLoadOp::create(b, loc, type, buffer.flat, offset, mask,
                                        fill);
  if (!mask)
    mask = constant(vector(b.getI1Type(), lanes), 1);
  return vector::GatherOp::create(b, loc, type, buffer.flat, ValueRange{offset},
                                  laneOffsets(stride, lanes), mask, fill);
}

void Emitter::store(Value vector, const Buffer &buffer, Value offset,
                    Value stride, Mask mask) {
  std::optional<int64_t> known = constantOf(stride);
  if (known == 1 && !mask) {
    vector::StoreOp::create(b, loc, vector, buffer.flat, offset);
    return;
  }
  if (known == 1) {
    vector::MaskedStoreOp::create(b, loc, buffer.flat, offset, mask, vector);
    return;
  }
  int64_t lanes = cast<VectorType>(vector.getType()).getNumElements();
  if (!mask)
    mask = constant(this->vector(b.getI1Type(), lanes), 1);
  vector::ScatterOp::create(b, loc, Type(), buffer.flat, ValueRange{offset},
                            laneOffsets(stride, lanes), mask, vector);
}

Value Emitter::loadScalar(const Buffer &buffer, Value offset) {
  return memref::LoadOp::create(b, loc, buffer.flat, offset);
}

void Emitter::storeScalar(Value scalar, const Buffer &buffer, Value offset) {
  memref::StoreOp::create(b, loc, scalar, buffer.flat, offset);
}

Value Emitter::reduce(Value vector, function_ref<Value(Value, Value)> combine) {
  int64_t lanes = cast<VectorType>(vector.getType()).getNumElements();
  while (lanes > 1) {
    int64_t half = lanes / 2;
    auto low = llvm::to_vector(llvm::seq<int64_t>(0, half));
    auto high = llvm::to_vector(llvm::seq<int64_t>(half, lanes));
    Value lower = vector::ShuffleOp::create(b, loc, vector, vector, low);
    Value upper = vector::ShuffleOp::create(b, loc, vector, vector, high);
    vector = combine(lower, upper);
    lanes = half;
  }
  return vector::ExtractOp::create(b, loc, vector, ArrayRef<int64_t>{0});
}

SmallVector<Value> Emitter::transpose(SmallVector<Value> vectors) {
  // One bit after the other changes places between the number of the vector and
  // that of the lane.
  int64_t count = vectors.size();
  for (int64_t bit = 1; bit < count; bit *= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < count; ++lane) {
      low.push_back(lane & bit ? count + lane - bit : lane);
      high.push_back(lane & bit ? count + lane : lane + bit);
    }
    for (int64_t i = 0; i < count; ++i) {
      if (i & bit)
        continue;
      Value x = vectors[i], y = vectors[i + bit];
      vectors[i] = vector::ShuffleOp::create(b, loc, x, y, low);
      vectors[i + bit] = vector::ShuffleOp::create(b, loc, x, y, high);
    }
  }
  return vectors;
}

Value Emitter::convert(Value value, Type element, bool isUnsigned) {
  Type from = getElementTypeOrSelf(value.getType());
  if (from == element)
    return value;
  Type type = element;
  if (auto vectorType = dyn_cast<VectorType>(value.getType()))
    type = vectorType.clone(element);
  unsigned fromBits = from.getIntOrFloatBitWidth(),
           toBits = element.getIntOrFloatBitWidth();
  if (isa<FloatType>(from) && isa<FloatType>(element)) {
    if (fromBits < toBits)
      return arith::ExtFOp::create(b, loc, type, value);
    return arith::TruncFOp::create(b, loc, type, value);
  }
  if (isa<FloatType>(element)) {
    if (isUnsigned)
      return arith::UIToFPOp::create(b, loc, type, value);
    return arith::SIToFPOp::create(b, loc, type, value);
  }
  if (fromBits > toBits)
    return arith::TruncIOp::create(b, loc, type, value);
  if (isUnsigned)
    return arith::ExtUIOp::create(b, loc, type, value);
  return arith::ExtSIOp::create(b, loc, type, value);
}

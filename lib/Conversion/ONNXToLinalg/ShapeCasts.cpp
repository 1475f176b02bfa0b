//===- ShapeCasts.cpp - Reshaping, transposing, broadcasting
//----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Lowering.h"

#include "twist/Dialect/Weights/Weights.h"

using namespace twist;
using namespace twist::lowering;

namespace {
using Groups = SmallVector<ReassociationIndices>;

/// Which dimensions of `from` become which of `to`: groups of equal products.
struct Regrouping {
  Groups from, to;
};
} // namespace

/// Zips the dimensions from the left into the smallest groups whose products
/// are equal; nullopt where the sizes do not show it.
static std::optional<Regrouping> regroup(SizeArithmetic &sizes,
                                         const Sizes &from, const Sizes &to) {
  Regrouping result;
  size_t i = 0, j = 0;
  while (i < from.size() && j < to.size()) {
    ReassociationIndices in = {static_cast<int64_t>(i)},
                         out = {static_cast<int64_t>(j)};
    Size have = from[i++], want = to[j++];
    while (!sizes.same(have, want)) {
      // What divides the other is the one to extend.
      if (i < from.size() && sizes.divideExactly(want, have)) {
        in.push_back(i);
        have = sizes.mul(have, from[i++]);
      } else if (j < to.size() && sizes.divideExactly(have, want)) {
        out.push_back(j);
        want = sizes.mul(want, to[j++]);
      } else {
        return std::nullopt;
      }
    }
    result.from.push_back(in);
    result.to.push_back(out);
  }
  if (result.from.empty())
    return std::nullopt;
  auto isUnit = [](Size size) { return constantOf(size) == 1; };
  for (; i < from.size(); result.from.back().push_back(i++))
    if (!isUnit(from[i]))
      return std::nullopt;
  for (; j < to.size(); result.to.back().push_back(j++))
    if (!isUnit(to[j]))
      return std::nullopt;
  return result;
}

static bool isIdentity(const Groups &groups) {
  return llvm::all_of(groups, [](auto &group) { return group.size() == 1; });
}

static RankedTensorType typeOf(const Sizes &sizes, Type element) {
  SmallVector<int64_t> shape;
  for (Size size : sizes)
    shape.push_back(constantOf(size).value_or(ShapedType::kDynamic));
  return RankedTensorType::get(shape, element);
}

Value Lowering::cast(Value tensor, RankedTensorType type) {
  return tensor.getType() == type ? tensor
                                  : tensor::CastOp::create(b, type, tensor);
}

/// Static where all of the group is, so that verifiers agree on both sides.
static RankedTensorType groupedType(const Sizes &sizes, const Groups &groups,
                                    Type element) {
  SmallVector<int64_t> shape;
  for (auto &group : groups) {
    int64_t size = 1;
    for (int64_t d : group)
      if (std::optional<int64_t> c = constantOf(sizes[d]);
          c && !ShapedType::isDynamic(size))
        size *= *c;
      else
        size = ShapedType::kDynamic;
    shape.push_back(size);
  }
  return RankedTensorType::get(shape, element);
}

/// Constants and whole weights are reshaped where they are made.
static Value reshapeSource(ImplicitLocOpBuilder &b, Value tensor,
                           RankedTensorType type) {
  DenseElementsAttr attr;
  if (!type.hasStaticShape())
    return nullptr;
  if (matchPattern(tensor, m_Constant(&attr)))
    return arith::ConstantOp::create(b, attr.reshape(type));
  auto load = tensor.getDefiningOp<weights::LoadOp>();
  if (!load || load.getView().getSelect() || load.getView().getPermutation())
    return nullptr;
  weights::ViewAttr view = load.getView();
  Operation *clone = b.clone(*load);
  auto reshaped = ::mlir::cast<weights::LoadOp>(clone);
  reshaped.setViewAttr(weights::ViewAttr::get(
      b.getContext(), view.getSource(), view.getOffset(),
      type.clone(view.getStored().getElementType()), nullptr, nullptr));
  reshaped.getTensor().setType(type);
  return reshaped.getTensor();
}

Value Lowering::reshape(Value tensor, const Sizes &to) {
  auto type = ::mlir::cast<RankedTensorType>(tensor.getType());
  Type element = type.getElementType();
  RankedTensorType toType = typeOf(to, element);
  if (type.getRank() == toType.getRank() &&
      llvm::all_of(llvm::zip_equal(sizesOf(tensor), to), [&](auto pair) {
        return sizes.same(std::get<0>(pair), std::get<1>(pair));
      }))
    return cast(tensor, toType);
  if (Value source = reshapeSource(b, tensor, toType))
    return source;
  // Reshapes compose: start from what this one was made of, if that works.
  Operation *maker = tensor.getDefiningOp();
  if (isa_and_present<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(maker)) {
    Value source = maker->getOperand(0);
    Sizes from = sizesOf(source);
    if (from.size() == to.size() &&
        llvm::all_of(llvm::zip_equal(from, to), [&](auto pair) {
          return sizes.same(std::get<0>(pair), std::get<1>(pair));
        }))
      return cast(source, toType);
    if (regroup(sizes, from, to) || !regroup(sizes, sizesOf(tensor), to))
      return reshape(source, to);
  }
  Sizes from = sizesOf(tensor);
  if (to.empty())
    return tensor::CollapseShapeOp::create(
        b, toType,
        cast(tensor, RankedTensorType::get(SmallVector<int64_t>(from.size(), 1),
                                           element)),
        Groups{});
  if (from.empty())
    return cast(
        tensor::ExpandShapeOp::create(
            b,
            RankedTensorType::get(SmallVector<int64_t>(to.size(), 1), element),
            tensor, Groups{}),
        toType);
  std::optional<Regrouping> groups = regroup(sizes, from, to);
  if (!groups)
    groups =
        Regrouping{{llvm::to_vector<2>(llvm::seq<int64_t>(0, from.size()))},
                   {llvm::to_vector<2>(llvm::seq<int64_t>(0, to.size()))}};
  if (!isIdentity(groups->from))
    tensor = tensor::CollapseShapeOp::create(
        b, groupedType(from, groups->from, element), tensor, groups->from);
  if (isIdentity(groups->to))
    return cast(tensor, toType);
  tensor = cast(tensor, groupedType(to, groups->to, element));
  return tensor::ExpandShapeOp::create(b, toType, tensor, groups->to, to);
}

Value Lowering::dropUnitDims(Value tensor, ArrayRef<int64_t> dims) {
  if (dims.empty())
    return tensor;
  Sizes kept;
  for (auto [d, size] : llvm::enumerate(sizesOf(tensor)))
    if (!llvm::is_contained(dims, static_cast<int64_t>(d)))
      kept.push_back(size);
  return reshape(tensor, kept);
}

Value Lowering::insertUnitDims(Value tensor, ArrayRef<int64_t> dims) {
  Sizes from = sizesOf(tensor), to;
  auto next = from.begin();
  for (size_t d = 0; d < from.size() + dims.size(); ++d)
    to.push_back(llvm::is_contained(dims, static_cast<int64_t>(d))
                     ? sizes.constant(1)
                     : *next++);
  return reshape(tensor, to);
}

Value Lowering::transpose(Value tensor, ArrayRef<int64_t> perm) {
  if (llvm::equal(perm, llvm::seq<int64_t>(0, perm.size())))
    return tensor;
  Sizes from = sizesOf(tensor), to;
  for (int64_t d : perm)
    to.push_back(from[d]);
  Type element = getElementTypeOrSelf(tensor);
  // A weight is permuted in its view.
  if (auto load = tensor.getDefiningOp<weights::LoadOp>()) {
    weights::ViewAttr view = load.getView();
    SmallVector<int64_t> composed(perm);
    if (DenseI64ArrayAttr old = view.getPermutation(); old && !old.empty())
      for (int64_t &d : composed)
        d = old[d];
    auto clone = ::mlir::cast<weights::LoadOp>(b.clone(*load));
    clone.setViewAttr(weights::ViewAttr::get(
        b.getContext(), view.getSource(), view.getOffset(), view.getStored(),
        view.getSelect(), b.getDenseI64ArrayAttr(composed)));
    clone.getTensor().setType(typeOf(to, element));
    return clone.getTensor();
  }
  // Only unit dimensions move: a reshape.
  auto isUnit = [&](int64_t d) { return constantOf(from[d]) == 1; };
  SmallVector<int64_t> moved(perm);
  llvm::erase_if(moved, isUnit);
  if (llvm::is_sorted(moved))
    return reshape(tensor, to);
  return linalg::TransposeOp::create(b, tensor, empty(to, element), perm)
      ->getResult(0);
}

Value Lowering::broadcastTo(Value tensor, const Sizes &to) {
  int64_t rank = ::mlir::cast<RankedTensorType>(tensor.getType()).getRank();
  int64_t toRank = to.size(), lead = toRank - rank;
  Type element = getElementTypeOrSelf(tensor);
  SmallVector<int64_t> dropped;
  SmallVector<AffineExpr> exprs;
  SmallVector<int64_t> unknown; // 1 or the size, which shows at run time only
  Sizes from = sizesOf(tensor);
  for (int64_t d = 0; d < rank; ++d) {
    if (constantOf(from[d]) == 1 && constantOf(to[d + lead]) != 1) {
      dropped.push_back(d);
      continue;
    }
    exprs.push_back(b.getAffineDimExpr(d + lead));
    if (!sizes.same(from[d], to[d + lead]) &&
        !(constantOf(from[d]).value_or(1) > 1))
      unknown.push_back(d);
  }
  if (unknown.empty()) {
    if (dropped.empty() && lead == 0)
      return tensor;
    Value source = dropUnitDims(tensor, dropped);
    return parallelGeneric(
        source, AffineMap::get(toRank, 0, exprs, b.getContext()), to, element,
        [](ImplicitLocOpBuilder &, ValueRange x) { return x[0]; });
  }
  return parallelGeneric(
      {}, {}, to, element, [&](ImplicitLocOpBuilder &b, ValueRange) -> Value {
        SmallVector<Value> position;
        Value zero = arith::ConstantIndexOp::create(b, 0);
        Value one = arith::ConstantIndexOp::create(b, 1);
        for (int64_t d = 0; d < rank; ++d) {
          Value i = linalg::IndexOp::create(b, d + lead);
          if (constantOf(from[d]) == 1) {
            i = zero;
          } else if (llvm::is_contained(unknown, d)) {
            Value size = tensor::DimOp::create(b, tensor, d);
            Value unit =
                arith::CmpIOp::create(b, arith::CmpIPredicate::eq, size, one);
            i = arith::SelectOp::create(b, unit, zero, i);
          }
          position.push_back(i);
        }
        return tensor::ExtractOp::create(b, tensor, position);
      });
}

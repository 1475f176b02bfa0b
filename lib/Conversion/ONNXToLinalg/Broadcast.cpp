//===- Broadcast.cpp - Elementwise ops on broadcast operands
//----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Gather.h"

using namespace twist;
using namespace twist::lowering;

/// The body on widened scalars, its result in `element`.
static Value applyBody(ImplicitLocOpBuilder &b, ValueRange scalars, bool wide,
                       Type element, Lowering::Body body) {
  SmallVector<Value> args;
  for (Value scalar : scalars)
    args.push_back(wide ? convertScalar(b, scalar, wideType(scalar.getType()))
                        : scalar);
  return convertScalar(b, body(b, args), element);
}

/// Every element as a scalar, where all operands are made of scalars.
static Value asScalars(Lowering &l, Operation *op, ValueRange operands,
                       bool wide, Lowering::Body body) {
  RankedTensorType type = l.scalarResultType(op);
  if (!type)
    return nullptr;
  // Floats stay tensors unless they were computed as scalars.
  bool integers = llvm::all_of(
      operands, [](Value v) { return getElementTypeOrSelf(v).isInteger(); });
  SmallVector<SmallVector<Value>> elements;
  for (Value operand : operands) {
    std::optional<SmallVector<Value>> scalars =
        l.scalarsOf(operand, /*orRead=*/integers);
    if (!scalars || (scalars->size() != 1 &&
                     int64_t(scalars->size()) != type.getNumElements()))
      return nullptr;
    elements.push_back(std::move(*scalars));
  }
  Operation *last = l.lastOp();
  SmallVector<Value> results;
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    SmallVector<Value> args;
    for (auto &scalars : elements)
      args.push_back(scalars[scalars.size() == 1 ? 0 : i]);
    results.push_back(applyBody(l.b, args, wide, type.getElementType(), body));
  }
  l.foldSince(last, results);
  return l.fromScalars(results, type);
}

namespace {
/// One elementwise op over the broadcast sizes of its operands.
class Broadcast {
public:
  Broadcast(Lowering &l, Operation *op, ValueRange operands)
      : l(l), op(op), operands(operands) {
    for (Value operand : operands)
      rank = std::max(rank, rankOf(operand));
  }

  Value build(bool wide, Type element, Lowering::Body body);

private:
  static int64_t rankOf(Value v) {
    return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
  }
  /// Size of `operand` along result dimension d; null: not there.
  Size sizeAlong(Value operand, int64_t d) {
    int64_t own = d - (rank - rankOf(operand));
    return own < 0 ? Size() : l.sizeOf(operand, own);
  }
  Size broadcastSize(int64_t d);
  void extendBounded(int64_t d);
  void collapse();
  bool collapses(Value operand, const ReassociationIndices &group, bool &full);
  /// The scalar all elements of `operand` have, or null.
  Value splatOf(Value operand);
  Value prepare(Value operand, AffineMap &map);

  Lowering &l;
  Operation *op;
  SmallVector<Value> operands;
  int64_t rank = 0;
  Sizes out;
  Sizes expanded; // sizes to expand the result to, if the op was collapsed
};
} // namespace

/// A table of 1024 rows cut to n has min(n, 1024) of them. Met by a dimension
/// of size n, the model can only mean n <= 1024, which is then required: the
/// table's dimension is read as n and is not taken for one that broadcasts.
void Broadcast::extendBounded(int64_t d) {
  Size plain;
  for (Value operand : operands)
    if (Size size = sizeAlong(operand, d);
        size && !constantOf(size) &&
        l.sizes.same(size, l.sizes.unbounded(size)))
      plain = size;
  if (!plain)
    return;
  for (Value &operand : operands) {
    Size size = sizeAlong(operand, d);
    if (!size || constantOf(size) || l.sizes.same(size, plain) ||
        !l.sizes.same(l.sizes.unbounded(size), plain))
      continue;
    l.require(size, plain);
    operand = gatherComputed(l, operand, d - (rank - rankOf(operand)), plain,
                             [](ImplicitLocOpBuilder &, Value i) { return i; });
  }
}

Size Broadcast::broadcastSize(int64_t d) {
  Size result = l.sizes.constant(1);
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (type && type.getRank() == rank && !type.isDynamicDim(d))
    return l.sizes.constant(type.getDimSize(d));
  for (Value operand : operands) {
    Size size = sizeAlong(operand, d);
    if (!size || l.sizes.same(size, result) || constantOf(size) == 1 ||
        constantOf(result).value_or(1) > 1)
      continue;
    if (constantOf(result) == 1 || constantOf(size)) {
      result = size;
      continue;
    }
    // Both known at run time only: one may be 1.
    Value unit = arith::CmpIOp::create(l.b, arith::CmpIPredicate::eq,
                                       l.sizes.toValue(result),
                                       arith::ConstantIndexOp::create(l.b, 1));
    result = l.sizes.select(unit, size, result);
  }
  return result;
}

/// Whether `operand` may be collapsed over `group` of the result's dimensions:
/// all of them its own (`full`), or none.
bool Broadcast::collapses(Value operand, const ReassociationIndices &group,
                          bool &full) {
  bool all = true, none = true;
  for (int64_t d : group) {
    if (constantOf(out[d]) == 1)
      continue;
    Size size = sizeAlong(operand, d);
    (size && l.sizes.same(size, out[d]) ? none : all) = false;
    if (size && !l.sizes.same(size, out[d]) && constantOf(size) != 1)
      return false;
  }
  full = all;
  return all || none;
}

/// An operand that is collapsed rows, expanded, makes the op work on rows too:
///   add(expand(matmul), bias) becomes expand(add(matmul, bias))
/// so that what belongs to one loop nest stays in it.
void Broadcast::collapse() {
  tensor::ExpandShapeOp expand;
  for (Value operand : operands)
    if (auto candidate = operand.getDefiningOp<tensor::ExpandShapeOp>();
        candidate && rankOf(operand) == rank &&
        candidate.getSrcType().getRank())
      expand = candidate;
  if (!expand)
    return;
  auto groups = expand.getReassociationIndices();
  SmallVector<Sizes> collapsed;
  for (Value operand : operands) {
    Sizes to;
    for (auto &group : groups) {
      bool full;
      if (!collapses(operand, group, full))
        return;
      Sizes members;
      for (int64_t d : group)
        if (full)
          members.push_back(out[d]);
      to.push_back(l.sizes.product(members));
    }
    collapsed.push_back(to);
  }
  for (auto [operand, to] : llvm::zip_equal(operands, collapsed))
    operand = l.reshape(operand, to);
  expanded = out;
  out.clear();
  for (auto &group : groups) {
    Sizes members;
    for (int64_t d : group)
      members.push_back(expanded[d]);
    out.push_back(l.sizes.product(members));
  }
  rank = out.size();
}

Value Broadcast::splatOf(Value operand) {
  DenseElementsAttr attr;
  if (matchPattern(operand, m_Constant(&attr)) &&
      (attr.isSplat() || attr.getNumElements() == 1))
    return arith::ConstantOp::create(
        l.b, ::mlir::cast<TypedAttr>(*attr.value_begin<Attribute>()));
  if (auto fill = operand.getDefiningOp<linalg::FillOp>())
    return fill.getInputs()[0];
  if (auto made = operand.getDefiningOp<tensor::FromElementsOp>();
      made && made.getElements().size() == 1)
    return made.getElements()[0];
  return nullptr;
}

Value Broadcast::prepare(Value operand, AffineMap &map) {
  MLIRContext *context = l.b.getContext();
  if (Value scalar = splatOf(operand)) {
    map = AffineMap::get(rank, 0, context);
    return scalar;
  }
  int64_t lead = rank - rankOf(operand);
  SmallVector<int64_t> units;
  SmallVector<AffineExpr> exprs;
  for (int64_t d = 0; d < rankOf(operand); ++d) {
    Size size = l.sizeOf(operand, d), full = out[d + lead];
    if (constantOf(size) == 1 && constantOf(full) != 1) {
      units.push_back(d);
      continue;
    }
    if (!l.sizes.same(size, full) && constantOf(size).value_or(1) == 1) {
      map = l.identity(rank);
      return l.broadcastTo(operand, out);
    }
    exprs.push_back(l.b.getAffineDimExpr(d + lead));
  }
  map = AffineMap::get(rank, 0, exprs, context);
  return l.dropUnitDims(operand, units);
}

Value Broadcast::build(bool wide, Type element, Lowering::Body body) {
  for (int64_t d = 0; d < rank; ++d) {
    extendBounded(d);
    out.push_back(broadcastSize(d));
  }
  collapse();
  SmallVector<Value> prepared, arguments(operands.size());
  SmallVector<AffineMap> maps;
  SmallVector<unsigned> position;
  for (auto [i, operand] : llvm::enumerate(operands)) {
    AffineMap map;
    Value value = prepare(operand, map);
    Attribute constant;
    if (matchPattern(value, m_Constant(&constant)) &&
        !isa<ShapedType>(value.getType())) {
      arguments[i] = value; // known: the body sees it
      continue;
    }
    position.push_back(i);
    prepared.push_back(value);
    maps.push_back(map);
  }
  Value result =
      l.parallelGeneric(prepared, maps, out, element,
                        [&](ImplicitLocOpBuilder &b, ValueRange args) {
                          for (auto [i, arg] : llvm::zip_equal(position, args))
                            arguments[i] = arg;
                          return applyBody(b, arguments, wide, element, body);
                        });
  return expanded.empty() ? result : l.reshape(result, expanded);
}

/// Known sizes that neither are one another nor 1 are an error of the model.
static LogicalResult checkSizes(Operation *op, ValueRange operands) {
  SmallVector<int64_t> sizes; // from the right; 1 where nothing is known yet
  for (Value operand : operands) {
    auto shape = ::mlir::cast<RankedTensorType>(operand.getType()).getShape();
    sizes.resize(std::max(sizes.size(), shape.size()), 1);
    for (auto [size, known] : llvm::zip(llvm::reverse(shape), sizes)) {
      if (size == 1 || ShapedType::isDynamic(size))
        continue;
      if (known != 1 && known != size) {
        op->emitError() << "sizes " << known << " and " << size
                        << " of its operands do not fit together";
        return failure();
      }
      known = size;
    }
  }
  return success();
}

Results lowering::lowerElementwise(Lowering &l, Operation *op,
                                   ValueRange operands, bool wide,
                                   Lowering::Body body) {
  if (failed(checkSizes(op, operands)))
    return failure();
  if (Value scalars = asScalars(l, op, operands, wide, body))
    return SmallVector<Value>{scalars};
  return SmallVector<Value>{
      Broadcast(l, op, operands).build(wide, resultElement(op), body)};
}

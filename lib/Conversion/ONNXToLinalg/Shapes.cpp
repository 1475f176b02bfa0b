//===- Shapes.cpp - Reshape and its kin, sizes, constants
//-------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ScalarMath.h"

#include "mlir/Dialect/Utils/IndexingUtils.h"

using namespace twist;
using namespace twist::lowering;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

/// Reshapes to `sizes`; a tensor of scalars stays one.
static Value reshapeResult(Lowering &l, Operation *op, Value data,
                           Sizes sizes) {
  if (RankedTensorType type = l.scalarResultType(op))
    if (auto scalars = l.scalarsOf(data, /*orRead=*/false);
        scalars &&
        static_cast<int64_t>(scalars->size()) == type.getNumElements())
      return l.fromScalars(*scalars, type);
  return l.reshape(data, l.refine(op->getResult(0), std::move(sizes)));
}

//===----------------------------------------------------------------------===//
// Reshape, Flatten, Squeeze, Unsqueeze
//===----------------------------------------------------------------------===//

/// The size that makes the products equal: what is left of `from` when the
/// known sizes of `to` are cancelled one by one.
static Size inferredSize(Lowering &l, const Sizes &from, const Sizes &to,
                         size_t hole) {
  Size whole = l.sizes.product(from), known = l.sizes.constant(1);
  for (auto [d, size] : llvm::enumerate(to))
    if (d != hole)
      known = l.sizes.mul(known, size);
  if (constantOf(known) == 0)
    return l.sizes.constant(0);
  return l.sizes.floorDiv(whole, known);
}

/// Entries that only show at run time may be 0 (the data's size) or -1 too.
static void resolveAtRunTime(Lowering &l, const Sizes &from, Sizes &to,
                             bool allowZero) {
  SizeArithmetic &s = l.sizes;
  auto isEqual = [&](Size size, int64_t value) {
    return l.b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq,
                                           s.toValue(size),
                                           s.toValue(s.constant(value)));
  };
  SmallVector<size_t> unknown;
  for (auto [d, size] : llvm::enumerate(to)) {
    if (constantOf(size) || s.isNonNegative(size))
      continue;
    unknown.push_back(d);
    if (!allowZero && d < from.size())
      size = s.select(isEqual(size, 0), from[d], size);
  }
  Size known = s.constant(1);
  for (auto [d, size] : llvm::enumerate(to))
    known = s.mul(known, llvm::is_contained(unknown, d)
                             ? s.select(isEqual(size, -1), s.constant(1), size)
                             : size);
  if (unknown.empty() || constantOf(known) == 0)
    return;
  Size rest = s.floorDiv(s.product(from), s.max(known, s.constant(1)));
  for (size_t d : unknown)
    to[d] = s.select(isEqual(to[d], -1), rest, to[d]);
}

static Results lowerReshape(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  FailureOr<Sizes> shape = l.sizesIn(op, 1);
  if (failed(shape))
    return failure();
  bool allowZero = ::mlir::cast<onnx::ReshapeOp>(op).getAllowzero();
  Sizes from = l.sizesOf(data), to = *shape;
  std::optional<size_t> hole;
  for (auto [d, size] : llvm::enumerate(to)) {
    std::optional<int64_t> known = constantOf(size);
    if (known == 0 && !allowZero) {
      if (d >= from.size()) {
        op->emitError() << "entry " << d << " of its shape is 0, but the data "
                        << "has rank " << from.size();
        return failure();
      }
      size = from[d];
    } else if (known == -1) {
      if (hole) {
        op->emitError("its shape has more than one -1");
        return failure();
      }
      hole = d;
    }
  }
  // A static dimension of the result needs no inference.
  to = l.refine(op->getResult(0), to);
  if (hole) {
    auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
    bool isStatic = type && type.getRank() == static_cast<int64_t>(to.size()) &&
                    !type.isDynamicDim(*hole);
    to[*hole] = isStatic ? l.sizes.constant(type.getDimSize(*hole))
                         : inferredSize(l, from, to, *hole);
  } else {
    resolveAtRunTime(l, from, to, allowZero);
  }
  return SmallVector<Value>{reshapeResult(l, op, data, to)};
}

static Results lowerFlatten(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  Sizes sizes = l.sizesOf(data);
  int64_t rank = sizes.size(),
          axis = ::mlir::cast<onnx::FlattenOp>(op).getAxis();
  axis = axis < 0 ? axis + rank : axis;
  ArrayRef<Size> all(sizes);
  return SmallVector<Value>{
      reshapeResult(l, op, data,
                    {l.sizes.product(all.take_front(axis)),
                     l.sizes.product(all.drop_front(axis))})};
}

/// Known axes of operand 1, counted from the front of `rank` dimensions.
static FailureOr<SmallVector<int64_t>> knownAxes(Lowering &l, Operation *op,
                                                 int64_t rank) {
  std::optional<SmallVector<int64_t>> axes = l.constantsOf(l.operand(op, 1));
  if (!axes) {
    op->emitError("its axes must be known at compile time");
    return failure();
  }
  return normaliseAxes(op, *axes, rank);
}

static Results lowerSqueeze(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  Sizes sizes = l.sizesOf(data), kept;
  SmallVector<int64_t> axes;
  if (l.operand(op, 1)) {
    auto known = knownAxes(l, op, sizes.size());
    if (failed(known))
      return failure();
    axes = *known;
  } else {
    for (auto [d, size] : llvm::enumerate(sizes))
      if (constantOf(size) == 1)
        axes.push_back(d);
  }
  for (auto [d, size] : llvm::enumerate(sizes))
    if (!llvm::is_contained(axes, static_cast<int64_t>(d)))
      kept.push_back(size);
  return SmallVector<Value>{reshapeResult(l, op, data, kept)};
}

static Results lowerUnsqueeze(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  auto known = l.constantsOf(l.operand(op, 1));
  int64_t added = known ? known->size() : 0;
  auto axes = knownAxes(l, op, rankOf(data) + added);
  if (failed(axes))
    return failure();
  Sizes from = l.sizesOf(data), to;
  auto next = from.begin();
  for (int64_t d = 0; d < rankOf(data) + added; ++d)
    to.push_back(llvm::is_contained(*axes, d) ? l.sizes.constant(1) : *next++);
  return SmallVector<Value>{reshapeResult(l, op, data, to)};
}

//===----------------------------------------------------------------------===//
// Transpose, Expand
//===----------------------------------------------------------------------===//

static Results lowerTranspose(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  int64_t rank = rankOf(data);
  SmallVector<int64_t> perm;
  if (auto given = ::mlir::cast<onnx::TransposeOp>(op).getPerm())
    perm.assign(given->begin(), given->end());
  else
    for (int64_t d = rank; d-- > 0;)
      perm.push_back(d);
  return SmallVector<Value>{l.transpose(data, perm)};
}

/// Sizes of the broadcast of a tensor to a shape.
static Sizes broadcastSizes(Lowering &l, const Sizes &from, const Sizes &to) {
  Sizes result(std::max(from.size(), to.size()));
  for (size_t i = 1; i <= result.size(); ++i) {
    Size x = i <= from.size() ? from[from.size() - i] : l.sizes.constant(1);
    Size y = i <= to.size() ? to[to.size() - i] : l.sizes.constant(1);
    Size &out = result[result.size() - i];
    if (constantOf(x) == 1 || l.sizes.same(x, y) ||
        constantOf(y).value_or(1) > 1)
      out = y;
    else if (constantOf(y) == 1 || constantOf(x).value_or(1) > 1)
      out = x;
    else
      out = l.sizes.max(x, y); // one of them is 1, or they are equal
  }
  return result;
}

static Results lowerExpand(Lowering &l, Operation *op) {
  Value data = l.operand(op, 0);
  FailureOr<Sizes> shape = l.sizesIn(op, 1);
  if (failed(shape))
    return failure();
  Sizes to =
      l.refine(op->getResult(0), broadcastSizes(l, l.sizesOf(data), *shape));
  if (RankedTensorType type = l.scalarResultType(op))
    if (auto scalars = l.scalarsOf(data, false);
        scalars && scalars->size() == 1) {
      SmallVector<Value> all(type.getNumElements(), scalars->front());
      return SmallVector<Value>{l.fromScalars(all, type)};
    }
  // A tensor of one value stays a fill.
  if (auto fill = data.getDefiningOp<linalg::FillOp>())
    return SmallVector<Value>{l.fill(fill.getInputs()[0], to)};
  return SmallVector<Value>{l.broadcastTo(data, to)};
}

//===----------------------------------------------------------------------===//
// Shape, Size
//===----------------------------------------------------------------------===//

static Results lowerShape(Lowering &l, Operation *op) {
  auto shape = ::mlir::cast<onnx::ShapeOp>(op);
  Sizes sizes = l.sizesOf(l.operand(op, 0));
  int64_t rank = sizes.size();
  auto bound = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  int64_t start = bound(shape.getStart());
  int64_t end = std::max(start, shape.getEnd() ? bound(*shape.getEnd()) : rank);
  SmallVector<Value> scalars;
  for (int64_t d = start; d < end; ++d)
    scalars.push_back(l.sizes.toInteger(sizes[d], l.b.getI64Type()));
  auto type = RankedTensorType::get(end - start, l.b.getI64Type());
  return SmallVector<Value>{l.fromScalars(scalars, type)};
}

static Results lowerSize(Lowering &l, Operation *op) {
  Size size = l.sizes.product(l.sizesOf(l.operand(op, 0)));
  auto type = RankedTensorType::get({}, l.b.getI64Type());
  return SmallVector<Value>{
      l.fromScalars(l.sizes.toInteger(size, l.b.getI64Type()), type)};
}

void lowering::addShapes(LoweringTable &table) {
  table["Reshape"] = lowerReshape;
  table["Flatten"] = lowerFlatten;
  table["Squeeze"] = lowerSqueeze;
  table["Unsqueeze"] = lowerUnsqueeze;
  table["Transpose"] = lowerTranspose;
  table["Expand"] = lowerExpand;
  table["Shape"] = lowerShape;
  table["Size"] = lowerSize;
}

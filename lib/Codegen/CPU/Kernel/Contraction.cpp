//===- Contraction.cpp - Sums of products on tensors
//------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Contraction.h"

#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/ReshapeOpsUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace twist;
using namespace twist::cpu;

//===----------------------------------------------------------------------===//
// Matching
//===----------------------------------------------------------------------===//

/// The block argument that `value` widens, and whether by zeros.
static std::pair<BlockArgument, bool> widened(Value value) {
  bool isUnsigned = false;
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<arith::ExtFOp, arith::ExtSIOp, arith::ExtUIOp, arith::SIToFPOp,
             arith::UIToFPOp>(op))
      return {};
    isUnsigned |= isa<arith::ExtUIOp, arith::UIToFPOp>(op);
    value = op->getOperand(0);
  }
  return {cast<BlockArgument>(value), isUnsigned};
}

/// Whether the body is out + widen(in0) · widen(in1).
static bool matchBody(Block &body, Contraction &contraction) {
  Operation *sum = body.getTerminator()->getOperand(0).getDefiningOp();
  if (!isa_and_nonnull<arith::AddFOp, arith::AddIOp>(sum))
    return false;
  unsigned side = sum->getOperand(0) == body.getArgument(2) ? 1 : 0;
  if (sum->getOperand(1 - side) != body.getArgument(2))
    return false;
  Operation *product = sum->getOperand(side).getDefiningOp();
  if (!isa_and_nonnull<arith::MulFOp, arith::MulIOp>(product))
    return false;
  auto [x, xUnsigned] = widened(product->getOperand(0));
  auto [y, yUnsigned] = widened(product->getOperand(1));
  if (!x || !y || x.getOwner() != &body || y.getOwner() != &body)
    return false;
  if (x.getArgNumber() == 1 && y.getArgNumber() == 0) {
    std::swap(x, y);
    std::swap(xUnsigned, yUnsigned);
  }
  if (x.getArgNumber() != 0 || y.getArgNumber() != 1)
    return false;
  contraction.lhsUnsigned = xUnsigned;
  contraction.rhsUnsigned = yUnsigned;
  contraction.accumulator = body.getArgument(2).getType();
  // Halves are summed in f32, as their products are.
  if (isa<FloatType>(contraction.accumulator) &&
      contraction.accumulator.getIntOrFloatBitWidth() < 32)
    contraction.accumulator =
        Float32Type::get(body.getParentOp()->getContext());
  return true;
}

bool twist::cpu::isSumOfProducts(Block &body, Type &accumulator) {
  Contraction contraction;
  if (!matchBody(body, contraction))
    return false;
  accumulator = contraction.accumulator;
  return true;
}

std::optional<Contraction> twist::cpu::matchContraction(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || op.getNumDpsInputs() != 2 ||
      op.getNumDpsInits() != 1 || op.getNumReductionLoops() == 0 ||
      !llvm::all_of(op->getOperandTypes(), llvm::IsaPred<RankedTensorType>))
    return std::nullopt;
  for (AffineMap map : op.getIndexingMapsArray())
    if (!map.isProjectedPermutation() || map.getNumResults() == 0)
      return std::nullopt;
  Contraction result;
  if (!matchBody(*op.getBlock(), result))
    return std::nullopt;
  result.lhs = op.getDpsInputs()[0];
  result.rhs = op.getDpsInputs()[1];
  result.init = op.getDpsInits()[0];
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  result.lhsMap = maps[0];
  result.rhsMap = maps[1];
  result.outMap = maps[2];
  // The column is the last dimension of the result, and of one operand only.
  unsigned column =
      result.outMap.getDimPosition(result.outMap.getNumResults() - 1);
  if (result.lhsMap.isFunctionOfDim(column)) {
    std::swap(result.lhs, result.rhs);
    std::swap(result.lhsMap, result.rhsMap);
    std::swap(result.lhsUnsigned, result.rhsUnsigned);
  }
  if (result.lhsMap.isFunctionOfDim(column) ||
      !result.rhsMap.isFunctionOfDim(column))
    return std::nullopt;
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  for (unsigned k : reductions)
    if (!result.lhsMap.isFunctionOfDim(k) || !result.rhsMap.isFunctionOfDim(k))
      return std::nullopt;
  if (auto triangle = op->getAttrOfType<DenseI64ArrayAttr>(nn::triangleAttr))
    result.triangle = llvm::to_vector(triangle.asArrayRef());
  return result;
}

/// Loops have other numbers now; a triangle of one that is no more is
/// forgotten.
static void renumber(SmallVector<int64_t> &triangle,
                     function_ref<std::optional<int64_t>(int64_t)> number) {
  for (int64_t &loop : MutableArrayRef(triangle).take_front(2)) {
    std::optional<int64_t> now = number(loop);
    if (!now)
      return triangle.clear();
    loop = *now;
  }
}

//===----------------------------------------------------------------------===//
// Looking through reshapes and transpositions
//===----------------------------------------------------------------------===//

static AffineExpr dim(unsigned position, MLIRContext *context) {
  return getAffineDimExpr(position, context);
}

static unsigned positionOf(AffineMap map, unsigned d) {
  return *map.getResultPosition(dim(d, map.getContext()));
}

/// The dimensions joined into dimension `position` of a collapse that joins
/// nothing else; empty where the value is no such thing.
static ReassociationIndices joinedAt(Value value, unsigned position) {
  auto collapse = value.getDefiningOp<tensor::CollapseShapeOp>();
  if (!collapse)
    return {};
  auto groups = collapse.getReassociationIndices();
  for (auto [index, group] : llvm::enumerate(groups))
    if ((group.size() == 1) != (index != position))
      return {};
  return groups[position];
}

/// The map with result `position`, dimension d, replaced by d, …, d + count
/// - 1.
static AffineMap splitMap(AffineMap map, unsigned d, unsigned count) {
  SmallVector<AffineExpr> results;
  for (AffineExpr expr : map.getResults()) {
    unsigned old = cast<AffineDimExpr>(expr).getPosition();
    for (unsigned i = 0, n = old == d ? count : 1; i < n; ++i)
      results.push_back(
          dim(old > d ? old + count - 1 : old + i, map.getContext()));
  }
  return AffineMap::get(map.getNumDims() + count - 1, 0, results,
                        map.getContext());
}

/// Whether two groups of extents are equal: all but one must be known.
static bool sameExtents(ArrayRef<int64_t> x, ArrayRef<int64_t> y) {
  unsigned unknown = 0;
  for (auto [a, c] : llvm::zip_equal(x, y)) {
    if (ShapedType::isDynamic(a) || ShapedType::isDynamic(c))
      ++unknown;
    else if (a != c)
      return false;
  }
  return unknown <= 1;
}

void twist::cpu::splitBatch(OpBuilder &b, Contraction &c) {
  for (unsigned d = 0; d < c.outMap.getNumDims(); ++d) {
    if (!c.lhsMap.isFunctionOfDim(d) || !c.rhsMap.isFunctionOfDim(d) ||
        !c.outMap.isFunctionOfDim(d))
      continue;
    unsigned inLhs = positionOf(c.lhsMap, d), inRhs = positionOf(c.rhsMap, d),
             inOut = positionOf(c.outMap, d);
    ReassociationIndices lhs = joinedAt(c.lhs, inLhs),
                         rhs = joinedAt(c.rhs, inRhs);
    if (lhs.size() < 2 || lhs.size() != rhs.size())
      continue;
    Value x = c.lhs.getDefiningOp()->getOperand(0),
          y = c.rhs.getDefiningOp()->getOperand(0);
    auto xShape = cast<RankedTensorType>(x.getType()).getShape();
    auto yShape = cast<RankedTensorType>(y.getType()).getShape();
    if (!sameExtents(xShape.slice(inLhs, lhs.size()),
                     yShape.slice(inRhs, rhs.size())))
      continue;
    unsigned count = lhs.size();
    SmallVector<OpFoldResult> sizes;
    for (auto [r, size] : llvm::enumerate(c.outSizes)) {
      ReassociationIndices &group = c.joined.emplace_back();
      for (unsigned i = 0, n = r == inOut ? count : 1; i < n; ++i) {
        group.push_back(sizes.size());
        sizes.push_back(r == inOut
                            ? tensor::getMixedSize(b, x.getLoc(), x, inLhs + i)
                            : size);
      }
    }
    c.lhs = x;
    c.rhs = y;
    c.outSizes = sizes;
    c.lhsMap = splitMap(c.lhsMap, d, count);
    c.rhsMap = splitMap(c.rhsMap, d, count);
    c.outMap = splitMap(c.outMap, d, count);
    renumber(c.triangle, [&](int64_t loop) -> std::optional<int64_t> {
      if (loop == d)
        return std::nullopt;
      return loop > d ? loop + count - 1 : loop;
    });
    return;
  }
}

/// From the dimensions of the result to those of the input, of an op that only
/// permutes them; null for any other.
static AffineMap permutationOf(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || op.getNumDpsInputs() != 1 ||
      op.getNumDpsInits() != 1 ||
      !isa<RankedTensorType>(op.getDpsInputs()[0].getType()))
    return AffineMap();
  Block &body = *op.getBlock();
  AffineMap in = op.getIndexingMapsArray()[0],
            out = op.getIndexingMapsArray()[1];
  if (body.getTerminator()->getOperand(0) != body.getArgument(0) ||
      !in.isPermutation() || !out.isPermutation())
    return AffineMap();
  return in.compose(inversePermutation(out));
}

/// Reads the value from before its transpositions.
static void foldTranspose(Value &value, AffineMap &map) {
  while (auto op = value.getDefiningOp<linalg::LinalgOp>()) {
    AffineMap permutation = permutationOf(op);
    if (!permutation)
      return;
    map = permutation.compose(map);
    value = op.getDpsInputs()[0];
  }
}

void twist::cpu::foldTransposes(Contraction &c) {
  foldTranspose(c.lhs, c.lhsMap);
  foldTranspose(c.rhs, c.rhsMap);
}

/// What `value` becomes when its one reader takes a joined dimension apart
/// again; `value` itself where nothing was joined, null for other readers.
static Value beforeJoining(Value value, const Contraction &c) {
  if (c.joined.empty())
    return value;
  auto expand = value.hasOneUse()
                    ? dyn_cast<tensor::ExpandShapeOp>(*value.user_begin())
                    : tensor::ExpandShapeOp();
  return expand && expand.getReassociationIndices() == c.joined
             ? expand.getResult()
             : Value();
}

linalg::LinalgOp twist::cpu::foldResultTranspose(linalg::LinalgOp op,
                                                 Contraction &c) {
  Value value = beforeJoining(op->getResult(0), c);
  if (!value || !value.hasOneUse() || !isZeroFill(c.init) ||
      c.lhs.getDefiningOp<weights::LoadOp>() ||
      c.rhs.getDefiningOp<weights::LoadOp>())
    return op;
  auto user = dyn_cast<linalg::LinalgOp>(*value.user_begin());
  AffineMap permutation = user ? permutationOf(user) : AffineMap();
  if (!permutation || user.getDpsInputs()[0] != value)
    return op;
  unsigned rank = permutation.getNumResults();
  SmallVector<AffineExpr> results(rank);
  SmallVector<OpFoldResult> sizes(rank);
  for (unsigned from = 0; from < rank; ++from) {
    unsigned to = permutation.getDimPosition(from);
    results[to] = c.outMap.getResult(from);
    sizes[to] = c.outSizes[from];
  }
  // The new column must be one operand's alone; an epilogue moves other
  // dimensions about.
  unsigned column = cast<AffineDimExpr>(results.back()).getPosition();
  if (results.back() == c.outMap.getResults().back() ||
      c.lhsMap.isFunctionOfDim(column) == c.rhsMap.isFunctionOfDim(column))
    return op;
  c.outMap = AffineMap::get(c.outMap.getNumDims(), 0, results, op.getContext());
  c.outSizes = sizes;
  c.joined.clear();
  if (c.lhsMap.isFunctionOfDim(column)) {
    std::swap(c.lhs, c.rhs);
    std::swap(c.lhsMap, c.rhsMap);
    std::swap(c.lhsUnsigned, c.rhsUnsigned);
  }
  return user;
}

/// The dimensions from `first` on of `value`, `count` of them, as one.
static Value joinDims(OpBuilder &b, Value value, unsigned first,
                      unsigned count) {
  SmallVector<ReassociationIndices> groups;
  int64_t rank = cast<RankedTensorType>(value.getType()).getRank();
  for (int64_t d = 0; d < rank; ++d) {
    if (d <= first || d >= first + count)
      groups.emplace_back();
    groups.back().push_back(d);
  }
  return tensor::CollapseShapeOp::create(b, value.getLoc(), value, groups);
}

/// The map without the dimensions of `dropped`, in its results and its domain.
static AffineMap dropDims(AffineMap map, const llvm::SmallBitVector &dropped) {
  SmallVector<AffineExpr> results;
  for (AffineExpr expr : map.getResults()) {
    unsigned d = cast<AffineDimExpr>(expr).getPosition();
    if (!dropped.test(d))
      results.push_back(
          dim(d - llvm::count_if(dropped.set_bits(),
                                 [&](unsigned x) { return x < d; }),
              map.getContext()));
  }
  return AffineMap::get(map.getNumDims() - dropped.count(), 0, results,
                        map.getContext());
}

LogicalResult twist::cpu::joinReductions(OpBuilder &b, Contraction &c) {
  SmallVector<unsigned> reductions;
  for (AffineExpr expr : c.lhsMap.getResults())
    if (unsigned d = cast<AffineDimExpr>(expr).getPosition();
        !c.outMap.isFunctionOfDim(d))
      reductions.push_back(d);
  if (reductions.size() == 1)
    return success();
  if (c.rhs.getDefiningOp<weights::LoadOp>())
    return failure();
  unsigned inLhs = positionOf(c.lhsMap, reductions.front()),
           inRhs = positionOf(c.rhsMap, reductions.front());
  llvm::SmallBitVector dropped(c.outMap.getNumDims());
  for (auto [i, d] : llvm::enumerate(reductions)) {
    if (positionOf(c.lhsMap, d) != inLhs + i ||
        positionOf(c.rhsMap, d) != inRhs + i)
      return failure();
    if (i > 0)
      dropped.set(d);
  }
  c.lhs = joinDims(b, c.lhs, inLhs, reductions.size());
  c.rhs = joinDims(b, c.rhs, inRhs, reductions.size());
  for (AffineMap *map : {&c.lhsMap, &c.rhsMap, &c.outMap})
    *map = dropDims(*map, dropped);
  renumber(c.triangle, [&](int64_t loop) -> std::optional<int64_t> {
    if (llvm::is_contained(reductions, loop))
      return std::nullopt;
    return loop - llvm::count_if(dropped.set_bits(),
                                 [&](unsigned d) { return int64_t(d) < loop; });
  });
  return success();
}

//===----------------------------------------------------------------------===//
// Building
//===----------------------------------------------------------------------===//

namespace {
/// The order of a gemm's loops, as positions in the contraction's maps.
struct Loops {
  SmallVector<unsigned> order;
  unsigned batch = 0, rows = 0, column = 0, k = 0;

  AffineMap reorder(AffineMap map) const {
    SmallVector<AffineExpr> replacements(order.size());
    for (auto [position, d] : llvm::enumerate(order))
      replacements[d] = dim(position, map.getContext());
    return map.replaceDimsAndSymbols(replacements, {}, order.size(), 0);
  }

  DenseI64ArrayAttr reorder(Builder b, ArrayRef<int64_t> triangle) const {
    if (triangle.empty())
      return DenseI64ArrayAttr();
    auto position = [&](int64_t loop) {
      return int64_t(llvm::find(order, unsigned(loop)) - order.begin());
    };
    return b.getDenseI64ArrayAttr(
        {position(triangle[0]), position(triangle[1]), triangle[2]});
  }
};
} // namespace

static Loops orderLoops(const Contraction &c) {
  Loops loops;
  SmallVector<unsigned> batch, rows;
  unsigned numOut = c.outMap.getNumResults();
  for (unsigned r = 0; r + 1 < numOut; ++r) {
    unsigned d = c.outMap.getDimPosition(r);
    (c.rhsMap.isFunctionOfDim(d) ? batch : rows).push_back(d);
  }
  loops.column = c.outMap.getDimPosition(numOut - 1);
  for (unsigned d = 0; d < c.outMap.getNumDims(); ++d)
    if (!c.outMap.isFunctionOfDim(d))
      loops.k = d;
  loops.batch = batch.size();
  loops.rows = rows.size();
  loops.order = batch;
  loops.order.append(rows);
  loops.order.append({loops.column, loops.k});
  return loops;
}

/// From (batch…, column, k) of the right-hand side to its dimensions.
static AffineMap packingMap(AffineMap rhsMap, const Loops &loops) {
  MLIRContext *context = rhsMap.getContext();
  SmallVector<AffineExpr> results(rhsMap.getNumResults());
  unsigned next = 0;
  for (unsigned d : loops.order)
    if (rhsMap.isFunctionOfDim(d))
      results[positionOf(rhsMap, d)] = dim(next++, context);
  return AffineMap::get(next, 0, results, context);
}

/// The rhs of the gemm (packed where it is a weight), its map and its panel.
static Value prepareRhs(OpBuilder &b, Location loc, const Contraction &c,
                        const Loops &loops, TargetInfo target, AffineMap &map,
                        int64_t &panel) {
  MLIRContext *context = b.getContext();
  auto type = cast<RankedTensorType>(c.rhs.getType());
  unsigned column = positionOf(c.rhsMap, loops.column);
  int64_t columns = type.getDimSize(column);
  panel = 0;
  auto load = c.rhs.getDefiningOp<weights::LoadOp>();
  if (!load) {
    map = loops.reorder(c.rhsMap);
    return c.rhs;
  }
  panel = target.panelColumns(columns, c.accumulator);
  int64_t group = target.depthGroup(getElementTypeOrSelf(c.lhs.getType()),
                                    type.getElementType(), c.accumulator);
  auto packing =
      PackingAttr::get(context, packingMap(c.rhsMap, loops), panel, group);
  SmallVector<AffineExpr> results;
  for (auto [position, d] : llvm::enumerate(loops.order))
    if (c.rhsMap.isFunctionOfDim(d))
      results.push_back(dim(position, context));
  map = AffineMap::get(loops.order.size(), 0, results, context);
  SmallVector<int64_t> shape = packing.getPackedShape(type.getShape());
  auto packed = RankedTensorType::get(shape, type.getElementType());
  return PackedWeightOp::create(b, loc, packed, load.getView(),
                                TypeAttr::get(type), packing);
}

bool twist::cpu::isZeroFill(Value value) {
  auto fill = value.getDefiningOp<linalg::FillOp>();
  return fill && (matchPattern(fill.getInputs()[0], m_AnyZeroFloat()) ||
                  matchPattern(fill.getInputs()[0], m_Zero()));
}

Value twist::cpu::buildGemm(OpBuilder &b, linalg::LinalgOp op, Contraction &c,
                            TargetInfo target) {
  Location loc = op.getLoc();
  Loops loops = orderLoops(c);
  AffineMap rhsMap;
  int64_t panel;
  Value rhs = prepareRhs(b, loc, c, loops, target, rhsMap, panel);
  AffineMap outMap = loops.reorder(c.outMap);
  SmallVector<AffineMap> maps = {loops.reorder(c.lhsMap), rhsMap};
  SmallVector<Value> extras;
  auto resultType = cast<RankedTensorType>(op->getResult(0).getType());
  Type element = resultType.getElementType();
  if (!isZeroFill(c.init)) {
    Value init = c.init;
    if (!c.joined.empty())
      init = tensor::ExpandShapeOp::create(
          b, loc,
          RankedTensorType::get(decomposeMixedValues(c.outSizes).first,
                                element),
          init, c.joined, c.outSizes);
    extras.push_back(init);
    maps.push_back(outMap);
  }
  maps.push_back(outMap);
  Value empty = tensor::EmptyOp::create(b, loc, c.outSizes, element);
  auto gemm = GemmOp::create(
      b, loc, empty.getType(), c.lhs, rhs, extras, /*taps=*/Value(), empty,
      b.getAffineMapArrayAttr(maps), loops.batch, loops.rows,
      panel ? b.getI64IntegerAttr(panel) : IntegerAttr(), c.accumulator,
      c.lhsUnsigned, c.rhsUnsigned, /*depth=*/1, loops.reorder(b, c.triangle));
  OpBuilder::InsertionGuard guard(b);
  Block *body = b.createBlock(&gemm.getEpilogue());
  Value result = body->addArgument(c.accumulator, loc);
  Emitter e(b, loc, target);
  if (!extras.empty()) {
    Value start = e.convert(body->addArgument(element, loc), c.accumulator);
    if (isa<FloatType>(c.accumulator))
      result = arith::AddFOp::create(b, loc, result, start);
    else
      result = arith::AddIOp::create(b, loc, result, start);
  }
  YieldOp::create(b, loc, e.convert(result, element));
  b.setInsertionPointAfter(gemm);
  Value value = gemm.getResult(0);
  if (!c.joined.empty())
    value = tensor::CollapseShapeOp::create(b, loc, value, c.joined);
  if (value.getType() != resultType)
    value = tensor::CastOp::create(b, loc, resultType, value);
  return value;
}

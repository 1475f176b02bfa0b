//===- Decompose.cpp - NN ops as linalg
//-------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"

namespace twist::nn {
#define GEN_PASS_DEF_NNDECOMPOSEPASS
#include "twist/Dialect/NN/Passes.h.inc"
} // namespace twist::nn

using namespace mlir;
using namespace twist;
using namespace twist::nn;

namespace {

/// Builds the generics of one normalisation over the last dimension of `input`.
struct NormBuilder {
  RewriterBase &b;
  Location loc;
  Value input;
  Value init;

  RankedTensorType type = cast<RankedTensorType>(input.getType());
  int64_t rank = type.getRank();
  Type element = type.getElementType();
  Type wide = element.isF64() ? b.getF64Type() : b.getF32Type();
  AffineMap rowMap = AffineMap::getMultiDimIdentityMap(rank, b.getContext())
                         .getMajorSubMap(rank - 1);

  Value widen(OpBuilder &b, Location loc, Value v) const {
    return v.getType() == wide ? v : arith::ExtFOp::create(b, loc, wide, v);
  }
  Value constant(OpBuilder &b, Location loc, double value) const {
    return arith::ConstantOp::create(b, loc, FloatAttr::get(wide, value));
  }

  using Body = function_ref<Value(OpBuilder &, Location, ValueRange)>;

  /// One wide value a row: the sum over the row of `term(x, row operands...)`.
  Value sumRows(ValueRange rowOperands, Body term) const;
  /// One value per element; operands may have full rank, rank - 1 (one a row)
  /// or rank 1 (one a column) as `maps` says.
  Value elementwise(ValueRange operands, ArrayRef<AffineMap> maps, Value out,
                    AffineMap outMap, Body body) const;
  /// sum / n as wide, one a row.
  Value meanOf(Value sums) const;
};

Value NormBuilder::elementwise(ValueRange operands, ArrayRef<AffineMap> maps,
                               Value out, AffineMap outMap, Body body) const {
  SmallVector<AffineMap> allMaps(maps);
  allMaps.push_back(outMap);
  SmallVector<utils::IteratorType> iterators(outMap.getNumDims(),
                                             utils::IteratorType::parallel);
  Type outElement = getElementTypeOrSelf(out.getType());
  return linalg::GenericOp::create(
             b, loc, out.getType(), operands, out, allMaps, iterators,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               SmallVector<Value> widened;
               for (Value arg : args.drop_back())
                 widened.push_back(widen(b, loc, arg));
               Value result = body(b, loc, widened);
               if (result.getType() != outElement)
                 result = arith::TruncFOp::create(b, loc, outElement, result);
               linalg::YieldOp::create(b, loc, result);
             })
      .getResult(0);
}

Value NormBuilder::sumRows(ValueRange rowOperands, Body term) const {
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, input);
  sizes.pop_back();
  Value empty = tensor::EmptyOp::create(b, loc, sizes, wide);
  Value zero =
      linalg::FillOp::create(b, loc, constant(b, loc, 0.0), empty).getResult(0);
  SmallVector<Value> operands = {input};
  llvm::append_range(operands, rowOperands);
  SmallVector<AffineMap> maps = {
      AffineMap::getMultiDimIdentityMap(rank, b.getContext())};
  maps.append(rowOperands.size() + 1, rowMap);
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  return linalg::GenericOp::create(
             b, loc, zero.getType(), operands, zero, maps, iterators,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               SmallVector<Value> widened;
               for (Value arg : args.drop_back())
                 widened.push_back(widen(b, loc, arg));
               Value sum = arith::AddFOp::create(b, loc, args.back(),
                                                 term(b, loc, widened));
               linalg::YieldOp::create(b, loc, sum);
             })
      .getResult(0);
}

Value NormBuilder::meanOf(Value sums) const {
  OpFoldResult size = tensor::getMixedSize(b, loc, input, rank - 1);
  Value count = getValueOrCreateConstantIndexOp(b, loc, size);
  count = arith::IndexCastOp::create(b, loc, b.getI64Type(), count);
  count = arith::SIToFPOp::create(b, loc, wide, count);
  AffineMap id = AffineMap::getMultiDimIdentityMap(rank - 1, b.getContext());
  Value out = tensor::EmptyOp::create(
      b, loc, tensor::getMixedSizes(b, loc, sums), wide);
  return elementwise(sums, id, out, id,
                     [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
                       return arith::DivFOp::create(b, loc, args[0], count);
                     });
}

} // namespace

static Value decomposeLayerNorm(RewriterBase &b, LayerNormOp op) {
  NormBuilder norm{b, op.getLoc(), op.getInput(), op.getInit()};
  Value mean = norm.meanOf(norm.sumRows(
      {}, [](OpBuilder &, Location, ValueRange x) -> Value { return x[0]; }));
  Value variance = norm.meanOf(
      norm.sumRows(mean, [](OpBuilder &b, Location loc, ValueRange x) -> Value {
        Value d = arith::SubFOp::create(b, loc, x[0], x[1]);
        return arith::MulFOp::create(b, loc, d, d);
      }));
  AffineMap id = AffineMap::getMultiDimIdentityMap(norm.rank, b.getContext());
  AffineMap unit = id.getMinorSubMap(1);
  SmallVector<Value> operands = {op.getInput(), mean, variance, op.getScale()};
  SmallVector<AffineMap> maps = {id, norm.rowMap, norm.rowMap, unit};
  if (op.getBias()) {
    operands.push_back(op.getBias());
    maps.push_back(unit);
  }
  double epsilon = op.getEpsilon().convertToDouble();
  return norm.elementwise(
      operands, maps, op.getInit(), id,
      [&](OpBuilder &b, Location loc, ValueRange x) -> Value {
        Value d = arith::SubFOp::create(b, loc, x[0], x[1]);
        Value v =
            arith::AddFOp::create(b, loc, x[2], norm.constant(b, loc, epsilon));
        Value y =
            arith::DivFOp::create(b, loc, d, math::SqrtOp::create(b, loc, v));
        y = arith::MulFOp::create(b, loc, y, x[3]);
        return x.size() == 5 ? arith::AddFOp::create(b, loc, y, x[4]) : y;
      });
}

static Value decomposeRMSNorm(RewriterBase &b, RMSNormOp op) {
  NormBuilder norm{b, op.getLoc(), op.getInput(), op.getInit()};
  Value square = norm.meanOf(
      norm.sumRows({}, [](OpBuilder &b, Location loc, ValueRange x) -> Value {
        return arith::MulFOp::create(b, loc, x[0], x[0]);
      }));
  AffineMap id = AffineMap::getMultiDimIdentityMap(norm.rank, b.getContext());
  double epsilon = op.getEpsilon().convertToDouble();
  return norm.elementwise(
      {op.getInput(), square, op.getScale()},
      {id, norm.rowMap, id.getMinorSubMap(1)}, op.getInit(), id,
      [&](OpBuilder &b, Location loc, ValueRange x) -> Value {
        Value v =
            arith::AddFOp::create(b, loc, x[1], norm.constant(b, loc, epsilon));
        Value y = arith::DivFOp::create(b, loc, x[0],
                                        math::SqrtOp::create(b, loc, v));
        return arith::MulFOp::create(b, loc, y, x[2]);
      });
}

/// A user's index as a position in [0, size): negative ones count from the end.
static Value clampIndex(OpBuilder &b, Location loc, Value index, Value size) {
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  Value i = arith::IndexCastOp::create(b, loc, b.getIndexType(), index);
  Value negative =
      arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, i, zero);
  Value wrapped = arith::AddIOp::create(b, loc, i, size);
  i = arith::SelectOp::create(b, loc, negative, wrapped, i);
  Value last = arith::SubIOp::create(b, loc, size, one);
  i = arith::MinSIOp::create(b, loc, i, last);
  return arith::MaxSIOp::create(b, loc, i, zero);
}

static Value decomposeGather(RewriterBase &b, GatherOp op) {
  Location loc = op.getLoc();
  Value data = op.getData();
  auto type = cast<RankedTensorType>(op.getInit().getType());
  int64_t axis = op.getAxis(), rank = type.getRank();
  int64_t indexRank = cast<ShapedType>(op.getIndices().getType()).getRank();
  AffineMap id = AffineMap::getMultiDimIdentityMap(rank, b.getContext());
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  Value size = getValueOrCreateConstantIndexOp(
      b, loc, tensor::getMixedSize(b, loc, data, axis));
  return linalg::GenericOp::create(
             b, loc, type, op.getIndices(), op.getInit(),
             {id.getSliceMap(axis, indexRank), id}, iterators,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               SmallVector<Value> position;
               for (int64_t d = 0; d < axis; ++d)
                 position.push_back(linalg::IndexOp::create(b, loc, d));
               position.push_back(clampIndex(b, loc, args[0], size));
               for (int64_t d = axis + indexRank; d < rank; ++d)
                 position.push_back(linalg::IndexOp::create(b, loc, d));
               Value element =
                   tensor::ExtractOp::create(b, loc, data, position);
               linalg::YieldOp::create(b, loc, element);
             })
      .getResult(0);
}

/// One row after the other, so that the order of sums is that of the indices.
static Value decomposeScatterAdd(RewriterBase &b, ScatterAddOp op) {
  Location loc = op.getLoc();
  int64_t axis = op.getAxis(),
          rank = cast<ShapedType>(op.getInit().getType()).getRank();
  auto type = cast<RankedTensorType>(op.getInit().getType());
  int64_t indexRank = cast<ShapedType>(op.getIndices().getType()).getRank();
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  SmallVector<OpFoldResult> tableSizes =
      tensor::getMixedSizes(b, loc, op.getInit());
  Value size = getValueOrCreateConstantIndexOp(b, loc, tableSizes[axis]);
  SmallVector<Value> lower(indexRank, zero), step(indexRank, one), upper;
  for (OpFoldResult s : tensor::getMixedSizes(b, loc, op.getIndices()))
    upper.push_back(getValueOrCreateConstantIndexOp(b, loc, s));

  OpFoldResult first = b.getIndexAttr(0), unit = b.getIndexAttr(1);
  auto addRow = [&](OpBuilder &b, Location loc, ValueRange at, Value table) {
    Value index = tensor::ExtractOp::create(b, loc, op.getIndices(), at);
    SmallVector<OpFoldResult> tableAt(rank, first), rowSizes(tableSizes);
    tableAt[axis] = clampIndex(b, loc, index, size);
    rowSizes[axis] = unit;
    SmallVector<OpFoldResult> updateAt(axis, first);
    SmallVector<OpFoldResult> updateSizes(ArrayRef(rowSizes).take_front(axis));
    llvm::append_range(updateAt, getAsOpFoldResult(at));
    updateSizes.append(indexRank, unit);
    updateAt.append(rank - axis - 1, first);
    llvm::append_range(updateSizes, ArrayRef(rowSizes).drop_front(axis + 1));
    SmallVector<int64_t> shape(type.getShape());
    shape.erase(shape.begin() + axis);
    auto rowType = RankedTensorType::get(shape, type.getElementType());
    Value update = tensor::ExtractSliceOp::create(
        b, loc, rowType, op.getUpdates(), updateAt, updateSizes,
        SmallVector<OpFoldResult>(updateAt.size(), unit));
    SmallVector<OpFoldResult> strides(rank, unit);
    Value row = tensor::ExtractSliceOp::create(b, loc, rowType, table, tableAt,
                                               rowSizes, strides);
    AffineMap id = AffineMap::getMultiDimIdentityMap(rank - 1, b.getContext());
    SmallVector<utils::IteratorType> parallel(rank - 1,
                                              utils::IteratorType::parallel);
    Value sum =
        linalg::GenericOp::create(
            b, loc, rowType, update, row, {id, id}, parallel,
            [](OpBuilder &b, Location loc, ValueRange args) {
              linalg::YieldOp::create(
                  b, loc,
                  arith::AddFOp::create(b, loc, args[1], args[0]).getResult());
            })
            .getResult(0);
    return tensor::InsertSliceOp::create(b, loc, sum, table, tableAt, rowSizes,
                                         strides)
        .getResult();
  };
  if (indexRank == 0)
    return addRow(b, loc, {}, op.getInit());
  return scf::buildLoopNest(b, loc, lower, upper, step, op.getInit(),
                            [&](OpBuilder &b, Location loc, ValueRange at,
                                ValueRange tables) -> scf::ValueVector {
                              return {addRow(b, loc, at, tables.front())};
                            })
      .results.front();
}

FailureOr<Value> nn::decompose(RewriterBase &rewriter, Operation *op) {
  auto dps = dyn_cast<DestinationStyleOpInterface>(op);
  if (!dps || !dps.hasPureTensorSemantics())
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(op);
  return TypeSwitch<Operation *, FailureOr<Value>>(op)
      .Case(
          [&](LayerNormOp norm) { return decomposeLayerNorm(rewriter, norm); })
      .Case([&](RMSNormOp norm) { return decomposeRMSNorm(rewriter, norm); })
      .Case([&](GatherOp gather) { return decomposeGather(rewriter, gather); })
      .Case([&](ScatterAddOp scatter) {
        return decomposeScatterAdd(rewriter, scatter);
      })
      .Case([&](linalg::SoftmaxOp softmax) -> FailureOr<Value> {
        FailureOr<SmallVector<Value>> parts =
            softmax.decomposeOperation(rewriter);
        if (failed(parts))
          return failure();
        return parts->front();
      })
      .Default([](Operation *) -> FailureOr<Value> { return failure(); });
}

namespace {
struct NNDecomposePass : nn::impl::NNDecomposePassBase<NNDecomposePass> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa_and_present<NNDialect>(op->getDialect()) ||
          isa<linalg::SoftmaxOp>(op))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (Operation *op : ops)
      if (FailureOr<Value> result = decompose(rewriter, op); succeeded(result))
        rewriter.replaceOp(op, *result);
  }
};
} // namespace

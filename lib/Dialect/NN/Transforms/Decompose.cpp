//===- Decompose.cpp - NN ops as linalg
//-------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/NN/Transforms.h"

#include "DecomposeRows.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"

namespace twist::nn {
#define GEN_PASS_DEF_NNDECOMPOSEPASS
#include "twist/Dialect/NN/Passes.h.inc"
} // namespace twist::nn

using namespace mlir;
using namespace twist;
using namespace twist::nn;

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

Value nn::decomposeGather(
    OpBuilder &b, GatherOp op,
    function_ref<Value(OpBuilder &, Location, ValueRange)> read) {
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
               linalg::YieldOp::create(b, loc, read(b, loc, position));
             })
      .getResult(0);
}

static Value decomposePlainly(OpBuilder &b, GatherOp op) {
  return decomposeGather(
      b, op, [&](OpBuilder &b, Location loc, ValueRange position) -> Value {
        return tensor::ExtractOp::create(b, loc, op.getData(), position);
      });
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

FailureOr<SmallVector<Value>> nn::decompose(RewriterBase &rewriter,
                                            Operation *op) {
  using Results = FailureOr<SmallVector<Value>>;
  auto dps = dyn_cast<DestinationStyleOpInterface>(op);
  if (!dps || !dps.hasPureTensorSemantics())
    return failure();
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(op);
  auto one = [](Value value) -> Results { return SmallVector<Value>{value}; };
  return TypeSwitch<Operation *, Results>(op)
      .Case<LayerNormOp, RMSNormOp, CrossEntropyOp, CausalSoftmaxOp,
            SoftmaxGradientOp, NormGradientOp>(
          [&](auto rows) { return decomposeRows(rewriter, rows); })
      .Case([&](GatherOp gather) {
        return one(decomposePlainly(rewriter, gather));
      })
      .Case([&](ScatterAddOp scatter) {
        return one(decomposeScatterAdd(rewriter, scatter));
      })
      .Case([&](linalg::SoftmaxOp softmax) {
        return softmax.decomposeOperation(rewriter);
      })
      .Default([](Operation *) -> Results { return failure(); });
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
      if (auto results = decompose(rewriter, op); succeeded(results))
        rewriter.replaceOp(op, *results);
  }
};
} // namespace

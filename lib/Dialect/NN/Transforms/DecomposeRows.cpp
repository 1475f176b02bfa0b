//===- DecomposeRows.cpp - Ops on rows as linalg --------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "DecomposeRows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace twist;
using namespace twist::nn;

namespace {

/// Builds the generics of an op on the rows of `input`, its last dimension.
struct RowBuilder {
  RewriterBase &b;
  Location loc;
  Value input;

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

  /// One wide value a row, `start` combined with all `term(x, row operands...)`
  /// of the row.
  Value reduceRows(
      double start, ValueRange rowOperands, Body term,
      function_ref<Value(OpBuilder &, Location, Value, Value)> combine) const;
  /// The sum over the row of `term(x, row operands...)`.
  Value sumRows(ValueRange rowOperands, Body term) const {
    return reduceRows(0, rowOperands, term, add);
  }
  static Value add(OpBuilder &b, Location loc, Value x, Value y) {
    return arith::AddFOp::create(b, loc, x, y);
  }
  /// One value per element; operands may have full rank, rank - 1 (one a row)
  /// or rank 1 (one a column) as `maps` says.
  Value elementwise(ValueRange operands, ArrayRef<AffineMap> maps, Value out,
                    AffineMap outMap, Body body) const;
  /// sum / n as wide, one a row.
  Value meanOf(Value sums) const;
};

Value RowBuilder::elementwise(ValueRange operands, ArrayRef<AffineMap> maps,
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

Value RowBuilder::reduceRows(
    double start, ValueRange rowOperands, Body term,
    function_ref<Value(OpBuilder &, Location, Value, Value)> combine) const {
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, input);
  sizes.pop_back();
  Value empty = tensor::EmptyOp::create(b, loc, sizes, wide);
  Value filled = linalg::FillOp::create(b, loc, constant(b, loc, start), empty)
                     .getResult(0);
  SmallVector<Value> operands = {input};
  llvm::append_range(operands, rowOperands);
  SmallVector<AffineMap> maps = {
      AffineMap::getMultiDimIdentityMap(rank, b.getContext())};
  maps.append(rowOperands.size() + 1, rowMap);
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators.back() = utils::IteratorType::reduction;
  return linalg::GenericOp::create(
             b, loc, filled.getType(), operands, filled, maps, iterators,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               SmallVector<Value> widened;
               for (Value arg : args.drop_back())
                 widened.push_back(widen(b, loc, arg));
               Value all = combine(b, loc, args.back(), term(b, loc, widened));
               linalg::YieldOp::create(b, loc, all);
             })
      .getResult(0);
}

Value RowBuilder::meanOf(Value sums) const {
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

SmallVector<Value> nn::decomposeRows(RewriterBase &b, LayerNormOp op) {
  RowBuilder norm{b, op.getLoc(), op.getInput()};
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
  return {norm.elementwise(
      operands, maps, op.getInit(), id,
      [&](OpBuilder &b, Location loc, ValueRange x) -> Value {
        Value d = arith::SubFOp::create(b, loc, x[0], x[1]);
        Value v =
            arith::AddFOp::create(b, loc, x[2], norm.constant(b, loc, epsilon));
        Value y =
            arith::DivFOp::create(b, loc, d, math::SqrtOp::create(b, loc, v));
        y = arith::MulFOp::create(b, loc, y, x[3]);
        return x.size() == 5 ? arith::AddFOp::create(b, loc, y, x[4]) : y;
      })};
}

SmallVector<Value> nn::decomposeRows(RewriterBase &b, RMSNormOp op) {
  RowBuilder norm{b, op.getLoc(), op.getInput()};
  Value square = norm.meanOf(
      norm.sumRows({}, [](OpBuilder &b, Location loc, ValueRange x) -> Value {
        return arith::MulFOp::create(b, loc, x[0], x[0]);
      }));
  AffineMap id = AffineMap::getMultiDimIdentityMap(norm.rank, b.getContext());
  double epsilon = op.getEpsilon().convertToDouble();
  return {norm.elementwise(
      {op.getInput(), square, op.getScale()},
      {id, norm.rowMap, id.getMinorSubMap(1)}, op.getInit(), id,
      [&](OpBuilder &b, Location loc, ValueRange x) -> Value {
        Value v =
            arith::AddFOp::create(b, loc, x[1], norm.constant(b, loc, epsilon));
        Value y = arith::DivFOp::create(b, loc, x[0],
                                        math::SqrtOp::create(b, loc, v));
        return arith::MulFOp::create(b, loc, y, x[2]);
      })};
}

/// The row's number `label` at `at`, if it lies in the row, else `otherwise`.
static Value pickOrElse(OpBuilder &b, Location loc, Value rows, ValueRange at,
                        Value label, Value inside, Value otherwise) {
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value position = arith::IndexCastOp::create(b, loc, b.getIndexType(), label);
  SmallVector<Value> where(at);
  where.push_back(arith::SelectOp::create(b, loc, inside, position, zero));
  Value picked = tensor::ExtractOp::create(b, loc, rows, where);
  if (picked.getType() != otherwise.getType())
    picked = arith::ExtFOp::create(b, loc, otherwise.getType(), picked);
  return arith::SelectOp::create(b, loc, inside, picked, otherwise);
}

SmallVector<Value> nn::decomposeRows(RewriterBase &b, CrossEntropyOp op) {
  Location loc = op.getLoc();
  Value logits = op.getLogits();
  RowBuilder rows{b, loc, logits};
  AffineMap id =
      AffineMap::getMultiDimIdentityMap(rows.rank - 1, b.getContext());
  auto itself = [](OpBuilder &, Location, ValueRange x) { return x[0]; };
  Value largest = rows.reduceRows(
      -std::numeric_limits<double>::infinity(), {}, itself,
      [](OpBuilder &b, Location loc, Value x, Value y) -> Value {
        return arith::MaximumFOp::create(b, loc, x, y);
      });
  Value sum = rows.sumRows(
      largest, [](OpBuilder &b, Location loc, ValueRange x) -> Value {
        return math::ExpOp::create(b, loc,
                                   arith::SubFOp::create(b, loc, x[0], x[1]));
      });
  Value normaliser =
      rows.elementwise({largest, sum}, {id, id}, op.getInits()[1], id,
                       [](OpBuilder &b, Location loc, ValueRange x) -> Value {
                         return arith::AddFOp::create(
                             b, loc, x[0], math::LogOp::create(b, loc, x[1]));
                       });
  double smoothing = op.getSmoothing().convertToDouble();
  SmallVector<Value> operands = {op.getTargets(), normaliser};
  if (smoothing > 0)
    operands.push_back(rows.meanOf(rows.sumRows({}, itself)));
  Value classes = getValueOrCreateConstantIndexOp(
      b, loc, tensor::getMixedSize(b, loc, logits, rows.rank - 1));
  SmallVector<AffineMap> maps(operands.size() + 1, id);
  SmallVector<utils::IteratorType> parallel(rows.rank - 1,
                                            utils::IteratorType::parallel);
  auto losses = linalg::GenericOp::create(
      b, loc, op.getInits()[0].getType(), operands, op.getInits()[0], maps,
      parallel, [&](OpBuilder &b, Location loc, ValueRange x) {
        SmallVector<Value> at;
        for (int64_t d = 0; d < rows.rank - 1; ++d)
          at.push_back(linalg::IndexOp::create(b, loc, d));
        Value inside = isClass(b, loc, x[0], classes);
        Value score = pickOrElse(
            b, loc, logits, at, x[0], inside,
            rows.constant(b, loc, std::numeric_limits<double>::quiet_NaN()));
        Value kept = arith::MulFOp::create(
            b, loc, rows.constant(b, loc, 1 - smoothing), score);
        Value loss = arith::SubFOp::create(b, loc, x[1], kept);
        if (smoothing > 0) {
          Value spread = arith::MulFOp::create(
              b, loc, rows.constant(b, loc, smoothing), x[2]);
          loss = arith::SubFOp::create(b, loc, loss, spread);
        }
        if (Value ignored = isIgnored(b, loc, op, x[0]))
          loss = arith::SelectOp::create(b, loc, ignored,
                                         rows.constant(b, loc, 0), loss);
        linalg::YieldOp::create(b, loc, loss);
      });
  return {losses.getResult(0), normaliser};
}

//===----------------------------------------------------------------------===//
// Gradients
//===----------------------------------------------------------------------===//

/// `value`, with `rest` where j > i + offset in its last two dimensions i, j.
static Value fillTriangle(OpBuilder &b, Location loc, Value value,
                          int64_t offset, double rest) {
  auto type = cast<RankedTensorType>(value.getType());
  int64_t rank = type.getRank();
  AffineMap id = AffineMap::getMultiDimIdentityMap(rank, b.getContext());
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  Value init = tensor::EmptyOp::create(
      b, loc, tensor::getMixedSizes(b, loc, value), type.getElementType());
  Value filled =
      linalg::GenericOp::create(
          b, loc, init.getType(), value, init, {id, id}, loops,
          [&](OpBuilder &b, Location loc, ValueRange x) {
            Value row = linalg::IndexOp::create(b, loc, rank - 2);
            Value last = arith::AddIOp::create(
                b, loc, row, arith::ConstantIndexOp::create(b, loc, offset));
            Value isRead = arith::CmpIOp::create(
                b, loc, arith::CmpIPredicate::ule,
                linalg::IndexOp::create(b, loc, rank - 1), last);
            Value other = arith::ConstantOp::create(
                b, loc, FloatAttr::get(x[0].getType(), rest));
            Value picked = arith::SelectOp::create(b, loc, isRead, x[0], other);
            linalg::YieldOp::create(b, loc, picked);
          })
          .getResult(0);
  return filled.getType() == type
             ? filled
             : tensor::CastOp::create(b, loc, type, filled).getResult();
}

SmallVector<Value> nn::decomposeRows(RewriterBase &b, CausalSoftmaxOp op) {
  Location loc = op.getLoc();
  auto type = cast<RankedTensorType>(op.getInit().getType());
  Value masked = fillTriangle(b, loc, op.getInput(), op.getOffset(),
                              -std::numeric_limits<double>::infinity());
  auto softmax =
      linalg::SoftmaxOp::create(b, loc, TypeRange{type}, masked, op.getInit(),
                                b.getI64IntegerAttr(type.getRank() - 1));
  FailureOr<SmallVector<Value>> result = softmax.decomposeOperation(b);
  softmax.erase();
  return *result;
}

SmallVector<Value> nn::decomposeRows(RewriterBase &b, SoftmaxGradientOp op) {
  Location loc = op.getLoc();
  Value softmax = op.getSoftmax(), cotangent = op.getInit();
  if (op.getCausal()) {
    softmax = fillTriangle(b, loc, softmax, *op.getCausal(), 0);
    cotangent = fillTriangle(b, loc, cotangent, *op.getCausal(), 0);
  }
  auto type = cast<RankedTensorType>(cotangent.getType());
  unsigned rank = type.getRank(), dim = op.getDimension();
  AffineMap id = AffineMap::getMultiDimIdentityMap(rank, b.getContext());
  AffineMap line = id.dropResult(dim);
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, cotangent);
  sizes.erase(sizes.begin() + dim);
  RowBuilder rows{b, loc, softmax};
  Value zero =
      linalg::FillOp::create(
          b, loc, rows.constant(b, loc, 0),
          tensor::EmptyOp::create(b, loc, sizes, rows.wide).getResult())
          .getResult(0);
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  loops[dim] = utils::IteratorType::reduction;
  auto dot = linalg::GenericOp::create(
      b, loc, zero.getType(), ValueRange{softmax, cotangent}, zero,
      {id, id, line}, loops, [&](OpBuilder &b, Location loc, ValueRange x) {
        Value product = arith::MulFOp::create(b, loc, rows.widen(b, loc, x[0]),
                                              rows.widen(b, loc, x[1]));
        linalg::YieldOp::create(
            b, loc, arith::AddFOp::create(b, loc, x[2], product).getResult());
      });
  loops[dim] = utils::IteratorType::parallel;
  auto result = linalg::GenericOp::create(
      b, loc, type, ValueRange{softmax, dot.getResult(0)}, cotangent,
      {id, line, id}, loops, [&](OpBuilder &b, Location loc, ValueRange x) {
        Value less =
            arith::SubFOp::create(b, loc, rows.widen(b, loc, x[2]), x[1]);
        Value d = arith::MulFOp::create(b, loc, rows.widen(b, loc, x[0]), less);
        if (d.getType() != rows.element)
          d = arith::TruncFOp::create(b, loc, rows.element, d);
        linalg::YieldOp::create(b, loc, d);
      });
  return {result.getResult(0)};
}

SmallVector<Value> nn::decomposeRows(RewriterBase &b, NormGradientOp op) {
  Location loc = op.getLoc();
  RowBuilder norm{b, loc, op.getInput()};
  AffineMap id = AffineMap::getMultiDimIdentityMap(norm.rank, b.getContext());
  AffineMap perRow =
      AffineMap::getMultiDimIdentityMap(norm.rank - 1, b.getContext());
  Value mean =
      op.getCentred()
          ? norm.meanOf(norm.sumRows(
                {}, [](OpBuilder &, Location, ValueRange x) { return x[0]; }))
          : linalg::FillOp::create(b, loc, norm.constant(b, loc, 0),
                                   op.getInits()[1])
                .getResult(0);
  Value variance = norm.meanOf(
      norm.sumRows(mean, [](OpBuilder &b, Location loc, ValueRange x) -> Value {
        Value d = arith::SubFOp::create(b, loc, x[0], x[1]);
        return arith::MulFOp::create(b, loc, d, d);
      }));
  double epsilon = op.getEpsilon().convertToDouble();
  Value factor = norm.elementwise(
      variance, perRow, op.getInits()[2], perRow,
      [&](OpBuilder &b, Location loc, ValueRange x) -> Value {
        Value v =
            arith::AddFOp::create(b, loc, x[0], norm.constant(b, loc, epsilon));
        return arith::DivFOp::create(b, loc, norm.constant(b, loc, 1),
                                     math::SqrtOp::create(b, loc, v));
      });
  auto wideLike = [&](Value like) {
    return tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, like),
                                   norm.wide);
  };
  AffineMap unit = id.getMinorSubMap(1);
  auto multiply = [](OpBuilder &b, Location loc, ValueRange x) -> Value {
    return arith::MulFOp::create(b, loc, x[0], x[1]);
  };
  Value scaled =
      norm.elementwise({op.getCotangent(), op.getScale()}, {id, unit},
                       wideLike(op.getInput()), id, multiply);
  Value normed = norm.elementwise(
      {op.getInput(), mean, factor}, {id, norm.rowMap, norm.rowMap},
      wideLike(op.getInput()), id,
      [](OpBuilder &b, Location loc, ValueRange x) -> Value {
        Value d = arith::SubFOp::create(b, loc, x[0], x[1]);
        return arith::MulFOp::create(b, loc, d, x[2]);
      });
  Value both = norm.elementwise({scaled, normed}, {id, id},
                                wideLike(op.getInput()), id, multiply);
  auto itself = [](OpBuilder &, Location, ValueRange x) { return x[0]; };
  SmallVector<Value> operands = {scaled, normed, factor};
  SmallVector<AffineMap> maps = {id, id, norm.rowMap, norm.rowMap};
  operands.push_back(norm.meanOf(RowBuilder{b, loc, both}.sumRows({}, itself)));
  if (op.getCentred()) {
    operands.push_back(
        norm.meanOf(RowBuilder{b, loc, scaled}.sumRows({}, itself)));
    maps.push_back(norm.rowMap);
  }
  Value result =
      norm.elementwise(operands, maps, op.getInits()[0], id,
                       [](OpBuilder &b, Location loc, ValueRange x) -> Value {
                         Value along =
                             arith::MulFOp::create(b, loc, x[1], x[3]);
                         Value d = arith::SubFOp::create(b, loc, x[0], along);
                         if (x.size() == 5)
                           d = arith::SubFOp::create(b, loc, d, x[4]);
                         return arith::MulFOp::create(b, loc, d, x[2]);
                       });
  // Where it is no constant, the mean has its own place.
  if (mean.getType() != op.getInits()[1].getType())
    mean = tensor::CastOp::create(b, loc, op.getInits()[1].getType(), mean);
  return {result, mean, factor};
}

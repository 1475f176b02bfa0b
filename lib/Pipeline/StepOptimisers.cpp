//===- StepOptimisers.cpp - Clipping, AdamW, SGD --------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// A new optimiser is a function here and a row in the table.
//
//===----------------------------------------------------------------------===//

#include "StepMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using namespace twist;
using namespace twist::step;
using train::OptimiserKind;

StringRef step::scalarName(unsigned scalar) {
  static const char *const names[NumScalars] = {
      "learning_rate",   "beta1",        "one_minus_beta1",  "beta2",
      "one_minus_beta2", "log_beta1",    "log_beta2",        "epsilon",
      "momentum",        "weight_decay", "rate_times_decay", "clip_norm",
      "gradient_scale"};
  return names[scalar];
}

std::array<double, NumScalars> step::scalarValues(const train::StepScalars &s) {
  return {s.learningRate,
          s.beta1,
          1 - s.beta1,
          s.beta2,
          1 - s.beta2,
          std::log(s.beta1),
          std::log(s.beta2),
          s.epsilon,
          s.momentum,
          s.weightDecay,
          s.learningRate * s.weightDecay,
          s.clipNorm > 0 ? s.clipNorm : INFINITY,
          s.gradientScale};
}

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}
static int64_t rankOf(Value value) { return typeOf(value).getRank(); }

static AffineMap identity(LocBuilder &b, int64_t rank) {
  return AffineMap::getMultiDimIdentityMap(rank, b.getContext());
}
static AffineMap scalarMap(LocBuilder &b, int64_t rank) {
  return AffineMap::get(rank, 0, b.getContext());
}

Value step::map(LocBuilder &b, Value like, ValueRange operands,
                ArrayRef<AffineMap> maps, Type element,
                function_ref<Value(LocBuilder &, ValueRange)> body) {
  int64_t rank = rankOf(like);
  Value init = tensor::EmptyOp::create(b, typeOf(like).getShape(), element);
  SmallVector<AffineMap> all(maps);
  all.push_back(identity(b, rank));
  SmallVector<utils::IteratorType> parallel(rank,
                                            utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, init.getType(), operands, init, all, parallel,
             [&](OpBuilder &inner, Location loc, ValueRange args) {
               LocBuilder in(loc, inner);
               linalg::YieldOp::create(in, body(in, args.drop_back()));
             })
      .getResult(0);
}

//===----------------------------------------------------------------------===//
// Clipping
//===----------------------------------------------------------------------===//

static Value zeros(LocBuilder &b, ArrayRef<int64_t> shape, Type element) {
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(element));
  Value empty = tensor::EmptyOp::create(b, shape, element);
  return linalg::FillOp::create(b, zero, empty).getResult(0);
}

/// Sums over the last dimension, of squares at first.
static Value sumLast(LocBuilder &b, Value value, bool squares) {
  int64_t rank = rankOf(value);
  Type element = typeOf(value).getElementType();
  Value init = zeros(b, typeOf(value).getShape().drop_back(), element);
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
  loops.back() = utils::IteratorType::reduction;
  AffineMap all = identity(b, rank);
  AffineMap rows =
      AffineMap::get(rank, 0, all.getResults().drop_back(), b.getContext());
  return linalg::GenericOp::create(
             b, init.getType(), value, init, ArrayRef{all, rows}, loops,
             [&](OpBuilder &inner, Location loc, ValueRange args) {
               Value x = args[0];
               if (squares)
                 x = arith::MulFOp::create(inner, loc, x, x);
               linalg::YieldOp::create(
                   inner, loc,
                   arith::AddFOp::create(inner, loc, args[1], x).getResult());
             })
      .getResult(0);
}

static Value sumOfSquares(LocBuilder &b, Value value) {
  if (rankOf(value) == 0)
    return step::map(b, value, value, identity(b, 0),
                     typeOf(value).getElementType(),
                     [](LocBuilder &b, ValueRange args) -> Value {
                       return arith::MulFOp::create(b, args[0], args[0]);
                     });
  Value sum = sumLast(b, value, /*squares=*/true);
  while (rankOf(sum) > 0)
    sum = sumLast(b, sum, /*squares=*/false);
  return sum;
}

std::pair<Value, Value>
step::clippingFactor(LocBuilder &b, ValueRange gradients, ValueRange scalars) {
  SmallVector<Value> squares;
  for (Value gradient : gradients)
    squares.push_back(sumOfSquares(b, gradient));
  Type element = typeOf(gradients[0]).getElementType();
  Value like = scalars[Scale];
  auto point = [&](unsigned n) {
    return SmallVector<AffineMap>(n, identity(b, 0));
  };
  squares.push_back(scalars[Scale]);
  Value norm = step::map(b, like, squares, point(squares.size()), element,
                         [](LocBuilder &b, ValueRange args) -> Value {
                           Value sum = args[0];
                           for (Value arg : args.drop_front().drop_back())
                             sum = arith::AddFOp::create(b, sum, arg);
                           return arith::MulFOp::create(
                               b, math::SqrtOp::create(b, sum), args.back());
                         });
  Value factor =
      step::map(b, like, {norm, scalars[Clip], scalars[Scale]}, point(3),
                element, [](LocBuilder &b, ValueRange args) -> Value {
                  Value above = arith::CmpFOp::create(
                      b, arith::CmpFPredicate::OGT, args[0], args[1]);
                  Value ratio = arith::DivFOp::create(b, args[1], args[0]);
                  Value clipped = arith::MulFOp::create(b, args[2], ratio);
                  return arith::SelectOp::create(b, above, clipped, args[2]);
                });
  return {norm, factor};
}

//===----------------------------------------------------------------------===//
// Optimisers
//===----------------------------------------------------------------------===//

namespace {
/// One parameter's update: generics that write in place of their outs.
class Update {
public:
  Update(LocBuilder &b, Value parameter, ValueRange state, Value gradient,
         Value factor, ValueRange scalars, bool decayed)
      : b(b), parameter(parameter), state(state), gradient(gradient),
        factor(factor), scalars(scalars), decayed(decayed),
        rank(rankOf(parameter)), element(typeOf(parameter).getElementType()) {}

  SmallVector<Value> adamW();
  SmallVector<Value> sgd();

private:
  Value constant(LocBuilder &in, double value) {
    return arith::ConstantOp::create(in, FloatAttr::get(element, value));
  }
  /// Counts without their dimensions of size 1, and the map that reads them.
  std::pair<Value, AffineMap> squeeze(Value counts);
  /// Values for `outs`, which the body gets after `ins`.
  SmallVector<Value>
  inPlace(ValueRange ins, ArrayRef<AffineMap> maps, ValueRange outs,
          function_ref<SmallVector<Value>(LocBuilder &, ValueRange)> body);

  LocBuilder &b;
  Value parameter;
  ValueRange state;
  Value gradient, factor;
  ValueRange scalars;
  bool decayed;
  int64_t rank;
  Type element;
};
} // namespace

SmallVector<Value> Update::inPlace(
    ValueRange ins, ArrayRef<AffineMap> maps, ValueRange outs,
    function_ref<SmallVector<Value>(LocBuilder &, ValueRange)> body) {
  int64_t loops = rankOf(outs[0]);
  SmallVector<AffineMap> all(maps);
  all.append(outs.size(), identity(b, loops));
  SmallVector<utils::IteratorType> parallel(loops,
                                            utils::IteratorType::parallel);
  auto op = linalg::GenericOp::create(
      b, TypeRange(outs), ins, outs, all, parallel,
      [&](OpBuilder &inner, Location loc, ValueRange args) {
        LocBuilder in(loc, inner);
        linalg::YieldOp::create(in, body(in, args));
      });
  return SmallVector<Value>(op.getResults());
}

std::pair<Value, AffineMap> Update::squeeze(Value counts) {
  SmallVector<ReassociationIndices> groups;
  SmallVector<AffineExpr> reads;
  ReassociationIndices ones;
  for (int64_t d = 0; d < rank; ++d) {
    if (typeOf(counts).getDimSize(d) == 1) {
      if (groups.empty())
        ones.push_back(d);
      else
        groups.back().push_back(d);
      continue;
    }
    reads.push_back(b.getAffineDimExpr(d));
    groups.push_back(ones);
    groups.back().push_back(d);
    ones.clear();
  }
  AffineMap map = AffineMap::get(rank, 0, reads, b.getContext());
  if (int64_t(reads.size()) == rank)
    return {counts, map};
  return {tensor::CollapseShapeOp::create(b, counts, groups), map};
}

/// Loshchilov and Hutter: Decoupled weight decay regularization, ICLR 2019; the
/// bias correction counts each unit's own updates.
SmallVector<Value> Update::adamW() {
  AffineMap all = identity(b, rank), one = scalarMap(b, rank);
  Value steps = inPlace({}, {}, state[2], [&](LocBuilder &in, ValueRange args) {
    Value next = arith::AddIOp::create(
        in, args[0], arith::ConstantOp::create(in, in.getI32IntegerAttr(1)));
    return SmallVector<Value>{next};
  })[0];
  // 1 / (1 - beta^t)
  auto correction = [&](Value logBeta) {
    return step::map(
        b, steps, {steps, logBeta}, {all, one}, element,
        [&](LocBuilder &in, ValueRange args) -> Value {
          Value t = arith::SIToFPOp::create(in, element, args[0]);
          Value power =
              math::ExpM1Op::create(in, arith::MulFOp::create(in, t, args[1]));
          return arith::DivFOp::create(in, constant(in, -1), power);
        });
  };
  auto [c1, map1] = squeeze(correction(scalars[LogBeta1]));
  auto [c2, map2] = squeeze(correction(scalars[LogBeta2]));
  SmallVector<Value> ins{gradient,
                         factor,
                         c1,
                         c2,
                         scalars[Rate],
                         scalars[Beta1],
                         scalars[OneMinusBeta1],
                         scalars[Beta2],
                         scalars[OneMinusBeta2],
                         scalars[Epsilon]};
  SmallVector<AffineMap> maps{all, one, map1, map2, one,
                              one, one, one,  one,  one};
  if (decayed) {
    ins.push_back(scalars[RateDecay]);
    maps.push_back(one);
  }
  size_t numIns = ins.size();
  auto results = inPlace(
      ins, maps, {parameter, state[0], state[1]},
      [&](LocBuilder &in, ValueRange args) {
        auto mul = [&](Value x, Value y) -> Value {
          return arith::MulFOp::create(in, x, y);
        };
        auto add = [&](Value x, Value y) -> Value {
          return arith::AddFOp::create(in, x, y);
        };
        Value p = args[numIns], m = args[numIns + 1], v = args[numIns + 2];
        Value g = mul(args[0], args[1]);
        m = add(mul(args[5], m), mul(args[6], g));
        v = add(mul(args[7], v), mul(args[8], mul(g, g)));
        Value root = math::SqrtOp::create(in, mul(v, args[3]));
        Value change =
            arith::DivFOp::create(in, mul(m, args[2]), add(root, args[9]));
        Value next = arith::SubFOp::create(in, p, mul(args[4], change));
        if (decayed)
          next = arith::SubFOp::create(in, next, mul(args[10], p));
        return SmallVector<Value>{next, m, v};
      });
  results.push_back(steps);
  return results;
}

SmallVector<Value> Update::sgd() {
  AffineMap all = identity(b, rank), one = scalarMap(b, rank);
  SmallVector<Value> ins{gradient, factor, scalars[Rate], scalars[Momentum]};
  SmallVector<AffineMap> maps{all, one, one, one};
  if (decayed) {
    ins.push_back(scalars[Decay]);
    maps.push_back(one);
  }
  size_t numIns = ins.size();
  return inPlace(ins, maps, {parameter, state[0]},
                 [&](LocBuilder &in, ValueRange args) {
                   auto mul = [&](Value x, Value y) -> Value {
                     return arith::MulFOp::create(in, x, y);
                   };
                   Value p = args[numIns], v = args[numIns + 1];
                   Value g = mul(args[0], args[1]);
                   if (decayed)
                     g = arith::AddFOp::create(in, g, mul(args[4], p));
                   v = arith::AddFOp::create(in, mul(args[3], v), g);
                   Value next = arith::SubFOp::create(in, p, mul(args[2], v));
                   return SmallVector<Value>{next, v};
                 });
}

Value step::accumulate(LocBuilder &b, Value buffer, Value gradient, Value add) {
  int64_t rank = rankOf(buffer);
  AffineMap all = identity(b, rank);
  SmallVector<utils::IteratorType> parallel(rank,
                                            utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, buffer.getType(), ValueRange{gradient, add}, buffer,
             ArrayRef{all, scalarMap(b, rank), all}, parallel,
             [](OpBuilder &inner, Location loc, ValueRange args) {
               Value sum = arith::AddFOp::create(inner, loc, args[2], args[0]);
               Value zero = arith::ConstantOp::create(
                   inner, loc, inner.getI32IntegerAttr(0));
               Value adds = arith::CmpIOp::create(
                   inner, loc, arith::CmpIPredicate::ne, args[1], zero);
               linalg::YieldOp::create(
                   inner, loc,
                   arith::SelectOp::create(inner, loc, adds, sum, args[0])
                       .getResult());
             })
      .getResult(0);
}

ArrayRef<StateKind> step::stateKinds(OptimiserKind kind) {
  static constexpr StateKind adamW[] = {
      {"moment1", true}, {"moment2", true}, {"steps", false}};
  static constexpr StateKind sgd[] = {{"momentum", true}};
  switch (kind) {
  case OptimiserKind::AdamW:
    return adamW;
  case OptimiserKind::SGD:
    return sgd;
  }
  llvm_unreachable("no such optimiser");
}

SmallVector<Value> step::update(LocBuilder &b, OptimiserKind kind,
                                Value parameter, ValueRange state,
                                Value gradient, Value factor,
                                ValueRange scalars, bool decayed) {
  Update update(b, parameter, state, gradient, factor, scalars, decayed);
  switch (kind) {
  case OptimiserKind::AdamW:
    return update.adamW();
  case OptimiserKind::SGD:
    return update.sgd();
  }
  llvm_unreachable("no such optimiser");
}

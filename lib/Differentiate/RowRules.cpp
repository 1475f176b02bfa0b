//===- RowRules.cpp - Gradients of composites on rows ---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Rules.h"

#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace twist;

using Body =
    function_ref<SmallVector<Value>(ImplicitLocOpBuilder &, ValueRange)>;

/// A generic with parallel loops only, as many as `maps` have dimensions.
static ResultRange parallelGeneric(OpBuilder &b, Location loc,
                                   ValueRange inputs, ValueRange inits,
                                   ArrayRef<AffineMap> maps, Body body) {
  SmallVector<utils::IteratorType> loops(maps.front().getNumDims(),
                                         utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, TypeRange(inits), inputs, inits, maps, loops,
             [&](OpBuilder &b, Location loc, ValueRange args) {
               ImplicitLocOpBuilder at(loc, b);
               linalg::YieldOp::create(b, loc, body(at, args));
             })
      .getResults();
}

static Value emptyLike(OpBuilder &b, Location loc, Value like, Type element) {
  return tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, like),
                                 element);
}

static Value constant(ImplicitLocOpBuilder &b, Type type, double value) {
  return arith::ConstantOp::create(b, FloatAttr::get(type, value));
}

static Value convertFloat(ImplicitLocOpBuilder &b, Value value, Type to) {
  unsigned from = value.getType().getIntOrFloatBitWidth();
  if (from == to.getIntOrFloatBitWidth())
    return value;
  if (from < to.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(b, to, value);
  return arith::TruncFOp::create(b, to, value);
}

//===----------------------------------------------------------------------===//
// Cross entropy
//===----------------------------------------------------------------------===//

namespace {
/// dlogits = weight * (softmax - (1 - smoothing) * onehot - smoothing / V),
/// with softmax = exp(logits - normaliser): one walk over the logits.
struct CrossEntropyGradient {
  nn::CrossEntropyOp op;
  Backward &backward;
  OpBuilder &b = backward.builder;
  Location loc = op.getLoc();
  Value logits = op.getLogits();
  RankedTensorType type = cast<RankedTensorType>(logits.getType());
  int64_t rank = type.getRank();
  Type wide = getElementTypeOrSelf(op.getInits()[0]);
  AffineMap id = AffineMap::getMultiDimIdentityMap(rank, b.getContext());
  AffineMap row = id.getMajorSubMap(rank - 1);

  void run();

private:
  std::pair<Value, Value> weightsAndTargets(Value cotangent);
  Value share(ImplicitLocOpBuilder &b, Value softmax, Value weight,
              Value target, Value even);
};
} // namespace

/// For each row: the cotangent (0 where the target is ignored, NaN where it is
/// no class), and the target (-1 where there is none).
std::pair<Value, Value>
CrossEntropyGradient::weightsAndTargets(Value cotangent) {
  Value targets = op.getTargets();
  Value classes = getValueOrCreateConstantIndexOp(
      b, loc, tensor::getMixedSize(b, loc, logits, rank - 1));
  AffineMap rows = AffineMap::getMultiDimIdentityMap(rank - 1, b.getContext());
  SmallVector<Value> inits = {emptyLike(b, loc, targets, wide),
                              emptyLike(b, loc, targets, b.getI32Type())};
  auto results = parallelGeneric(
      b, loc, {targets, cotangent}, inits, {rows, rows, rows, rows},
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> SmallVector<Value> {
        Value none =
            arith::ConstantOp::create(b, b.getI32IntegerAttr(-1)).getResult();
        Value nan = constant(b, wide, std::numeric_limits<double>::quiet_NaN());
        Value isInside = nn::isClass(b, b.getLoc(), x[0], classes);
        unsigned width = x[0].getType().getIntOrFloatBitWidth();
        Value label = x[0];
        if (width > 32)
          label = arith::TruncIOp::create(b, b.getI32Type(), label);
        else if (width < 32)
          label = arith::ExtSIOp::create(b, b.getI32Type(), label);
        Value weight = arith::SelectOp::create(b, isInside, x[1], nan);
        label = arith::SelectOp::create(b, isInside, label, none);
        if (Value ignored = nn::isIgnored(b, b.getLoc(), op, x[0])) {
          weight =
              arith::SelectOp::create(b, ignored, constant(b, wide, 0), weight);
          label = arith::SelectOp::create(b, ignored, none, label);
        }
        return {weight, label};
      });
  return {results[0], results[1]};
}

/// What one logit gets from the loss of its row; exactly 0 where the weight is.
Value CrossEntropyGradient::share(ImplicitLocOpBuilder &b, Value softmax,
                                  Value weight, Value target, Value even) {
  double kept = 1 - op.getSmoothing().convertToDouble();
  Value column = arith::IndexCastOp::create(
      b, b.getI32Type(), linalg::IndexOp::create(b, rank - 1));
  Value isTarget =
      arith::CmpIOp::create(b, arith::CmpIPredicate::eq, column, target);
  Value less = arith::SubFOp::create(b, softmax, constant(b, wide, kept));
  Value share = arith::SelectOp::create(b, isTarget, less, softmax);
  if (even)
    share = arith::SubFOp::create(b, share, even);
  Value zero = constant(b, wide, 0);
  Value isNone =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, weight, zero);
  Value product = arith::MulFOp::create(b, weight, share);
  return arith::SelectOp::create(b, isNone, zero, product);
}

void CrossEntropyGradient::run() {
  Value ofLoss = backward.cotangentOf(op.getResult(0));
  Value ofNormaliser = backward.cotangentOf(op.getResult(1));
  if (!backward.isActive(logits))
    return;
  SmallVector<Value> inputs = {op.getResult(1)};
  if (ofNormaliser)
    inputs.push_back(ofNormaliser);
  Value even;
  if (ofLoss) {
    auto [weights, targets] = weightsAndTargets(ofLoss);
    inputs.append({weights, targets});
    if (double smoothing = op.getSmoothing().convertToDouble()) {
      ImplicitLocOpBuilder at(loc, b);
      Value classes = getValueOrCreateConstantIndexOp(
          b, loc, tensor::getMixedSize(b, loc, logits, rank - 1));
      classes = arith::IndexCastOp::create(at, b.getI64Type(), classes);
      classes = arith::SIToFPOp::create(at, wide, classes);
      even = arith::DivFOp::create(at, constant(at, wide, smoothing), classes);
    }
  }
  // Written over the logits where nothing else reads them.
  bool inPlace = logits.hasOneUse() && logits.getDefiningOp();
  SmallVector<AffineMap> maps(inputs.size(), row);
  if (!inPlace) {
    inputs.push_back(logits);
    maps.push_back(id);
  }
  maps.push_back(id);
  Value init =
      inPlace ? logits : emptyLike(b, loc, logits, type.getElementType());
  if (init.getType() != type)
    init = tensor::CastOp::create(b, loc, type, init);
  auto gradient = parallelGeneric(
      b, loc, inputs, init, maps,
      [&](ImplicitLocOpBuilder &b, ValueRange x) -> SmallVector<Value> {
        Value logit =
            convertFloat(b, inPlace ? x.back() : x[x.size() - 2], wide);
        Value softmax = math::ExpOp::create(
            b, arith::SubFOp::create(b, logit, x[0]).getResult());
        Value sum;
        if (ofNormaliser)
          sum = arith::MulFOp::create(b, x[1], softmax);
        if (ofLoss) {
          ValueRange own = x.drop_front(ofNormaliser ? 2 : 1);
          Value part = share(b, softmax, own[0], own[1], even);
          sum = sum ? arith::AddFOp::create(b, sum, part).getResult() : part;
        }
        return {convertFloat(b, sum, type.getElementType())};
      });
  backward.add(logits, gradient[0]);
}

//===----------------------------------------------------------------------===//
// Softmax and the norms
//===----------------------------------------------------------------------===//

/// Only the result is kept, not what it was made of.
static LogicalResult pullSoftmaxBack(Operation *op, Backward &backward,
                                     const GradientRules &) {
  auto softmax = cast<linalg::SoftmaxOp>(op);
  OpBuilder &b = backward.builder;
  Value result = softmax.getResult()[0];
  Value gradient =
      nn::SoftmaxGradientOp::create(b, op->getLoc(), result.getType(), result,
                                    backward.cotangentOf(result),
                                    b.getI64IntegerAttr(softmax.getDimension()),
                                    /*causal=*/IntegerAttr())
          .getResult();
  if (gradient.getType() != softmax.getInput().getType())
    gradient = tensor::CastOp::create(b, op->getLoc(),
                                      softmax.getInput().getType(), gradient);
  backward.add(softmax.getInput(), gradient);
  return success();
}

/// Adds the sums over rows that scale and bias get, in one walk.
static void pullUnitsBack(Backward &backward, Location loc, Value input,
                          Value cotangent, Value mean, Value factor,
                          Value scale, Value bias) {
  OpBuilder &b = backward.builder;
  auto isActive = [&](Value v) { return v && backward.isActive(v); };
  auto rank = cast<RankedTensorType>(input.getType()).getRank();
  Type wide = getElementTypeOrSelf(mean);
  AffineMap id = AffineMap::getMultiDimIdentityMap(rank, b.getContext());
  AffineMap row = id.getMajorSubMap(rank - 1), unit = id.getMinorSubMap(1);
  SmallVector<Value> inputs = {cotangent}, sums;
  SmallVector<AffineMap> maps = {id};
  if (isActive(scale)) {
    inputs.append({input, mean, factor});
    maps.append({id, row, row});
    sums.push_back(scale);
  }
  if (isActive(bias))
    sums.push_back(bias);
  if (sums.empty())
    return;
  SmallVector<Value> inits;
  for (Value sum : sums)
    inits.push_back(zerosOf(b, loc, tensor::getMixedSizes(b, loc, sum), wide));
  maps.append(sums.size(), unit);
  SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::reduction);
  loops.back() = utils::IteratorType::parallel;
  auto totals = linalg::GenericOp::create(
      b, loc, TypeRange(inits), inputs, inits, maps, loops,
      [&](OpBuilder &b, Location loc, ValueRange x) {
        ImplicitLocOpBuilder at(loc, b);
        Value g = convertFloat(at, x[0], wide);
        SmallVector<Value> terms;
        if (isActive(scale)) {
          Value centred =
              arith::SubFOp::create(at, convertFloat(at, x[1], wide), x[2]);
          Value normed = arith::MulFOp::create(at, centred, x[3]);
          terms.push_back(arith::MulFOp::create(at, g, normed));
        }
        if (isActive(bias))
          terms.push_back(g);
        for (auto [term, sum] :
             llvm::zip_equal(terms, x.take_back(terms.size())))
          term = arith::AddFOp::create(at, sum, term);
        linalg::YieldOp::create(b, loc, terms);
      });
  AffineMap perUnit = AffineMap::getMultiDimIdentityMap(1, b.getContext());
  for (auto [unit, total] : llvm::zip_equal(sums, totals.getResults())) {
    auto type = cast<RankedTensorType>(unit.getType());
    Value gradient = total;
    if (type.getElementType() != wide)
      gradient = parallelGeneric(
          b, loc, total, emptyLike(b, loc, total, type.getElementType()),
          {perUnit, perUnit},
          [&](ImplicitLocOpBuilder &b, ValueRange x) -> SmallVector<Value> {
            return {convertFloat(b, x[0], type.getElementType())};
          })[0];
    if (gradient.getType() != type)
      gradient = tensor::CastOp::create(b, loc, type, gradient);
    backward.add(unit, gradient);
  }
}

/// `bias` may be null.
static void pullNormBack(Backward &backward, Operation *op, Value input,
                         Value scale, Value bias, double epsilon,
                         bool centred) {
  OpBuilder &b = backward.builder;
  Location loc = op->getLoc();
  Value cotangent = backward.cotangentOf(op->getResult(0));
  auto type = cast<RankedTensorType>(input.getType());
  Type wide = type.getElementType().isF64() ? type.getElementType()
                                            : Type(b.getF32Type());
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, input);
  Value init = emptyLike(b, loc, input, type.getElementType());
  if (init.getType() != type)
    init = tensor::CastOp::create(b, loc, type, init);
  Value perRow =
      tensor::EmptyOp::create(b, loc, ArrayRef(sizes).drop_back(), wide);
  SmallVector<Value> inits = {init, perRow, perRow};
  auto gradient = nn::NormGradientOp::create(
      b, loc, TypeRange(inits), input, scale, cotangent, inits,
      b.getF64FloatAttr(epsilon), centred ? b.getUnitAttr() : UnitAttr());
  pullUnitsBack(backward, loc, input, cotangent, gradient.getResult(1),
                gradient.getResult(2), scale, bias);
  if (backward.isActive(input))
    backward.add(input, gradient.getResult(0));
}

void twist::addRowRules(GradientRules &rules) {
  rules.tensor[nn::CrossEntropyOp::getOperationName()] =
      [](Operation *op, Backward &backward, const GradientRules &) {
        CrossEntropyGradient{cast<nn::CrossEntropyOp>(op), backward}.run();
        return success();
      };
  rules.tensor[linalg::SoftmaxOp::getOperationName()] = pullSoftmaxBack;
  rules.tensor[nn::LayerNormOp::getOperationName()] =
      [](Operation *op, Backward &backward, const GradientRules &) {
        auto norm = cast<nn::LayerNormOp>(op);
        pullNormBack(backward, op, norm.getInput(), norm.getScale(),
                     norm.getBias(), norm.getEpsilon().convertToDouble(),
                     /*centred=*/true);
        return success();
      };
  rules.tensor[nn::RMSNormOp::getOperationName()] =
      [](Operation *op, Backward &backward, const GradientRules &) {
        auto norm = cast<nn::RMSNormOp>(op);
        pullNormBack(backward, op, norm.getInput(), norm.getScale(), nullptr,
                     norm.getEpsilon().convertToDouble(), /*centred=*/false);
        return success();
      };
}

//===- Losses.cpp - Losses over classes, norms that are not affine --------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Loops.h"
#include "Reduce.h"
#include "ScalarMath.h"

using namespace twist;
using namespace twist::lowering;

using Order = ScalarMath::Order;

static int64_t rankOf(Value v) {
  return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
}

//===----------------------------------------------------------------------===//
// NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss
//===----------------------------------------------------------------------===//

namespace {
/// scores [batch, classes, …] of log-probabilities, labels [batch, …].
struct ClassLoss {
  Lowering &l;
  Value scores, labels, weights; // weights: of classes, or null
  std::optional<int64_t> ignored;
  StringRef reduction;

  Value build();

private:
  /// The weight of each label, or (`isLoss`) minus its score times the weight;
  /// f64 where they are summed, as there may be millions.
  Value ofLabels(bool isLoss);
};
} // namespace

Value ClassLoss::ofLabels(bool isLoss) {
  Type wide = reduction == "none" ? wideType(getElementTypeOrSelf(scores))
                                  : l.b.getF64Type();
  Value classes = l.sizes.toValue(l.sizeOf(scores, 1));
  int64_t rank = rankOf(labels);
  return l.parallelGeneric(
      labels, l.identity(rank), l.sizesOf(labels), wide,
      [&](ImplicitLocOpBuilder &b, ValueRange x) {
        ScalarMath s(b, false);
        Value label = position(b, x[0], classes);
        Value result = arith::ConstantOp::create(b, b.getFloatAttr(wide, 1.0));
        if (weights)
          result = convertScalar(
              b, tensor::ExtractOp::create(b, weights, label), wide);
        if (isLoss) {
          SmallVector<Value> at;
          for (int64_t d = 0; d < rank; ++d)
            at.push_back(linalg::IndexOp::create(b, d));
          at.insert(at.begin() + 1, label);
          Value score = tensor::ExtractOp::create(b, scores, at);
          result = s.mul(s.neg(convertScalar(b, score, wide)), result);
        }
        if (!ignored)
          return result;
        Value number = arith::ConstantOp::create(
            b, b.getIntegerAttr(x[0].getType(), *ignored));
        return s.select(s.compare(Order::EQ, x[0], number),
                        s.constant(result, 0), result);
      });
}

Value ClassLoss::build() {
  Type element = getElementTypeOrSelf(scores);
  Value losses = ofLabels(/*isLoss=*/true);
  if (reduction == "none")
    return l.convertElements(losses, element);
  SmallVector<int64_t> all = llvm::to_vector(llvm::seq(rankOf(labels)));
  if (reduction == "mean" && !weights && !ignored)
    return l.convertElements(reduce(l, losses, all, {}, average()), element);
  Value total = reduce(l, losses, all, {}, sum());
  if (reduction == "sum")
    return l.convertElements(total, element);
  Value by = reduce(l, ofLabels(/*isLoss=*/false), all, {}, sum());
  AffineMap id = l.identity(0);
  return l.parallelGeneric({total, by}, {id, id}, {}, element,
                           [&](ImplicitLocOpBuilder &b, ValueRange x) {
                             Value mean = ScalarMath(b, false).div(x[0], x[1]);
                             return convertScalar(b, mean, element);
                           });
}

template <typename OpTy>
static FailureOr<Value> lossOf(Lowering &l, OpTy op, Value scores) {
  if (!llvm::is_contained({"none", "sum", "mean"}, op.getReduction())) {
    op.emitError() << "has an unknown reduction '" << op.getReduction() << "'";
    return failure();
  }
  Value labels = l.operand(op, 1);
  if (rankOf(scores) < 2 || rankOf(labels) != rankOf(scores) - 1) {
    op.emitError() << "takes scores [batch, classes, ...] and labels without "
                      "the classes, not of ranks "
                   << rankOf(scores) << " and " << rankOf(labels);
    return failure();
  }
  return ClassLoss{l,
                   scores,
                   labels,
                   l.operand(op, 2),
                   op.getIgnoreIndex(),
                   op.getReduction()}
      .build();
}

static Results lowerLikelihoodLoss(Lowering &l, Operation *op) {
  auto loss = lossOf(l, ::mlir::cast<onnx::NegativeLogLikelihoodLossOp>(op),
                     l.operand(op, 0));
  if (failed(loss))
    return failure();
  return SmallVector<Value>{*loss};
}

static Results lowerCrossEntropy(Lowering &l, Operation *op) {
  Value scores = l.operand(op, 0);
  Type element = getElementTypeOrSelf(scores);
  if (failed(normaliseAxis(op, 1, rankOf(scores))))
    return failure();
  Value logits = logSoftmax(l, scores, 1);
  auto loss =
      lossOf(l, ::mlir::cast<onnx::SoftmaxCrossEntropyLossOp>(op), logits);
  if (failed(loss))
    return failure();
  return SmallVector<Value>{l.convertElements(*loss, element),
                            l.convertElements(logits, element)};
}

//===----------------------------------------------------------------------===//
// LpNormalization, MeanVarianceNormalization
//===----------------------------------------------------------------------===//

/// x / |x|_p along the axis; 0 where the norm is 0.
static Results lowerLpNorm(Lowering &l, Operation *op) {
  auto norm = ::mlir::cast<onnx::LpNormalizationOp>(op);
  Value input = l.operand(op, 0);
  int64_t rank = rankOf(input), p = norm.getP();
  auto axis = normaliseAxis(op, norm.getAxis(), rank);
  if (failed(axis))
    return failure();
  if (p != 1 && p != 2) {
    op->emitError() << "p is " << p << ", not 1 or 2";
    return failure();
  }
  Type element = resultElement(op), wide = wideType(element);
  Value x = l.convertElements(input, wide);
  Reduction length = sum();
  length.map = [p](ScalarMath &s, Value v) {
    return p == 1 ? s.abs(v) : s.mul(v, v);
  };
  if (p == 2)
    length.finish = [](ScalarMath &s, Value v, Value) {
      return s.call<math::SqrtOp>(v);
    };
  Value lengths = reduce(l, x, {*axis}, {}, length);
  return SmallVector<Value>{l.parallelGeneric(
      {x, lengths}, {l.identity(rank), l.identity(rank).dropResult(*axis)},
      l.sizesOf(x), element, [&](ImplicitLocOpBuilder &b, ValueRange v) {
        ScalarMath s(b, false);
        Value zero = s.constant(v[0], 0);
        Value y =
            s.select(s.compare(Order::EQ, v[1], zero), zero, s.div(v[0], v[1]));
        return convertScalar(b, y, element);
      })};
}

/// (x - mean) / (deviation + 1e-9) over the axes.
static Results lowerMeanVarianceNorm(Lowering &l, Operation *op) {
  Value input = l.operand(op, 0);
  int64_t rank = rankOf(input);
  SmallVector<int64_t> axes{0, 2, 3};
  if (auto given =
          ::mlir::cast<onnx::MeanVarianceNormalizationOp>(op).getAxes())
    axes = llvm::to_vector(*given);
  AffineMap id = l.identity(rank), kept = id;
  FailureOr<SmallVector<int64_t>> normal = normaliseAxes(op, axes, rank);
  if (failed(normal))
    return failure();
  axes = *normal;
  llvm::sort(axes);
  for (int64_t axis : llvm::reverse(axes))
    kept = kept.dropResult(axis);
  Type element = resultElement(op), wide = wideType(element);
  Value x = l.convertElements(input, wide);
  Value means = reduce(l, x, axes, {}, average());
  Value centred =
      l.parallelGeneric({x, means}, {id, kept}, l.sizesOf(x), wide,
                        [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
                          return arith::SubFOp::create(b, v[0], v[1]);
                        });
  Reduction deviation = average();
  deviation.map = [](ScalarMath &s, Value v) { return s.mul(v, v); };
  deviation.finish = [](ScalarMath &s, Value v, Value count) {
    return s.add(s.call<math::SqrtOp>(s.div(v, count)), s.constant(v, 1e-9));
  };
  Value scales = reduce(l, centred, axes, {}, deviation);
  return SmallVector<Value>{l.parallelGeneric(
      {centred, scales}, {id, kept}, l.sizesOf(x), element,
      [&](ImplicitLocOpBuilder &b, ValueRange v) {
        return convertScalar(b, ScalarMath(b, false).div(v[0], v[1]), element);
      })};
}

void lowering::addLosses(LoweringTable &table) {
  table["LpNormalization"] = lowerLpNorm;
  table["MeanVarianceNormalization"] = lowerMeanVarianceNorm;
  table["NegativeLogLikelihoodLoss"] = lowerLikelihoodLoss;
  table["SoftmaxCrossEntropyLoss"] = lowerCrossEntropy;
}

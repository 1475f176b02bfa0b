//===- DecomposeFused.cpp - Fused ops in terms of plain ones --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "DecomposeFused.h"

#include "twist/Dialect/ONNX/FusedAttention.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"

#include "llvm/ADT/TypeSwitch.h"

namespace twist::onnx {
#define GEN_PASS_DEF_ONNXDECOMPOSEFUSED
#include "twist/Dialect/ONNX/Transforms/Passes.h.inc"
} // namespace twist::onnx

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

static double orDefault(std::optional<llvm::APFloat> value, float otherwise) {
  return value ? value->convertToFloat() : otherwise;
}

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

static Decomposed decompose(MSGeluOp op, GraphBuilder &b,
                            const SymbolicShapes &) {
  return SmallVector<Value>{b.unary<GeluOp>(op.getX())};
}

// x · sigmoid(alpha · x)
static Decomposed decompose(MSQuickGeluOp op, GraphBuilder &b,
                            const SymbolicShapes &) {
  Value x = op.getX();
  Value alpha = b.number(orDefault(op.getAlpha(), 1.702f), b.elementOf(x));
  return SmallVector<Value>{b.mul(x, b.unary<SigmoidOp>(b.mul(x, alpha)))};
}

static Decomposed decompose(MSBiasGeluOp op, GraphBuilder &b,
                            const SymbolicShapes &) {
  return SmallVector<Value>{b.unary<GeluOp>(b.add(op.getA(), op.getB()))};
}

static Decomposed decompose(MSFastGeluOp op, GraphBuilder &b,
                            const SymbolicShapes &) {
  Value x = op.getX();
  if (isPresent(op.getBias()))
    x = b.add(x, op.getBias());
  Value y = b.unary<GeluOp>(x);
  y.getDefiningOp<GeluOp>().setApproximate("tanh");
  return SmallVector<Value>{y};
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

static Value transposeLast(GraphBuilder &b, Value x) {
  auto perm = llvm::to_vector(llvm::seq<int64_t>(b.rankOf(x)));
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return b.transpose(x, perm);
}

static Decomposed decompose(MSFusedMatMulOp op, GraphBuilder &b,
                            const SymbolicShapes &) {
  Value lhs = op.getA(), rhs = op.getB();
  if (op.getTransBatchA().value_or(0) || op.getTransBatchB().value_or(0))
    return unsupported(op, "a transposed batch");
  if (b.rankOf(lhs) < 2 || b.rankOf(rhs) < 2)
    return unsupported(op, "an operand of rank below 2");
  if (op.getTransA().value_or(0))
    lhs = transposeLast(b, lhs);
  if (op.getTransB().value_or(0))
    rhs = transposeLast(b, rhs);
  Value product = b.matmul(lhs, rhs);
  double alpha = orDefault(op.getAlpha(), 1);
  if (alpha != 1)
    product = b.mul(product, b.number(alpha, b.elementOf(product)));
  return SmallVector<Value>{product};
}

static Decomposed decompose(MSFusedGemmOp op, GraphBuilder &b,
                            const SymbolicShapes &) {
  Builder &attrs = b.builder;
  Type flag = attrs.getIntegerType(64, /*isSigned=*/true);
  Value y =
      GemmOp::create(b.builder, b.loc, b.openType(2, b.elementOf(op.getA())),
                     op.getA(), op.getB(), op.getC(),
                     attrs.getF32FloatAttr(float(orDefault(op.getAlpha(), 1))),
                     attrs.getF32FloatAttr(float(orDefault(op.getBeta(), 1))),
                     attrs.getIntegerAttr(flag, op.getTransA().value_or(0)),
                     attrs.getIntegerAttr(flag, op.getTransB().value_or(0)));
  StringRef activation = op.getActivation().value_or("");
  if (activation == "Relu") {
    y = b.unary<ReluOp>(y);
  } else if (activation == "Sigmoid") {
    y = b.unary<SigmoidOp>(y);
  } else if (activation == "Tanh") {
    y = b.unary<TanhOp>(y);
  } else if (activation == "LeakyRelu") {
    y = b.unary<LeakyReluOp>(y);
    y.getDefiningOp<LeakyReluOp>().setAlphaAttr(attrs.getF32FloatAttr(
        float(orDefault(op.getActivationAlpha(), 0.01f))));
  } else if (!activation.empty()) {
    return unsupported(op, "the activation '" + activation + "'");
  }
  return SmallVector<Value>{y};
}

//===----------------------------------------------------------------------===//
// Norms
//===----------------------------------------------------------------------===//

/// Y, Mean and InvStdDev over the last dimension.
static SmallVector<Value> layerNorm(GraphBuilder &b, Value x, Value scale,
                                    Value bias, double epsilon,
                                    bool statistics) {
  Type type = b.openType(b.rankOf(x), b.elementOf(x));
  Type none = b.builder.getNoneType();
  Type statistic = statistics ? type : none;
  auto norm = LayerNormalizationOp::create(
      b.builder, b.loc, TypeRange{type, statistic, statistic},
      ValueRange{x, scale, bias});
  norm.setEpsilonAttr(b.builder.getF32FloatAttr(float(epsilon)));
  return {norm.getY(), statistics ? norm.getMean() : Value(),
          statistics ? norm.getInvStdDev() : Value()};
}

static Value rmsNorm(GraphBuilder &b, Value x, Value scale, int64_t axis,
                     double epsilon) {
  auto norm = RMSNormalizationOp::create(
      b.builder, b.loc, TypeRange{b.openType(b.rankOf(x), b.elementOf(x))},
      ValueRange{x, scale});
  norm.setAxis(axis);
  norm.setEpsilonAttr(b.builder.getF32FloatAttr(float(epsilon)));
  return norm.getY();
}

static bool isRead(Value result) {
  return isPresent(result) && !result.use_empty();
}

static Decomposed decompose(SimplifiedLayerNormalizationOp op, GraphBuilder &b,
                            const SymbolicShapes &) {
  if (isRead(op.getInvStdVar()))
    return unsupported(op, "its output inv_std_var");
  return SmallVector<Value>{rmsNorm(b, op.getX(), op.getScale(), op.getAxis(),
                                    op.getEpsilon().convertToFloat()),
                            Value()};
}

/// input + skip (+ bias)
static Value skipSum(GraphBuilder &b, Value input, Value skip, Value bias) {
  Value sum = b.add(input, skip);
  return isPresent(bias) ? b.add(sum, bias) : sum;
}

static Decomposed decompose(MSSkipLayerNormalizationOp op, GraphBuilder &b,
                            const SymbolicShapes &) {
  Value sum = skipSum(b, op.getInput(), op.getSkip(), op.getBias());
  bool statistics = isRead(op.getMean()) || isRead(op.getInvStdVar());
  SmallVector<Value> results =
      layerNorm(b, sum, op.getGamma(), op.getBeta(),
                orDefault(op.getEpsilon(), 1e-12f), statistics);
  results.push_back(sum);
  return results;
}

static Decomposed decompose(MSSkipSimplifiedLayerNormalizationOp op,
                            GraphBuilder &b, const SymbolicShapes &) {
  if (isRead(op.getMean()) || isRead(op.getInvStdVar()))
    return unsupported(op, "its output mean or inv_std_var");
  Value sum = skipSum(b, op.getInput(), op.getSkip(), op.getBias());
  Value y =
      rmsNorm(b, sum, op.getGamma(), -1, orDefault(op.getEpsilon(), 1e-12f));
  return SmallVector<Value>{y, Value(), Value(), sum};
}

static Decomposed decompose(MSEmbedLayerNormalizationOp op, GraphBuilder &b,
                            const SymbolicShapes &) {
  Value ids = op.getInputIds();
  Value sum = b.gather(op.getWordEmbedding(), ids, 0);
  Value positions = isPresent(op.getPositionIds()) ? op.getPositionIds()
                                                   : b.range(b.size(ids, 1));
  sum = b.add(sum, b.gather(op.getPositionEmbedding(), positions, 0));
  if (isPresent(op.getSegmentIds()))
    sum = b.add(sum, b.gather(op.getSegmentEmbedding(), op.getSegmentIds(), 0));
  SmallVector<Value> results =
      layerNorm(b, sum, op.getGamma(), op.getBeta(),
                orDefault(op.getEpsilon(), 1e-12f), false);
  results.resize(1);
  Value index;
  if (isRead(op.getMaskIndex())) {
    if (!isPresent(op.getMask()) || op.getMaskIndexType().value_or(0) != 0)
      return unsupported(op, "its output mask_index without a mask");
    auto ones = ReduceSumOp::create(
        b.builder, b.loc, TypeRange{b.openType(1, b.elementOf(op.getMask()))},
        ValueRange{op.getMask(), b.ints({1})});
    ones.setKeepdims(0);
    index = ones;
  }
  results.append({index, sum});
  return results;
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

/// What an op comes to; none if it is no fused op.
static std::optional<Decomposed> decomposeOp(Operation *op,
                                             const SymbolicShapes &shapes) {
  using Result = std::optional<Decomposed>;
  return TypeSwitch<Operation *, Result>(op)
      .Case<MSGeluOp, MSQuickGeluOp, MSBiasGeluOp, MSFastGeluOp,
            MSFusedMatMulOp, MSFusedGemmOp, SimplifiedLayerNormalizationOp,
            MSSkipLayerNormalizationOp, MSSkipSimplifiedLayerNormalizationOp,
            MSEmbedLayerNormalizationOp, AttentionOp, RotaryEmbeddingOp,
            MSAttentionOp, MSMultiHeadAttentionOp, MSGroupQueryAttentionOp,
            MSRotaryEmbeddingOp>([&](auto fused) -> Result {
        GraphBuilder b(fused);
        return decompose(fused, b, shapes);
      })
      .Default([](Operation *) { return Result(); });
}

LogicalResult twist::onnx::decomposeFused(func::FuncOp function,
                                          unsigned &decomposed) {
  if (function.isExternal())
    return success();
  SymbolicShapes shapes = SymbolicShapes::compute(function);
  SmallVector<Operation *> ops;
  function.walk([&](Operation *op) { ops.push_back(op); });
  bool ok = true;
  unsigned before = decomposed;
  for (Operation *op : ops) {
    std::optional<Decomposed> results = decomposeOp(op, shapes);
    if (!results)
      continue;
    if (failed(*results)) {
      ok = false;
      continue;
    }
    for (auto [old, value] : llvm::zip(op->getResults(), **results)) {
      if (old.use_empty())
        continue;
      // What the op says of its sizes is believed.
      if (value.use_empty())
        value.setType(old.getType());
      old.replaceAllUsesWith(value);
    }
    op->erase();
    ++decomposed;
  }
  if (!ok)
    return failure();
  RefinementCounts counts;
  return decomposed == before ? success() : refineShapes(function, counts);
}

namespace {
struct DecomposeFused : onnx::impl::ONNXDecomposeFusedBase<DecomposeFused> {
  void runOnOperation() override {
    unsigned decomposed = 0;
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (failed(decomposeFused(function, decomposed)))
        signalPassFailure();
    numDecomposed += decomposed;
  }
};
} // namespace

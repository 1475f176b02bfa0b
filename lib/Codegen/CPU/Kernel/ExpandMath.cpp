//===- ExpandMath.cpp - Functions on vectors --------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUEXPANDMATH
#include "twist/Codegen/CPU/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;

/// Ops that LLVM has instructions for, or expands without calls.
static bool isNative(Operation *op) {
  return isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp,
             math::CountLeadingZerosOp, math::CountTrailingZerosOp,
             math::CtPopOp, math::FloorOp, math::FmaOp, math::IsFiniteOp,
             math::IsInfOp, math::IsNaNOp, math::IsNormalOp,
             math::RoundEvenOp, math::SqrtOp, math::TruncOp>(op);
}

static bool isNarrowFloat(Type type) {
  auto floating = dyn_cast<FloatType>(getElementTypeOrSelf(type));
  return floating && floating.getWidth() < 32;
}

static bool isMath(Operation *op) {
  return op->getDialect() &&
         isa<math::MathDialect>(op->getDialect()) && op->getNumResults() == 1;
}

/// The op with other operands and result type.
static Value remake(OpBuilder &b, Operation *op, ValueRange operands,
                    Type type) {
  OperationState state(op->getLoc(), op->getName(), operands, type,
                       op->getAttrs());
  state.propertiesAttr = op->getPropertiesAsAttribute();
  return b.create(state)->getResult(0);
}

static Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

namespace {
/// f16 and bf16 functions are computed in f32 and rounded once.
struct WidenNarrow : RewritePattern {
  WidenNarrow(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    if (!isMath(op) || !isNarrowFloat(op->getResult(0).getType()))
      return failure();
    Location loc = op->getLoc();
    Type wide = rewriter.getF32Type();
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(
          isNarrowFloat(operand.getType())
              ? arith::ExtFOp::create(rewriter, loc,
                                      withElement(operand.getType(), wide), operand)
                    .getResult()
              : operand);
    Type type = op->getResult(0).getType();
    Value result = remake(rewriter, op, operands, withElement(type, wide));
    rewriter.replaceOpWithNewOp<arith::TruncFOp>(op, type, result);
    return success();
  }
};

/// x², x³: what exporters write as powers.
struct ExpandPower : OpRewritePattern<math::PowFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(math::PowFOp op,
                                PatternRewriter &rewriter) const override {
    APFloat power(0.0f);
    if (!matchPattern(op.getRhs(), m_ConstantFloat(&power)))
      return failure();
    double exponent = power.convertToDouble();
    if (exponent != 1 && exponent != 2 && exponent != 3)
      return failure();
    Value result = op.getLhs();
    for (int i = 1; i < exponent; ++i)
      result = arith::MulFOp::create(rewriter, op.getLoc(), result, op.getLhs());
    rewriter.replaceOp(op, result);
    return success();
  }
};

/// e^x = 2^n · e^r with n = round(x / ln 2), r = x - n ln 2 in two parts, e^r a
/// polynomial; 2^n in two factors, so that results are rounded once into the
/// denormals. Error below 1.1 ulp.
struct ExpandExp : OpRewritePattern<math::ExpOp> {
  ExpandExp(MLIRContext *context) : OpRewritePattern(context, /*benefit=*/10) {}

  LogicalResult matchAndRewrite(math::ExpOp op,
                                PatternRewriter &rewriter) const override {
    Type type = op.getType();
    if (!getElementTypeOrSelf(type).isF32())
      return failure();
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    Type intType = withElement(type, b.getI32Type());
    auto constant = [&](float value) -> Value {
      return arith::ConstantOp::create(b, splat(type, b.getF32FloatAttr(value)));
    };
    auto integer = [&](int32_t value) -> Value {
      return arith::ConstantOp::create(b,
                                       splat(intType, b.getI32IntegerAttr(value)));
    };
    auto fma = [&](Value x, Value y, Value z) -> Value {
      return math::FmaOp::create(b, x, y, z);
    };
    // Beyond these the result is 0 or infinite; a NaN stays one. The 0 is chosen
    // and not computed: a result below the normal numbers takes a processor a
    // hundred cycles, and masked attention is full of them.
    Value x = op.getOperand(), zero = constant(0);
    Value vanishes = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x,
                                           constant(-104));
    x = arith::SelectOp::create(b, vanishes, zero, x);
    x = clamp(b, x, constant(89), arith::CmpFPredicate::OGT);
    // Adding 1.5 · 2^23 leaves round(x / ln 2) in the low bits.
    Value magic = constant(12582912);
    Value shifted = fma(x, constant(1.44269504f), magic);
    Value n = arith::SubFOp::create(b, shifted, magic);
    Value minusN = arith::NegFOp::create(b, n);
    Value r = fma(minusN, constant(0.693359375f), x);
    r = fma(minusN, constant(-2.12194440e-4f), r);
    Value p = constant(1.3926184e-3f);
    for (float next : {8.363179e-3f, 4.1666556e-2f, 1.6666576e-1f, 0.5f})
      p = fma(p, r, constant(next));
    p = fma(arith::MulFOp::create(b, r, r), p, r);
    p = arith::AddFOp::create(b, p, constant(1));
    Value bits = arith::SubIOp::create(
        b, arith::BitcastOp::create(b, intType, shifted), integer(0x4b400000));
    Value half = arith::ShRSIOp::create(b, bits, integer(1));
    Value rest = arith::SubIOp::create(b, bits, half);
    for (Value exponent : {half, rest}) {
      Value biased = arith::AddIOp::create(b, exponent, integer(127));
      Value scale = arith::ShLIOp::create(b, biased, integer(23));
      p = arith::MulFOp::create(b, p, arith::BitcastOp::create(b, type, scale));
    }
    rewriter.replaceOpWithNewOp<arith::SelectOp>(op, vanishes, zero, p);
    return success();
  }

private:
  static TypedAttr splat(Type type, TypedAttr value) {
    if (auto vector = dyn_cast<VectorType>(type))
      return DenseElementsAttr::get(vector, Attribute(value));
    return value;
  }
  static Value clamp(ImplicitLocOpBuilder &b, Value x, Value bound,
                     arith::CmpFPredicate beyond) {
    Value is = arith::CmpFOp::create(b, beyond, x, bound);
    return arith::SelectOp::create(b, is, bound, x);
  }
};

/// What has neither instruction nor polynomial is called lane by lane.
struct Unroll : RewritePattern {
  Unroll(MLIRContext *context)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op,
                                PatternRewriter &rewriter) const override {
    auto type = isMath(op) ? dyn_cast<VectorType>(op->getResult(0).getType())
                           : VectorType();
    if (!type || type.getRank() != 1 || isNative(op))
      return failure();
    Location loc = op->getLoc();
    Value result = arith::ConstantOp::create(rewriter, loc,
                                             rewriter.getZeroAttr(type));
    for (int64_t lane = 0; lane < type.getNumElements(); ++lane) {
      SmallVector<Value> operands;
      for (Value operand : op->getOperands())
        operands.push_back(vector::ExtractOp::create(rewriter, loc, operand,
                                                     ArrayRef<int64_t>{lane}));
      Value scalar = remake(rewriter, op, operands, type.getElementType());
      result = vector::InsertOp::create(rewriter, loc, scalar, result,
                                        ArrayRef<int64_t>{lane});
    }
    rewriter.replaceOp(op, result);
    return success();
  }
};

/// LLVM has no intrinsics for these, and log(1 + x) loses what they are for.
template <typename Op> struct CallLibrary : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    Type type = op.getType();
    if (!type.isF32() && !type.isF64())
      return failure();
    StringRef base = std::is_same_v<Op, math::Log1pOp> ? "log1p" : "expm1";
    std::string name = base.str() + (type.isF32() ? "f" : "");
    auto module = op->template getParentOfType<ModuleOp>();
    if (!module.template lookupSymbol<func::FuncOp>(name)) {
      OpBuilder::InsertionGuard guard(rewriter);
      rewriter.setInsertionPointToEnd(module.getBody());
      auto function = func::FuncOp::create(
          rewriter, module.getLoc(), name,
          rewriter.getFunctionType({type}, {type}));
      function.setPrivate();
    }
    rewriter.replaceOpWithNewOp<func::CallOp>(op, name, type, op.getOperand());
    return success();
  }
};

struct ExpandMath : twist::cpu::impl::CPUExpandMathBase<ExpandMath> {
  template <typename... Patterns> LogicalResult apply(bool polynomials = false) {
    RewritePatternSet patterns(&getContext());
    patterns.add<Patterns...>(&getContext());
    if (polynomials)
      populateMathPolynomialApproximationPatterns(
          patterns, [](StringRef name) {
            // Within 4 ulp; the polynomials of the other functions are not.
            return llvm::is_contained(
                {math::TanhOp::getOperationName(), math::ErfOp::getOperationName(),
                 math::LogOp::getOperationName(), math::Log2Op::getOperationName(),
                 math::Log1pOp::getOperationName(),
                 math::ExpM1Op::getOperationName()},
                name);
          });
    return applyPatternsGreedily(getOperation(), std::move(patterns));
  }

  void runOnOperation() override {
    if (failed(apply<WidenNarrow, ExpandPower>()) ||
        failed(apply<ExpandExp>(/*polynomials=*/true)) ||
        failed(apply<Unroll, CallLibrary<math::Log1pOp>,
                     CallLibrary<math::ExpM1Op>>()))
      signalPassFailure();
  }
};
} // namespace

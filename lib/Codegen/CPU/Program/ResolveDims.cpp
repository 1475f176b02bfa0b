//===- ResolveDims.cpp - Sizes where they are made ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ResolveDims.h"

#include "twist/Codegen/CPU/Program/Passes.h"

#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPURESOLVEDIMS
#include "twist/Codegen/CPU/Program/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;

namespace {
/// dim(result of a destination-style op, d) -> dim(its destination, d)
struct DimOfDestination : OpRewritePattern<tensor::DimOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::DimOp op,
                                PatternRewriter &rewriter) const override {
    auto result = dyn_cast<OpResult>(op.getSource());
    auto producer =
        result ? dyn_cast<DestinationStyleOpInterface>(result.getOwner())
               : DestinationStyleOpInterface();
    if (!producer)
      return failure();
    rewriter.modifyOpInPlace(op, [&] {
      op.getSourceMutable().assign(producer.getTiedOpOperand(result)->get());
    });
    return success();
  }
};

/// dim(state of a loop, d) -> dim(its start, d), inside the loop and after it:
/// loops write into their state, none makes a tensor of another size.
struct DimOfLoopState : OpRewritePattern<tensor::DimOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::DimOp op,
                                PatternRewriter &rewriter) const override {
    Value start;
    if (auto result = dyn_cast<OpResult>(op.getSource())) {
      if (auto loop = dyn_cast<scf::ForOp>(result.getOwner()))
        start = loop.getTiedLoopInit(result)->get();
    } else {
      auto argument = cast<BlockArgument>(op.getSource());
      auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
      if (loop && argument != loop.getInductionVar())
        start = loop.getTiedLoopInit(argument)->get();
    }
    if (!start)
      return failure();
    rewriter.modifyOpInPlace(op, [&] { op.getSourceMutable().assign(start); });
    return success();
  }
};

/// dim(collapse(m), d) -> product of the dims of m in group d
struct DimOfCollapse : OpRewritePattern<memref::DimOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(memref::DimOp op,
                                PatternRewriter &rewriter) const override {
    auto reshape = op.getSource().getDefiningOp<memref::CollapseShapeOp>();
    std::optional<int64_t> index = op.getConstantIndex();
    if (!reshape || !index)
      return failure();
    Value product;
    SmallVector<ReassociationIndices> groups =
        reshape.getReassociationIndices();
    for (int64_t dim : groups[*index]) {
      Value size = rewriter.createOrFold<memref::DimOp>(op.getLoc(),
                                                        reshape.getSrc(), dim);
      product = product ? rewriter.createOrFold<arith::MulIOp>(op.getLoc(),
                                                               product, size)
                        : size;
    }
    if (!product)
      product = arith::ConstantIndexOp::create(rewriter, op.getLoc(), 1);
    rewriter.replaceOp(op, product);
    return success();
  }
};

/// dim(expand(m), d) -> the size the op names
struct DimOfExpand : OpRewritePattern<memref::DimOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(memref::DimOp op,
                                PatternRewriter &rewriter) const override {
    auto reshape = op.getSource().getDefiningOp<memref::ExpandShapeOp>();
    std::optional<int64_t> index = op.getConstantIndex();
    if (!reshape || !index)
      return failure();
    OpFoldResult size = reshape.getMixedOutputShape()[*index];
    rewriter.replaceOp(
        op, getValueOrCreateConstantIndexOp(rewriter, op.getLoc(), size));
    return success();
  }
};

/// dim(cast(m), d) -> dim(m, d)
struct DimOfCast : OpRewritePattern<memref::DimOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(memref::DimOp op,
                                PatternRewriter &rewriter) const override {
    auto cast = op.getSource().getDefiningOp<memref::CastOp>();
    if (!cast || !isa<MemRefType>(cast.getSource().getType()))
      return failure();
    rewriter.modifyOpInPlace(
        op, [&] { op.getSourceMutable().assign(cast.getSource()); });
    return success();
  }
};
} // namespace

void twist::cpu::resolveDims(Operation *root) {
  MLIRContext *context = root->getContext();
  RewritePatternSet patterns(context);
  patterns.add<DimOfDestination, DimOfLoopState, DimOfCollapse, DimOfExpand,
               DimOfCast>(context);
  memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
  memref::populateResolveShapedTypeResultDimsPatterns(patterns);
  tensor::DimOp::getCanonicalizationPatterns(patterns, context);
  memref::DimOp::getCanonicalizationPatterns(patterns, context);
  (void)applyPatternsGreedily(root, std::move(patterns));
}

namespace {
struct ResolveDims : cpu::impl::CPUResolveDimsBase<ResolveDims> {
  void runOnOperation() override { cpu::resolveDims(getOperation()); }
};
} // namespace

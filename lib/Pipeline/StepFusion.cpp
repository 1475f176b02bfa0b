//===- StepFusion.cpp - Chains of maps become one -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepMath.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace twist;

/// Floats are read element by element, or are numbers. What is broadcast stays
/// outside: its gradient is a sum of what its result gets, and would compute all
/// of the chain again. Masks have none.
static bool readsElementwise(linalg::GenericOp op) {
  return llvm::all_of(op->getOpOperands(), [&](OpOperand &operand) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    return map.isPermutation() || map.getNumResults() == 0 ||
           !isa<FloatType>(getElementTypeOrSelf(operand.get().getType()));
  });
}

static bool isSingleUse(OpOperand *fused) {
  auto producer = fused->get().getDefiningOp<linalg::GenericOp>();
  auto consumer = dyn_cast<linalg::GenericOp>(fused->getOwner());
  return producer && consumer && producer->hasOneUse() &&
         producer->getNumResults() == 1 &&
         consumer.getNumReductionLoops() == 0 && readsElementwise(producer) &&
         readsElementwise(consumer);
}

/// What lies between the first value and the last of a chain need not be kept
/// for the gradient: its generic computes them again, in registers.
LogicalResult step::fuseChains(func::FuncOp function) {
  RewritePatternSet patterns(function.getContext());
  linalg::populateElementwiseOpsFusionPatterns(patterns, isSingleUse);
  return applyPatternsGreedily(function, std::move(patterns));
}

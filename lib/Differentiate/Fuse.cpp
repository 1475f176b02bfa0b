//===- Fuse.cpp - Elementwise chains as one op before they are pulled back
//-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Rules.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace twist;

/// Whether all elements of all floats are read once, and none is summed.
static bool isElementwise(linalg::GenericOp op) {
  if (!op || op.getNumReductionLoops() || !op.hasPureTensorSemantics())
    return false;
  return llvm::all_of(op->getOpOperands(), [&](OpOperand &operand) {
    auto type = dyn_cast<RankedTensorType>(operand.get().getType());
    return !type || type.getRank() == 0 ||
           !isa<FloatType>(type.getElementType()) ||
           op.getMatchingIndexingMap(&operand).isPermutation();
  });
}

static bool shouldFuse(OpOperand *operand) {
  auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
  auto consumer = dyn_cast<linalg::GenericOp>(operand->getOwner());
  return isElementwise(producer) && isElementwise(consumer) &&
         llvm::all_of(producer->getUsers(),
                      [&](Operation *user) { return user == consumer; });
}

LogicalResult twist::fuseChains(func::FuncOp function) {
  RewritePatternSet patterns(function.getContext());
  linalg::populateElementwiseOpsFusionPatterns(patterns, shouldFuse);
  return applyPatternsGreedily(function, std::move(patterns));
}

//===- Picks.cpp - Gradients of what a body picks by index ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "GenericGradient.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace twist;

/// Finds the body's reads of computed tensors at computed positions; anything
/// else that is computed and captured is an error.
LogicalResult GenericGradient::findPicks() {
  llvm::SetVector<Value> captured;
  getUsedValuesDefinedAbove(op->getRegions(), captured);
  for (Value value : captured) {
    if (!backward.isActive(value))
      continue;
    for (Operation *user : value.getUsers()) {
      if (!op->isProperAncestor(user) || isa<tensor::DimOp>(user))
        continue;
      auto pick = dyn_cast<tensor::ExtractOp>(user);
      if (!pick || pick->getBlock() != op.getBlock())
        return op.emitError("has no gradient: its body captures a computed "
                            "value and does more than pick from it");
      picks.push_back(pick);
    }
  }
  return success();
}

/// The element of each of `reads`' operands at the loops' position.
static SmallVector<Value> readAll(OpBuilder &b, Location loc,
                                  ArrayRef<Value> operands,
                                  ArrayRef<AffineMap> maps, ValueRange loops) {
  SmallVector<Value> elements;
  for (auto [operand, map] : llvm::zip_equal(operands, maps)) {
    if (!isa<RankedTensorType>(operand.getType())) {
      elements.push_back(operand);
      continue;
    }
    SmallVector<Value> at;
    for (unsigned d = 0; d < map.getNumResults(); ++d)
      at.push_back(getValueOrCreateConstantIndexOp(
          b, loc,
          affine::makeComposedFoldedAffineApply(b, loc, map.getSubMap({d}),
                                                getAsOpFoldResult(loops))));
    elements.push_back(tensor::ExtractOp::create(b, loc, operand, at));
  }
  return elements;
}

/// Goes through the loops in order and adds, to a tensor like the one that is
/// picked from, the adjoint of the pick where it picked.
LogicalResult GenericGradient::pullBackPick(tensor::ExtractOp pick) {
  OpBuilder &b = backward.builder;
  Value table = pick.getTensor();
  SmallVector<Value> lower, upper, step;
  for (Range range : linalg::LinalgOp(op).createLoopRanges(b, loc)) {
    lower.push_back(getValueOrCreateConstantIndexOp(b, loc, range.offset));
    upper.push_back(getValueOrCreateConstantIndexOp(b, loc, range.size));
    step.push_back(getValueOrCreateConstantIndexOp(b, loc, range.stride));
  }
  Reads reads = this->reads();
  Value start = backward.take(table);
  if (!start)
    start = zerosLike(b, loc, table);
  bool failed = false;
  auto scatter = [&](OpBuilder &b, Location loc, ValueRange loops,
                     ValueRange state) -> scf::ValueVector {
    SmallVector<Value> args =
        readAll(b, loc, reads.operands, reads.maps, loops);
    IRMapping forward = copyBody(b, args, loops);
    FailureOr<Value> adjoint = adjointOf(b, forward, args, pick.getResult());
    failed |= mlir::failed(adjoint);
    Value sum = state.front();
    if (!failed && *adjoint) {
      SmallVector<Value> at;
      for (Value index : pick.getIndices())
        at.push_back(forward.lookupOrDefault(index));
      Value old = tensor::ExtractOp::create(b, loc, sum, at);
      Value more = arith::AddFOp::create(b, loc, old, *adjoint);
      sum = tensor::InsertOp::create(b, loc, more, sum, at);
    }
    return {sum};
  };
  Value total;
  if (lower.empty())
    total = scatter(b, loc, {}, start).front();
  else
    total = scf::buildLoopNest(b, loc, lower, upper, step, start, scatter)
                .results[0];
  if (failed)
    return failure();
  backward.add(table, total);
  return success();
}

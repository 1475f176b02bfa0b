//===- ElideResultCopies.cpp - Results made in place ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUELIDERESULTCOPIES
#include "twist/Codegen/CPU/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;

/// The allocation that `value` reshapes, and the reshapes on the way, the
/// nearest to the allocation first.
static memref::AllocOp findAllocation(Value value,
                                      SmallVectorImpl<Operation *> &reshapes) {
  while (Operation *op = value.getDefiningOp()) {
    if (auto alloc = dyn_cast<memref::AllocOp>(op)) {
      std::reverse(reshapes.begin(), reshapes.end());
      return alloc;
    }
    if (!isa<memref::ExpandShapeOp, memref::CollapseShapeOp>(op))
      return nullptr;
    reshapes.push_back(op);
    value = op->getOperand(0);
  }
  return nullptr;
}

/// The buffer of the type that `reshape` reads, over `result` of the type that
/// it gives. Only a joined dimension can always be told from its parts.
static Value undo(OpBuilder &b, Operation *reshape, Value result) {
  auto type = cast<MemRefType>(reshape->getOperand(0).getType());
  if (auto expand = dyn_cast<memref::ExpandShapeOp>(reshape))
    return memref::CollapseShapeOp::create(b, reshape->getLoc(), type, result,
                                           expand.getReassociationIndices());
  auto collapse = cast<memref::CollapseShapeOp>(reshape);
  return memref::ExpandShapeOp::create(b, reshape->getLoc(), type.getShape(),
                                       result,
                                       collapse.getReassociationIndices());
}

static bool elide(memref::CopyOp copy) {
  auto argument = dyn_cast<BlockArgument>(copy.getTarget());
  if (!argument || !argument.hasOneUse() ||
      !isa<func::FuncOp>(argument.getOwner()->getParentOp()))
    return false;
  SmallVector<Operation *> reshapes;
  memref::AllocOp alloc = findAllocation(copy.getSource(), reshapes);
  if (!alloc || copy.getSource().getType() != argument.getType())
    return false;
  for (Operation *op : reshapes)
    if (isa<memref::CollapseShapeOp>(op) &&
        !cast<MemRefType>(op->getOperand(0).getType()).hasStaticShape())
      return false;
  OpBuilder b(alloc);
  Value value = argument;
  for (Operation *op : llvm::reverse(reshapes))
    value = undo(b, op, value);
  copy.erase();
  alloc.getResult().replaceAllUsesWith(value);
  alloc.erase();
  return true;
}

namespace {
struct ElideResultCopies
    : twist::cpu::impl::CPUElideResultCopiesBase<ElideResultCopies> {
  void runOnOperation() override {
    SmallVector<memref::CopyOp> copies;
    getOperation().walk([&](memref::CopyOp copy) { copies.push_back(copy); });
    for (memref::CopyOp copy : copies)
      numElided += elide(copy);
  }
};
} // namespace

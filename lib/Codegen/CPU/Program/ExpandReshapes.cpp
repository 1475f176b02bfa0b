//===- ExpandReshapes.cpp - memref.expand_shape with open sizes -----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Program/Passes.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUEXPANDRESHAPES
#include "twist/Codegen/CPU/Program/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;

static Value multiply(OpBuilder &b, Location loc, OpFoldResult lhs,
                      OpFoldResult rhs) {
  return b.createOrFold<arith::MulIOp>(
      loc, getValueOrCreateConstantIndexOp(b, loc, lhs),
      getValueOrCreateConstantIndexOp(b, loc, rhs));
}

/// Where the result's type states a stride or offset, that; else the computed
/// one.
static OpFoldResult known(OpBuilder &b, int64_t stated, OpFoldResult computed) {
  return ShapedType::isDynamic(stated) ? computed : b.getIndexAttr(stated);
}

static void expand(memref::ExpandShapeOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  MemRefType type = op.getResultType();
  auto [statedStrides, statedOffset] = type.getStridesAndOffset();
  auto source = memref::ExtractStridedMetadataOp::create(b, loc, op.getSrc());
  SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
  SmallVector<OpFoldResult> strides(type.getRank());
  // In each group the last dimension steps like the source's.
  for (auto [group, stride] :
       llvm::zip_equal(op.getReassociationIndices(), source.getStrides())) {
    OpFoldResult step = stride;
    for (int64_t dim : llvm::reverse(group)) {
      step = known(b, statedStrides[dim], step);
      strides[dim] = step;
      step = multiply(b, loc, step, sizes[dim]);
    }
  }
  // A source of rank 0 has no group: all sizes are 1.
  for (OpFoldResult &stride : strides)
    if (!stride)
      stride = b.getIndexAttr(1);
  Value result = memref::ReinterpretCastOp::create(
      b, loc, type, source.getBaseBuffer(),
      known(b, statedOffset, source.getOffset()), sizes, strides);
  op.replaceAllUsesWith(result);
  op.erase();
}

namespace {
struct ExpandReshapes : cpu::impl::CPUExpandReshapesBase<ExpandReshapes> {
  void runOnOperation() override {
    SmallVector<memref::ExpandShapeOp> ops;
    getOperation()->walk([&](memref::ExpandShapeOp op) { ops.push_back(op); });
    llvm::for_each(ops, expand);
  }
};
} // namespace

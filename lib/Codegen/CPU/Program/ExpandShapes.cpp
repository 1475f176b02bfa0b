//===- ExpandShapes.cpp - Views with several dynamic sizes in a group
//-------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Program/Passes.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUEXPANDSHAPES
#include "twist/Codegen/CPU/Program/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;

static bool hasGroupOfDynamicSizes(memref::ExpandShapeOp op) {
  auto type = cast<MemRefType>(op.getResult().getType());
  return llvm::any_of(op.getReassociationIndices(), [&](auto &group) {
    return llvm::count_if(group,
                          [&](int64_t d) { return type.isDynamicDim(d); }) > 1;
  });
}

/// Strides of the result: a group's last dimension has the source's stride, the
/// one before it that times the last one's size, and so on.
static SmallVector<OpFoldResult>
stridesOf(OpBuilder &b, memref::ExpandShapeOp op, ValueRange sourceStrides) {
  Location loc = op.getLoc();
  SmallVector<int64_t> known;
  int64_t offset;
  auto type = cast<MemRefType>(op.getResult().getType());
  (void)type.getStridesAndOffset(known, offset);
  SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
  SmallVector<OpFoldResult> strides(sizes.size());
  for (auto [group, source] :
       llvm::zip_equal(op.getReassociationIndices(), sourceStrides)) {
    Value stride = source;
    for (int64_t d : llvm::reverse(group)) {
      strides[d] = ShapedType::isDynamic(known[d])
                       ? OpFoldResult(stride)
                       : OpFoldResult(b.getIndexAttr(known[d]));
      Value size = getValueOrCreateConstantIndexOp(b, loc, sizes[d]);
      stride = b.createOrFold<arith::MulIOp>(loc, stride, size);
    }
  }
  return strides;
}

namespace {
struct ExpandShapes : cpu::impl::CPUExpandShapesBase<ExpandShapes> {
  void runOnOperation() override {
    SmallVector<memref::ExpandShapeOp> ops;
    getOperation()->walk([&](memref::ExpandShapeOp op) {
      if (hasGroupOfDynamicSizes(op))
        ops.push_back(op);
    });
    for (memref::ExpandShapeOp op : ops) {
      OpBuilder b(op);
      auto source =
          memref::ExtractStridedMetadataOp::create(b, op.getLoc(), op.getSrc());
      auto type = cast<MemRefType>(op.getResult().getType());
      SmallVector<int64_t> known;
      int64_t offset;
      (void)type.getStridesAndOffset(known, offset);
      OpFoldResult start = ShapedType::isDynamic(offset)
                               ? OpFoldResult(source.getOffset())
                               : OpFoldResult(b.getIndexAttr(offset));
      Value view = memref::ReinterpretCastOp::create(
          b, op.getLoc(), type, source.getBaseBuffer(), start,
          op.getMixedOutputShape(), stridesOf(b, op, source.getStrides()));
      op.getResult().replaceAllUsesWith(view);
      op.erase();
    }
  }
};
} // namespace

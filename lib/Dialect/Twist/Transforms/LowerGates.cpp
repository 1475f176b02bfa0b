//===- LowerGates.cpp - The masked dense model ----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "MergeCopies.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/Transforms/Passes.h"
#include "twist/Dialect/Twist/Transforms/Subnetwork.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

/// A constant of `value`'s type at the builder.
static Value constant(OpBuilder &builder, Location loc, ElementsAttr value) {
  return onnx::ConstantOp::create(builder, loc, value.getType(), value);
}

/// A bool mask that broadcasts to the gate's type: one value per index of the
/// gated dimension, the ones after it 1.
static FailureOr<Value> maskOf(GateOp gate, const CutAxis &cut,
                               OpBuilder &builder) {
  auto type = cast<RankedTensorType>(gate.getType());
  int64_t dim = gate.getDim();
  if (type.isDynamicDim(dim))
    return gate.emitError() << "axis '" << gate.getAxis() << "' is gated on "
                            << "dimension " << dim << " of unknown size";
  int64_t size = type.getDimSize(dim);
  llvm::BitVector keep(size, true);
  for (auto place : gate.getPlaces().getAsRange<PlaceAttr>())
    clearRemoved(place, cut, keep);
  SmallVector<bool> bits;
  for (int64_t i = 0; i < size; ++i)
    bits.push_back(keep.test(i));
  SmallVector<int64_t> shape(type.getRank() - dim, 1);
  shape[0] = size;
  auto maskType = RankedTensorType::get(shape, builder.getI1Type());
  return constant(builder, gate.getLoc(),
                  DenseElementsAttr::get(maskType, bits));
}

LogicalResult twist::axes::lowerGates(ModuleOp module, GateCounts &counts,
                                      bool tagMasks) {
  FailureOr<CutAxes> cuts = CutAxes::of(module);
  if (failed(cuts))
    return failure();
  SmallVector<GateOp> gates;
  module.walk([&](GateOp gate) { gates.push_back(gate); });
  for (GateOp gate : gates) {
    Value lowered = gate.getInput();
    if (const CutAxis *cut = cuts->find(gate.getAxis())) {
      OpBuilder builder(gate);
      FailureOr<Value> mask = maskOf(gate, *cut, builder);
      if (failed(mask))
        return failure();
      if (tagMasks)
        mask->getDefiningOp()->setAttr(kMaskAttr,
                                       builder.getStringAttr("gate"));
      auto type = cast<RankedTensorType>(gate.getType());
      auto scalar = RankedTensorType::get({}, type.getElementType());
      TypedAttr none = builder.getZeroAttr(type.getElementType());
      if (!none)
        return gate.emitError() << "axis '" << gate.getAxis() << "' is gated "
                                << "on values without a zero: "
                                << type.getElementType();
      Value zero = constant(builder, gate.getLoc(),
                            DenseElementsAttr::get(scalar, none));
      lowered = onnx::WhereOp::create(builder, gate.getLoc(), type, *mask,
                                      gate.getInput(), zero);
      ++counts.masks;
    } else {
      ++counts.erased;
    }
    gate.getOutput().replaceAllUsesWith(lowered);
    gate.erase();
  }
  eraseAxes(module);
  for (func::FuncOp function : module.getOps<func::FuncOp>())
    mergeCopies(function);
  return success();
}

namespace twist::axes {
#define GEN_PASS_DEF_TWISTLOWERGATES
#include "twist/Dialect/Twist/Transforms/Passes.h.inc"
} // namespace twist::axes

namespace {
struct LowerGates : axes::impl::TwistLowerGatesBase<LowerGates> {
  using TwistLowerGatesBase::TwistLowerGatesBase;

  void runOnOperation() override {
    GateCounts counts;
    if (failed(lowerGates(getOperation(), counts)))
      return signalPassFailure();
    numMasks += counts.masks;
    numErased += counts.erased;
  }
};
} // namespace

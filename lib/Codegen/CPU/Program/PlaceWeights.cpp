//===- PlaceWeights.cpp - Offsets in the weights file ---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/CPU.h"
#include "twist/Codegen/CPU/Program/Passes.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUPLACEWEIGHTS
#include "twist/Codegen/CPU/Program/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;

namespace {
/// What tells one placed weight from another: {view, type, packing (null:
/// none)}.
using Key = std::tuple<Attribute, Type, Attribute>;

struct Placement {
  llvm::MapVector<Key, int64_t> offsets;
  int64_t bytes = 0;
};
} // namespace

static int64_t bytesOf(RankedTensorType type) {
  return llvm::divideCeil(type.getElementTypeBitWidth(), 8) *
         type.getNumElements();
}

static Key keyOf(Operation *op) {
  if (auto packed = dyn_cast<cpu::PackedWeightOp>(op))
    return {packed.getViewAttr(), packed.getUnpacked(),
            packed.getPackingAttr()};
  auto load = cast<weights::LoadOp>(op);
  return {load.getViewAttr(), load.getTensor().getType(), Attribute()};
}

/// Replaces the tensor that `op` gives by a view of `data` at its offset.
static void readFrom(Value data, Placement &placement, Operation *op) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  auto [entry, isNew] = placement.offsets.insert({keyOf(op), placement.bytes});
  if (isNew)
    placement.bytes =
        llvm::alignTo(placement.bytes + bytesOf(type), cpu::program::alignment);
  OpBuilder b(op);
  Value offset = arith::ConstantIndexOp::create(b, op->getLoc(), entry->second);
  auto buffer = MemRefType::get(type.getShape(), type.getElementType());
  Value view = memref::ViewOp::create(b, op->getLoc(), buffer, data, offset,
                                      ValueRange());
  Value tensor = bufferization::ToTensorOp::create(b, op->getLoc(), type, view,
                                                   /*restrict=*/true);
  op->getResult(0).replaceAllUsesWith(tensor);
  op->erase();
}

static ArrayAttr toAttribute(MLIRContext *context, const Placement &placement) {
  Builder b(context);
  SmallVector<Attribute> entries;
  for (const auto &[key, offset] : placement.offsets) {
    auto [view, type, packing] = key;
    NamedAttrList entry;
    entry.append("view", view);
    entry.append("type", TypeAttr::get(type));
    if (packing)
      entry.append("packing", packing);
    entry.append("offset", b.getI64IntegerAttr(offset));
    entries.push_back(entry.getDictionary(context));
  }
  return b.getArrayAttr(entries);
}

namespace {
struct PlaceWeights : cpu::impl::CPUPlaceWeightsBase<PlaceWeights> {
  void runOnOperation() override {
    auto main =
        getOperation().lookupSymbol<func::FuncOp>(cpu::program::mainName);
    if (!main)
      return;
    auto bytes = MemRefType::get({ShapedType::kDynamic},
                                 IntegerType::get(&getContext(), 8));
    if (failed(main.insertArgument(0, bytes, {}, main.getLoc())))
      return signalPassFailure();
    Placement placement;
    SmallVector<Operation *> loads;
    main.walk([&](Operation *op) {
      if (isa<weights::LoadOp, cpu::PackedWeightOp>(op))
        loads.push_back(op);
    });
    for (Operation *op : loads)
      readFrom(main.getArgument(0), placement, op);
    numWeights = placement.offsets.size();
    Builder b(&getContext());
    getOperation()->setAttr(cpu::program::weightsAttr,
                            toAttribute(&getContext(), placement));
    getOperation()->setAttr(cpu::program::weightsBytesAttr,
                            b.getI64IntegerAttr(placement.bytes));
  }
};
} // namespace

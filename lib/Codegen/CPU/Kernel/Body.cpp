//===- Body.cpp - Scalar bodies on vectors ----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Emitter.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace twist::cpu;

static bool isElementwise(Operation &op) {
  return op.getNumRegions() == 0 &&
         OpTrait::hasElementwiseMappableTraits(&op);
}

bool twist::cpu::isVectorizable(Block &body) {
  return llvm::all_of(body.without_terminator(), [](Operation &op) {
    return isElementwise(op) ||
           isa<arith::ConstantOp, linalg::IndexOp, memref::LoadOp>(op);
  });
}

bool twist::cpu::isHeavy(Block &body) {
  return llvm::any_of(body, [](Operation &op) {
    return isa<math::MathDialect>(op.getDialect()) &&
           !isa<math::AbsFOp, math::AbsIOp, math::FmaOp, math::SqrtOp,
                math::FloorOp, math::CeilOp, math::CopySignOp>(op);
  });
}

/// Reads memref[indices] for each lane, wherever that is.
static Value gatherElements(Emitter &e, memref::LoadOp load, IRMapping &map,
                            int64_t lanes, Mask mask) {
  Buffer buffer = e.buffer(load.getMemRef());
  auto indexType = e.vector(e.b.getIndexType(), lanes);
  Value offsets = e.splat(buffer.offset, lanes);
  for (auto [index, stride] : llvm::zip_equal(load.getIndices(), buffer.strides)) {
    Value lane = e.splat(map.lookupOrDefault(index), lanes);
    Value scaled = arith::MulIOp::create(e.b, e.loc, lane, e.splat(stride, lanes));
    offsets = arith::AddIOp::create(e.b, e.loc, indexType, offsets, scaled);
  }
  auto type = e.vector(buffer.element, lanes);
  if (!mask)
    mask = e.constant(e.vector(e.b.getI1Type(), lanes), 1);
  return vector::GatherOp::create(e.b, e.loc, type, buffer.flat,
                                  ValueRange{e.index(0)}, offsets, mask,
                                  e.constant(type, 1));
}

/// The op on vectors of its types.
static void vectorizeOp(Emitter &e, Operation &op, IRMapping &map,
                        int64_t lanes) {
  OperationState state(e.loc, op.getName());
  state.addAttributes(op.getAttrs());
  state.propertiesAttr = op.getPropertiesAsAttribute();
  for (Value operand : op.getOperands())
    state.operands.push_back(e.splat(map.lookupOrDefault(operand), lanes));
  for (Type type : op.getResultTypes())
    state.types.push_back(e.vector(type, lanes));
  Operation *wide = e.b.create(state);
  map.map(op.getResults(), wide->getResults());
}

FailureOr<SmallVector<Value>>
twist::cpu::vectorizeBody(Emitter &e, Block &body, IRMapping &map,
                          int64_t lanes, Mask mask,
                          function_ref<Value(int64_t)> position) {
  for (Operation &op : body.without_terminator()) {
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto type = e.vector(constant.getType(), lanes);
      map.map(constant.getResult(),
              arith::ConstantOp::create(
                  e.b, e.loc,
                  DenseElementsAttr::get(type, Attribute(constant.getValue())))
                  .getResult());
    } else if (auto index = dyn_cast<linalg::IndexOp>(op)) {
      map.map(index.getResult(), e.splat(position(index.getDim()), lanes));
    } else if (auto load = dyn_cast<memref::LoadOp>(op)) {
      map.map(load.getResult(), gatherElements(e, load, map, lanes, mask));
    } else if (isElementwise(op)) {
      vectorizeOp(e, op, map, lanes);
    } else {
      return op.emitOpError("has no vector form in a kernel");
    }
  }
  SmallVector<Value> yielded;
  for (Value value : body.getTerminator()->getOperands())
    yielded.push_back(e.splat(map.lookupOrDefault(value), lanes));
  return yielded;
}

//===- NNOps.cpp - NN ops
//---------------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/NN/NN.h"

#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace twist::nn;

#define GET_OP_CLASSES
#include "twist/Dialect/NN/NNOps.cpp.inc"

//===----------------------------------------------------------------------===//
// What the ops share
//===----------------------------------------------------------------------===//

static void getDpsEffects(
    DestinationStyleOpInterface op,
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<BaseMemRefType>(operand.get().getType()))
      continue;
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
    else
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
  }
}

static LogicalResult reifyFromInit(OpBuilder &b, DestinationStyleOpInterface op,
                                   ReifiedRankedShapedTypeDims &shapes) {
  for (auto [result, init] : llvm::zip(op->getResults(), op.getDpsInits()))
    shapes.push_back(tensor::getMixedSizes(b, op.getLoc(), init));
  return success();
}

static bool sizesDiffer(int64_t a, int64_t b) {
  return !ShapedType::isDynamic(a) && !ShapedType::isDynamic(b) && a != b;
}

static bool shapesDiffer(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  return a.size() != b.size() ||
         llvm::any_of(llvm::zip_equal(a, b), [](auto pair) {
           return sizesDiffer(std::get<0>(pair), std::get<1>(pair));
         });
}

/// A result for each init on tensors, none on buffers.
static LogicalResult verifyResults(DestinationStyleOpInterface op) {
  auto inits = op.getDpsInits();
  bool onTensors = isa<RankedTensorType>(inits.front().getType());
  for (Value operand : op->getOperands())
    if (isa<RankedTensorType>(operand.getType()) != onTensors)
      return op->emitOpError("mixes tensors and buffers");
  if (op->getNumResults() != (onTensors ? inits.size() : 0))
    return op->emitOpError(onTensors ? "on tensors needs a result"
                                     : "on buffers has no result")
           << (inits.size() > 1 ? " for each init" : "");
  for (auto [result, init] : llvm::zip(op->getResults(), inits))
    if (result.getType() != init.getType())
      return op->emitOpError("result must have the type of init");
  return success();
}

static LogicalResult verifyNorm(Operation *op, Value input, ValueRange perUnit,
                                Value init) {
  auto type = cast<ShapedType>(input.getType());
  auto initType = cast<ShapedType>(init.getType());
  if (type.getRank() < 1 ||
      type.getElementType() != initType.getElementType() ||
      shapesDiffer(type.getShape(), initType.getShape()))
    return op->emitOpError(
        "init must have the shape and element type of input");
  for (Value value : perUnit) {
    auto unitType = cast<ShapedType>(value.getType());
    if (unitType.getRank() != 1 ||
        sizesDiffer(unitType.getDimSize(0), type.getShape().back()))
      return op->emitOpError(
          "scale and bias must have one value per unit of the last dimension");
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Layer and RMS normalisation
//===----------------------------------------------------------------------===//

void LayerNormOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDpsEffects(*this, effects);
}

LogicalResult LayerNormOp::reifyResultShapes(OpBuilder &b,
                                             ReifiedRankedShapedTypeDims &s) {
  return reifyFromInit(b, *this, s);
}

LogicalResult LayerNormOp::verify() {
  SmallVector<Value> perUnit = {getScale()};
  if (getBias())
    perUnit.push_back(getBias());
  if (failed(verifyNorm(*this, getInput(), perUnit, getInit())))
    return failure();
  return verifyResults(*this);
}

void RMSNormOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDpsEffects(*this, effects);
}

LogicalResult RMSNormOp::reifyResultShapes(OpBuilder &b,
                                           ReifiedRankedShapedTypeDims &s) {
  return reifyFromInit(b, *this, s);
}

LogicalResult RMSNormOp::verify() {
  if (failed(verifyNorm(*this, getInput(), getScale(), getInit())))
    return failure();
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// Gather
//===----------------------------------------------------------------------===//

void GatherOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDpsEffects(*this, effects);
}

LogicalResult GatherOp::reifyResultShapes(OpBuilder &b,
                                          ReifiedRankedShapedTypeDims &s) {
  return reifyFromInit(b, *this, s);
}

/// `rows` is `table` with dimension `axis` replaced by the shape of `indices`.
static LogicalResult verifyRows(Operation *op, Value table, Value indices,
                                Value rows, int64_t axis, StringRef tableName,
                                StringRef rowsName) {
  auto tableType = cast<ShapedType>(table.getType());
  auto rowsType = cast<ShapedType>(rows.getType());
  if (axis < 0 || axis >= tableType.getRank())
    return op->emitOpError("axis must lie in [0, rank of ") << tableName << ")";
  SmallVector<int64_t> expected(tableType.getShape().take_front(axis));
  llvm::append_range(expected, cast<ShapedType>(indices.getType()).getShape());
  llvm::append_range(expected, tableType.getShape().drop_front(axis + 1));
  if (tableType.getElementType() != rowsType.getElementType() ||
      shapesDiffer(expected, rowsType.getShape()))
    return op->emitOpError(rowsName)
           << " must have " << tableName
           << "'s element type and its shape with dimension " << axis
           << " replaced by the shape of indices";
  return success();
}

LogicalResult GatherOp::verify() {
  if (failed(verifyRows(*this, getData(), getIndices(), getInit(), getAxis(),
                        "data", "init")))
    return failure();
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// Scatter
//===----------------------------------------------------------------------===//

void ScatterAddOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDpsEffects(*this, effects);
  if (isa<BaseMemRefType>(getInit().getType()))
    effects.emplace_back(MemoryEffects::Read::get(), &getInitMutable());
}

LogicalResult ScatterAddOp::reifyResultShapes(OpBuilder &b,
                                              ReifiedRankedShapedTypeDims &s) {
  return reifyFromInit(b, *this, s);
}

LogicalResult ScatterAddOp::verify() {
  if (failed(verifyRows(*this, getInit(), getIndices(), getUpdates(), getAxis(),
                        "init", "updates")))
    return failure();
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// Cross entropy
//===----------------------------------------------------------------------===//

void CrossEntropyOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDpsEffects(*this, effects);
}

LogicalResult
CrossEntropyOp::reifyResultShapes(OpBuilder &b,
                                  ReifiedRankedShapedTypeDims &s) {
  return reifyFromInit(b, *this, s);
}

/// Each of `values` has one element for each row of `input`.
static LogicalResult verifyPerRow(Operation *op, ShapedType input,
                                  ValueRange values) {
  if (input.getRank() < 1)
    return op->emitOpError("needs one dimension at least");
  for (Value value : values)
    if (shapesDiffer(input.getShape().drop_back(),
                     cast<ShapedType>(value.getType()).getShape()))
      return op->emitOpError("must have one element a row in each of ")
             << value.getType();
  return success();
}

/// What rows of this element type are summed in.
static Type wideOf(Type element) {
  return element.isF64() ? element
                         : Type(Float32Type::get(element.getContext()));
}

LogicalResult CrossEntropyOp::verify() {
  auto logits = cast<ShapedType>(getLogits().getType());
  SmallVector<Value> perRow = {getTargets()};
  llvm::append_range(perRow, getInits());
  if (getInits().size() != 2)
    return emitOpError("has two inits: losses and normalisers");
  if (failed(verifyPerRow(*this, logits, perRow)))
    return failure();
  for (Value init : getInits())
    if (getElementTypeOrSelf(init) != wideOf(logits.getElementType()))
      return emitOpError("inits must be ") << wideOf(logits.getElementType());
  double smoothing = getSmoothing().convertToDouble();
  if (!(smoothing >= 0 && smoothing < 1))
    return emitOpError("smoothing must lie in [0, 1)");
  return verifyResults(*this);
}

//===----------------------------------------------------------------------===//
// Softmax and gradients
//===----------------------------------------------------------------------===//

void CausalSoftmaxOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDpsEffects(*this, effects);
}

LogicalResult
CausalSoftmaxOp::reifyResultShapes(OpBuilder &b,
                                   ReifiedRankedShapedTypeDims &s) {
  return reifyFromInit(b, *this, s);
}

LogicalResult CausalSoftmaxOp::verify() {
  auto type = cast<ShapedType>(getInput().getType());
  auto initType = cast<ShapedType>(getInit().getType());
  if (type.getRank() < 2 ||
      type.getElementType() != initType.getElementType() ||
      shapesDiffer(type.getShape(), initType.getShape()))
    return emitOpError("init must have the shape and element type of input, "
                       "with two dimensions or more");
  if (static_cast<int64_t>(getOffset()) < 0)
    return emitOpError("offset must not be negative");
  return verifyResults(*this);
}

void SoftmaxGradientOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDpsEffects(*this, effects);
  if (isa<BaseMemRefType>(getInit().getType()))
    effects.emplace_back(MemoryEffects::Read::get(), &getInitMutable());
}

LogicalResult
SoftmaxGradientOp::reifyResultShapes(OpBuilder &b,
                                     ReifiedRankedShapedTypeDims &s) {
  return reifyFromInit(b, *this, s);
}

LogicalResult SoftmaxGradientOp::verify() {
  auto type = cast<ShapedType>(getSoftmax().getType());
  auto initType = cast<ShapedType>(getInit().getType());
  if (type.getElementType() != initType.getElementType() ||
      shapesDiffer(type.getShape(), initType.getShape()))
    return emitOpError("init must have the shape and element type of softmax");
  if (static_cast<int64_t>(getDimension()) < 0 ||
      static_cast<int64_t>(getDimension()) >= type.getRank())
    return emitOpError("dimension must lie in [0, rank)");
  if (std::optional<uint64_t> causal = getCausal();
      causal && (static_cast<int64_t>(*causal) < 0 || type.getRank() < 2 ||
                 static_cast<int64_t>(getDimension()) != type.getRank() - 1))
    return emitOpError("causal must not be negative, of rows of the last "
                       "dimension of two or more");
  return verifyResults(*this);
}

void NormGradientOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  getDpsEffects(*this, effects);
}

LogicalResult
NormGradientOp::reifyResultShapes(OpBuilder &b,
                                  ReifiedRankedShapedTypeDims &s) {
  return reifyFromInit(b, *this, s);
}

LogicalResult NormGradientOp::verify() {
  auto type = cast<ShapedType>(getInput().getType());
  if (getInits().size() != 3)
    return emitOpError("has three inits: gradient, means and factors");
  for (Value like : {getCotangent(), getInits()[0]})
    if (failed(verifyNorm(*this, getInput(), getScale(), like)))
      return failure();
  if (failed(verifyPerRow(*this, type, getInits().drop_front())))
    return failure();
  for (Value init : getInits().drop_front())
    if (getElementTypeOrSelf(init) != wideOf(type.getElementType()))
      return emitOpError("means and factors must be ")
             << wideOf(type.getElementType());
  return verifyResults(*this);
}

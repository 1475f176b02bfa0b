//===- CPUDialect.cpp - The CPU dialect
//-------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/CPU.h"

#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace twist::cpu;

#include "twist/Codegen/CPU/CPUDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "twist/Codegen/CPU/CPUAttrs.cpp.inc"

#define GET_OP_CLASSES
#include "twist/Codegen/CPU/CPUOps.cpp.inc"

void CPUDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "twist/Codegen/CPU/CPUAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "twist/Codegen/CPU/CPUOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Packing
//===----------------------------------------------------------------------===//

int64_t PackingAttr::getColumnDim() const {
  AffineMap map = getMap();
  return *map.getResultPosition(
      getAffineDimExpr(map.getNumDims() - 2, map.getContext()));
}

int64_t PackingAttr::getKDim() const {
  AffineMap map = getMap();
  return *map.getResultPosition(
      getAffineDimExpr(map.getNumDims() - 1, map.getContext()));
}

SmallVector<int64_t>
PackingAttr::getPackedShape(ArrayRef<int64_t> source) const {
  AffineMap map = getMap();
  auto extent = [&](unsigned dim) {
    return source[*map.getResultPosition(
        getAffineDimExpr(dim, map.getContext()))];
  };
  SmallVector<int64_t> shape;
  for (unsigned d = 0, e = map.getNumDims() - 2; d < e; ++d)
    shape.push_back(extent(d));
  int64_t columns = source[getColumnDim()];
  shape.push_back(ShapedType::isDynamic(columns)
                      ? columns
                      : llvm::divideCeil(columns, getPanel()));
  int64_t depth = source[getKDim()];
  shape.push_back(ShapedType::isDynamic(depth)
                      ? depth
                      : llvm::divideCeil(depth, getGroup()));
  shape.push_back(getPanel() * getGroup());
  return shape;
}

static LogicalResult verifyPacking(Operation *op, PackingAttr packing,
                                   ShapedType source, ShapedType packed) {
  AffineMap map = packing.getMap();
  if (!map.isPermutation() || map.getNumDims() < 2 ||
      map.getNumDims() != source.getRank())
    return op->emitOpError("packing must permute the dimensions of the source");
  if (packing.getPanel() < 1)
    return op->emitOpError("panel must be at least 1 wide");
  if (packing.getGroup() != 1 && packing.getGroup() != 2)
    return op->emitOpError("group must be 1 or 2 steps of k");
  if (failed(verifyCompatibleShape(packing.getPackedShape(source.getShape()),
                                   packed.getShape())) ||
      source.getElementType() != packed.getElementType())
    return op->emitOpError("packed type does not fit the packing: ")
           << packed << " from " << source;
  return success();
}

LogicalResult PackedWeightOp::verify() {
  auto source = dyn_cast<RankedTensorType>(getUnpacked());
  if (!source || !source.hasStaticShape())
    return emitOpError("unpacked type must be a static tensor");
  return verifyPacking(*this, getPacking(), source,
                       cast<ShapedType>(getPacked().getType()));
}

//===----------------------------------------------------------------------===//
// Gemm
//===----------------------------------------------------------------------===//

AffineMap GemmOp::getMap(unsigned operand) {
  return cast<AffineMapAttr>(getIndexingMaps()[operand]).getValue();
}

bool GemmOp::isPlain() {
  auto yield = cast<YieldOp>(getEpilogue().front().getTerminator());
  return yield.getValue() == getEpilogue().front().getArgument(0);
}

LogicalResult GemmOp::verify() {
  if (getIndexingMaps().size() != getNumOperands())
    return emitOpError("needs one map per operand");
  if (getDepth() < 1 || (getPanel() && getDepth() != 1))
    return emitOpError("needs one k, or more where rhs is not packed");
  if (getTaps() &&
      (getPanel() || !getElementTypeOrSelf(getTaps().getType()).isIndex() ||
       getMap(getNumOperands() - 2) !=
           AffineMap::get(getNumDims(), 0,
                          getAffineDimExpr(getNumDims() - 1, getContext()))))
    return emitOpError(
        "taps must be indices along the last k of an rhs that is not packed");
  if (std::optional<ArrayRef<int64_t>> at = getTriangle()) {
    auto isDim = [&](int64_t d) { return d >= 0 && d < getNumDims(); };
    if (at->size() != 3 || !isDim((*at)[0]) || !isDim((*at)[1]) ||
        (*at)[0] == (*at)[1] || (*at)[2] < 0)
      return emitOpError("triangle must be two different dimensions and an "
                         "offset of 0 or more");
  }
  for (auto [index, operand] : llvm::enumerate(getOperands())) {
    AffineMap map = getMap(index);
    auto shaped = dyn_cast<ShapedType>(operand.getType());
    int64_t rank = shaped ? shaped.getRank() : 0;
    if (index == 1 && getPanel())
      --rank;
    if (map.getNumDims() != getNumDims() || map.getNumResults() != rank)
      return emitOpError("map ") << index << " does not fit its operand";
  }
  Block &body = getEpilogue().front();
  if (body.getNumArguments() != 1 + getExtras().size() ||
      body.getArgument(0).getType() != getAccumulator())
    return emitOpError("epilogue must take the accumulator and the extras");
  for (auto [argument, extra] :
       llvm::zip(body.getArguments().drop_front(), getExtras()))
    if (argument.getType() != getElementTypeOrSelf(extra.getType()))
      return emitOpError("epilogue must take the accumulator and the extras");
  auto yield = dyn_cast<YieldOp>(body.getTerminator());
  if (!yield || !yield.getValue() ||
      yield.getValue().getType() != getElementTypeOrSelf(getInit().getType()))
    return emitOpError("epilogue must yield an element of init");
  AffineMap init = getInitMap();
  if (init.getNumResults() == 0 ||
      init.getResults().back() !=
          getAffineDimExpr(getColumnDim(), getContext()))
    return emitOpError("columns must be the last dimension of init");
  return success();
}

static void
addEffects(DestinationStyleOpInterface op,
           SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
               &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
    else
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
  }
}

void GemmOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  addEffects(*this, effects);
}

//===----------------------------------------------------------------------===//
// Launch
//===----------------------------------------------------------------------===//

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel =
      symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError("launches ") << getKernelAttr() << ", not a function";
  TypeRange inputs = kernel.getFunctionType().getInputs();
  if (inputs.empty() || !inputs.front().isIndex() ||
      inputs.drop_front() != getArgs().getTypes())
    return emitOpError("operands do not fit ") << getKernelAttr();
  return success();
}

//===- TwistOps.cpp - Twist ops ---------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/Twist.h"

#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace twist::axes;

#define GET_OP_CLASSES
#include "twist/Dialect/Twist/TwistOps.cpp.inc"

LogicalResult AxisOp::verify() {
  if (getUnits() < 1)
    return emitOpError("has ") << getUnits() << " units";
  return success();
}

LogicalResult GateOp::verify() {
  RankedTensorType type = getType();
  int64_t dim = getDim();
  if (dim < 0 || dim >= type.getRank())
    return emitOpError("gates dimension ") << dim << " of " << type;
  if (getPlaces().empty())
    return emitOpError("has no place");
  for (auto place : getPlaces().getAsRange<PlaceAttr>()) {
    if (place.getOffset() < 0 || place.getOuter() < 1 || place.getUnits() < 1 ||
        place.getInner() < 1)
      return emitOpError("has a place out of range: ") << place;
    int64_t end = place.getOffset() +
                  place.getOuter() * place.getUnits() * place.getInner();
    if (!type.isDynamicDim(dim) && end > type.getDimSize(dim))
      return emitOpError("has a place that ends at ")
             << end << ", after dimension " << dim << " of " << type;
  }
  return success();
}

LogicalResult GateOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto axis = symbolTable.lookupNearestSymbolFrom<AxisOp>(*this, getAxisAttr());
  if (!axis)
    return emitOpError("names no axis: ") << getAxisAttr();
  for (auto place : getPlaces().getAsRange<PlaceAttr>())
    if (uint64_t(place.getUnits()) != axis.getUnits())
      return emitOpError("has a place of ")
             << place.getUnits() << " units, axis " << getAxisAttr() << " has "
             << axis.getUnits();
  return success();
}

//===- DimensionRelations.cpp - How an op relates dimensions --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Interfaces/DimensionRelations.h"

#include "mlir/IR/BuiltinTypes.h"

#include "twist/Interfaces/DimensionRelations.cpp.inc"

using namespace twist;

int64_t SliceUpdate::newSize(mlir::Value value, int64_t dim) {
  if (std::optional<llvm::ArrayRef<int64_t>> indices = kept(value, dim))
    return indices->size();
  return mlir::cast<mlir::ShapedType>(value.getType()).getDimSize(dim);
}

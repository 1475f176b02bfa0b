//===- DataTest.h - Data, or weights and sizes alone ------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_ONNX_DATATEST_H
#define TWIST_DIALECT_ONNX_DATATEST_H

#include "twist/Dialect/ONNX/ONNX.h"

#include "llvm/ADT/DenseMap.h"

namespace twist::onnx {

/// Whether values depend on the elements of an argument, not only on weights
/// and sizes; with `sizesToo` whether they depend on anything but weights. To be
/// made anew when the graph has changed.
class DataTest {
public:
  explicit DataTest(bool sizesToo = false) : sizesToo(sizesToo) {}

  bool operator()(mlir::Value value) {
    mlir::Operation *op = value.getDefiningOp();
    if (!op)
      return true;
    if (!sizesToo && llvm::isa<ShapeOp, SizeOp>(op))
      return false;
    auto [it, isNew] = known.try_emplace(op, op->getNumRegions() > 0);
    if (!isNew || it->second)
      return it->second;
    bool result = llvm::any_of(op->getOperands(), [&](mlir::Value operand) {
      return (*this)(operand);
    });
    return known[op] = result;
  }

private:
  bool sizesToo;
  llvm::DenseMap<mlir::Operation *, bool> known;
};

} // namespace twist::onnx

#endif // TWIST_DIALECT_ONNX_DATATEST_H

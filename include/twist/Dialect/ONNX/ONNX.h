//===- ONNX.h - The ONNX dialect ------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_ONNX_ONNX_H
#define TWIST_DIALECT_ONNX_ONNX_H

#include "twist/Interfaces/DimensionRelations.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "twist/Dialect/ONNX/ONNXDialect.h.inc"

namespace twist::onnx {

/// The result's element at an index depends on the operands' elements there,
/// after numpy's broadcasting, alone.
template <typename ConcreteOp>
class Elementwise : public mlir::OpTrait::TraitBase<ConcreteOp, Elementwise> {};

llvm::LogicalResult verifyAxisInRange(mlir::Operation *op);

/// An `axis` attribute counts dimensions of the first operand.
template <typename ConcreteOp>
class AxisInRange : public mlir::OpTrait::TraitBase<ConcreteOp, AxisInRange> {
public:
  static llvm::LogicalResult verifyTrait(mlir::Operation *op) {
    return verifyAxisInRange(op);
  }
};

} // namespace twist::onnx

#define GET_TYPEDEF_CLASSES
#include "twist/Dialect/ONNX/ONNXTypes.h.inc"

#define GET_OP_CLASSES
#include "twist/Dialect/ONNX/ONNXOps.h.inc"

namespace twist::onnx {

/// Discardable dictionary on ops of the dialect: the node's name, its result
/// names and whatever else the file says of it.
inline constexpr llvm::StringLiteral kMetaAttr = "onnx.meta";

/// The value of an onnx.Constant; null for any other value.
mlir::ElementsAttr constantOf(mlir::Value value);

/// TensorProto.DataType of an element type and back; 0 and null for what ONNX
/// has no number for.
int64_t dataTypeOf(mlir::Type elementType);
mlir::Type elementTypeOf(mlir::MLIRContext *context, int64_t dataType);

} // namespace twist::onnx

#endif // TWIST_DIALECT_ONNX_ONNX_H

//===- SizeExpression.cpp - Sizes as functions of the program's sizes -----===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "SizeExpression.h"

#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace twist::cpu;

FailureOr<Value> SizeBuilder::rebuild(Value value) {
  if (Value known = mapping.lookupOrNull(value))
    return known;
  Operation *op = value.getDefiningOp();
  if (!op || !isMemoryEffectFree(op) || op->getNumRegions() != 0)
    return failure();
  for (Value operand : op->getOperands())
    if (failed(rebuild(operand)))
      return failure();
  builder.clone(*op, mapping);
  return mapping.lookup(value);
}

void SizeBuilder::multiply(Monomial &monomial, Value factor) {
  APInt constant;
  if (matchPattern(factor, m_ConstantInt(&constant))) {
    monomial.coefficient *= constant.getSExtValue();
    return;
  }
  if (auto product = factor.getDefiningOp<arith::MulIOp>()) {
    multiply(monomial, product.getLhs());
    multiply(monomial, product.getRhs());
    return;
  }
  symbolOrder.try_emplace(factor, symbolOrder.size());
  monomial.symbols.push_back(factor);
}

/// Bytes of an element in memory.
static int64_t elementBytes(Type type) {
  return type.isIndex() ? 8 : llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
}

FailureOr<Monomial> SizeBuilder::bytes(MemRefType type,
                                       ValueRange dynamicSizes) {
  Monomial result;
  result.coefficient = elementBytes(type.getElementType());
  for (int64_t size : type.getShape())
    if (!ShapedType::isDynamic(size))
      result.coefficient *= size;
  for (Value size : dynamicSizes) {
    FailureOr<Value> rebuilt = rebuild(size);
    if (failed(rebuilt))
      return failure();
    multiply(result, *rebuilt);
  }
  llvm::sort(result.symbols, [&](Value a, Value b) {
    return symbolOrder.lookup(a) < symbolOrder.lookup(b);
  });
  return result;
}

Value SizeBuilder::constant(Location loc, int64_t value) {
  return arith::ConstantIndexOp::create(builder, loc, value);
}

Value SizeBuilder::materialize(Location loc, const Monomial &monomial) {
  Value product;
  for (Value symbol : monomial.symbols)
    product =
        product ? arith::MulIOp::create(builder, loc, product, symbol) : symbol;
  if (!product)
    return constant(loc, monomial.coefficient);
  if (monomial.coefficient == 1)
    return product;
  return arith::MulIOp::create(builder, loc, product,
                               constant(loc, monomial.coefficient));
}

Value SizeBuilder::alignUp(Location loc, Value bytes, int64_t alignment) {
  APInt known;
  if (matchPattern(bytes, m_ConstantInt(&known)))
    return constant(loc, llvm::alignTo(known.getSExtValue(), alignment));
  Value up =
      arith::AddIOp::create(builder, loc, bytes, constant(loc, alignment - 1));
  return arith::AndIOp::create(builder, loc, up, constant(loc, -alignment));
}

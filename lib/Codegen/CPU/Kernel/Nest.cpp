//===- Nest.cpp - Iteration spaces of kernels -------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

using namespace mlir;
using namespace twist::cpu;

/// Coefficients of a linear expression over the dimensions; the constant last.
static FailureOr<SmallVector<int64_t>> coefficients(AffineExpr expr,
                                                    unsigned numDims) {
  SmallVector<int64_t> result(numDims + 1, 0);
  if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
    result[dim.getPosition()] = 1;
    return result;
  }
  if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
    result[numDims] = constant.getValue();
    return result;
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return failure();
  auto left = coefficients(binary.getLHS(), numDims);
  auto right = coefficients(binary.getRHS(), numDims);
  if (failed(left) || failed(right))
    return failure();
  if (expr.getKind() == AffineExprKind::Add) {
    for (auto [sum, term] : llvm::zip(*left, *right))
      sum += term;
    return *left;
  }
  auto factor = dyn_cast<AffineConstantExpr>(binary.getRHS());
  if (expr.getKind() != AffineExprKind::Mul || !factor)
    return failure();
  for (int64_t &term : *left)
    term *= factor.getValue();
  return *left;
}

static LogicalResult addSteps(Emitter &e, NestOperand &operand, AffineMap map) {
  unsigned numDims = map.getNumDims();
  operand.offset = operand.buffer.offset;
  operand.steps.assign(numDims, e.index(0));
  for (auto [expr, stride] :
       llvm::zip_equal(map.getResults(), operand.buffer.strides)) {
    auto terms = coefficients(expr, numDims);
    if (failed(terms))
      return failure();
    for (unsigned d = 0; d < numDims; ++d)
      if ((*terms)[d] != 0)
        operand.steps[d] =
            e.add(operand.steps[d], e.mul(e.index((*terms)[d]), stride));
    if (terms->back() != 0)
      operand.offset =
          e.add(operand.offset, e.mul(e.index(terms->back()), stride));
  }
  return success();
}

/// The extent of each loop, from the first operand that shows it, a static one
/// if there is any.
static LogicalResult addExtents(Nest &nest, ArrayRef<AffineMap> maps) {
  for (auto [operand, map] : llvm::zip_equal(nest.operands, maps)) {
    for (auto [position, expr] : llvm::enumerate(map.getResults())) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || !operand.buffer.flat)
        continue;
      Value &extent = nest.dims[dim.getPosition()].extent;
      Value size = operand.buffer.sizes[position];
      if (!extent || (!constantOf(extent) && constantOf(size)))
        extent = size;
    }
  }
  return success(
      llvm::all_of(nest.dims, [](const LoopDim &dim) { return bool(dim.extent); }));
}

FailureOr<Nest> twist::cpu::buildNest(Emitter &e, ValueRange operands,
                                      ArrayRef<AffineMap> maps,
                                      ArrayRef<utils::IteratorType> kinds) {
  Nest nest;
  for (auto [position, kind] : llvm::enumerate(kinds))
    nest.dims.push_back({Value(), kind == utils::IteratorType::reduction,
                         static_cast<int64_t>(position)});
  for (auto [operand, map] : llvm::zip_equal(operands, maps)) {
    NestOperand &added = nest.operands.emplace_back();
    if (!isa<MemRefType>(operand.getType()))
      continue;
    added.buffer = e.buffer(operand);
    if (failed(addSteps(e, added, map)))
      return failure();
  }
  if (failed(addExtents(nest, maps)))
    return failure();
  return nest;
}

/// Whether loops outer and outer + 1 are one run in this operand.
static bool isOneRun(Value operand, AffineMap map, unsigned outer) {
  auto type = dyn_cast<MemRefType>(operand.getType());
  if (!type || (!map.isFunctionOfDim(outer) && !map.isFunctionOfDim(outer + 1)))
    return true;
  auto first = map.getResultPosition(getAffineDimExpr(outer, map.getContext()));
  auto second =
      map.getResultPosition(getAffineDimExpr(outer + 1, map.getContext()));
  if (!first || !second || *second != *first + 1)
    return false;
  for (auto [position, expr] : llvm::enumerate(map.getResults()))
    if (position != *first && position != *second &&
        (expr.isFunctionOfDim(outer) || expr.isFunctionOfDim(outer + 1)))
      return false;
  if (type.getLayout().isIdentity())
    return true;
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)))
    return false;
  return !type.isDynamicDim(*second) && !ShapedType::isDynamic(strides[*first]) &&
         !ShapedType::isDynamic(strides[*second]) &&
         strides[*first] == strides[*second] * type.getDimSize(*second);
}

void twist::cpu::joinLoops(Emitter &e, Nest &nest, ValueRange operands,
                           ArrayRef<AffineMap> maps, ArrayRef<bool> keep) {
  // From the innermost outwards, so that positions before stay as in the maps.
  for (int64_t d = static_cast<int64_t>(nest.dims.size()) - 2; d >= 0; --d) {
    if (nest.dims[d].reduction != nest.dims[d + 1].reduction)
      continue;
    if (!keep.empty() && (keep[d] || keep[d + 1]))
      continue;
    bool joins = llvm::all_of(llvm::zip_equal(operands, maps), [&](auto pair) {
      return isOneRun(std::get<0>(pair), std::get<1>(pair), d);
    });
    if (!joins)
      continue;
    nest.dims[d].extent = e.mul(nest.dims[d].extent, nest.dims[d + 1].extent);
    nest.dims.erase(nest.dims.begin() + d + 1);
    for (NestOperand &operand : nest.operands)
      if (operand.buffer.flat)
        operand.steps.erase(operand.steps.begin() + d);
  }
}

//===- Loops.cpp - Gradients of loops that carry tensors ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Rules.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace twist;

static bool isFloatTensor(Value value) {
  return isa<RankedTensorType>(value.getType()) &&
         isa<FloatType>(getElementTypeOrSelf(value.getType()));
}

namespace {
/// The loop runs again from its end. An iteration computes its values anew from
/// what the loop carried into it, which the first loop keeps, and pulls back.
class LoopGradient {
public:
  LoopGradient(scf::ForOp loop, Backward &backward, const GradientRules &rules)
      : loop(loop), backward(backward), rules(rules), b(backward.builder),
        loc(loop.getLoc()) {}

  LogicalResult run();

private:
  scf::ForOp loop;
  Backward &backward;
  const GradientRules &rules;
  OpBuilder &b;
  Location loc;
  SmallVector<unsigned> carried; ///< numbers of float tensors carried
  SmallVector<Value> captured;   ///< active values of outside
  SmallVector<Value> kept;       ///< per tensor carried: all iterations'
  Value trips;

  LogicalResult findValues();
  Value makeKept(Value carried);
  Value positionOf(OpBuilder &b, Value induction);
  Value at(OpBuilder &b, Value all, Value position, RankedTensorType type);
  SmallVector<Value> starts();
  LogicalResult writeIteration(scf::ForOp reversed);
  void keepCarried();
};
} // namespace

LogicalResult LoopGradient::findValues() {
  for (auto [i, value] : llvm::enumerate(loop.getRegionIterArgs())) {
    if (isFloatTensor(value))
      carried.push_back(i);
    else if (isa<FloatType>(value.getType()))
      return loop.emitError("has no gradient: it carries a scalar");
  }
  llvm::SetVector<Value> used;
  getUsedValuesDefinedAbove(loop.getRegion(), used);
  for (Value value : used) {
    if (!backward.isActive(value))
      continue;
    if (!isFloatTensor(value))
      return loop.emitError("has no gradient: it reads a computed scalar");
    captured.push_back(value);
  }
  return success();
}

/// How many iterations come before the one of `induction`.
Value LoopGradient::positionOf(OpBuilder &b, Value induction) {
  Value past =
      b.createOrFold<arith::SubIOp>(loc, induction, loop.getLowerBound());
  return b.createOrFold<arith::DivSIOp>(loc, past, loop.getStep());
}

/// Memory for a carried tensor of every iteration.
Value LoopGradient::makeKept(Value value) {
  SmallVector<OpFoldResult> sizes = {getAsOpFoldResult(trips)};
  llvm::append_range(sizes, tensor::getMixedSizes(b, loc, value));
  return tensor::EmptyOp::create(b, loc, sizes,
                                 getElementTypeOrSelf(value.getType()));
}

/// Where iteration number `position` lies in `all`.
static void placeOf(OpBuilder &b, Location loc, Value all, Value position,
                    SmallVector<OpFoldResult> &offsets,
                    SmallVector<OpFoldResult> &sizes,
                    SmallVector<OpFoldResult> &strides) {
  sizes = tensor::getMixedSizes(b, loc, all);
  sizes[0] = b.getIndexAttr(1);
  offsets.assign(sizes.size(), b.getIndexAttr(0));
  offsets[0] = position;
  strides.assign(sizes.size(), b.getIndexAttr(1));
}

Value LoopGradient::at(OpBuilder &b, Value all, Value position,
                       RankedTensorType type) {
  SmallVector<OpFoldResult> offsets, sizes, strides;
  placeOf(b, loc, all, position, offsets, sizes, strides);
  SmallVector<int64_t> shape(
      cast<RankedTensorType>(all.getType()).getShape().drop_front());
  Value slice = tensor::ExtractSliceOp::create(
      b, loc, RankedTensorType::get(shape, type.getElementType()), all, offsets,
      sizes, strides);
  return slice.getType() == type ? slice
                                 : tensor::CastOp::create(b, loc, type, slice);
}

/// What the reversed loop carries at first: cotangents of the results, and what
/// arrived at the captured values.
SmallVector<Value> LoopGradient::starts() {
  SmallVector<Value> values;
  for (unsigned i : carried) {
    Value cotangent = backward.cotangentOf(loop.getResult(i));
    values.push_back(cotangent ? cotangent
                               : zerosLike(b, loc, loop.getInitArgs()[i]));
  }
  for (Value value : captured) {
    Value sum = backward.take(value);
    values.push_back(sum ? sum : zerosLike(b, loc, value));
  }
  return values;
}

LogicalResult LoopGradient::writeIteration(scf::ForOp reversed) {
  OpBuilder::InsertionGuard guard(b);
  Block *body = reversed.getBody();
  b.setInsertionPointToStart(body);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  Value last = arith::SubIOp::create(b, loc, trips, one);
  Value position =
      arith::SubIOp::create(b, loc, last, reversed.getInductionVar());
  Value past = arith::MulIOp::create(b, loc, position, loop.getStep());
  IRMapping map;
  map.map(
      loop.getInductionVar(),
      arith::AddIOp::create(b, loc, loop.getLowerBound(), past).getResult());
  for (auto [value, all] : llvm::zip_equal(loop.getRegionIterArgs(), kept))
    if (all)
      map.map(value,
              at(b, all, position, cast<RankedTensorType>(value.getType())));
  SmallVector<Operation *> ops;
  for (Operation &op : loop.getBody()->without_terminator())
    ops.push_back(b.clone(op, map));

  SmallVector<Value> inputs(captured), outputs;
  Operation *yield = loop.getBody()->getTerminator();
  for (unsigned i : carried) {
    inputs.push_back(map.lookup(loop.getRegionIterArgs()[i]));
    outputs.push_back(map.lookupOrDefault(yield->getOperand(i)));
  }
  Backward inner(b, activeValues(*body, inputs, outputs));
  ValueRange states = reversed.getRegionIterArgs();
  for (auto [output, cotangent] :
       llvm::zip(outputs, states.take_front(carried.size())))
    if (inner.isActive(output))
      inner.add(output, cotangent);
  for (auto [value, sum] :
       llvm::zip_equal(captured, states.drop_front(carried.size())))
    if (inner.isActive(value))
      inner.add(value, sum);
  unsigned applied = 0;
  if (failed(pullBack(ops, inner, rules, applied)))
    return failure();

  SmallVector<Value> next;
  for (unsigned i : carried) {
    Value input = map.lookup(loop.getRegionIterArgs()[i]);
    Value cotangent =
        inner.isActive(input) ? inner.cotangentOf(input) : Value();
    next.push_back(cotangent ? cotangent : zerosLike(b, loc, input));
  }
  for (auto [value, sum] :
       llvm::zip_equal(captured, states.drop_front(carried.size())))
    next.push_back(inner.isActive(value) ? inner.cotangentOf(value) : sum);
  // What is carried has one buffer.
  for (auto [value, old] : llvm::zip_equal(next, states))
    if (value != old)
      value =
          bufferization::MaterializeInDestinationOp::create(b, loc, value, old)
              .getResult();
  scf::YieldOp::create(b, loc, next);
  eraseDeadOps(*body);
  return success();
}

/// Lets the first loop keep what the second reads.
void LoopGradient::keepCarried() {
  SmallVector<Value> read;
  SmallVector<unsigned> numbers;
  for (auto [i, all] : llvm::enumerate(kept))
    if (all && !all.use_empty()) {
      read.push_back(all);
      numbers.push_back(i);
    }
  if (read.empty())
    return;
  // The memory is made before the first loop, and handed on by it.
  SmallVector<Value> before;
  IRRewriter rewriter(b.getContext());
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(loop);
    for (unsigned i : numbers)
      before.push_back(makeKept(loop.getInitArgs()[i]));
  }
  auto keep = [&](OpBuilder &, Location loc, ArrayRef<BlockArgument> memory) {
    auto now = cast<scf::ForOp>(memory.front().getOwner()->getParentOp());
    OpBuilder at = OpBuilder::atBlockBegin(now.getBody());
    Value position = positionOf(at, now.getInductionVar());
    SmallVector<Value> yielded;
    for (auto [i, all] : llvm::zip_equal(numbers, memory)) {
      SmallVector<OpFoldResult> offsets, sizes, strides;
      placeOf(at, loc, all, position, offsets, sizes, strides);
      yielded.push_back(tensor::InsertSliceOp::create(
          at, loc, now.getRegionIterArgs()[i], all, offsets, sizes, strides));
    }
    return yielded;
  };
  rewriter.setInsertionPoint(loop);
  auto larger = *loop.replaceWithAdditionalYields(
      rewriter, before, /*replaceInitOperandUsesInLoop=*/false, keep);
  auto results = larger->getResults().take_back(numbers.size());
  for (auto [all, result] : llvm::zip_equal(read, results))
    all.replaceAllUsesWith(result);
}

LogicalResult LoopGradient::run() {
  if (failed(findValues()))
    return failure();
  {
    // Seen by both loops.
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(loop);
    Value span = arith::SubIOp::create(b, loc, loop.getUpperBound(),
                                       loop.getLowerBound());
    trips = arith::CeilDivSIOp::create(b, loc, span, loop.getStep());
    trips = arith::MaxSIOp::create(b, loc, trips,
                                   arith::ConstantIndexOp::create(b, loc, 0));
  }
  for (Value value : loop.getRegionIterArgs())
    kept.push_back(isa<RankedTensorType>(value.getType())
                       ? makeKept(loop.getInitArgs()[kept.size()])
                       : Value());
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  auto reversed = scf::ForOp::create(b, loc, zero, trips, one, starts());
  if (failed(writeIteration(reversed)))
    return failure();
  for (auto [n, i] : llvm::enumerate(carried))
    if (backward.isActive(loop.getInitArgs()[i]))
      backward.add(loop.getInitArgs()[i], reversed.getResult(n));
  for (auto [value, sum] : llvm::zip_equal(
           captured, reversed.getResults().drop_front(carried.size())))
    backward.add(value, sum);
  keepCarried();
  return success();
}

void twist::addLoopRules(GradientRules &rules) {
  rules.tensor[scf::ForOp::getOperationName()] =
      [](Operation *op, Backward &backward, const GradientRules &rules) {
        return LoopGradient(cast<scf::ForOp>(op), backward, rules).run();
      };
  rules.tensor[bufferization::MaterializeInDestinationOp::getOperationName()] =
      [](Operation *op, Backward &backward, const GradientRules &) {
        auto copy = cast<bufferization::MaterializeInDestinationOp>(op);
        Value gradient = backward.cotangentOf(copy.getResult());
        if (gradient.getType() != copy.getSource().getType())
          gradient =
              tensor::CastOp::create(backward.builder, op->getLoc(),
                                     copy.getSource().getType(), gradient);
        if (backward.isActive(copy.getSource()))
          backward.add(copy.getSource(), gradient);
        return success();
      };
}

//===- GenericRule.cpp - The gradient of linalg.generic -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "GenericGradient.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace twist;

static bool isFloat(Value value) {
  return isa<FloatType>(getElementTypeOrSelf(value.getType()));
}

//===----------------------------------------------------------------------===//
// What the generic computes
//===----------------------------------------------------------------------===//

LogicalResult GenericGradient::classify() {
  Block *body = op.getBlock();
  auto yield = cast<linalg::YieldOp>(body->getTerminator());
  for (auto [i, yielded] : llvm::enumerate(yield.getValues())) {
    Value accumulator = op.getRegionOutputArgs()[i];
    if (accumulator.use_empty()) {
      combinations.push_back({Combination::Map, yielded});
      continue;
    }
    Operation *combiner = yielded.getDefiningOp();
    bool simple = combiner && accumulator.hasOneUse() &&
                  *accumulator.user_begin() == combiner &&
                  combiner->getNumOperands() == 2;
    bool isSum = simple && isa<arith::AddFOp>(combiner);
    bool isExtremum =
        simple && isa<arith::MaximumFOp, arith::MinimumFOp, arith::MaxNumFOp,
                      arith::MinNumFOp>(combiner);
    Value result = op->getResult(i);
    bool isProduct = simple && isa<arith::MulFOp>(combiner);
    if (!isSum && !isExtremum && !isProduct) {
      if (backward.cotangentOf(result))
        return op.emitError("has no gradient: it reduces neither by a sum or "
                            "product nor by a maximum or minimum");
      combinations.push_back({Combination::Map, yielded});
      continue;
    }
    Value term = combiner->getOperand(combiner->getOperand(0) == accumulator);
    combinations.push_back({isSum       ? Combination::Sum
                            : isProduct ? Combination::Product
                                        : Combination::Extremum,
                            term});
  }
  return success();
}

//===----------------------------------------------------------------------===//
// The adjoint of the body
//===----------------------------------------------------------------------===//

/// Values of the body that depend on `from` through floats.
static DenseSet<Value> dependents(Block *body, Value from) {
  DenseSet<Value> found{from};
  for (Operation &inner : body->without_terminator())
    if (llvm::any_of(inner.getOperands(),
                     [&](Value v) { return found.contains(v); }))
      for (Value result : inner.getResults())
        if (isFloat(result))
          found.insert(result);
  return found;
}

/// The adjoint of `wanted`, given those of the terms; null for zero.
FailureOr<Value> GenericGradient::sweep(OpBuilder &b, const IRMapping &forward,
                                        DenseMap<Value, Value> &adjoints,
                                        Value wanted) {
  DenseSet<Value> onPath = dependents(op.getBlock(), wanted);
  for (Operation &inner : llvm::reverse(op.getBlock()->without_terminator())) {
    Value adjoint = inner.getNumResults() == 1
                        ? adjoints.lookup(inner.getResult(0))
                        : Value();
    if (!adjoint || !onPath.contains(inner.getResult(0)) ||
        inner.getResult(0) == wanted)
      continue;
    auto rule = rules.scalar.find(inner.getName().getStringRef());
    if (rule == rules.scalar.end())
      return op.emitError("has no gradient: its body has '")
             << inner.getName() << "', which has no rule";
    ImplicitLocOpBuilder at(loc, b);
    Operation *cloned = forward.lookup(inner.getResult(0)).getDefiningOp();
    for (OpOperand &operand : inner.getOpOperands()) {
      if (!onPath.contains(operand.get()))
        continue;
      Value part =
          rule->second(cloned, operand.getOperandNumber(), adjoint, at);
      if (!part)
        continue;
      Value &sum = adjoints[operand.get()];
      sum = sum ? arith::AddFOp::create(at, sum, part).getResult() : part;
    }
  }
  return adjoints.lookup(wanted);
}

/// Writes the body again for the elements `args`; `loops`, if given, are what
/// linalg.index gives.
IRMapping GenericGradient::copyBody(OpBuilder &b, ValueRange args,
                                    ValueRange loops) {
  IRMapping forward;
  for (auto [from, to] : llvm::zip(op.getRegionInputArgs(), args))
    forward.map(from, to);
  // Terms don't depend on the accumulators; the combiners' clones are dead.
  for (Value old : op.getRegionOutputArgs()) {
    Value zero = arith::ConstantOp::create(
        b, loc, cast<TypedAttr>(b.getZeroAttr(old.getType())));
    forward.map(old, zero);
  }
  for (Operation &inner : op.getBlock()->without_terminator())
    if (auto index = dyn_cast<linalg::IndexOp>(inner); index && !loops.empty())
      forward.map(index.getResult(), loops[index.getDim()]);
    else
      b.clone(inner, forward);
  return forward;
}

/// The adjoint of `wanted`, of the old body, behind its copy; null for zero.
FailureOr<Value> GenericGradient::adjointOf(OpBuilder &b,
                                            const IRMapping &forward,
                                            ValueRange args, Value wanted) {
  DenseMap<Value, Value> adjoints;
  seed(b, forward, args.slice(op.getNumDpsInputs(), extraOperands.size()),
       adjoints);
  return sweep(b, forward, adjoints, wanted);
}

//===----------------------------------------------------------------------===//
// The generic with transposed roles
//===----------------------------------------------------------------------===//

/// Drops inputs that the body doesn't read while the others still tell each
/// loop's size.
static Value dropUnreadInputs(linalg::GenericOp op, OpBuilder &b) {
  SmallVector<Value> inputs(op.getInputs());
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (unsigned i = inputs.size(); i-- > 0;) {
    if (!op.getBlock()->getArgument(i).use_empty())
      continue;
    SmallVector<AffineMap> fewer(maps);
    fewer.erase(fewer.begin() + i);
    if (!inversePermutation(concatAffineMaps(fewer, b.getContext())))
      continue;
    maps = std::move(fewer);
    inputs.erase(inputs.begin() + i);
    op.getBlock()->eraseArgument(i);
  }
  if (inputs.size() == op.getInputs().size())
    return op.getResult(0);
  auto smaller = linalg::GenericOp::create(b, op.getLoc(), op.getResultTypes(),
                                           inputs, op.getOutputs(), maps,
                                           op.getIteratorTypesArray());
  smaller.getRegion().takeBody(op.getRegion());
  op.erase();
  return smaller.getResult(0);
}

GenericGradient::Reads GenericGradient::reads() {
  Reads reads;
  reads.operands.assign(op.getInputs().begin(), op.getInputs().end());
  reads.operands.append(extraOperands);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  reads.maps.assign(maps.begin(), maps.begin() + op.getNumDpsInputs());
  reads.maps.append(extraMaps);
  return reads;
}

/// The sum, into `zeros` through `map`, of the adjoints of `input`'s elements.
FailureOr<Value> GenericGradient::build(OpOperand &input, AffineMap map,
                                        Reads reads, Value zeros) {
  OpBuilder &b = backward.builder;
  SmallVector<AffineMap> maps = std::move(reads.maps);
  maps.push_back(map);
  SmallVector<utils::IteratorType> iterators(map.getNumDims(),
                                             utils::IteratorType::reduction);
  for (AffineExpr result : map.getResults())
    iterators[cast<AffineDimExpr>(result).getPosition()] =
        utils::IteratorType::parallel;
  bool sums = llvm::is_contained(iterators, utils::IteratorType::reduction);
  bool failed = false, isZero = false;
  auto gradient = linalg::GenericOp::create(
      b, loc, zeros.getType(), reads.operands, zeros, maps, iterators,
      [&](OpBuilder &b, Location loc, ValueRange args) {
        IRMapping forward = copyBody(b, args);
        FailureOr<Value> adjoint =
            adjointOf(b, forward, args, op.getMatchingBlockArgument(&input));
        failed = mlir::failed(adjoint);
        isZero = !failed && !*adjoint;
        Value sum = args.back();
        if (!failed && !isZero)
          sum = sums ? arith::AddFOp::create(b, loc, sum, *adjoint).getResult()
                     : *adjoint;
        linalg::YieldOp::create(b, loc, sum);
      });
  if (failed || isZero) {
    gradient.erase();
    return failed ? FailureOr<Value>(failure()) : Value();
  }
  eraseDeadOps(*gradient.getBlock());
  return dropUnreadInputs(gradient, b);
}

/// `map` without its constant results, and the dimensions it then has.
static AffineMap withoutConstants(AffineMap map,
                                  SmallVectorImpl<int64_t> &kept) {
  SmallVector<AffineExpr> results;
  for (auto [d, result] : llvm::enumerate(map.getResults()))
    if (isa<AffineDimExpr>(result)) {
      results.push_back(result);
      kept.push_back(d);
    }
  return AffineMap::get(map.getNumDims(), 0, results, map.getContext());
}

LogicalResult GenericGradient::pullBack(OpOperand &input) {
  OpBuilder &b = backward.builder;
  AffineMap map = op.getMatchingIndexingMap(&input);
  auto type = dyn_cast<RankedTensorType>(input.get().getType());
  if (!type)
    return op.emitError("has no gradient: a computed scalar is among its "
                        "operands");
  Reads reads = this->reads();
  if (!map.isProjectedPermutation(/*allowZeroInResults=*/true) &&
      failed(followWindows(input, map, reads)))
    return failure();
  SmallVector<int64_t> kept;
  AffineMap direct = withoutConstants(map, kept);
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, input.get());
  SmallVector<OpFoldResult> keptSizes;
  for (int64_t d : kept)
    keptSizes.push_back(sizes[d]);
  Value zeros = zerosOf(b, loc, keptSizes, type.getElementType());
  FailureOr<Value> gradient = build(input, direct, std::move(reads), zeros);
  if (failed(gradient))
    return failure();
  if (!*gradient)
    return success();
  Value whole = *gradient;
  if (kept.size() != sizes.size()) {
    // Dimensions of size 1 that the map fixed at 0.
    Value shaped =
        tensor::EmptyOp::create(b, loc, sizes, type.getElementType());
    whole =
        linalg::GenericOp::create(
            b, loc, shaped.getType(), whole, shaped,
            {AffineMap::getMultiDimIdentityMap(sizes.size(), b.getContext())
                 .getSubMap(llvm::to_vector_of<unsigned>(kept)),
             AffineMap::getMultiDimIdentityMap(sizes.size(), b.getContext())},
            SmallVector<utils::IteratorType>(sizes.size(),
                                             utils::IteratorType::parallel),
            [](OpBuilder &b, Location loc, ValueRange args) {
              linalg::YieldOp::create(b, loc, args[0]);
            })
            .getResult(0);
  }
  if (whole.getType() != type)
    whole = tensor::CastOp::create(b, loc, type, whole);
  backward.add(input.get(), whole);
  return success();
}

LogicalResult GenericGradient::run() {
  if (failed(findPicks()) || failed(classify()))
    return failure();
  addSeeds();
  for (OpOperand *input : op.getDpsInputOperands())
    if (backward.isActive(input->get()) && failed(pullBack(*input)))
      return failure();
  for (tensor::ExtractOp pick : picks)
    if (failed(pullBackPick(pick)))
      return failure();
  for (auto [i, combination] : llvm::enumerate(combinations)) {
    OpOperand *init = op.getDpsInitOperand(i);
    Value cotangent = backward.cotangentOf(op->getResult(i));
    if (!cotangent || !backward.isActive(init->get()) ||
        combination.kind == Combination::Map)
      continue;
    if (combination.kind != Combination::Sum)
      return op.emitError("has no gradient: a product, maximum or minimum "
                          "starts from a computed value");
    backward.add(init->get(), cotangent);
  }
  return success();
}

void twist::addGenericRule(GradientRules &rules) {
  rules.tensor[linalg::GenericOp::getOperationName()] =
      [](Operation *op, Backward &backward, const GradientRules &rules) {
        return GenericGradient(cast<linalg::GenericOp>(op), backward, rules)
            .run();
      };
}

//===- Combinations.cpp - How terms become a generic's results ------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "GenericGradient.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace twist;

using B = ImplicitLocOpBuilder;

static Value number(B &b, Type type, double value) {
  return arith::ConstantOp::create(b, FloatAttr::get(type, value));
}

static Value equals(B &b, Value x, Value y) {
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, y);
}

/// Folds the terms of result `number` over the generic's loops; `others` and
/// `inits` lie like the result.
ResultRange GenericGradient::overTerms(unsigned number, ValueRange others,
                                       ValueRange inits, Fold fold) {
  SmallVector<Value> inputs(op.getInputs());
  llvm::append_range(inputs, others);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  maps.resize(op.getNumDpsInputs());
  AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(number));
  maps.append(others.size() + inits.size(), map);
  return linalg::GenericOp::create(
             backward.builder, loc, TypeRange(inits), inputs, inits, maps,
             op.getIteratorTypesArray(),
             [&](OpBuilder &b, Location loc, ValueRange args) {
               B at(loc, b);
               IRMapping forward = copyBody(b, args);
               Value term = forward.lookupOrDefault(combinations[number].term);
               args = args.drop_front(op.getNumDpsInputs());
               linalg::YieldOp::create(b, loc,
                                       fold(at, term,
                                            args.take_front(others.size()),
                                            args.drop_front(others.size())));
             })
      .getResults();
}

/// The cotangent of extremum `number`, divided by how many terms equal it.
Value GenericGradient::shareTies(unsigned number) {
  OpBuilder &b = backward.builder;
  Value result = op->getResult(number), zeros = zerosLike(b, loc, result);
  Value count =
      overTerms(number, result, zeros,
                [](B &b, Value term, ValueRange best,
                   ValueRange count) -> SmallVector<Value> {
                  Value one = ::number(b, term.getType(), 1);
                  Value more = arith::AddFOp::create(b, count[0], one);
                  Value isBest = equals(b, term, best[0]);
                  return {arith::SelectOp::create(b, isBest, more, count[0])};
                })[0];
  AffineMap id = AffineMap::getMultiDimIdentityMap(
      cast<ShapedType>(result.getType()).getRank(), b.getContext());
  SmallVector<utils::IteratorType> parallel(id.getNumDims(),
                                            utils::IteratorType::parallel);
  return linalg::GenericOp::create(
             b, loc, zeros.getType(),
             ValueRange{backward.cotangentOf(result), count}, zeros,
             {id, id, id}, parallel,
             [](OpBuilder &b, Location loc, ValueRange args) {
               linalg::YieldOp::create(
                   b, loc,
                   arith::DivFOp::create(b, loc, args[0], args[1]).getResult());
             })
      .getResult(0);
}

/// The product of the terms of result `number` that are not 0, and how many
/// are.
ValueRange GenericGradient::productOfOthers(unsigned number) {
  OpBuilder &b = backward.builder;
  Value start = op.getDpsInits()[number];
  Value none = zerosLike(b, loc, op->getResult(number));
  return overTerms(
      number, {}, {start, none},
      [](B &b, Value term, ValueRange, ValueRange sums) -> SmallVector<Value> {
        Value zero = ::number(b, term.getType(), 0);
        Value one = ::number(b, term.getType(), 1);
        Value isZero = equals(b, term, zero);
        Value product = arith::MulFOp::create(b, sums[0], term);
        Value more = arith::AddFOp::create(b, sums[1], one);
        return {arith::SelectOp::create(b, isZero, sums[0], product),
                arith::SelectOp::create(b, isZero, more, sums[1])};
      });
}

void GenericGradient::addSeeds() {
  for (auto [i, combination] : llvm::enumerate(combinations)) {
    Value result = op->getResult(i), cotangent = backward.cotangentOf(result);
    if (!cotangent)
      continue;
    SmallVector<Value> read = {cotangent};
    if (combination.kind == Combination::Extremum)
      read = {shareTies(i), result};
    if (combination.kind == Combination::Product)
      llvm::append_range(read, productOfOthers(i));
    extraOperands.append(read);
    extraMaps.append(read.size(),
                     op.getMatchingIndexingMap(op.getDpsInitOperand(i)));
  }
}

/// The cotangent times the product of the other terms: with no zeros among the
/// terms, their product over this one; with one, only that term gets any.
static Value adjointOfFactor(B &b, Value adjoint, Value term, Value product,
                             Value zeros) {
  Type type = adjoint.getType();
  Value zero = number(b, type, 0), one = number(b, type, 1);
  Value isZero = equals(b, term, zero);
  Value without = arith::SelectOp::create(
      b, isZero, product, arith::DivFOp::create(b, product, term).getResult());
  Value itself = arith::SelectOp::create(b, isZero, one, zero);
  Value noOther = equals(b, zeros, itself);
  Value slope = arith::SelectOp::create(b, noOther, without, zero);
  return arith::MulFOp::create(b, adjoint, slope);
}

/// Puts the adjoints of the terms, from the extra operands' elements.
void GenericGradient::seed(OpBuilder &b, const IRMapping &forward,
                           ValueRange extra, DenseMap<Value, Value> &adjoints) {
  B at(loc, b);
  auto next = [&] {
    Value value = extra.front();
    extra = extra.drop_front();
    return value;
  };
  for (auto [i, combination] : llvm::enumerate(combinations)) {
    if (!backward.cotangentOf(op->getResult(i)))
      continue;
    Value adjoint = next();
    Value term = forward.lookupOrDefault(combination.term);
    if (combination.kind == Combination::Extremum) {
      Value isBest = equals(at, term, next());
      adjoint = arith::SelectOp::create(at, isBest, adjoint,
                                        number(at, adjoint.getType(), 0));
    }
    if (combination.kind == Combination::Product) {
      Value product = next();
      adjoint = adjointOfFactor(at, adjoint, term, product, next());
    }
    Value &sum = adjoints[combination.term];
    sum = sum ? arith::AddFOp::create(at, sum, adjoint).getResult() : adjoint;
  }
}

//===- Sizes.cpp - Arithmetic on sizes ------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Lowering.h"

#include "twist/Support/Integers.h"

using namespace twist;
using namespace twist::lowering;

/// Same op on the same operands, recursively: the same value.
static bool sameValue(Value a, Value b, unsigned depth = 8) {
  if (a == b)
    return true;
  Operation *x = a.getDefiningOp(), *y = b.getDefiningOp();
  if (!depth || !x || !y || x->getName() != y->getName() ||
      x->getNumOperands() != y->getNumOperands() || x->getNumRegions() ||
      x->getAttrDictionary() != y->getAttrDictionary() ||
      x->getPropertiesAsAttribute() != y->getPropertiesAsAttribute() ||
      a.getType() != b.getType() || !isMemoryEffectFree(x) ||
      cast<OpResult>(a).getResultNumber() !=
          cast<OpResult>(b).getResultNumber())
    return false;
  return llvm::all_of(
      llvm::zip_equal(x->getOperands(), y->getOperands()), [&](auto pair) {
        return sameValue(std::get<0>(pair), std::get<1>(pair), depth - 1);
      });
}

unsigned SizeArithmetic::atom(Value value) {
  if (auto it = atomOf.find(value); it != atomOf.end())
    return it->second;
  for (auto [i, known] : llvm::enumerate(atoms))
    if (sameValue(known, value))
      return atomOf[value] = i;
  atoms.push_back(value);
  return atomOf[value] = atoms.size() - 1;
}

SizeArithmetic::Polynomial SizeArithmetic::polynomialOf(Size size) {
  if (std::optional<int64_t> value = constantOf(size))
    return *value ? Polynomial{{{}, *value}} : Polynomial{};
  return polynomialOf(cast<Value>(size));
}

template <typename Map, typename Key>
static void addTerm(Map &map, const Key &key, int64_t by) {
  int64_t &entry = map[key];
  entry = wrapAdd(entry, by);
  if (!entry)
    map.erase(key);
}

template <typename Polynomial>
static Polynomial combine(Polynomial lhs, const Polynomial &rhs, int64_t by) {
  for (auto &[monomial, coefficient] : rhs)
    addTerm(lhs, monomial, wrapMul(by, coefficient));
  return lhs;
}

template <typename Polynomial>
static Polynomial multiply(const Polynomial &lhs, const Polynomial &rhs) {
  Polynomial result;
  for (auto &[m, c] : lhs)
    for (auto &[n, d] : rhs) {
      auto factors = m;
      factors.append(n.begin(), n.end());
      llvm::sort(factors);
      addTerm(result, factors, wrapMul(c, d));
    }
  return result;
}

SizeArithmetic::Polynomial SizeArithmetic::polynomialOf(Value value) {
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return polynomialOf(Size(b.getIndexAttr(*constant)));
  Operation *op = value.getDefiningOp();
  // Integers hold sizes and positions: no overflow is to be kept.
  if (isa_and_present<arith::IndexCastOp, arith::ExtSIOp, arith::TruncIOp>(op))
    return polynomialOf(op->getOperand(0));
  if (isa_and_present<arith::AddIOp, arith::SubIOp>(op))
    return combine(polynomialOf(op->getOperand(0)),
                   polynomialOf(op->getOperand(1)),
                   isa<arith::AddIOp>(op) ? 1 : -1);
  if (isa_and_present<arith::MulIOp>(op))
    return multiply(polynomialOf(op->getOperand(0)),
                    polynomialOf(op->getOperand(1)));
  if (isa_and_present<arith::DivSIOp>(op) && !value.getType().isIndex())
    if (std::optional<int64_t> by = getConstantIntValue(op->getOperand(1));
        by && *by > 0) {
      Size lhs = materialise(polynomialOf(op->getOperand(0)));
      if (isNonNegative(lhs))
        return polynomialOf(floorDiv(lhs, constant(*by)));
    }
  if (!value.getType().isIndex())
    value = b.createOrFold<arith::IndexCastOp>(b.getIndexType(), value);
  return {{{atom(value)}, 1}};
}

Size SizeArithmetic::materialise(const Polynomial &p) {
  if (p.empty())
    return constant(0);
  if (p.size() == 1 && p.begin()->first.empty())
    return constant(p.begin()->second);
  if (p.size() == 1 && p.begin()->first.size() == 1 && p.begin()->second == 1)
    return atoms[p.begin()->first.front()];
  if (auto it = made.find(p); it != made.end())
    return it->second;
  auto times = [&](Value v, Value by) -> Value {
    return v ? b.createOrFold<arith::MulIOp>(v, by) : by;
  };
  Value sum;
  for (auto &[monomial, coefficient] : llvm::reverse(p)) {
    Value term;
    for (unsigned i : monomial)
      term = times(term, atoms[i]);
    if (!term || coefficient != 1)
      term = times(term, arith::ConstantIndexOp::create(b, coefficient));
    sum = sum ? b.createOrFold<arith::AddIOp>(sum, term) : term;
  }
  return made[p] = sum;
}

Size SizeArithmetic::add(Size lhs, Size rhs) {
  return materialise(combine(polynomialOf(lhs), polynomialOf(rhs), 1));
}
Size SizeArithmetic::sub(Size lhs, Size rhs) {
  return materialise(combine(polynomialOf(lhs), polynomialOf(rhs), -1));
}
Size SizeArithmetic::mul(Size lhs, Size rhs) {
  return materialise(multiply(polynomialOf(lhs), polynomialOf(rhs)));
}
Size SizeArithmetic::product(ArrayRef<Size> sizes) {
  Polynomial result = {{{}, 1}};
  for (Size size : sizes)
    result = multiply(result, polynomialOf(size));
  return materialise(result);
}

std::optional<Size> SizeArithmetic::divideExactly(Size lhs, Size rhs) {
  Polynomial divisor = polynomialOf(rhs), quotient;
  if (divisor.size() != 1)
    return same(lhs, rhs) ? std::optional<Size>(constant(1)) : std::nullopt;
  auto &[by, coefficient] = *divisor.begin();
  for (auto &[monomial, c] : polynomialOf(lhs)) {
    bool wraps = coefficient == -1 && c == std::numeric_limits<int64_t>::min();
    if (wraps || c % coefficient ||
        !std::includes(monomial.begin(), monomial.end(), by.begin(), by.end()))
      return std::nullopt;
    Monomial rest;
    std::set_difference(monomial.begin(), monomial.end(), by.begin(), by.end(),
                        std::back_inserter(rest));
    quotient[rest] = c / coefficient;
  }
  return materialise(quotient);
}

template <typename OpTy> Size SizeArithmetic::binary(Size lhs, Size rhs) {
  Value result = b.createOrFold<OpTy>(toValue(lhs), toValue(rhs));
  return materialise(polynomialOf(result));
}

Size SizeArithmetic::floorDiv(Size lhs, Size rhs) {
  if (std::optional<Size> exact = divideExactly(lhs, rhs))
    return *exact;
  if (isNonNegative(lhs))
    return binary<arith::DivUIOp>(lhs, rhs);
  return binary<arith::FloorDivSIOp>(lhs, rhs);
}
Size SizeArithmetic::ceilDiv(Size lhs, Size rhs) {
  if (std::optional<Size> exact = divideExactly(lhs, rhs))
    return *exact;
  return floorDiv(add(lhs, sub(rhs, constant(1))), rhs);
}
Size SizeArithmetic::min(Size lhs, Size rhs) {
  if (isNonNegative(sub(rhs, lhs)))
    return lhs;
  if (isNonNegative(sub(lhs, rhs)))
    return rhs;
  return binary<arith::MinSIOp>(lhs, rhs);
}
Size SizeArithmetic::max(Size lhs, Size rhs) {
  if (isNonNegative(sub(rhs, lhs)))
    return rhs;
  if (isNonNegative(sub(lhs, rhs)))
    return lhs;
  return binary<arith::MaxSIOp>(lhs, rhs);
}
Size SizeArithmetic::select(Value condition, Size lhs, Size rhs) {
  if (std::optional<int64_t> known = getConstantIntValue(condition))
    return *known ? lhs : rhs;
  if (same(lhs, rhs))
    return lhs;
  Value result =
      b.createOrFold<arith::SelectOp>(condition, toValue(lhs), toValue(rhs));
  return materialise(polynomialOf(result));
}

bool SizeArithmetic::same(Size lhs, Size rhs) {
  return polynomialOf(lhs) == polynomialOf(rhs);
}

/// Sizes of tensors, and what min and max keep so.
static bool isNonNegativeAtom(Value value) {
  Operation *op = value.getDefiningOp();
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return *constant >= 0;
  if (isa_and_present<arith::MaxSIOp>(op))
    return llvm::any_of(op->getOperands(), isNonNegativeAtom);
  if (isa_and_present<arith::MinSIOp, arith::MulIOp, arith::AddIOp>(op))
    return llvm::all_of(op->getOperands(), isNonNegativeAtom);
  return isa_and_present<tensor::DimOp, arith::DivUIOp>(op);
}

bool SizeArithmetic::isNonNegative(Size size) {
  return llvm::all_of(polynomialOf(size), [&](auto &term) {
    return term.second >= 0 && llvm::all_of(term.first, [&](unsigned i) {
             return isNonNegativeAtom(atoms[i]);
           });
  });
}

std::optional<int> SizeArithmetic::compare(Size lhs, Size rhs) {
  Polynomial difference = combine(polynomialOf(lhs), polynomialOf(rhs), -1);
  if (difference.empty())
    return 0;
  // A constant term and nothing that goes the other way.
  auto constant = difference.find({});
  if (constant == difference.end())
    return std::nullopt;
  int sign = constant->second > 0 ? 1 : -1;
  for (auto &[monomial, coefficient] : difference)
    if ((coefficient < 0) != (sign < 0) ||
        !llvm::all_of(monomial,
                      [&](unsigned i) { return isNonNegativeAtom(atoms[i]); }))
      return std::nullopt;
  return sign;
}

Size SizeArithmetic::fromInteger(Value integer) {
  return materialise(polynomialOf(integer));
}
Value SizeArithmetic::toInteger(Size size, Type type) {
  if (std::optional<int64_t> value = constantOf(size))
    return arith::ConstantOp::create(b, b.getIntegerAttr(type, *value));
  return b.createOrFold<arith::IndexCastOp>(type, cast<Value>(size));
}
Value SizeArithmetic::toValue(Size size) {
  if (std::optional<int64_t> value = constantOf(size))
    return arith::ConstantIndexOp::create(b, *value);
  return cast<Value>(size);
}

Size SizeArithmetic::unbounded(Size size) {
  Polynomial result;
  for (auto &[monomial, coefficient] : polynomialOf(size)) {
    Polynomial term = {{{}, coefficient}};
    for (unsigned i : monomial) {
      Polynomial factor = {{{i}, 1}};
      Operation *op = atoms[i].getDefiningOp();
      if (isa_and_present<arith::MinSIOp, arith::MaxSIOp>(op)) {
        Value lhs = op->getOperand(0), rhs = op->getOperand(1);
        if (getConstantIntValue(lhs))
          std::swap(lhs, rhs);
        if (getConstantIntValue(rhs))
          factor = polynomialOf(unbounded(lhs));
      }
      term = multiply(term, factor);
    }
    result = combine(result, term, 1);
  }
  return materialise(result);
}

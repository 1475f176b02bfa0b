//===- SizeExpr.cpp - Polynomials of sizes --------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/SymbolicShapes.h"
#include "twist/Support/Integers.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

using Factor = SizeExpr::Factor;
using Term = SizeExpr::Term;

/// A monomial order (graded, then by atom), so that division by the leading
/// term ends; the constant is the least.
static int compareMonomials(ArrayRef<Factor> a, ArrayRef<Factor> b) {
  auto degree = [](ArrayRef<Factor> factors) {
    unsigned sum = 0;
    for (const Factor &factor : factors)
      sum += factor.power;
    return sum;
  };
  if (degree(a) != degree(b))
    return degree(a) > degree(b) ? -1 : 1;
  for (auto [x, y] : llvm::zip(a, b)) {
    if (int order = x.atom.getValue().compare(y.atom.getValue()))
      return order;
    if (x.power != y.power)
      return x.power > y.power ? -1 : 1;
  }
  return 0;
}

static SmallVector<Factor, 2> multiply(ArrayRef<Factor> a, ArrayRef<Factor> b) {
  SmallVector<Factor, 2> product(a);
  for (const Factor &factor : b) {
    auto *at = llvm::find_if(product, [&](const Factor &other) {
      return other.atom == factor.atom;
    });
    if (at != product.end())
      at->power += factor.power;
    else
      product.push_back(factor);
  }
  llvm::sort(product, [](const Factor &x, const Factor &y) {
    return x.atom.getValue() < y.atom.getValue();
  });
  return product;
}

/// a / b, if b divides a.
static std::optional<SmallVector<Factor, 2>> divide(ArrayRef<Factor> a,
                                                    ArrayRef<Factor> b) {
  SmallVector<Factor, 2> quotient(a);
  for (const Factor &factor : b) {
    auto *at = llvm::find_if(quotient, [&](const Factor &other) {
      return other.atom == factor.atom;
    });
    if (at == quotient.end() || at->power < factor.power)
      return std::nullopt;
    if ((at->power -= factor.power) == 0)
      quotient.erase(at);
  }
  return quotient;
}

SizeExpr::SizeExpr(int64_t constant) {
  if (constant)
    sum.push_back({constant, {}});
}

SizeExpr SizeExpr::atom(StringAttr name) {
  SizeExpr expr;
  expr.sum.push_back({1, {{name, 1}}});
  return expr;
}

void SizeExpr::normalise() {
  llvm::sort(sum, [](const Term &a, const Term &b) {
    return compareMonomials(a.factors, b.factors) < 0;
  });
  SmallVector<Term, 1> merged;
  for (Term &term : sum) {
    if (!merged.empty() && merged.back().factors == term.factors)
      merged.back().coefficient =
          wrapAdd(merged.back().coefficient, term.coefficient);
    else
      merged.push_back(std::move(term));
  }
  llvm::erase_if(merged, [](const Term &term) { return !term.coefficient; });
  sum = std::move(merged);
}

std::optional<int64_t> SizeExpr::constant() const {
  if (sum.empty())
    return 0;
  if (sum.size() == 1 && sum.front().factors.empty())
    return sum.front().coefficient;
  return std::nullopt;
}

bool SizeExpr::isNonNegative() const {
  return llvm::all_of(sum,
                      [](const Term &term) { return term.coefficient >= 0; });
}

bool SizeExpr::isPositive() const {
  return isNonNegative() && !sum.empty() && sum.back().factors.empty();
}

SizeExpr SizeExpr::operator+(const SizeExpr &other) const {
  SizeExpr result = *this;
  llvm::append_range(result.sum, other.sum);
  result.normalise();
  return result;
}

SizeExpr SizeExpr::operator-(const SizeExpr &other) const {
  return *this + other * SizeExpr(-1);
}

SizeExpr SizeExpr::operator*(const SizeExpr &other) const {
  SizeExpr result;
  for (const Term &a : sum)
    for (const Term &b : other.sum)
      result.sum.push_back({wrapMul(a.coefficient, b.coefficient),
                            multiply(a.factors, b.factors)});
  result.normalise();
  return result;
}

std::optional<SizeExpr> SizeExpr::exactDiv(const SizeExpr &divisor) const {
  if (divisor.sum.empty())
    return std::nullopt;
  const Term &lead = divisor.sum.front();
  SizeExpr quotient, rest = *this;
  while (!rest.sum.empty()) {
    const Term &top = rest.sum.front();
    auto factors = divide(top.factors, lead.factors);
    // The least 64-bit integer over -1 has no quotient.
    bool overflows = top.coefficient == INT64_MIN && lead.coefficient == -1;
    if (!factors || overflows || top.coefficient % lead.coefficient)
      return std::nullopt;
    SizeExpr step;
    step.sum.push_back(
        {top.coefficient / lead.coefficient, std::move(*factors)});
    quotient = quotient + step;
    rest = rest - step * divisor;
  }
  return quotient;
}

std::optional<bool> SizeExpr::compareEqual(const SizeExpr &other) const {
  SizeExpr difference = *this - other;
  if (std::optional<int64_t> value = difference.constant())
    return *value == 0;
  if (difference.isPositive() || (difference * SizeExpr(-1)).isPositive())
    return false;
  // 4 · batch is never 1: a multiple of what divides all other terms.
  int64_t divisor = 0, rest = 0;
  for (const Term &term : difference.sum)
    if (term.factors.empty())
      rest = term.coefficient;
    else
      divisor = std::gcd(divisor, term.coefficient);
  return rest % divisor != 0 ? std::optional<bool>(false) : std::nullopt;
}

std::optional<bool> SizeExpr::compareLess(const SizeExpr &other) const {
  std::optional<int64_t> a = constant(), b = other.constant();
  if (a && b)
    return *a < *b;
  if ((other - *this).isPositive())
    return true;
  if ((*this - other).isNonNegative())
    return false;
  return std::nullopt;
}

SizeExpr SizeExpr::substitute(MLIRContext *context,
                              const llvm::StringMap<int64_t> &values) const {
  SizeExpr result;
  for (const Term &term : sum) {
    SizeExpr product(term.coefficient);
    for (const Factor &factor : term.factors) {
      auto value = values.find(factor.atom.getValue());
      SizeExpr base =
          value == values.end() ? atom(factor.atom) : SizeExpr(value->second);
      for (unsigned i = 0; i < factor.power; ++i)
        product = product * base;
    }
    result = result + product;
  }
  return result;
}

void SizeExpr::print(raw_ostream &os) const {
  if (sum.empty())
    os << 0;
  for (auto [index, term] : llvm::enumerate(sum)) {
    bool negative = term.coefficient < 0;
    if (index)
      os << (negative ? " - " : " + ");
    else if (negative)
      os << '-';
    uint64_t magnitude = negative ? -static_cast<uint64_t>(term.coefficient)
                                  : static_cast<uint64_t>(term.coefficient);
    if (magnitude != 1 || term.factors.empty())
      os << magnitude << (term.factors.empty() ? "" : "*");
    llvm::interleave(
        term.factors, os,
        [&](const Factor &factor) {
          os << factor.atom.getValue();
          if (factor.power > 1)
            os << '^' << factor.power;
        },
        "*");
  }
}

std::string SizeExpr::str() const {
  std::string text;
  llvm::raw_string_ostream os(text);
  print(os);
  return text;
}

//===----------------------------------------------------------------------===//
// Names of dimensions that are sums
//===----------------------------------------------------------------------===//

static bool isName(StringRef text) {
  return !text.empty() && !llvm::isDigit(text.front()) &&
         llvm::all_of(text, [](char c) {
           return llvm::isAlnum(c) || c == '_' || c == '.';
         });
}

/// A product of names and integers.
static std::optional<SizeExpr> parseProduct(MLIRContext *context,
                                            StringRef text) {
  SizeExpr product(1);
  SmallVector<StringRef> parts;
  text.split(parts, '*');
  for (StringRef part : parts) {
    part = part.trim();
    int64_t number;
    if (!part.getAsInteger(10, number))
      product = product * SizeExpr(number);
    else if (isName(part))
      product = product * SizeExpr::atom(StringAttr::get(context, part));
    else
      return std::nullopt;
  }
  return product;
}

SizeExpr SizeExpr::parse(MLIRContext *context, StringRef text) {
  SizeExpr sum;
  StringRef rest = text.trim();
  int64_t sign = 1;
  while (true) {
    // A leading minus sign belongs to the integer.
    size_t end = rest.find_first_of("+-", 1);
    std::optional<SizeExpr> product =
        parseProduct(context, rest.take_front(end).trim());
    if (!product)
      return atom(StringAttr::get(context, text.trim()));
    sum = sum + *product * SizeExpr(sign);
    if (end == StringRef::npos)
      return sum;
    sign = rest[end] == '-' ? -1 : 1;
    rest = rest.drop_front(end + 1).trim();
    if (rest.empty())
      return atom(StringAttr::get(context, text.trim()));
  }
}

//===----------------------------------------------------------------------===//
// Functions that are no polynomials
//===----------------------------------------------------------------------===//

static SizeExpr function(MLIRContext *context, StringRef name,
                         const SizeExpr &a, const SizeExpr &b) {
  std::string text = (name + "(" + a.str() + ", " + b.str() + ")").str();
  return SizeExpr::atom(StringAttr::get(context, text));
}

/// The same with operands in an order of their own.
static SizeExpr symmetric(MLIRContext *context, StringRef name,
                          const SizeExpr &a, const SizeExpr &b) {
  return a.str() < b.str() ? function(context, name, a, b)
                           : function(context, name, b, a);
}

SizeExpr twist::onnx::floorDiv(MLIRContext *context, const SizeExpr &a,
                               const SizeExpr &b) {
  if (std::optional<SizeExpr> quotient = a.exactDiv(b))
    return *quotient;
  std::optional<int64_t> x = a.constant(), y = b.constant();
  if (x && y && *y && !llvm::divideSignedWouldOverflow(*x, *y))
    return SizeExpr(llvm::divideFloorSigned(*x, *y));
  return function(context, "floordiv", a, b);
}

SizeExpr twist::onnx::modulo(MLIRContext *context, const SizeExpr &a,
                             const SizeExpr &b) {
  if (a.exactDiv(b))
    return SizeExpr(0);
  std::optional<int64_t> x = a.constant(), y = b.constant();
  if (x && y && *y && !llvm::divideSignedWouldOverflow(*x, *y))
    return SizeExpr(*x - llvm::divideFloorSigned(*x, *y) * *y);
  return function(context, "mod", a, b);
}

SizeExpr twist::onnx::minimum(MLIRContext *context, const SizeExpr &a,
                              const SizeExpr &b) {
  if (a == b)
    return a;
  if (std::optional<bool> less = a.compareLess(b))
    return *less ? a : b;
  if (std::optional<bool> less = b.compareLess(a))
    return *less ? b : a;
  return symmetric(context, "min", a, b);
}

SizeExpr twist::onnx::maximum(MLIRContext *context, const SizeExpr &a,
                              const SizeExpr &b) {
  if (a == b)
    return a;
  if (std::optional<bool> less = a.compareLess(b))
    return *less ? b : a;
  if (std::optional<bool> less = b.compareLess(a))
    return *less ? a : b;
  return symmetric(context, "max", a, b);
}

/// Whether `a` is min(b, …): broadcasting it with b can only give b.
static bool isMinimumOf(MLIRContext *context, const SizeExpr &a,
                        const SizeExpr &b) {
  ArrayRef<Term> terms = a.terms();
  if (terms.size() != 1 || terms.front().coefficient != 1 ||
      terms.front().factors.size() != 1)
    return false;
  StringRef text = terms.front().factors.front().atom.getValue();
  std::string name = b.str();
  return text.starts_with("min(" + name + ", ") ||
         (text.starts_with("min(") && text.ends_with(", " + name + ")"));
}

SizeExpr twist::onnx::broadcast(MLIRContext *context, const SizeExpr &a,
                                const SizeExpr &b) {
  if (a == b || b.isConstant(1) || isMinimumOf(context, b, a))
    return a;
  if (a.isConstant(1) || isMinimumOf(context, a, b))
    return b;
  // A constant other than 1 leaves the other size no choice.
  if (std::optional<int64_t> size = a.constant())
    return *size == 0 ? symmetric(context, "broadcast", a, b) : a;
  if (std::optional<int64_t> size = b.constant())
    return *size == 0 ? symmetric(context, "broadcast", a, b) : b;
  return symmetric(context, "broadcast", a, b);
}

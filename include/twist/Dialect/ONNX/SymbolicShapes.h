//===- SymbolicShapes.h - Sizes as polynomials ------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// The sizes of a graph are polynomials in the names of its input dimensions:
// c·batch^i·sequence^j, and sums of those (past + sequence). They are followed
// through ops and through the arithmetic on shapes that exporters write out.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_ONNX_SYMBOLICSHAPES_H
#define TWIST_DIALECT_ONNX_SYMBOLICSHAPES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Value.h"

#include <memory>
#include <optional>

namespace twist::onnx {

/// A polynomial with integer coefficients in atoms. An atom is a dimension's
/// name, or a function of polynomials that is none itself, spelt canonically
/// ("floordiv(seq, 2)"), so equal spelling is equal value. Atoms are >= 0.
/// Arithmetic wraps at 64 bits, as that of tensor(int64) does.
class SizeExpr {
public:
  /// atom^power, power > 0.
  struct Factor {
    mlir::StringAttr atom;
    unsigned power;
    bool operator==(const Factor &) const = default;
  };
  /// coefficient · factors, factors sorted by atom, coefficient not 0.
  struct Term {
    int64_t coefficient;
    llvm::SmallVector<Factor, 2> factors;
    bool operator==(const Term &) const = default;
  };

  SizeExpr(int64_t constant = 0);
  static SizeExpr atom(mlir::StringAttr name);
  /// A sum of products of names and integers ("past + 2*seq"); what is not of
  /// this form is one atom. Empty text is an error of the caller.
  static SizeExpr parse(mlir::MLIRContext *context, llvm::StringRef text);

  /// The terms, sorted; none for 0. The constant term comes last.
  llvm::ArrayRef<Term> terms() const { return sum; }

  /// The value, if no atom occurs.
  std::optional<int64_t> constant() const;
  bool isConstant(int64_t value) const { return constant() == value; }
  /// True when every coefficient is >= 0, so the value is for all atoms.
  bool isNonNegative() const;
  /// True when it is > 0 for all atoms >= 0.
  bool isPositive() const;

  SizeExpr operator+(const SizeExpr &other) const;
  SizeExpr operator-(const SizeExpr &other) const;
  SizeExpr operator*(const SizeExpr &other) const;
  bool operator==(const SizeExpr &other) const = default;

  /// q with q · divisor == *this for all values of atoms; none if there is no
  /// such polynomial or the divisor is 0.
  std::optional<SizeExpr> exactDiv(const SizeExpr &divisor) const;

  /// Whether both are equal: true, false, or not decided by the polynomials.
  std::optional<bool> compareEqual(const SizeExpr &other) const;
  /// Whether this is < other, as above.
  std::optional<bool> compareLess(const SizeExpr &other) const;

  /// Each atom replaced by its value, where it is among the names.
  SizeExpr substitute(mlir::MLIRContext *context,
                      const llvm::StringMap<int64_t> &values) const;

  void print(llvm::raw_ostream &os) const;
  std::string str() const;

private:
  void normalise();
  llvm::SmallVector<Term, 1> sum;
};

inline llvm::raw_ostream &operator<<(llvm::raw_ostream &os,
                                     const SizeExpr &expr) {
  expr.print(os);
  return os;
}

/// floor(a / b), the remainder with b's sign, the smaller and the larger: a
/// polynomial where there is one, otherwise an atom spelt by its operands.
SizeExpr floorDiv(mlir::MLIRContext *, const SizeExpr &a, const SizeExpr &b);
SizeExpr modulo(mlir::MLIRContext *, const SizeExpr &a, const SizeExpr &b);
SizeExpr minimum(mlir::MLIRContext *, const SizeExpr &a, const SizeExpr &b);
SizeExpr maximum(mlir::MLIRContext *, const SizeExpr &a, const SizeExpr &b);
/// The size two dimensions broadcast to.
SizeExpr broadcast(mlir::MLIRContext *, const SizeExpr &a, const SizeExpr &b);

/// The symbolic size of every dimension in a function, and the symbolic
/// elements of its small tensors that hold sizes.
///
/// Sizes come from the `onnx.dims` names of the arguments. An unnamed dynamic
/// dimension is an atom of its own ("input_ids.1"), and so is one that depends
/// on data. Result types are believed where they are static.
///
/// Two things are taken for granted of models that run: what is sliced out of a
/// dimension of constant size (a table of positions) with symbolic bounds lies
/// within it, and a dimension sliced from its last element is not empty.
class SymbolicShapes {
public:
  static SymbolicShapes compute(mlir::func::FuncOp function);
  SymbolicShapes(SymbolicShapes &&);
  SymbolicShapes &operator=(SymbolicShapes &&);
  ~SymbolicShapes();

  /// Whether the rank is known; if not, dimsOf is empty.
  bool hasRank(mlir::Value value) const;
  /// One size per dimension; empty for a scalar.
  llvm::ArrayRef<SizeExpr> dimsOf(mlir::Value value) const;
  /// The elements in row-major order (bool: 0 and 1), for integer tensors of up
  /// to 512 elements that follow from constants and sizes; also floats that
  /// hold such integers.
  std::optional<llvm::ArrayRef<SizeExpr>> contentsOf(mlir::Value value) const;

  /// Whether `atom` was made for a size of `result` that nothing else says: it
  /// depends on data, or the op is not known.
  bool isMadeFor(mlir::OpResult result, mlir::StringAttr atom) const;

  /// A result whose type disagrees with the sizes its op gives it.
  struct Conflict {
    mlir::OpResult result;
    llvm::SmallVector<SizeExpr, 4> dims;
  };
  llvm::ArrayRef<Conflict> conflicts() const;

private:
  struct Impl;
  SymbolicShapes(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl;
};

} // namespace twist::onnx

#endif // TWIST_DIALECT_ONNX_SYMBOLICSHAPES_H

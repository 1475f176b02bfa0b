//===- Lowering.h - State of one function being lowered ---------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// The pass walks a function once, in order, and appends to a new body. Since
// nothing is rewritten later, a lowering sees how its operands were made and
// decides by it: sizes are traced to the function's arguments, small integer
// tensors to their scalars.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CONVERSION_ONNXTOLINALG_LOWERING_H
#define TWIST_LIB_CONVERSION_ONNXTOLINALG_LOWERING_H

#include "twist/Dialect/NN/NN.h"
#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Weights/Weights.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/StringMap.h"

#include <map>

namespace twist::lowering {

using namespace mlir;

/// How an ONNX element type is stored from here on: bool as i8, unsigned as
/// signless; null if there is no such type (strings).
Type storageType(Type onnxElement);
RankedTensorType storageTensorType(RankedTensorType onnxType);

/// The largest tensor of integers followed as scalars.
inline constexpr int64_t kMaxScalars = 64;

/// A size: an index attribute, or an index value.
using Size = OpFoldResult;
using Sizes = SmallVector<Size>;

inline std::optional<int64_t> constantOf(Size size) {
  return getConstantIntValue(size);
}

/// Integer arithmetic on sizes in a normal form, sums of products of atoms, so
/// that equal sizes are recognised and each is computed once.
class SizeArithmetic {
public:
  explicit SizeArithmetic(ImplicitLocOpBuilder &b) : b(b) {}

  Size constant(int64_t value) { return b.getIndexAttr(value); }
  Size add(Size lhs, Size rhs);
  Size sub(Size lhs, Size rhs);
  Size mul(Size lhs, Size rhs);
  Size product(ArrayRef<Size> sizes);
  /// lhs / rhs rounded down; rhs > 0.
  Size floorDiv(Size lhs, Size rhs);
  /// lhs / rhs rounded up; rhs > 0.
  Size ceilDiv(Size lhs, Size rhs);
  Size min(Size lhs, Size rhs);
  Size max(Size lhs, Size rhs);
  /// condition (an i1 value) ? lhs : rhs
  Size select(Value condition, Size lhs, Size rhs);
  /// lhs / rhs if the normal forms show that it is exact.
  std::optional<Size> divideExactly(Size lhs, Size rhs);

  bool same(Size lhs, Size rhs);
  /// Whether lhs < rhs, = or > for all arguments; nullopt if not known.
  std::optional<int> compare(Size lhs, Size rhs);
  /// The size if no bound cuts it off: min(n, 1024) is n, max(n, 0) is n.
  Size unbounded(Size size);
  /// Known not to be negative.
  bool isNonNegative(Size size);

  /// The size an integer scalar holds; int-valued arithmetic is seen through.
  Size fromInteger(Value integer);
  /// The size as an integer of this type.
  Value toInteger(Size size, Type type);
  Value toValue(Size size);

private:
  using Monomial = SmallVector<unsigned>;
  using Polynomial = std::map<Monomial, int64_t>;

  Polynomial polynomialOf(Size size);
  Polynomial polynomialOf(Value value);
  Size materialise(const Polynomial &p);
  unsigned atom(Value value);
  template <typename OpTy> Size binary(Size lhs, Size rhs);

  ImplicitLocOpBuilder &b;
  SmallVector<Value> atoms; // index values
  llvm::DenseMap<Value, unsigned> atomOf;
  std::map<Polynomial, Size> made;
};

class Lowering;
/// The values that take the place of `op`'s results; errors are reported at it.
using Results = FailureOr<SmallVector<Value>>;
using LowerFn = Results (*)(Lowering &, Operation *);
using LoweringTable = llvm::StringMap<LowerFn>;

/// An error at `op` if an operand has not as many dimensions as its lowering
/// counts on.
LogicalResult checkRanks(Operation *op);

/// One function being lowered.
class Lowering {
public:
  Lowering(func::FuncOp func, const LoweringTable &table)
      : b(func.getLoc(), func.getContext()), sizes(b), func(func),
        table(table) {}

  /// Replaces the body of the function; counts what it lowered.
  LogicalResult run(unsigned &numLowered);

  //===--- Operands -------------------------------------------------------===//

  /// The lowered value of operand `i`; null if it is absent.
  Value operand(Operation *op, unsigned i) const;
  SmallVector<Value> operands(Operation *op) const;

  //===--- Sizes ----------------------------------------------------------===//

  Size sizeOf(Value tensor, int64_t dim);
  Sizes sizesOf(Value tensor);
  /// Inputs whose sizes make these differ are refused before the function runs:
  /// a `cf.assert`, which the shape function of a program evaluates.
  void require(Size lhs, Size rhs);
  /// `computed`, with what the declared type of `onnxValue` knows statically.
  Sizes refine(Value onnxValue, Sizes computed);

  //===--- Small tensors as scalars ---------------------------------------===//

  /// The elements of a static tensor of rank <= 1 and <= kMaxScalars elements
  /// that is made of scalars (`computed`: or has integers, read out of it).
  std::optional<SmallVector<Value>> scalarsOf(Value tensor, bool orRead = true);
  /// The elements as sizes; reports an error if they are no small tensor.
  FailureOr<Sizes> sizesIn(Operation *op, unsigned operand);
  /// The elements, if all are known at compile time; any rank and number.
  std::optional<SmallVector<int64_t>> constantsOf(Value tensor);
  Value fromScalars(ArrayRef<Value> scalars, RankedTensorType type);
  /// The storage type of result `i` if it is small enough to be scalars.
  RankedTensorType scalarResultType(Operation *op, unsigned i = 0) const;
  /// Folds what was appended since `last` (null: nothing yet); maps values.
  void foldSince(Operation *last, SmallVectorImpl<Value> &values);
  Operation *lastOp() const {
    return block->empty() ? nullptr : &block->back();
  }

  //===--- Shape casts ----------------------------------------------------===//

  /// `tensor` with these sizes, same elements in the same order. Collapses and
  /// expands where the sizes show how, through one dimension where not.
  Value reshape(Value tensor, const Sizes &to);
  /// Without these dimensions, each of size 1.
  Value dropUnitDims(Value tensor, ArrayRef<int64_t> dims);
  /// With a dimension of size 1 before each dimension in `dims` of the result.
  Value insertUnitDims(Value tensor, ArrayRef<int64_t> dims);
  /// dimension d of the result is dimension perm[d] of `tensor`.
  Value transpose(Value tensor, ArrayRef<int64_t> perm);
  Value cast(Value tensor, RankedTensorType type);
  /// `tensor` repeated along dimensions of size 1 to these sizes.
  Value broadcastTo(Value tensor, const Sizes &to);

  //===--- Generics -------------------------------------------------------===//

  Value empty(const Sizes &sizes, Type element);
  Value fill(Value scalar, const Sizes &sizes);
  Value constant(Type type, double value);
  using Body = function_ref<Value(ImplicitLocOpBuilder &, ValueRange)>;
  /// A generic over `outSizes`, all parallel; `maps` has one map an operand.
  Value parallelGeneric(ValueRange operands, ArrayRef<AffineMap> maps,
                        const Sizes &outSizes, Type element, Body body);
  AffineMap identity(int64_t rank) { return b.getMultiDimIdentityMap(rank); }
  /// Element type conversion between floats or integers (signed).
  Value convertElements(Value tensor, Type element);

  ImplicitLocOpBuilder b;
  SizeArithmetic sizes;

private:
  LogicalResult lowerArguments(Block &from);
  LogicalResult lowerOp(Operation &op, unsigned &numLowered);
  LogicalResult lowerReturn(func::ReturnOp op);
  Value lowerWeight(weights::LoadOp op);

  func::FuncOp func;
  const LoweringTable &table;
  Block *block = nullptr;
  llvm::DenseMap<Value, Value> values;
  llvm::DenseMap<std::pair<Value, int64_t>, Size> argumentSizes;
  llvm::DenseSet<std::pair<Value, Value>> required;
};

/// `axis` counted from the front; reports an error if it is out of range.
FailureOr<int64_t> normaliseAxis(Operation *op, int64_t axis, int64_t rank);
/// The same for a list, none of which may stand for one dimension twice.
FailureOr<SmallVector<int64_t>> normaliseAxes(Operation *op,
                                              ArrayRef<int64_t> axes,
                                              int64_t rank);
/// The storage element type of result `i`.
Type resultElement(Operation *op, unsigned i = 0);
/// ONNX element type of operand `i`.
Type onnxElement(Operation *op, unsigned i = 0);
bool isUnsigned(Type onnxElement);
/// f32 for f16 and bf16, the type itself otherwise.
Type wideType(Type element);
/// Zero-extends or converts so that `value` has this storage type.
Value convertScalar(ImplicitLocOpBuilder &b, Value value, Type type,
                    bool isUnsignedSource = false);

// Each file of lowerings adds its own to the table.
void addElementwise(LoweringTable &table);
void addContractions(LoweringTable &table);
void addReductions(LoweringTable &table);
void addConvolutions(LoweringTable &table);
void addImageNorms(LoweringTable &table);
void addLosses(LoweringTable &table);
void addNorms(LoweringTable &table);
void addPools(LoweringTable &table);
void addResize(LoweringTable &table);
void addQuantization(LoweringTable &table);
void addRecurrent(LoweringTable &table);
void addSampling(LoweringTable &table);
void addSelections(LoweringTable &table);
void addShapes(LoweringTable &table);
void addSlices(LoweringTable &table);
void addGathers(LoweringTable &table);
void addSources(LoweringTable &table);

/// Elementwise with broadcasting; `wide`: halves are computed in f32. The
/// body gets scalars of the operands' storage types (wide ones if so).
Results lowerElementwise(Lowering &l, Operation *op, ValueRange operands,
                         bool wide, Lowering::Body body);

} // namespace twist::lowering

#endif // TWIST_LIB_CONVERSION_ONNXTOLINALG_LOWERING_H

//===- Reductions.cpp - The table of reductions
//-----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Reduce.h"

using namespace twist;
using namespace twist::lowering;

using Init = Reduction::Init;

//===----------------------------------------------------------------------===//
// Building a reduction
//===----------------------------------------------------------------------===//

Value lowering::initialValue(Lowering &l, Init init, Type type,
                             bool isUnsigned) {
  if (init == Init::Zero || init == Init::One)
    return l.constant(type, init == Init::One);
  bool lowest = init == Init::Lowest;
  if (auto real = dyn_cast<FloatType>(type))
    return l.constant(type, lowest ? -INFINITY : INFINITY);
  unsigned width = type.getIntOrFloatBitWidth();
  APInt value = isUnsigned ? (lowest ? APInt::getMinValue(width)
                                     : APInt::getMaxValue(width))
                           : (lowest ? APInt::getSignedMinValue(width)
                                     : APInt::getSignedMaxValue(width));
  return arith::ConstantOp::create(l.b, l.b.getIntegerAttr(type, value));
}

static Value countAlong(Lowering &l, Value input, ArrayRef<int64_t> axes,
                        Type type) {
  Size count = l.sizes.constant(1);
  for (int64_t axis : axes)
    count = l.sizes.mul(count, l.sizeOf(input, axis));
  if (std::optional<int64_t> known = constantOf(count))
    return l.constant(type, *known);
  return convertScalar(l.b, l.sizes.toInteger(count, l.b.getI64Type()), type);
}

Value lowering::reduce(Lowering &l, Value input, ArrayRef<int64_t> axes,
                       Type onnxType, const Reduction &reduction) {
  Type element = getElementTypeOrSelf(input);
  bool isUnsigned = onnxType && lowering::isUnsigned(onnxType);
  Type wide = reduction.asFloat && element.isInteger() ? l.b.getF64Type()
                                                       : wideType(element);
  Sizes sizes = l.sizesOf(input), out;
  int64_t rank = sizes.size();
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  SmallVector<AffineExpr> exprs;
  for (int64_t d = 0; d < rank; ++d) {
    if (llvm::is_contained(axes, d)) {
      iterators[d] = utils::IteratorType::reduction;
      continue;
    }
    out.push_back(sizes[d]);
    exprs.push_back(l.b.getAffineDimExpr(d));
  }
  Value init = l.fill(initialValue(l, reduction.init, wide, isUnsigned), out);
  SmallVector<AffineMap> maps = {
      l.identity(rank), AffineMap::get(rank, 0, exprs, l.b.getContext())};
  Value result =
      linalg::GenericOp::create(
          l.b, init.getType(), input, init, maps, iterators,
          [&](OpBuilder &nested, Location loc, ValueRange args) {
            ImplicitLocOpBuilder b(loc, nested);
            ScalarMath s(b, isUnsigned);
            Value x = convertScalar(b, args[0], wide, isUnsigned);
            if (reduction.map)
              x = reduction.map(s, x);
            linalg::YieldOp::create(b, reduction.combine(s, args[1], x));
          })
          .getResult(0);
  if (!reduction.finish && wide == element)
    return result;
  Value count = countAlong(l, input, axes, wide);
  return l.parallelGeneric(result, l.identity(out.size()), out, element,
                           [&](ImplicitLocOpBuilder &b, ValueRange args) {
                             ScalarMath s(b, isUnsigned);
                             Value x = args[0];
                             if (reduction.finish)
                               x = reduction.finish(s, x, count);
                             if (wide.isF64() && element.isInteger())
                               return castScalar(b, x, wide, onnxType);
                             return convertScalar(b, x, element);
                           });
}

static Value addTo(ScalarMath &s, Value a, Value x) { return s.add(a, x); }
static Value multiplyTo(ScalarMath &s, Value a, Value x) { return s.mul(a, x); }
static Value maxOf(ScalarMath &s, Value a, Value x) { return s.max(a, x); }
static Value minOf(ScalarMath &s, Value a, Value x) { return s.min(a, x); }
static Value divide(ScalarMath &s, Value a, Value n) { return s.div(a, n); }
static Value square(ScalarMath &s, Value x) { return s.mul(x, x); }
static Value magnitude(ScalarMath &s, Value x) { return s.abs(x); }
static Value root(ScalarMath &s, Value a, Value) {
  return s.call<math::SqrtOp>(a);
}
static Value logarithm(ScalarMath &s, Value a, Value) {
  return s.call<math::LogOp>(a);
}

Reduction lowering::sum() { return {Init::Zero, addTo, {}, {}}; }
Reduction lowering::average() { return {Init::Zero, addTo, {}, divide}; }
Reduction lowering::maximum() { return {Init::Lowest, maxOf, {}, {}}; }

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

namespace {
struct Entry {
  const char *name;
  Reduction reduction;
};
} // namespace

static const SmallVector<Entry> &entries() {
  static const SmallVector<Entry> table = {
      {"ReduceL1", {Init::Zero, addTo, magnitude, {}}},
      {"ReduceL2", {Init::Zero, addTo, square, root, true}},
      {"ReduceLogSum", {Init::Zero, addTo, {}, logarithm, true}},
      {"ReduceMax", {Init::Lowest, maxOf, {}, {}}},
      {"ReduceMean", {Init::Zero, addTo, {}, divide}},
      {"ReduceMin", {Init::Highest, minOf, {}, {}}},
      {"ReduceProd", {Init::One, multiplyTo, {}, {}}},
      {"ReduceSum", {Init::Zero, addTo, {}, {}}},
      {"ReduceSumSquare", {Init::Zero, addTo, square, {}}},
  };
  return table;
}

/// log(sum(exp(x - max))) + max, where max counts as 0 if it is infinite.
static Value logSumExp(Lowering &l, Value input, ArrayRef<int64_t> axes,
                       Type onnxType) {
  Type element = getElementTypeOrSelf(input);
  Type wide = element.isInteger() ? l.b.getF64Type() : wideType(element);
  Value x = l.convertElements(input, wide);
  int64_t rank = ::mlir::cast<RankedTensorType>(x.getType()).getRank();
  AffineMap row = l.identity(rank);
  for (int64_t axis : llvm::reverse(axes)) // sorted
    row = row.dropResult(axis);
  Reduction top = maximum();
  top.finish = [](ScalarMath &s, Value m, Value) {
    Value finite =
        s.compare(ScalarMath::Order::LT, s.abs(m), s.constant(m, INFINITY));
    return s.select(finite, m, s.constant(m, 0));
  };
  Value maxima = reduce(l, x, axes, {}, top);
  Value shifted = l.parallelGeneric(
      {x, maxima}, {l.identity(rank), row}, l.sizesOf(x), wide,
      [](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
        return math::ExpOp::create(b, arith::SubFOp::create(b, v[0], v[1]));
      });
  Value sums = reduce(l, shifted, axes, {}, sum());
  AffineMap id = l.identity(row.getNumResults());
  return l.parallelGeneric(
      {sums, maxima}, {id, id}, l.sizesOf(sums), element,
      [&](ImplicitLocOpBuilder &b, ValueRange v) {
        Value y = arith::AddFOp::create(b, math::LogOp::create(b, v[0]), v[1]);
        return element.isInteger() ? castScalar(b, y, wide, onnxType)
                                   : convertScalar(b, y, element);
      });
}

/// The axes of a reduction, sorted; nullopt if it is to do nothing.
static FailureOr<std::optional<SmallVector<int64_t>>>
axesOf(Lowering &l, Operation *op, int64_t rank) {
  SmallVector<int64_t> axes;
  if (Value operand = l.operand(op, 1)) {
    std::optional<SmallVector<int64_t>> known = l.constantsOf(operand);
    if (!known) {
      op->emitError("its axes must be known at compile time");
      return failure();
    }
    axes = *known;
  }
  auto noop = op->getAttrOfType<IntegerAttr>("noop_with_empty_axes");
  if (axes.empty() && noop && noop.getValue() != 0)
    return std::optional<SmallVector<int64_t>>();
  if (axes.empty())
    return std::optional(llvm::to_vector(llvm::seq<int64_t>(0, rank)));
  FailureOr<SmallVector<int64_t>> normal = normaliseAxes(op, axes, rank);
  if (failed(normal))
    return failure();
  llvm::sort(*normal);
  return std::optional(std::move(*normal));
}

static bool keepsDims(Operation *op) {
  auto keep = op->getAttrOfType<IntegerAttr>("keepdims");
  return !keep || keep.getValue() != 0;
}

static Results lowerReduction(Lowering &l, Operation *op) {
  Value input = l.operand(op, 0);
  auto axes =
      axesOf(l, op, ::mlir::cast<RankedTensorType>(input.getType()).getRank());
  if (failed(axes))
    return failure();
  Type onnxType = onnxElement(op);
  StringRef name = op->getName().stripDialect();
  SmallVector<int64_t> over;
  if (*axes)
    over = **axes;
  Value result;
  if (name == "ReduceLogSumExp") {
    result = logSumExp(l, input, over, onnxType);
  } else {
    const Entry *entry = llvm::find_if(
        entries(), [&](const Entry &entry) { return name == entry.name; });
    result = reduce(l, input, over, onnxType, entry->reduction);
  }
  if (keepsDims(op))
    result = l.insertUnitDims(result, over);
  return SmallVector<Value>{result};
}

//===----------------------------------------------------------------------===//
// ArgMax, ArgMin, CumSum
//===----------------------------------------------------------------------===//

Value lowering::argReduce(Lowering &l, Value input, int64_t axis, bool largest,
                          bool last, Type onnxType) {
  Type element = getElementTypeOrSelf(input), i64 = l.b.getI64Type();
  bool isUnsigned = lowering::isUnsigned(onnxType);
  Sizes out = l.sizesOf(input);
  int64_t rank = out.size();
  out.erase(out.begin() + axis);
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators[axis] = utils::IteratorType::reduction;
  Value best = l.fill(initialValue(l, largest ? Init::Lowest : Init::Highest,
                                   element, isUnsigned),
                      out);
  Value where = l.fill(l.constant(i64, 0), out);
  AffineMap id = l.identity(rank), row = id.dropResult(axis);
  using Order = ScalarMath::Order;
  Order order =
      largest ? (last ? Order::GE : Order::GT) : (last ? Order::LE : Order::LT);
  return linalg::GenericOp::create(
             l.b, TypeRange{best.getType(), where.getType()}, input,
             ValueRange{best, where}, ArrayRef<AffineMap>{id, row, row},
             iterators,
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               ImplicitLocOpBuilder b(loc, nested);
               ScalarMath s(b, isUnsigned);
               Value better = s.compare(order, args[0], args[1]);
               if (s.isFloat(args[0])) {
                 Value first = s.compare(Order::EQ, s.isNaN(args[1]),
                                         s.constant(s.isNaN(args[1]), 0));
                 first = arith::AndIOp::create(b, first, s.isNaN(args[0]));
                 better = arith::OrIOp::create(b, better, first);
               }
               Value here = arith::IndexCastOp::create(
                   b, i64, linalg::IndexOp::create(b, axis));
               linalg::YieldOp::create(
                   b, ValueRange{s.select(better, args[0], args[1]),
                                 s.select(better, here, args[2])});
             })
      .getResult(1);
}

static Results lowerArg(Lowering &l, Operation *op) {
  Value input = l.operand(op, 0);
  int64_t rank = ::mlir::cast<RankedTensorType>(input.getType()).getRank();
  auto axis =
      normaliseAxis(op,
                    op->getAttrOfType<IntegerAttr>("axis")
                        ? op->getAttrOfType<IntegerAttr>("axis").getSInt()
                        : 0,
                    rank);
  if (failed(axis))
    return failure();
  auto last = op->getAttrOfType<IntegerAttr>("select_last_index");
  Value result = argReduce(l, input, *axis, isa<onnx::ArgMaxOp>(op),
                           last && last.getValue() != 0, onnxElement(op));
  if (keepsDims(op))
    result = l.insertUnitDims(result, *axis);
  return SmallVector<Value>{result};
}

/// result[i] = sum (or product) over j of x[j], j <= i: each from its start, in
/// order.
template <typename OpTy>
static Results lowerCumulative(Lowering &l, Operation *op) {
  constexpr bool isSum = std::is_same_v<OpTy, onnx::CumSumOp>;
  auto cumulative = ::mlir::cast<OpTy>(op);
  Value input = l.operand(op, 0);
  Sizes sizes = l.sizesOf(input);
  int64_t rank = sizes.size();
  auto known = l.constantsOf(l.operand(op, 1));
  if (!known || known->size() != 1) {
    op->emitError("its axis must be known at compile time");
    return failure();
  }
  auto axis = normaliseAxis(op, known->front(), rank);
  if (failed(axis))
    return failure();
  Type element = resultElement(op);
  Value init = l.fill(l.constant(wideType(element), isSum ? 0 : 1), sizes);
  // The last loop is j; the input is read along it.
  AffineMap out = l.b.getMultiDimIdentityMap(rank + 1).dropResult(rank);
  SmallVector<AffineExpr> exprs(out.getResults());
  exprs[*axis] = l.b.getAffineDimExpr(rank);
  AffineMap in = AffineMap::get(rank + 1, 0, exprs, l.b.getContext());
  SmallVector<utils::IteratorType> iterators(rank,
                                             utils::IteratorType::parallel);
  iterators.push_back(utils::IteratorType::reduction);
  bool reverse = cumulative.getReverse();
  bool exclusive = cumulative.getExclusive();
  auto predicate =
      reverse
          ? (exclusive ? arith::CmpIPredicate::ugt : arith::CmpIPredicate::uge)
          : (exclusive ? arith::CmpIPredicate::ult : arith::CmpIPredicate::ule);
  Value result =
      linalg::GenericOp::create(
          l.b, init.getType(), input, init, ArrayRef<AffineMap>{in, out},
          iterators,
          [&](OpBuilder &nested, Location loc, ValueRange args) {
            ImplicitLocOpBuilder b(loc, nested);
            ScalarMath s(b, false);
            Value i = linalg::IndexOp::create(b, *axis);
            Value j = linalg::IndexOp::create(b, rank);
            Value counts = arith::CmpIOp::create(b, predicate, j, i);
            Value x = convertScalar(b, args[0], args[1].getType());
            Value next = isSum ? s.add(args[1], x) : s.mul(args[1], x);
            linalg::YieldOp::create(b, s.select(counts, next, args[1]));
          })
          .getResult(0);
  return SmallVector<Value>{l.convertElements(result, element)};
}

void lowering::addReductions(LoweringTable &table) {
  for (const Entry &entry : entries())
    table[entry.name] = lowerReduction;
  table["ReduceLogSumExp"] = lowerReduction;
  table["ArgMax"] = lowerArg;
  table["ArgMin"] = lowerArg;
  table["CumProd"] = lowerCumulative<onnx::CumProdOp>;
  table["CumSum"] = lowerCumulative<onnx::CumSumOp>;
}

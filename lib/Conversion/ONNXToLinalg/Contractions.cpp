//===- Contractions.cpp - MatMul, Gemm, Einsum
//------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Images.h"
#include "ScalarMath.h"
#include "twist/Dialect/ONNX/EinsumEquation.h"

using namespace twist;
using namespace twist::lowering;

/// Sums are kept in f32 for halves, in the element type otherwise.
static Value zeros(Lowering &l, const Sizes &sizes, Type element) {
  return l.fill(l.constant(wideType(element), 0), sizes);
}

Value lowering::contract(Lowering &l, ValueRange operands,
                         ArrayRef<AffineMap> maps, const Sizes &outSizes,
                         Type element) {
  AffineMap outMap = maps.back();
  SmallVector<utils::IteratorType> iterators(outMap.getNumDims(),
                                             utils::IteratorType::reduction);
  for (AffineExpr expr : outMap.getResults())
    iterators[::mlir::cast<AffineDimExpr>(expr).getPosition()] =
        utils::IteratorType::parallel;
  Value init = zeros(l, outSizes, element);
  return linalg::GenericOp::create(
             l.b, init.getType(), operands, init, maps, iterators,
             [&](OpBuilder &nested, Location loc, ValueRange args) {
               ImplicitLocOpBuilder b(loc, nested);
               ScalarMath s(b, false);
               Type wide = args.back().getType();
               Value product = convertScalar(b, args[0], wide);
               for (Value next : args.drop_front().drop_back())
                 product = s.mul(product, convertScalar(b, next, wide));
               linalg::YieldOp::create(b, s.add(args.back(), product));
             })
      .getResult(0);
}

/// lhs [.., K] x rhs [K, N]: the leading dimensions are rows of one matrix.
static Value matmulRows(Lowering &l, Value lhs, Value rhs, Type element) {
  Sizes rows = l.sizesOf(lhs), out = rows;
  Size k = rows.pop_back_val(), n = l.sizeOf(rhs, 1);
  out.back() = n;
  Size m = l.sizes.product(rows);
  Value matrix = l.reshape(lhs, {m, k});
  Value init = zeros(l, {m, n}, element);
  Value result =
      linalg::MatmulOp::create(l.b, TypeRange{init.getType()},
                               ValueRange{matrix, rhs}, ValueRange{init})
          .getResult(0);
  return l.reshape(l.convertElements(result, element), out);
}

namespace {
/// MatMul of stacks of matrices: batch dimensions broadcast.
struct BatchedMatmul {
  Lowering &l;
  Value lhs, rhs;
  Type element;
  int64_t lhsBatch = rankOf(lhs) - 2, rhsBatch = rankOf(rhs) - 2;
  int64_t batch = std::max(lhsBatch, rhsBatch);
  Sizes batchSizes = {};

  static int64_t rankOf(Value v) {
    return ::mlir::cast<RankedTensorType>(v.getType()).getRank();
  }
  Size batchSize(Value v, int64_t own, int64_t d) {
    int64_t i = d - (batch - own);
    return i < 0 ? l.sizes.constant(1) : l.sizeOf(v, i);
  }
  Value build(Operation *op);

private:
  bool computeBatch(Operation *op);
  Value buildFlat();
  Value prepare(Value v, int64_t own, SmallVectorImpl<AffineExpr> &exprs);
};
} // namespace

/// Broadcast batch sizes; whether both operands have all of them.
bool BatchedMatmul::computeBatch(Operation *op) {
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  bool equal = lhsBatch == rhsBatch;
  for (int64_t d = 0; d < batch; ++d) {
    Size x = batchSize(lhs, lhsBatch, d), y = batchSize(rhs, rhsBatch, d);
    bool same = l.sizes.same(x, y);
    equal &= same;
    Size size = constantOf(x) == 1 ? y : x;
    if (!same && !constantOf(x) && constantOf(y).value_or(1) != 1)
      size = y;
    if (!same && !constantOf(x) && !constantOf(y))
      size = l.sizes.max(x, y);
    if (type && type.getRank() == batch + 2 && !type.isDynamicDim(d))
      size = l.sizes.constant(type.getDimSize(d));
    batchSizes.push_back(size);
  }
  return equal;
}

/// [B.., M, K] x [B.., K, N] as one batch_matmul.
Value BatchedMatmul::buildFlat() {
  Size b = l.sizes.product(batchSizes);
  Size m = l.sizeOf(lhs, lhsBatch), k = l.sizeOf(lhs, lhsBatch + 1);
  Size n = l.sizeOf(rhs, rhsBatch + 1);
  Value x = l.reshape(lhs, {b, m, k}), y = l.reshape(rhs, {b, k, n});
  Value init = zeros(l, {b, m, n}, element);
  Value result =
      linalg::BatchMatmulOp::create(l.b, TypeRange{init.getType()},
                                    ValueRange{x, y}, ValueRange{init})
          .getResult(0);
  Sizes out = batchSizes;
  out.append({m, n});
  return l.reshape(l.convertElements(result, element), out);
}

/// The operand without broadcast batch dimensions; `exprs` gets the loops of
/// those that stay.
Value BatchedMatmul::prepare(Value v, int64_t own,
                             SmallVectorImpl<AffineExpr> &exprs) {
  SmallVector<int64_t> units;
  bool unknown = false;
  for (int64_t d = batch - own; d < batch; ++d) {
    Size size = batchSize(v, own, d);
    int64_t i = d - (batch - own);
    if (constantOf(size) == 1 && constantOf(batchSizes[d]) != 1) {
      units.push_back(i);
      continue;
    }
    unknown |= !l.sizes.same(size, batchSizes[d]) && !constantOf(size);
    exprs.push_back(l.b.getAffineDimExpr(d));
  }
  if (!unknown)
    return l.dropUnitDims(v, units);
  exprs.clear();
  for (int64_t d = 0; d < batch; ++d)
    exprs.push_back(l.b.getAffineDimExpr(d));
  Sizes full = batchSizes;
  full.append({l.sizeOf(v, own), l.sizeOf(v, own + 1)});
  return l.broadcastTo(v, full);
}

Value BatchedMatmul::build(Operation *op) {
  if (computeBatch(op))
    return buildFlat();
  Sizes out = batchSizes;
  out.append({l.sizeOf(lhs, lhsBatch), l.sizeOf(rhs, rhsBatch + 1)});
  SmallVector<AffineExpr> lhsExprs, rhsExprs, outExprs;
  Value x = prepare(lhs, lhsBatch, lhsExprs);
  Value y = prepare(rhs, rhsBatch, rhsExprs);
  for (int64_t d = 0; d < batch; ++d)
    outExprs.push_back(l.b.getAffineDimExpr(d));
  AffineExpr m = l.b.getAffineDimExpr(batch),
             n = l.b.getAffineDimExpr(batch + 1);
  AffineExpr k = l.b.getAffineDimExpr(batch + 2);
  lhsExprs.append({m, k});
  rhsExprs.append({k, n});
  outExprs.append({m, n});
  MLIRContext *context = l.b.getContext();
  SmallVector<AffineMap> maps = {
      AffineMap::get(batch + 3, 0, lhsExprs, context),
      AffineMap::get(batch + 3, 0, rhsExprs, context),
      AffineMap::get(batch + 3, 0, outExprs, context)};
  return l.convertElements(contract(l, {x, y}, maps, out, element), element);
}

static Results lowerMatMul(Lowering &l, Operation *op) {
  Value lhs = l.operand(op, 0), rhs = l.operand(op, 1);
  Type element = resultElement(op);
  int64_t lhsRank = BatchedMatmul::rankOf(lhs);
  int64_t rhsRank = BatchedMatmul::rankOf(rhs);
  if (!lhsRank || !rhsRank) {
    op->emitError("a matrix product needs operands of rank 1 or more");
    return failure();
  }
  // A vector is a matrix of one row on the left, of one column on the right.
  if (lhsRank == 1)
    lhs = l.insertUnitDims(lhs, {0});
  if (rhsRank == 1)
    rhs = l.insertUnitDims(rhs, {1});
  Value result;
  if (BatchedMatmul::rankOf(rhs) == 2)
    result = matmulRows(l, lhs, rhs, element);
  else
    result = BatchedMatmul{l, lhs, rhs, element}.build(op);
  SmallVector<int64_t> dropped;
  int64_t rank = BatchedMatmul::rankOf(result);
  if (lhsRank == 1)
    dropped.push_back(rank - 2);
  if (rhsRank == 1)
    dropped.push_back(rank - 1);
  return SmallVector<Value>{l.dropUnitDims(result, dropped)};
}

//===----------------------------------------------------------------------===//
// Gemm
//===----------------------------------------------------------------------===//

/// The product of A and B, as an operand of its element type or wider.
static Value gemmProduct(Lowering &l, onnx::GemmOp op, Value a, Value b) {
  bool transA = op.getTransA(), transB = op.getTransB();
  if (transB && b.getDefiningOp<weights::LoadOp>()) {
    b = l.transpose(b, {1, 0});
    transB = false;
  }
  Size m = l.sizeOf(a, transA), n = l.sizeOf(b, !transB);
  Type element = getElementTypeOrSelf(a);
  if (!transA && !transB) {
    Value init = zeros(l, {m, n}, element);
    return linalg::MatmulOp::create(l.b, TypeRange{init.getType()},
                                    ValueRange{a, b}, ValueRange{init})
        .getResult(0);
  }
  AffineExpr i, j, k;
  bindDims(l.b.getContext(), i, j, k);
  MLIRContext *context = l.b.getContext();
  auto map = [&](AffineExpr x, AffineExpr y, bool swap) {
    return swap ? AffineMap::get(3, 0, {y, x}, context)
                : AffineMap::get(3, 0, {x, y}, context);
  };
  return contract(l, {a, b},
                  {map(i, k, transA), map(k, j, transB), map(i, j, false)},
                  {m, n}, element);
}

/// alpha * product + beta * C, C broadcast; halves are rounded once.
static Results lowerGemm(Lowering &l, Operation *op) {
  auto gemm = ::mlir::cast<onnx::GemmOp>(op);
  Value product = gemmProduct(l, gemm, l.operand(op, 0), l.operand(op, 1));
  Value c = l.operand(op, 2);
  double alpha = gemm.getAlpha().convertToDouble();
  double beta = gemm.getBeta().convertToDouble();
  SmallVector<Value> operands = {product};
  if (c && beta != 0)
    operands.push_back(c);
  if (operands.size() == 1 && alpha == 1)
    return SmallVector<Value>{l.convertElements(product, resultElement(op))};
  return lowerElementwise(
      l, op, operands, true, [&](ImplicitLocOpBuilder &b, ValueRange x) {
        ScalarMath s(b, false);
        auto scaled = [&](Value v, double by) {
          if (by == 1)
            return v;
          if (s.isFloat(v))
            return s.mul(v, s.constant(v, by));
          Value real = convertScalar(b, v, b.getF64Type());
          real = s.mul(real, s.constant(real, by));
          return castScalar(b, real, real.getType(), v.getType());
        };
        Value y = scaled(x[0], alpha);
        return x.size() > 1 ? s.add(y, scaled(x[1], beta)) : y;
      });
}

//===----------------------------------------------------------------------===//
// Einsum
//===----------------------------------------------------------------------===//

namespace {
/// A loop per letter, and those of the ellipsis counted from the right.
struct Loops {
  SmallVector<SmallVector<std::string>> inputs;
  SmallVector<std::string> output;
};
} // namespace

/// The loops of one term; the ellipsis stands for `hidden` dimensions.
static SmallVector<std::string> loopsOf(StringRef term, int64_t hidden) {
  SmallVector<std::string> labels;
  for (char label : term)
    if (label != onnx::EinsumEquation::kDots)
      labels.push_back(std::string(1, label));
    else
      for (int64_t i = hidden; i > 0; --i)
        labels.push_back("." + std::to_string(i));
  return labels;
}

static FailureOr<Loops> loopsOf(Lowering &l, onnx::EinsumOp op) {
  auto equation = onnx::EinsumEquation::parse(op.getEquation());
  if (!equation) {
    op.emitError() << "'" << op.getEquation() << "' is no equation";
    return failure();
  }
  if (equation->inputs.size() != op->getNumOperands()) {
    op.emitError() << "equation '" << op.getEquation() << "' has "
                   << equation->inputs.size() << " terms for "
                   << op->getNumOperands() << " operands";
    return failure();
  }
  Loops loops;
  int64_t hidden = 0;
  for (auto [i, term] : llvm::enumerate(equation->inputs)) {
    int64_t rank = BatchedMatmul::rankOf(l.operand(op, i)), own = 0;
    if (onnx::EinsumEquation::hasDots(term))
      own = rank - static_cast<int64_t>(term.size()) + 1;
    hidden = std::max(hidden, own);
    loops.inputs.push_back(loopsOf(term, own));
    if (own < 0 || static_cast<int64_t>(loops.inputs.back().size()) != rank) {
      op.emitError() << "term " << i << " of equation '" << op.getEquation()
                     << "' does not have the operand's rank " << rank;
      return failure();
    }
  }
  loops.output = loopsOf(equation->output, hidden);
  return loops;
}

static Results lowerEinsum(Lowering &l, Operation *op) {
  FailureOr<Loops> equation = loopsOf(l, ::mlir::cast<onnx::EinsumOp>(op));
  if (failed(equation))
    return failure();
  std::map<std::string, unsigned> loops;
  std::map<std::string, Size> sizes;
  for (auto &label : equation->output)
    loops.try_emplace(label, loops.size());
  for (auto [labels, operand] :
       llvm::zip_equal(equation->inputs, l.operands(op)))
    for (auto [d, label] : llvm::enumerate(labels)) {
      loops.try_emplace(label, loops.size());
      Size size = l.sizeOf(operand, d);
      auto [it, isNew] = sizes.try_emplace(label, size);
      if (!isNew && constantOf(it->second) == 1)
        it->second = size;
    }
  SmallVector<Value> operands;
  SmallVector<AffineMap> maps;
  MLIRContext *context = l.b.getContext();
  for (auto [labels, operand] :
       llvm::zip_equal(equation->inputs, l.operands(op))) {
    SmallVector<int64_t> units;
    SmallVector<AffineExpr> exprs;
    for (auto [d, label] : llvm::enumerate(labels))
      if (constantOf(l.sizeOf(operand, d)) == 1 &&
          constantOf(sizes[label]) != 1)
        units.push_back(d);
      else
        exprs.push_back(l.b.getAffineDimExpr(loops[label]));
    operands.push_back(l.dropUnitDims(operand, units));
    maps.push_back(AffineMap::get(loops.size(), 0, exprs, context));
  }
  Sizes out;
  SmallVector<AffineExpr> exprs;
  for (auto &label : equation->output) {
    out.push_back(sizes[label]);
    exprs.push_back(l.b.getAffineDimExpr(loops[label]));
  }
  maps.push_back(AffineMap::get(loops.size(), 0, exprs, context));
  Type element = resultElement(op);
  Value result = contract(l, operands, maps, out, element);
  return SmallVector<Value>{l.convertElements(result, element)};
}

void lowering::addContractions(LoweringTable &table) {
  table["MatMul"] = lowerMatMul;
  table["Gemm"] = lowerGemm;
  table["Einsum"] = lowerEinsum;
}

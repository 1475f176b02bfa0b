//===- RelationsFused.cpp - Relations of fused attention and its like -----===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Heads lie inside packed dimensions, so most of what is said here is said of
// inner dimensions: a width of 24 is the tree groups · queries · width.
//
//===----------------------------------------------------------------------===//

#include "Relations.h"

#include "twist/Dialect/ONNX/FusedAttention.h"

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

namespace {

/// One operand or result of an attention, and the inner dimensions of it.
struct Part {
  DimRef groups, queries, width;
};

class Attention {
public:
  Attention(Operation *op, Relations &relations, const HeadSizes &sizes)
      : op(op), relations(relations), sizes(sizes) {}

  DimRef inner(DimRef of, int64_t size) { return relations.inner(of, size); }

  /// heads · width in `whole`, or heads in `whole` and the width elsewhere.
  Part part(DimRef whole, DimRef width, bool ofQueries, int64_t widthSize) {
    Part part{inner(whole, sizes.groups),
              inner(whole, ofQueries ? sizes.queries : 1),
              inner(width, widthSize)};
    SmallVector<DimRef> factors = {part.groups, part.queries};
    bool packed = whole.inner == width.inner && whole.dim == width.dim;
    if (packed)
      factors.push_back(part.width);
    else
      relations.same(width, part.width);
    relations.tree(whole, factors);
    return part;
  }
  /// The parts of a value [B, S, heads · width] or [B, heads, S, width]; its
  /// batch is the result's.
  Part value(DimRef base, int64_t rank, bool ofQueries, int64_t widthSize) {
    DimRef batch = base, heads = base, width = base;
    batch.dim = 0;
    heads.dim = rank == 4 ? 1 : 2;
    width.dim = rank - 1;
    if (base.isResult != true || base.number != 0)
      relations.same(batch, resultDim(0, 0));
    return part(heads, width, ofQueries, widthSize);
  }
  /// A dimension of positions that are attended over.
  void positions(DimRef dim) {
    relations.barrier(dim, "its positions are attended over");
  }

  /// What is batched, summed away and left over.
  void relate(const Part &q, const Part &k, const Part &v, const Part &y) {
    relations.contract(q.width, k.width);
    relations.same(q.groups, y.groups, DimRole::Batch);
    relations.same(q.queries, y.queries, DimRole::Batch);
    relations.same(k.groups, y.groups, DimRole::Batch);
    relations.same(v.groups, y.groups, DimRole::Batch);
    relations.same(v.width, y.width, DimRole::Free);
  }

  /// Columns q | k | v of a weight or bias that makes them: those of a unit of
  /// q·k are masked in both.
  void projection(DimRef whole, const Part &q, const Part &k, const Part &v) {
    int64_t keys = sizes.heads() * sizes.width;
    DimRef segments[] = {inner(whole, keys), inner(whole, keys),
                         inner(whole, sizes.heads() * sizes.valueWidth)};
    relations.concat(segments, whole);
    Part wq = part(segments[0], segments[0], true, sizes.width);
    Part wk = part(segments[1], segments[1], false, sizes.width);
    Part wv = part(segments[2], segments[2], false, sizes.valueWidth);
    relations.contract(wq.width, wk.width);
    relations.same(wq.width, q.width);
    relations.same(wq.groups, q.groups);
    relations.same(wk.groups, k.groups);
    relations.same(wv.groups, v.groups);
    relations.same(wv.width, v.width);
  }

  /// A mask or bias that broadcasts to [B, heads, S, T].
  void mask(unsigned number, const Part &y, bool rowsAlike) {
    Value value = op->getOperand(number);
    int64_t rank = rankOf(value);
    if (rank >= 4)
      relations.same(operandDim(number, rank - 4), resultDim(0, 0));
    if (rank >= 3)
      headsOf(operandDim(number, rank - 3), y);
    if (rank >= 2 && rowsAlike)
      relations.same(operandDim(number, rank - 2), resultDim(0, rowDim()));
    else if (rank >= 2)
      positions(operandDim(number, rank - 2));
    if (rank >= 1)
      positions(operandDim(number, rank - 1));
  }
  /// A dimension of all heads, or of 1.
  void headsOf(DimRef dim, const Part &y) {
    Value value =
        dim.isResult ? op->getResult(dim.number) : op->getOperand(dim.number);
    int64_t size = sizeOf(value, dim.dim);
    if (size == 1)
      return;
    if (size == sizes.heads()) {
      relations.tree(dim, {y.groups, y.queries});
      return;
    }
    for (DimRef unknown : {dim, y.groups, y.queries})
      relations.barrier(unknown, "a mask may have its heads");
  }

  /// A cache [B, groups, positions, width].
  void state(DimRef base, const Part &like) {
    if (!isPresent(base.isResult ? op->getResult(base.number)
                                 : op->getOperand(base.number)))
      return;
    auto at = [&](int64_t dim) {
      return DimRef{base.isResult, base.number, dim};
    };
    relations.same(at(0), resultDim(0, 0));
    relations.tree(at(1), {like.groups, like.queries});
    positions(at(2));
    relations.same(at(3), like.width);
  }
  /// Products of queries and keys [B, heads, S, T].
  void scores(unsigned result, const Part &y, bool rowsAlike) {
    if (!isPresent(op->getResult(result)))
      return;
    relations.same(resultDim(0, 0), resultDim(result, 0));
    headsOf(resultDim(result, 1), y);
    if (rowsAlike)
      relations.same(resultDim(0, rowDim()), resultDim(result, 2));
    else
      positions(resultDim(result, 2));
    positions(resultDim(result, 3));
  }
  /// Everything of an optional operand.
  void refuse(unsigned number, StringRef why) {
    for (DimRef dim : dimsOf(op->getOperand(number), false, number))
      relations.barrier(dim, why);
  }

private:
  int64_t rowDim() { return rankOf(op->getResult(0)) == 4 ? 2 : 1; }

  Operation *op;
  Relations &relations;
  const HeadSizes sizes;
};

} // namespace

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

void AttentionOp::declareRelations(Relations &relations) {
  std::string why;
  std::optional<HeadSizes> sizes = headSizesOf(*this, why);
  if (!sizes)
    return relations.barrierAll(*this, why);
  Attention attention(*this, relations, *sizes);
  int64_t rank = rankOf(getQ()), sequence = rank == 4 ? 2 : 1;
  // Rows that see others' places are no units.
  bool rowsAlike = !getIsCausal() && !getLeftWindowSize() &&
                   !getRightWindowSize() && !isPresent(getNonpadKvSeqlen());
  Part q = attention.value(operandDim(0, 0), rank, true, sizes->width);
  Part k = attention.value(operandDim(1, 0), rank, false, sizes->width);
  Part v = attention.value(operandDim(2, 0), rank, false, sizes->valueWidth);
  Part y = attention.value(resultDim(0, 0), rank, true, sizes->valueWidth);
  attention.relate(q, k, v, y);
  if (rowsAlike) {
    relations.same(operandDim(0, sequence), resultDim(0, sequence));
  } else {
    attention.positions(operandDim(0, sequence));
    attention.positions(resultDim(0, sequence));
  }
  attention.positions(operandDim(1, sequence));
  attention.positions(operandDim(2, sequence));
  attention.mask(3, y, rowsAlike);
  attention.state(operandDim(4, 0), k);
  attention.state(operandDim(5, 0), v);
  attention.state(resultDim(1, 0), k);
  attention.state(resultDim(2, 0), v);
  attention.scores(3, y, rowsAlike);
  if (isPresent(getNonpadKvSeqlen()))
    relations.same(operandDim(6, 0), resultDim(0, 0));
}

void MSMultiHeadAttentionOp::declareRelations(Relations &relations) {
  std::string why;
  std::optional<HeadSizes> sizes = headSizesOf(*this, why);
  if (!sizes)
    return relations.barrierAll(*this, why);
  Attention attention(*this, relations, *sizes);
  int64_t rank = rankOf(getKey()), sequence = rank == 4 ? 2 : 1;
  int64_t width = sizes->width, valueWidth = sizes->valueWidth;
  Part q = attention.value(operandDim(0, 0), 3, true, width);
  Part k = attention.value(operandDim(1, 0), rank, false, width);
  Part v = attention.value(operandDim(2, 0), rank, false, valueWidth);
  Part y = attention.value(resultDim(0, 0), 3, true, valueWidth);
  attention.relate(q, k, v, y);
  for (DimRef dim : {operandDim(0, 1), resultDim(0, 1), operandDim(1, sequence),
                     operandDim(2, sequence)})
    attention.positions(dim);
  if (isPresent(getBias()))
    attention.projection(operandDim(3, 0), q, k, v);
  attention.refuse(4, "its positions are attended over");
  attention.mask(5, y, false);
  attention.state(operandDim(6, 0), k);
  attention.state(operandDim(7, 0), v);
  attention.refuse(8, "it holds positions");
  attention.refuse(9, "it holds positions");
  attention.state(resultDim(1, 0), k);
  attention.state(resultDim(2, 0), v);
  attention.scores(3, y, false);
}

// input[B, S, D] · weights[D, q | k | v] + bias[q | k | v]. The products of
// queries and keys are inside: a unit of q·k is masked in weights and bias.
void MSAttentionOp::declareRelations(Relations &relations) {
  std::string why;
  std::optional<HeadSizes> sizes = headSizesOf(*this, why);
  if (!sizes)
    return relations.barrierAll(*this, why);
  Attention attention(*this, relations, *sizes);
  int64_t heads = sizes->heads();
  int64_t width = sizes->width, valueWidth = sizes->valueWidth;
  relations.contract(operandDim(0, 2), operandDim(1, 0));
  relations.same(operandDim(0, 0), resultDim(0, 0));
  attention.positions(operandDim(0, 1));
  attention.positions(resultDim(0, 1));
  Part y = attention.value(resultDim(0, 0), 3, true, valueWidth);
  // The queries, keys and values that the input becomes.
  DimRef data = operandDim(0, 2);
  auto made = [&](int64_t size) {
    return Part{attention.inner(data, heads), attention.inner(data, 1),
                attention.inner(data, size)};
  };
  Part q = made(width), k = made(width), v = made(valueWidth);
  attention.relate(q, k, v, y);
  attention.projection(operandDim(1, 1), q, k, v);
  if (isPresent(getBias()))
    attention.projection(operandDim(2, 0), q, k, v);
  attention.refuse(3, "its positions are attended over");
  // [2, B, heads, positions, width] holds keys and values alike.
  auto state = [&](DimRef base) {
    auto at = [&](int64_t dim) {
      return DimRef{base.isResult, base.number, dim};
    };
    relations.barrier(at(0), "it holds keys and values");
    relations.same(at(1), resultDim(0, 0));
    relations.same(at(2), y.groups);
    attention.positions(at(3));
    relations.same(at(4), v.width);
    if (base.isResult)
      relations.same(at(4), q.width);
    else
      relations.contract(at(4), q.width);
  };
  if (isPresent(getPast()))
    state(operandDim(4, 0));
  if (isPresent(getPresent()))
    state(resultDim(1, 0));
  attention.mask(5, y, false);
  attention.refuse(6, "it holds positions");
}

void MSGroupQueryAttentionOp::declareRelations(Relations &relations) {
  std::string why;
  std::optional<HeadSizes> sizes = headSizesOf(*this, why);
  if (!sizes)
    return relations.barrierAll(*this, why);
  Attention attention(*this, relations, *sizes);
  int64_t width = sizes->width;
  Part q, k, v;
  if (isPresent(getKey())) {
    q = attention.value(operandDim(0, 0), 3, true, width);
    k = attention.value(operandDim(1, 0), 3, false, width);
    v = attention.value(operandDim(2, 0), 3, false, width);
    attention.positions(operandDim(1, 1));
    attention.positions(operandDim(2, 1));
  } else {
    DimRef whole = operandDim(0, 2);
    DimRef segments[] = {attention.inner(whole, sizes->heads() * width),
                         attention.inner(whole, sizes->groups * width),
                         attention.inner(whole, sizes->groups * width)};
    relations.same(operandDim(0, 0), resultDim(0, 0));
    relations.concat(segments, whole);
    q = attention.part(segments[0], segments[0], true, width);
    k = attention.part(segments[1], segments[1], false, width);
    v = attention.part(segments[2], segments[2], false, width);
  }
  attention.positions(operandDim(0, 1));
  attention.positions(resultDim(0, 1));
  Part y = attention.value(resultDim(0, 0), 3, true, width);
  attention.relate(q, k, v, y);
  for (DimRef fixed : {q.width, v.width})
    relations.barrier(fixed, "queries, keys and values have one width here");
  attention.state(operandDim(3, 0), k);
  attention.state(operandDim(4, 0), v);
  attention.state(resultDim(1, 0), k);
  attention.state(resultDim(2, 0), v);
  relations.sizeOperand(6);
  for (unsigned number : {5, 7, 8, 9, 12, 13, 14, 15, 16})
    attention.refuse(number, "it holds positions, tables or scales");
  attention.mask(10, y, false);
  if (isPresent(getHeadSink()))
    attention.headsOf(operandDim(11, 0), y);
  attention.scores(3, y, false);
}

//===----------------------------------------------------------------------===//
// Rotary embedding
//===----------------------------------------------------------------------===//

/// Each pair of elements is turned by the angle of its position: units are
/// pairs, (2, n) by halves or (n, 2) interleaved, and what is not turned.
static void relateRotary(Operation *op, Relations &relations,
                         const RotarySizes &sizes, bool interleaved,
                         ArrayRef<unsigned> tables, unsigned positions) {
  int64_t rank = rankOf(op->getOperand(0)), pairs = sizes.rotary / 2;
  DimRef last = operandDim(0, rank - 1);
  DimRef width = relations.inner(last, sizes.width);
  DimRef two = relations.inner(last, 2), pair = relations.inner(last, pairs);
  DimRef turned = relations.inner(last, sizes.rotary);
  if (interleaved)
    relations.tree(turned, {pair, two});
  else
    relations.tree(turned, {two, pair});
  relations.barrier(two, "it is turned together with its pair");
  if (sizes.rotary < sizes.width)
    relations.concat(
        {turned, relations.inner(last, sizes.width - sizes.rotary)}, width);
  else
    relations.same(turned, width);
  for (bool isResult : {false, true}) {
    DimRef whole{isResult, 0, rank - 1};
    if (rank == 4) {
      relations.same(whole, width);
      continue;
    }
    relations.tree(whole, {relations.inner(whole, sizes.heads), width});
  }
  if (rank == 3)
    relations.tree(operandDim(0, 2), resultDim(0, 2));
  relateOthers(relations, 0, 0, rank, rank - 1);
  int64_t sequence = rank == 4 ? 2 : 1;
  for (unsigned table : tables) {
    int64_t tableRank = rankOf(op->getOperand(table));
    for (int64_t dim = 0; dim + 1 < tableRank; ++dim) {
      if (tableRank == 3)
        relations.same(operandDim(table, dim),
                       resultDim(0, dim == 0 ? 0 : sequence));
      else
        relations.barrier(operandDim(table, dim), "it is indexed at run time");
    }
    relations.same(operandDim(table, tableRank - 1), pair);
  }
  SmallVector<DimRef> given =
      dimsOf(op->getOperand(positions), false, positions);
  for (DimRef dim : given) {
    relations.barrier(dim, "it holds positions");
    if (given.size() == 2)
      relations.same(dim, resultDim(0, dim.dim == 0 ? 0 : sequence));
  }
  if (given.size() == 1) // the first position: the others are counted from it
    relations.barrier(resultDim(0, sequence), "it is counted");
}

void RotaryEmbeddingOp::declareRelations(Relations &relations) {
  std::string why;
  std::optional<RotarySizes> sizes = rotarySizesOf(*this, why);
  if (!sizes)
    return relations.barrierAll(*this, why);
  relateRotary(*this, relations, *sizes, getInterleaved() != 0, {1, 2}, 3);
}

void MSRotaryEmbeddingOp::declareRelations(Relations &relations) {
  std::string why;
  std::optional<RotarySizes> sizes = rotarySizesOf(*this, why);
  if (!sizes)
    return relations.barrierAll(*this, why);
  relateRotary(*this, relations, *sizes, getInterleaved().value_or(0) != 0,
               {2, 3}, 1);
}

//===----------------------------------------------------------------------===//
// Norms and products
//===----------------------------------------------------------------------===//

void SimplifiedLayerNormalizationOp::declareRelations(Relations &relations) {
  relateNorm(*this, relations, getAxis());
}

/// All operands broadcast to the first result; the others of its rank have 1 or
/// the same size as their last.
static void relateSkipNorm(Operation *op, Relations &relations) {
  int64_t rank = rankOf(op->getOperand(0));
  for (auto [number, operand] : llvm::enumerate(op->getOperands()))
    for (int64_t dim = 0, e = rankOf(operand); dim < e; ++dim)
      relations.same(operandDim(number, dim), resultDim(0, dim + rank - e));
  relations.reduce(ReduceKind::Statistic, operandDim(0, rank - 1),
                   op->getName().stripDialect());
  for (unsigned number = 1; number < op->getNumResults(); ++number)
    for (int64_t dim = 0, e = rankOf(op->getResult(number)); dim < e; ++dim)
      relations.same(resultDim(0, dim), resultDim(number, dim));
}

void MSSkipLayerNormalizationOp::declareRelations(Relations &relations) {
  relateSkipNorm(*this, relations);
}
void MSSkipSimplifiedLayerNormalizationOp::declareRelations(
    Relations &relations) {
  relateSkipNorm(*this, relations);
}

// Rows of three tables, indexed at run time, and a norm of their sum.
void MSEmbedLayerNormalizationOp::declareRelations(Relations &relations) {
  for (unsigned ids : {0, 1, 7, 8})
    for (int64_t dim = 0, e = rankOf(getOperand(ids)); dim < e; ++dim)
      relations.barrier(operandDim(ids, dim), "it holds indices");
  for (unsigned table : {2, 3, 4})
    if (rankOf(getOperand(table)) == 2) {
      relations.barrier(operandDim(table, 0), "it is indexed at run time");
      relations.same(operandDim(table, 1), resultDim(0, 2));
    }
  for (unsigned scale : {5, 6})
    relations.same(operandDim(scale, 0), resultDim(0, 2));
  relations.reduce(ReduceKind::Statistic, operandDim(2, 1),
                   getOperation()->getName().stripDialect());
  for (int64_t dim = 0; dim < 2; ++dim)
    relations.barrier(resultDim(0, dim), "it holds indices");
  for (int64_t dim = 0, e = rankOf(getMaskIndex()); dim < e; ++dim)
    relations.barrier(resultDim(1, dim), "it holds indices");
  for (int64_t dim = 0, e = rankOf(getEmbeddingSum()); dim < e; ++dim)
    relations.same(resultDim(0, dim), resultDim(2, dim));
}

void MSFusedMatMulOp::declareRelations(Relations &relations) {
  int64_t rankA = rankOf(getA()), rankB = rankOf(getB()), rank = rankOf(getC());
  if (getTransBatchA().value_or(0) || getTransBatchB().value_or(0) ||
      rankA < 2 || rankB < 2)
    return relations.barrierAll(*this, "its batch is transposed");
  bool transA = getTransA().value_or(0), transB = getTransB().value_or(0);
  relations.contract(operandDim(0, rankA - (transA ? 2 : 1)),
                     operandDim(1, rankB - (transB ? 1 : 2)));
  relations.same(operandDim(0, rankA - (transA ? 1 : 2)),
                 resultDim(0, rank - 2), DimRole::Free);
  relations.same(operandDim(1, rankB - (transB ? 2 : 1)),
                 resultDim(0, rank - 1), DimRole::Free);
  int64_t ranks[] = {rankA, rankB};
  for (auto [number, operandRank] : llvm::enumerate(ranks))
    for (int64_t dim = 0; dim < operandRank - 2; ++dim)
      relations.same(operandDim(number, dim),
                     resultDim(0, dim + rank - operandRank), DimRole::Batch);
}

void MSFusedGemmOp::declareRelations(Relations &relations) {
  bool transA = getTransA().value_or(0), transB = getTransB().value_or(0);
  relations.contract(operandDim(0, !transA), operandDim(1, transB));
  relations.same(operandDim(0, transA), resultDim(0, 0), DimRole::Free);
  relations.same(operandDim(1, !transB), resultDim(0, 1), DimRole::Free);
  for (int64_t dim = 0, e = rankOf(getC()); dim < e; ++dim)
    relations.same(operandDim(2, dim), resultDim(0, dim + 2 - e));
}

//===- FusedAttention.cpp - Sizes of fused attention ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/FusedAttention.h"

#include "Relations.h"
#include "twist/Support/Integers.h"

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

/// A static size of at least 1, or a complaint.
static bool needSize(Value value, int64_t dim, StringRef what, int64_t &size,
                     std::string &why) {
  size = rankOf(value) > dim ? sizeOf(value, dim) : ShapedType::kDynamic;
  if (size > 0)
    return true;
  why = ("the " + what + " is not known").str();
  return false;
}

static bool needDivision(int64_t whole, int64_t parts, StringRef what,
                         int64_t &part, std::string &why) {
  if (parts > 0 && whole > 0 && whole % parts == 0) {
    part = whole / parts;
    return true;
  }
  why = (what + " of " + Twine(whole) + " is not divided by " + Twine(parts) +
         " heads")
            .str();
  return false;
}

/// The queries that share a head of keys.
static bool needGroups(int64_t heads, HeadSizes &sizes, std::string &why) {
  if (sizes.groups > 0 && heads % sizes.groups == 0) {
    sizes.queries = heads / sizes.groups;
    return true;
  }
  why = (Twine(heads) + " heads of queries are not divided by " +
         Twine(sizes.groups) + " of keys")
            .str();
  return false;
}

std::optional<HeadSizes> onnx::headSizesOf(AttentionOp op, std::string &why) {
  int64_t rank = rankOf(op.getQ()), heads, q, k, v;
  if (rank != rankOf(op.getK()) || rank != rankOf(op.getV()) ||
      (rank != 3 && rank != 4)) {
    why = "Q, K and V are not all of rank 3 or all of rank 4";
    return std::nullopt;
  }
  HeadSizes sizes;
  bool known = needSize(op.getQ(), rank - 1, "last size of Q", q, why) &&
               needSize(op.getK(), rank - 1, "last size of K", k, why) &&
               needSize(op.getV(), rank - 1, "last size of V", v, why);
  if (!known)
    return std::nullopt;
  if (rank == 4) {
    sizes.width = q;
    sizes.valueWidth = v;
    if (!needSize(op.getQ(), 1, "number of heads of Q", heads, why) ||
        !needSize(op.getK(), 1, "number of heads of K", sizes.groups, why) ||
        !needGroups(heads, sizes, why))
      return std::nullopt;
    return sizes;
  }
  if (!op.getQNumHeads() || !op.getKvNumHeads()) {
    why = "with inputs of rank 3 it needs q_num_heads and kv_num_heads";
    return std::nullopt;
  }
  heads = *op.getQNumHeads();
  sizes.groups = *op.getKvNumHeads();
  if (!needDivision(q, heads, "a width", sizes.width, why) ||
      !needDivision(v, sizes.groups, "a width", sizes.valueWidth, why) ||
      !needGroups(heads, sizes, why))
    return std::nullopt;
  if (k != wrapMul(sizes.groups, sizes.width)) {
    why = "the widths of Q and K differ";
    return std::nullopt;
  }
  return sizes;
}

std::optional<HeadSizes> onnx::headSizesOf(MSAttentionOp op, std::string &why) {
  int64_t heads = op.getNumHeads(), packed;
  HeadSizes sizes{heads, 1, 0, 0};
  if (!needSize(op.getWeights(), 1, "number of columns of its weights", packed,
                why))
    return std::nullopt;
  SmallVector<int64_t, 3> hidden(3, packed / 3);
  if (auto given = op.getQkvHiddenSizes(); given && given->size() == 3)
    hidden.assign(given->begin(), given->end());
  if (wrapAdd(wrapAdd(hidden[0], hidden[1]), hidden[2]) != packed ||
      hidden[0] != hidden[1]) {
    why = "the columns of its weights are not those of queries, keys and "
          "values";
    return std::nullopt;
  }
  if (!needDivision(hidden[0], heads, "a width", sizes.width, why) ||
      !needDivision(hidden[2], heads, "a width", sizes.valueWidth, why))
    return std::nullopt;
  return sizes;
}

std::optional<HeadSizes> onnx::headSizesOf(MSMultiHeadAttentionOp op,
                                           std::string &why) {
  if (rankOf(op.getQuery()) != 3 || !isPresent(op.getKey()) ||
      !isPresent(op.getValue()) ||
      rankOf(op.getKey()) != rankOf(op.getValue()) ||
      (rankOf(op.getKey()) != 3 && rankOf(op.getKey()) != 4)) {
    why = "packed queries, keys and values are not supported";
    return std::nullopt;
  }
  int64_t heads = op.getNumHeads(), q, v, rank = rankOf(op.getValue());
  HeadSizes sizes{heads, 1, 0, 0};
  if (!needSize(op.getQuery(), 2, "last size of query", q, why) ||
      !needSize(op.getValue(), rank - 1, "last size of value", v, why) ||
      !needDivision(q, heads, "a width", sizes.width, why))
    return std::nullopt;
  if (rank == 4)
    sizes.valueWidth = v;
  else if (!needDivision(v, heads, "a width", sizes.valueWidth, why))
    return std::nullopt;
  return sizes;
}

std::optional<HeadSizes> onnx::headSizesOf(MSGroupQueryAttentionOp op,
                                           std::string &why) {
  int64_t heads = op.getNumHeads(), q;
  HeadSizes sizes{int64_t(op.getKvNumHeads()), 1, 0, 0};
  if (!needSize(op.getQuery(), 2, "last size of query", q, why) ||
      !needGroups(heads, sizes, why))
    return std::nullopt;
  int64_t others = isPresent(op.getKey()) ? 0 : wrapMul(2, sizes.groups);
  int64_t all = wrapAdd(heads, others);
  if (!needDivision(q, all, "a width", sizes.width, why))
    return std::nullopt;
  sizes.valueWidth = sizes.width;
  return sizes;
}

/// `last` is the input's last size, `table` the last size of its cosines.
static std::optional<RotarySizes> rotarySizes(Value input, int64_t heads,
                                              int64_t rotary, int64_t table,
                                              std::string &why) {
  int64_t rank = rankOf(input), last;
  if (rank != 3 && rank != 4) {
    why = "its input is not of rank 3 or 4";
    return std::nullopt;
  }
  RotarySizes sizes{heads, 0, rotary};
  if (!needSize(input, rank - 1, "last size of its input", last, why))
    return std::nullopt;
  if (rank == 4) {
    sizes.width = last;
    if (!needSize(input, 1, "number of heads", sizes.heads, why))
      return std::nullopt;
  } else if (heads == 0) {
    if (table <= 0 || table > last / 2 || last % (2 * table) != 0) {
      why = "nothing says how many heads it has";
      return std::nullopt;
    }
    sizes.width = 2 * table;
    sizes.heads = last / sizes.width;
  } else if (!needDivision(last, heads, "a width", sizes.width, why)) {
    return std::nullopt;
  }
  if (sizes.rotary == 0)
    sizes.rotary = sizes.width;
  if (sizes.rotary % 2 != 0 || sizes.rotary > sizes.width ||
      (table > 0 && table != sizes.rotary / 2)) {
    why = (Twine(sizes.rotary) + " of " + Twine(sizes.width) +
           " elements can't be turned by a table of " + Twine(table))
              .str();
    return std::nullopt;
  }
  return sizes;
}

static int64_t lastSize(Value value) {
  int64_t rank = rankOf(value);
  return rank ? sizeOf(value, rank - 1) : ShapedType::kDynamic;
}

std::optional<RotarySizes> onnx::rotarySizesOf(RotaryEmbeddingOp op,
                                               std::string &why) {
  return rotarySizes(op.getX(), op.getNumHeads().value_or(0),
                     op.getRotaryEmbeddingDim(), lastSize(op.getCosCache()),
                     why);
}

std::optional<RotarySizes> onnx::rotarySizesOf(MSRotaryEmbeddingOp op,
                                               std::string &why) {
  return rotarySizes(op.getInput(), op.getNumHeads().value_or(0),
                     op.getRotaryEmbeddingDim().value_or(0),
                     lastSize(op.getCosCache()), why);
}

Value onnx::extendedState(OpResult result) {
  unsigned number = result.getResultNumber();
  Value past;
  if (auto op = dyn_cast<AttentionOp>(result.getOwner()))
    past = number == 1   ? op.getPastKey()
           : number == 2 ? op.getPastValue()
                         : Value();
  else if (auto op = dyn_cast<MSAttentionOp>(result.getOwner()))
    past = number == 1 ? op.getPast() : Value();
  else if (auto op = dyn_cast<MSMultiHeadAttentionOp>(result.getOwner()))
    past = number == 1   ? op.getPastKey()
           : number == 2 ? op.getPastValue()
                         : Value();
  else if (auto op = dyn_cast<MSGroupQueryAttentionOp>(result.getOwner()))
    past = number == 1   ? op.getPastKey()
           : number == 2 ? op.getPastValue()
                         : Value();
  return past && isPresent(past) ? past : Value();
}

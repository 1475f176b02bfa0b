//===- FusedAttention.h - Sizes of fused attention --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Attention, MultiHeadAttention and GroupQueryAttention hold heads inside
// packed dimensions; relations, cuts, sizes and decompositions all ask here how
// many. Sources: the ONNX operator specification (Attention-23 to 25,
// RotaryEmbedding-23) and the contrib operators of onnxruntime.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_ONNX_FUSEDATTENTION_H
#define TWIST_DIALECT_ONNX_FUSEDATTENTION_H

#include "twist/Dialect/ONNX/ONNX.h"

namespace twist::onnx {

/// `groups` heads of keys and values, each for `queries` heads of queries, of
/// `width` (queries, keys) and `valueWidth` elements.
struct HeadSizes {
  int64_t groups, queries, width, valueWidth;
  int64_t heads() const { return groups * queries; }
};

/// The sizes an op's types and attributes say; none, and why in `why`, where
/// they say no such thing: sizes not static, no division, a packed form.
std::optional<HeadSizes> headSizesOf(AttentionOp op, std::string &why);
std::optional<HeadSizes> headSizesOf(MSAttentionOp op, std::string &why);
std::optional<HeadSizes> headSizesOf(MSMultiHeadAttentionOp op,
                                     std::string &why);
std::optional<HeadSizes> headSizesOf(MSGroupQueryAttentionOp op,
                                     std::string &why);

/// `heads` of `width` elements, the first `rotary` of which are turned.
struct RotarySizes {
  int64_t heads, width, rotary;
};
std::optional<RotarySizes> rotarySizesOf(RotaryEmbeddingOp op,
                                         std::string &why);
std::optional<RotarySizes> rotarySizesOf(MSRotaryEmbeddingOp op,
                                         std::string &why);

/// Whether an optional operand or result is there.
inline bool isPresent(mlir::Value value) {
  return !llvm::isa<mlir::NoneType>(value.getType());
}

/// The operand that a result of a fused attention extends: past for present;
/// null for other results.
mlir::Value extendedState(mlir::OpResult result);

} // namespace twist::onnx

#endif // TWIST_DIALECT_ONNX_FUSEDATTENTION_H

//===- AttentionCore.h - What every attention comes to ----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_DIALECT_ONNX_TRANSFORMS_ATTENTIONCORE_H
#define TWIST_LIB_DIALECT_ONNX_TRANSFORMS_ATTENTIONCORE_H

#include "GraphBuilder.h"
#include "twist/Dialect/ONNX/FusedAttention.h"

namespace twist::onnx {

/// softmax(scale · q·kᵀ, capped, + biases) · v. Source: Vaswani et al.,
/// "Attention is all you need", 2017, section 3.2; the order of cap, mask and
/// softmax is that of ONNX's Attention.
struct AttentionCore {
  mlir::Value q; ///< [B, heads, S, width]
  mlir::Value k; ///< [B, groups, T, width]
  mlir::Value v; ///< [B, groups, T, valueWidth]
  HeadSizes sizes;
  double scale = 1;
  double softcap = 0; ///< 0: none
  /// Each broadcasts to [B, heads, S, T] and is added to the scores.
  llvm::SmallVector<mlir::Value> biases;
  /// Rows in which every bias sum is -inf give zeros (else NaN).
  bool zeroMaskedRows = false;
  mlir::Type softmaxType; ///< null: as the scores

  //===--- After build ----------------------------------------------------===//
  mlir::Value products, capped, biased, weights; ///< [B, heads, S, T]
  mlir::Value output;                            ///< [B, heads, S, valueWidth]

  void build(GraphBuilder &b);
};

/// [B, S, heads · width] to [B, heads, S, width] and back.
mlir::Value splitHeads(GraphBuilder &b, mlir::Value x, int64_t heads,
                       int64_t width);
mlir::Value joinHeads(GraphBuilder &b, mlir::Value x, int64_t heads,
                      int64_t width);

/// 0 where `allowed`, else `otherwise`.
mlir::Value biasOf(GraphBuilder &b, mlir::Value allowed, mlir::Type element,
                   double otherwise);

/// Which places a row sees: row i stands at place i + offset. int64 tensors
/// that broadcast to [.., S, T].
struct Places {
  mlir::Value columns; ///< [1, T]
  mlir::Value at;      ///< column - row [S, T], less the offset if there is one

  /// `offset` is null or broadcasts ([] or [B, 1, 1, 1]).
  Places(GraphBuilder &b, mlir::Value rows, mlir::Value total,
         mlir::Value offset);
  /// column <= place + distance, and column >= place - distance.
  mlir::Value upTo(GraphBuilder &b, int64_t distance);
  mlir::Value from(GraphBuilder &b, int64_t distance);
};

/// Turns x [B, S, heads, width] or (rank 4 of `headsFirst`) [B, heads, S,
/// width] by tables [B or 1, S, rotary / 2].
mlir::Value rotate(GraphBuilder &b, mlir::Value x, mlir::Value cosines,
                   mlir::Value sines, const RotarySizes &sizes,
                   bool interleaved, bool headsFirst);

} // namespace twist::onnx

#endif // TWIST_LIB_DIALECT_ONNX_TRANSFORMS_ATTENTIONCORE_H

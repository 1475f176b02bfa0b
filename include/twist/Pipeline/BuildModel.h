//===- BuildModel.h - New language models as ONNX files ---------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_BUILDMODEL_H
#define TWIST_PIPELINE_BUILDMODEL_H

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>

namespace twist {

/// "gpt2:layers=4,dim=128,heads=4,vocab=2048,context=128": sizes of a new
/// model. Further keys: ffn (gpt2: 4·dim; llama: the multiple of 16 next to
/// 8/3·dim), kv_heads (llama: heads), seed (0).
struct ModelSpec {
  enum class Kind { GPT2, Llama } kind = Kind::GPT2;
  int64_t layers = 4, dim = 128, heads = 4, kvHeads = 0, ffn = 0, vocab = 0,
          context = 128;
  uint64_t seed = 0;
};

/// Whether `text` names a new model: it starts with "gpt2:" or "llama:".
bool isModelSpec(llvm::StringRef text);
/// Refuses unknown keys, sizes that are not positive or do not divide, and a
/// missing vocab.
llvm::Expected<ModelSpec> parseModelSpec(llvm::StringRef text);

/// Writes the model with random weights (normal, 0.02; products that end a
/// residual branch 0.02/√(2·layers), as GPT-2's; norms 1 and 0), f32, tied,
/// with a key/value cache: past_key_values.N.{key,value} in,
/// present.N.{key,value} out. Weights have transformers' names; they follow
/// from `seed` and sizes alone. Through `path`.weights, which is gone
/// afterwards.
llvm::Error buildModel(const ModelSpec &spec, llvm::StringRef path,
                       mlir::MLIRContext *context);

} // namespace twist

#endif // TWIST_PIPELINE_BUILDMODEL_H

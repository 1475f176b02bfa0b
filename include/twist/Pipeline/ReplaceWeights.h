//===- ReplaceWeights.h - A model with a file's weights ---------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_REPLACEWEIGHTS_H
#define TWIST_PIPELINE_REPLACEWEIGHTS_H

#include "twist/Dialect/Weights/Reader.h"

#include <string>
#include <vector>

namespace twist {

/// What a weight holds, as f32, row-major: SHA-256, hexadecimal.
struct WeightContent {
  std::string hash;
  std::string transposed;  ///< of a matrix, else empty
  bool isConstant = false; ///< all values equal: no content to tell it by
};
/// Of a weights.load or onnx.Constant whose result is a tensor of floats.
mlir::FailureOr<WeightContent> readContent(mlir::Operation *op,
                                           weights::SourceFiles &files);
/// Whether `op` is a named weight of floats with a dimension at least.
bool isFloatWeight(mlir::Operation *op);

struct ReplaceOptions {
  bool keepMissing = false; ///< weights without a tensor stay as they are
  bool ignoreRest = false;  ///< tensors without a weight are no error
};

/// A weight and the tensor it becomes.
struct ReplacedWeight {
  /// Name: the same, or one ends with a dot and the other. Content: what the
  /// tensor was when training began, by its SHA-256 in the file's metadata, or
  /// else what it is. Copy: it had the values of another weight.
  enum How { Name, Content, Copy } how = Name;
  std::string weight, tensor;
  bool transposed = false;
};

/// Gives the floating-point weights of an imported model (rank 1 at least) the
/// values of the safetensors file `path`: by name, then by content, each also
/// transposed. The metadata "twist_origins" hold a JSON object of the tensors'
/// SHA-256 as f32, row-major, before training. Errors: a tensor of the weight's
/// name with another shape or type; weights that no tensor fits, or several;
/// tensors that fit no weight.
mlir::FailureOr<std::vector<ReplacedWeight>>
replaceWeights(mlir::ModuleOp module, llvm::StringRef path,
               const ReplaceOptions &options);

} // namespace twist

#endif // TWIST_PIPELINE_REPLACEWEIGHTS_H

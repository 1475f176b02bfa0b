//===- Load.h - What compilation starts from --------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_LOAD_H
#define TWIST_PIPELINE_LOAD_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/JSON.h"

#include <string>
#include <vector>

namespace twist {

struct ModelOptions {
  std::string ticket;      ///< path; empty: the dense model
  bool anyWeights = false; ///< take a ticket made for other weights
  /// Inputs and outputs that hold state: "past.*=present.*".
  std::vector<std::string> state;
  /// Prove that the sliced model equals the masked one; a proof that fails is
  /// an error. `dims` are the sizes to prove it at.
  bool verify = false;
  std::vector<std::pair<std::string, int64_t>> dims;
};

/// The module in `path`: a normalised ONNX model, sliced if there is a ticket
/// (`card` is told by which, and what was proven), or MLIR as it stands.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
loadForCompilation(llvm::StringRef path, mlir::MLIRContext *context,
                   const ModelOptions &options, llvm::json::Object &card);

} // namespace twist

#endif // TWIST_PIPELINE_LOAD_H

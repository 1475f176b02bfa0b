//===- Verify.h - The proofs, and what runs them ----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_VERIFY_H
#define TWIST_PIPELINE_VERIFY_H

#include "twist/Proof/Proof.h"

namespace twist {

/// Native programs, compiled for this machine.
proof::Engine nativeEngine();

/// onnxruntime, in processes of TWIST_PYTHON or python3 on PATH, on models
/// written to a temporary folder; it has no f64 for many operators, so none is
/// asked for. `why` it is needed, at `node` if not empty, stands in its name
/// and in the error at `loc` if there is no Python, or none with onnxruntime.
mlir::FailureOr<proof::Engine> onnxruntimeEngine(mlir::Location loc,
                                                 llvm::StringRef why,
                                                 llvm::StringRef node = "");

/// Native programs if both models can be compiled; otherwise onnxruntime, its
/// name saying which node has no lowering.
mlir::FailureOr<proof::Engine> chooseEngine(mlir::ModuleOp gated,
                                            mlir::ModuleOp sliced);

/// Makes the masked and poisoned model of `gated`, a normalised module with
/// axes, gates and a subnetwork (left as it is), and proves that `sliced`
/// equals the masked one. `report` is that of the slice.
mlir::FailureOr<std::vector<proof::Verdict>>
proveSlice(mlir::ModuleOp gated, mlir::ModuleOp sliced,
           const axes::SliceOptions &options, const axes::SliceReport &report,
           const proof::InputOptions &inputs, const proof::Engine &engine);

} // namespace twist

#endif // TWIST_PIPELINE_VERIFY_H

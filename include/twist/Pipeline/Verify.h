//===- Verify.h - The proofs, on compiled programs --------------*- C++ -*-===//
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
proof::Compiler nativeCompiler();

/// Makes the masked and poisoned model of `gated`, a normalised module with
/// axes, gates and a subnetwork (left as it is), and proves that `sliced`
/// equals the masked one. `report` is that of the slice.
mlir::FailureOr<std::vector<proof::Verdict>>
proveSlice(mlir::ModuleOp gated, mlir::ModuleOp sliced,
           const axes::SliceOptions &options, const axes::SliceReport &report,
           const proof::InputOptions &inputs, const proof::Compiler &compile);

} // namespace twist

#endif // TWIST_PIPELINE_VERIFY_H

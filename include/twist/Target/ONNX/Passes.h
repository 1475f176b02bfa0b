//===- Passes.h - Passes that need the onnx library
//-------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TARGET_ONNX_PASSES_H
#define TWIST_TARGET_ONNX_PASSES_H

#include "mlir/Pass/Pass.h"

namespace twist {

#define GEN_PASS_DECL
#include "twist/Target/ONNX/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "twist/Target/ONNX/Passes.h.inc"

} // namespace twist

#endif // TWIST_TARGET_ONNX_PASSES_H

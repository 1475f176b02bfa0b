//===- ONNXToLinalg.h - ONNX ops in linalg ----------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_CONVERSION_ONNXTOLINALG_ONNXTOLINALG_H
#define TWIST_CONVERSION_ONNXTOLINALG_ONNXTOLINALG_H

#include "mlir/Pass/Pass.h"

namespace twist {

/// Whether `convert-onnx-to-linalg` knows the ONNX op of this name ("MatMul").
bool hasLowering(llvm::StringRef onnxOpName);

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "twist/Conversion/ONNXToLinalg/Passes.h.inc"

} // namespace twist

#endif // TWIST_CONVERSION_ONNXTOLINALG_ONNXTOLINALG_H

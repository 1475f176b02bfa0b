//===- Passes.h - Passes on axes, gates and subnetworks ---------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_TWIST_TRANSFORMS_PASSES_H
#define TWIST_DIALECT_TWIST_TRANSFORMS_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace twist::onnx {
class ONNXDialect;
} // namespace twist::onnx

namespace twist::weights {
class WeightsDialect;
} // namespace twist::weights

namespace twist::axes {

#define GEN_PASS_DECL
#include "twist/Dialect/Twist/Transforms/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "twist/Dialect/Twist/Transforms/Passes.h.inc"

} // namespace twist::axes

#endif // TWIST_DIALECT_TWIST_TRANSFORMS_PASSES_H

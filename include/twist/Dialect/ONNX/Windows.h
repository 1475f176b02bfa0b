//===- Windows.h - Sliding windows of convolutions and pools ----*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_ONNX_WINDOWS_H
#define TWIST_DIALECT_ONNX_WINDOWS_H

#include "mlir/IR/Operation.h"

namespace twist::onnx {

/// A window along one spatial dimension, in elements. Taps are `dilation`
/// apart, windows `stride`; `before` and `after` pad the input.
struct Window {
  int64_t kernel = 1, stride = 1, dilation = 1, before = 0, after = 0;

  /// From the first tap to behind the last.
  int64_t extent() const { return dilation * (kernel - 1) + 1; }
  /// Whether result i is input i and nothing else.
  bool isPoint() const {
    return kernel == 1 && stride == 1 && before == 0 && after == 0;
  }
};

/// How `auto_pad` has the sizes decide the padding: not, or so that there are
/// size / stride windows, rounded up, with the odd element after or before.
enum class AutoPad { None, SameUpper, SameLower };

/// The windows of a Conv, ConvTranspose or pool, one for each spatial
/// dimension, the attributes' defaults filled in.
struct Windows {
  llvm::SmallVector<Window, 3> dims;
  AutoPad autoPad = AutoPad::None;
};

/// Errors, at the op: an attribute of a wrong length or out of range, a kernel
/// without a known size.
mlir::FailureOr<Windows> windowsOf(mlir::Operation *op);

} // namespace twist::onnx

#endif // TWIST_DIALECT_ONNX_WINDOWS_H

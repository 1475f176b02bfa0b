//===- Block.h - A small model ----------------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_UNITTESTS_PIPELINE_BLOCK_H
#define TWIST_UNITTESTS_PIPELINE_BLOCK_H

#include "llvm/ADT/StringRef.h"

/// y = sigmoid(x u + b) d: three hidden units.
inline constexpr llvm::StringLiteral block = R"(
  func.func @main(%x: tensor<?x2xf32> {onnx.name = "x", onnx.dims = ["n", ""]})
      -> (tensor<?x2xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) {
    %u = onnx.Constant {value = dense<[[1.5, -0.5, 0.25], [0.75, 1.25, -2.0]]> : tensor<2x3xf32>, onnx.meta = {name = "u"}} : tensor<2x3xf32>
    %b = onnx.Constant {value = dense<[0.5, 1.0, -1.5]> : tensor<3xf32>, onnx.meta = {name = "b"}} : tensor<3xf32>
    %d = onnx.Constant {value = dense<[[0.5, -1.0], [2.0, 3.0], [-1.5, 0.25]]> : tensor<3x2xf32>, onnx.meta = {name = "d"}} : tensor<3x2xf32>
    %h = onnx.MatMul %x, %u : (tensor<?x2xf32>, tensor<2x3xf32>) -> tensor<?x3xf32>
    %hb = onnx.Add %h, %b : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
    %a = onnx.Sigmoid %hb : (tensor<?x3xf32>) -> tensor<?x3xf32>
    %y = onnx.MatMul %a, %d : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
    return %y : tensor<?x2xf32>
  })";

#endif // TWIST_UNITTESTS_PIPELINE_BLOCK_H

// RUN: twist-opt %s | twist-opt | FileCheck %s

// CHECK: weights.source @model from "model.onnx"
weights.source @model from "model.onnx"

// CHECK-LABEL: func.func @whole
func.func @whole() -> tensor<4x8xf32> {
  // CHECK: weights.load <@model at 128 as tensor<4x8xf32>> : tensor<4x8xf32>
  %0 = weights.load <@model at 128 as tensor<4x8xf32>> : tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @cut
func.func @cut() -> tensor<3x2xf64> {
  // CHECK: weights.load <@model at 0 as tensor<4x3xf32> select [array<i64: 3, 1>, unit] permutation [1, 0]> : tensor<3x2xf64>
  %0 = weights.load <@model at 0 as tensor<4x3xf32> select [array<i64: 3, 1>, unit] permutation [1, 0]> : tensor<3x2xf64>
  return %0 : tensor<3x2xf64>
}

// CHECK-LABEL: func.func @empty
func.func @empty() -> tensor<0x3xi8> {
  // CHECK: weights.load <@model at 0 as tensor<4x3xi8> select [array<i64>, unit]> : tensor<0x3xi8>
  %0 = weights.load <@model at 0 as tensor<4x3xi8> select [array<i64>, unit]> : tensor<0x3xi8>
  return %0 : tensor<0x3xi8>
}

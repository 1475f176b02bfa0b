// RUN: twist-opt %s --convert-onnx-to-linalg --canonicalize --cse | FileCheck %s
weights.source @m from "model.onnx"

// Leading dimensions are rows of one matrix; what is elementwise behind the
// product stays on rows, so that it can become the product's epilogue.
// CHECK-LABEL: @linear
// CHECK: %[[ROWS:.*]] = arith.muli
// CHECK: %[[X:.*]] = tensor.collapse_shape %arg0 {{\[}}[0, 1], [2]] : tensor<?x?x4xf32> into tensor<?x4xf32>
// CHECK: %[[Y:.*]] = linalg.matmul ins(%[[X]], %{{.*}} : tensor<?x4xf32>, tensor<4x8xf32>)
// CHECK: %[[B:.*]] = linalg.generic
// CHECK-SAME: ins(%[[Y]], %{{.*}} : tensor<?x8xf32>, tensor<8xf32>)
// CHECK: tensor.expand_shape %[[B]] {{\[}}[0, 1], [2]]
func.func @linear(%x: tensor<?x?x4xf32> {onnx.dims = ["b", "s", ""]}) -> tensor<?x?x8xf32> {
  %w = weights.load <@m at 0 as tensor<4x8xf32>> : tensor<4x8xf32>
  %b = weights.load <@m at 128 as tensor<8xf32>> : tensor<8xf32>
  %y = onnx.MatMul %x, %w : (tensor<?x?x4xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
  %z = onnx.Add %y, %b : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  return %z : tensor<?x?x8xf32>
}

// A transposed weight is a permuted view.
// CHECK-LABEL: @gemm
// CHECK: weights.load <@m at 0 as tensor<8x4xf32> permutation [1, 0]> : tensor<4x8xf32>
// CHECK: linalg.matmul
// CHECK: arith.addf
func.func @gemm(%x: tensor<?x4xf32>) -> tensor<?x8xf32> {
  %w = weights.load <@m at 0 as tensor<8x4xf32>> : tensor<8x4xf32>
  %b = weights.load <@m at 128 as tensor<8xf32>> : tensor<8xf32>
  %y = onnx.Gemm %x, %w, %b {transB = 1 : si64} : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Transposed data is read through its map.
// CHECK-LABEL: @gemm_maps
// CHECK-NOT: linalg.transpose
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "parallel", "reduction"]
// CHECK-SAME: ins(%arg0, %arg1 : tensor<4x3xf32>, tensor<4x5xf32>)
func.func @gemm_maps(%a: tensor<4x3xf32>, %b: tensor<4x5xf32>) -> tensor<3x5xf32> {
  %none = onnx.None
  %y = onnx.Gemm %a, %b, %none {transA = 1 : si64} : (tensor<4x3xf32>, tensor<4x5xf32>, none) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// Halves are summed in f32.
// CHECK-LABEL: @half
// CHECK: linalg.matmul ins(%arg0, %arg1 : tensor<2x4xbf16>, tensor<4x3xbf16>) outs(%{{.*}} : tensor<2x3xf32>)
// CHECK: arith.truncf
func.func @half(%a: tensor<2x4xbf16>, %b: tensor<4x3xbf16>) -> tensor<2x3xbf16> {
  %y = onnx.MatMul %a, %b : (tensor<2x4xbf16>, tensor<4x3xbf16>) -> tensor<2x3xbf16>
  return %y : tensor<2x3xbf16>
}

// Batches: equal ones become one, broadcast ones are left out of the map.
// CHECK-LABEL: @batches
// CHECK: linalg.batch_matmul
// CHECK-SAME: tensor<?x?x8xf32>, tensor<?x8x?xf32>
func.func @batches(%a: tensor<?x2x?x8xf32> {onnx.dims = ["b", "", "s", ""]}, %b: tensor<?x2x8x?xf32> {onnx.dims = ["b", "", "", "s"]}) -> tensor<?x2x?x?xf32> {
  %y = onnx.MatMul %a, %b : (tensor<?x2x?x8xf32>, tensor<?x2x8x?xf32>) -> tensor<?x2x?x?xf32>
  return %y : tensor<?x2x?x?xf32>
}

// CHECK-LABEL: @batches_broadcast
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]
// CHECK-SAME: ins(%arg0, %{{.*}} : tensor<3x2x4x8xf32>, tensor<2x8x5xf32>)
func.func @batches_broadcast(%a: tensor<3x2x4x8xf32>, %b: tensor<1x2x8x5xf32>) -> tensor<3x2x4x5xf32> {
  %y = onnx.MatMul %a, %b : (tensor<3x2x4x8xf32>, tensor<1x2x8x5xf32>) -> tensor<3x2x4x5xf32>
  return %y : tensor<3x2x4x5xf32>
}

// CHECK-LABEL: @einsum
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]
func.func @einsum(%a: tensor<2x3x4x5xf32>, %b: tensor<2x6x4x5xf32>) -> tensor<2x4x3x6xf32> {
  %y = onnx.Einsum %a, %b {equation = "bihd,bjhd->bhij"} : (tensor<2x3x4x5xf32>, tensor<2x6x4x5xf32>) -> tensor<2x4x3x6xf32>
  return %y : tensor<2x4x3x6xf32>
}

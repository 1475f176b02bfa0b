// RUN: twist-opt %s -split-input-file --convert-onnx-to-linalg --canonicalize | FileCheck %s

// A kernel of one element is a product over joined pixels.
// CHECK-LABEL: @points
// CHECK: %[[X:.*]] = tensor.collapse_shape %arg0 {{\[\[}}0], [1], [2, 3]] : tensor<1x4x5x5xf32> into tensor<1x4x25xf32>
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel", "reduction"]{{.*}} ins(%{{.*}}, %[[X]] : tensor<6x4xf32>, tensor<1x4x25xf32>)
func.func @points(%x: tensor<1x4x5x5xf32>, %w: tensor<6x4x1x1xf32>) -> tensor<1x6x5x5xf32> {
  %none = onnx.None
  %y = onnx.Conv %x, %w, %none : (tensor<1x4x5x5xf32>, tensor<6x4x1x1xf32>, none) -> tensor<1x6x5x5xf32>
  return %y : tensor<1x6x5x5xf32>
}

// -----

// Zeros around, then one sum; a depthwise one has no channel to sum over.
// CHECK-DAG: #[[$X:.*]] = affine_map<(d0, d1, d2, d3, d4, d5, d6) -> (d0, d1, d3 * 2 + d5, d4 * 2 + d6)>
// CHECK-LABEL: @depthwise
// CHECK: tensor.insert_slice %arg0 into %{{.*}}[0, 0, 1, 1] [1, 4, 5, 5] [1, 1, 1, 1]
// CHECK: linalg.generic {indexing_maps = [#{{.*}}, #[[$X]], #{{.*}}], iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "reduction", "reduction"]}
func.func @depthwise(%x: tensor<1x4x5x5xf32>, %w: tensor<4x1x3x3xf32>) -> tensor<1x4x3x3xf32> {
  %none = onnx.None
  %y = onnx.Conv %x, %w, %none {group = 4 : si64, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x4x5x5xf32>, tensor<4x1x3x3xf32>, none) -> tensor<1x4x3x3xf32>
  return %y : tensor<1x4x3x3xf32>
}

// -----

// A maximum pads with the smallest number.
// CHECK-LABEL: @pool
// CHECK: arith.constant 0xFF800000 : f32
// CHECK: arith.maximumf
func.func @pool(%x: tensor<1x4x5x5xf32>) -> tensor<1x4x3x3xf32> {
  %y, %i = onnx.MaxPool %x {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x4x5x5xf32>) -> (tensor<1x4x3x3xf32>, none)
  return %y : tensor<1x4x3x3xf32>
}

// -----

// Its indices: the first largest inside the input, where nothing is padded.
// CHECK-LABEL: @pool_indices
// CHECK: linalg.generic
// CHECK: arith.maximumf
// CHECK: linalg.generic
// CHECK: arith.cmpi ult
// CHECK: arith.cmpi ult
// CHECK: arith.cmpf ogt
// CHECK: arith.select {{.*}} : f32
// CHECK: arith.select {{.*}} : i64
func.func @pool_indices(%x: tensor<1x4x5x5xf32>) -> (tensor<1x4x3x3xf32>, tensor<1x4x3x3xi64>) {
  %y, %i = onnx.MaxPool %x {kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x4x5x5xf32>) -> (tensor<1x4x3x3xf32>, tensor<1x4x3x3xi64>)
  return %y, %i : tensor<1x4x3x3xf32>, tensor<1x4x3x3xi64>
}

// -----

// The factor of a channel is computed once for the channel.
// CHECK-LABEL: @batch_norm
// CHECK: math.sqrt
// CHECK: arith.divf
// CHECK: linalg.yield {{.*}} : f32
// CHECK-NEXT: tensor<4xf32>
// CHECK: arith.subf
// CHECK-NEXT: arith.mulf
// CHECK-NEXT: arith.addf
func.func @batch_norm(%x: tensor<1x4x5x5xf32>, %s: tensor<4xf32>, %b: tensor<4xf32>, %m: tensor<4xf32>, %v: tensor<4xf32>) -> tensor<1x4x5x5xf32> {
  %y, %rm, %rv = onnx.BatchNormalization %x, %s, %b, %m, %v : (tensor<1x4x5x5xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<1x4x5x5xf32>, none, none)
  return %y : tensor<1x4x5x5xf32>
}

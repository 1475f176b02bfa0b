// RUN: twist-opt %s --convert-onnx-to-linalg --canonicalize --cse | FileCheck %s

// CHECK-LABEL: @layer_norm
// CHECK: tensor.collapse_shape %arg0 {{\[}}[0, 1], [2]]
// CHECK: nn.layer_norm ins(%{{.*}}, %arg1, %arg2 : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>)
// CHECK-NOT: linalg.generic
func.func @layer_norm(%x: tensor<?x?x8xf32>, %g: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<?x?x8xf32> {
  %y:3 = onnx.LayerNormalization %x, %g, %b : (tensor<?x?x8xf32>, tensor<8xf32>, tensor<8xf32>) -> (tensor<?x?x8xf32>, none, none)
  return %y#0 : tensor<?x?x8xf32>
}

// CHECK-LABEL: @rms_norm
// CHECK: nn.rms_norm
func.func @rms_norm(%x: tensor<?x8xf32>, %g: tensor<8xf32>) -> tensor<?x8xf32> {
  %y = onnx.RMSNormalization %x, %g : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// CHECK-LABEL: @softmax
// CHECK: linalg.softmax dimension(1)
// CHECK-SAME: tensor<2x?x4xf32>
func.func @softmax(%x: tensor<2x?x4xf32>) -> tensor<2x?x4xf32> {
  %y = onnx.Softmax %x {axis = -2 : si64} : (tensor<2x?x4xf32>) -> tensor<2x?x4xf32>
  return %y : tensor<2x?x4xf32>
}

// CHECK-LABEL: @mean
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK: arith.addf
// CHECK: arith.divf
// CHECK: tensor.expand_shape
func.func @mean(%x: tensor<?x8xf32>) -> tensor<?x1xf32> {
  %axes = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
  %y = onnx.ReduceMean %x, %axes : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// CHECK-LABEL: @embedding
// CHECK: nn.gather ins(%arg0, %arg1 : tensor<100x8xf32>, tensor<?x?xi64>) outs(%{{.*}} : tensor<?x?x8xf32>) axis 0
func.func @embedding(%t: tensor<100x8xf32>, %i: tensor<?x?xi64>) -> tensor<?x?x8xf32> {
  %y = onnx.Gather %t, %i : (tensor<100x8xf32>, tensor<?x?xi64>) -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// CHECK-LABEL: @pick
// CHECK: tensor.extract_slice %arg0[0, 2, 0] [%{{.*}}, 1, 4]
// CHECK-NOT: nn.gather
func.func @pick(%x: tensor<?x3x4xf32>) -> tensor<?x4xf32> {
  %i = onnx.Constant {value = dense<-1> : tensor<i64>} : tensor<i64>
  %y = onnx.Gather %x, %i {axis = 1 : si64} : (tensor<?x3x4xf32>, tensor<i64>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// RUN: twist-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @identity
// CHECK-NEXT: return %arg0
func.func @identity(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %y = onnx.Identity %x : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// An identity that knows more of the type stays.
// CHECK-LABEL: func.func @identityOfMore
// CHECK: onnx.Identity
func.func @identityOfMore(%x: tensor<?x4xf32>) -> tensor<2x4xf32> {
  %y = onnx.Identity %x : (tensor<?x4xf32>) -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @widening
// CHECK-NEXT: %[[Y:.*]] = onnx.Cast %arg0 {to = 1 : si64} : (tensor<4xf16>) -> tensor<4xf32>
// CHECK-NEXT: return %arg0, %[[Y]]
func.func @widening(%x: tensor<4xf16>) -> (tensor<4xf16>, tensor<4xf32>) {
  %a = onnx.Cast %x {to = 11 : si64} : (tensor<4xf16>) -> tensor<4xf64>
  %b = onnx.Cast %a {to = 10 : si64} : (tensor<4xf64>) -> tensor<4xf16>
  %c = onnx.Cast %a {to = 1 : si64} : (tensor<4xf64>) -> tensor<4xf32>
  return %b, %c : tensor<4xf16>, tensor<4xf32>
}

// Through a narrower type, another sign, or an integer, values change.
// CHECK-LABEL: func.func @narrowing
// CHECK-COUNT-6: onnx.Cast
func.func @narrowing(%x: tensor<4xf32>, %i: tensor<4xi8>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %a = onnx.Cast %x {to = 10 : si64} : (tensor<4xf32>) -> tensor<4xf16>
  %b = onnx.Cast %a {to = 1 : si64} : (tensor<4xf16>) -> tensor<4xf32>
  %c = onnx.Cast %x {to = 7 : si64} : (tensor<4xf32>) -> tensor<4xi64>
  %d = onnx.Cast %c {to = 1 : si64} : (tensor<4xi64>) -> tensor<4xf32>
  %e = onnx.Cast %i {to = 13 : si64} : (tensor<4xi8>) -> tensor<4xui64>
  %f = onnx.Cast %e {to = 1 : si64} : (tensor<4xui64>) -> tensor<4xf32>
  return %b, %d, %f : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @transposes
// CHECK-NEXT: %[[Y:.*]] = onnx.Transpose %arg0 {perm = array<i64: 2, 0, 1>} : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
// CHECK-NEXT: return %arg0, %[[Y]]
func.func @transposes(%x: tensor<2x3x4xf32>) -> (tensor<2x3x4xf32>, tensor<4x2x3xf32>) {
  %a = onnx.Transpose %x {perm = array<i64: 1, 2, 0>} : (tensor<2x3x4xf32>) -> tensor<3x4x2xf32>
  %b = onnx.Transpose %a {perm = array<i64: 2, 0, 1>} : (tensor<3x4x2xf32>) -> tensor<2x3x4xf32>
  %c = onnx.Transpose %a {perm = array<i64: 1, 2, 0>} : (tensor<3x4x2xf32>) -> tensor<4x2x3xf32>
  return %b, %c : tensor<2x3x4xf32>, tensor<4x2x3xf32>
}

// CHECK-LABEL: func.func @reshapes
// CHECK: %[[A:.*]] = onnx.Reshape %arg0, %{{.*}} -> tensor<?x3x4xf32>
// CHECK: onnx.Reshape %arg0, %{{.*}} : (tensor<?x12xf32>, tensor<2xi64>) -> tensor<?x4xf32>
// CHECK: onnx.Reshape %[[A]], %{{.*}} -> tensor<?x2xf32>
func.func @reshapes(%x: tensor<?x12xf32>) -> (tensor<?x4xf32>, tensor<?x2xf32>) {
  %three = onnx.Constant {value = dense<[-1, 3, 4]> : tensor<3xi64>} : tensor<3xi64>
  %four = onnx.Constant {value = dense<[-1, 4]> : tensor<2xi64>} : tensor<2xi64>
  %copy = onnx.Constant {value = dense<[0, -1]> : tensor<2xi64>} : tensor<2xi64>
  %a = onnx.Reshape %x, %three : (tensor<?x12xf32>, tensor<3xi64>) -> tensor<?x3x4xf32>
  %b = onnx.Reshape %a, %four : (tensor<?x3x4xf32>, tensor<2xi64>) -> tensor<?x4xf32>
  // A 0 copies a size of the inner one's result.
  %c = onnx.Reshape %a, %copy : (tensor<?x3x4xf32>, tensor<2xi64>) -> tensor<?x2xf32>
  return %b, %c : tensor<?x4xf32>, tensor<?x2xf32>
}

// Equal weights keep their names.
// CHECK-LABEL: func.func @weights
// CHECK: onnx.Constant {onnx.meta = {name = "a"}
// CHECK: onnx.Constant {onnx.meta = {name = "b"}
func.func @weights() -> (tensor<2xf32>, tensor<2xf32>) {
  %a = onnx.Constant {value = dense<1.0> : tensor<2xf32>, onnx.meta = {name = "a"}} : tensor<2xf32>
  %b = onnx.Constant {value = dense<1.0> : tensor<2xf32>, onnx.meta = {name = "b"}} : tensor<2xf32>
  return %a, %b : tensor<2xf32>, tensor<2xf32>
}

// RUN: twist-opt %s --convert-onnx-to-linalg --canonicalize --cse | FileCheck %s

// Sizes with one name are one size: no broadcast is left to run time.
// CHECK-LABEL: @same_names
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK: %[[D:.*]] = tensor.dim %arg0, %[[C0]]
// CHECK-NOT: tensor.dim
// CHECK: tensor.empty(%[[D]]) : tensor<?x4xf32>
// CHECK: linalg.generic
// CHECK-SAME: ins(%arg0, %arg1 : tensor<?x4xf32>, tensor<?x4xf32>)
// CHECK: arith.addf
func.func @same_names(%a: tensor<?x4xf32> {onnx.dims = ["n", ""]}, %b: tensor<?x4xf32> {onnx.dims = ["n", ""]}) -> tensor<?x4xf32> {
  %c = onnx.Add %a, %b : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %c : tensor<?x4xf32>
}

// Without names either size may be 1.
// CHECK-LABEL: @unknown_broadcast
// CHECK: arith.cmpi eq
// CHECK: tensor.extract %arg1
// CHECK: arith.addf
func.func @unknown_broadcast(%a: tensor<?x4xf32>, %b: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %c = onnx.Add %a, %b : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %c : tensor<?x4xf32>
}

// A dimension of size 1 disappears from the operand; a constant moves inside.
// CHECK-LABEL: @broadcast
// CHECK-DAG: %[[HALF:.*]] = arith.constant 5.000000e-01 : f32
// CHECK: tensor.collapse_shape %arg1 {{\[}}[0], [1, 2]]
// CHECK: linalg.generic
// CHECK: arith.mulf %{{.*}}, %{{.*}} : f32
// CHECK: arith.mulf %{{.*}}, %[[HALF]] : f32
func.func @broadcast(%a: tensor<2x3x4xf32>, %b: tensor<2x1x4xf32>) -> tensor<2x3x4xf32> {
  %half = onnx.Constant {value = dense<0.5> : tensor<1x1xf32>} : tensor<1x1xf32>
  %c = onnx.Mul %a, %b : (tensor<2x3x4xf32>, tensor<2x1x4xf32>) -> tensor<2x3x4xf32>
  %d = onnx.Mul %c, %half : (tensor<2x3x4xf32>, tensor<1x1xf32>) -> tensor<2x3x4xf32>
  return %d : tensor<2x3x4xf32>
}

// Bool is i8, unsigned is signless with unsigned ops inside.
// CHECK-LABEL: @types
// CHECK-SAME: (%arg0: tensor<4xi8>, %arg1: tensor<4xi8>, %arg2: tensor<4xi8>) -> tensor<4xi8>
// CHECK: arith.cmpi ult
// CHECK: arith.extui %{{.*}} : i1 to i8
// CHECK: arith.andi
func.func @types(%a: tensor<4xui8>, %b: tensor<4xui8>, %c: tensor<4xi1>) -> tensor<4xi1> {
  %d = onnx.Less %a, %b : (tensor<4xui8>, tensor<4xui8>) -> tensor<4xi1>
  %e = onnx.And %d, %c : (tensor<4xi1>, tensor<4xi1>) -> tensor<4xi1>
  return %e : tensor<4xi1>
}

// Halves are computed in f32 where a function is called.
// CHECK-LABEL: @half
// CHECK: arith.extf %{{.*}} : f16 to f32
// CHECK: math.erf %{{.*}} : f32
// CHECK: arith.truncf %{{.*}} : f32 to f16
func.func @half(%a: tensor<4xf16>) -> tensor<4xf16> {
  %b = onnx.Erf %a : (tensor<4xf16>) -> tensor<4xf16>
  return %b : tensor<4xf16>
}

// No division by 0, no overflow, nothing guarded where the divisor is known.
// CHECK-LABEL: @divide
// CHECK: arith.cmpi eq
// CHECK: arith.select
// CHECK: arith.divsi
// CHECK: linalg.generic
// CHECK-NOT: arith.select
// CHECK: arith.divsi
func.func @divide(%a: tensor<100xi32>, %b: tensor<100xi32>) -> tensor<100xi32> {
  %c = onnx.Div %a, %b : (tensor<100xi32>, tensor<100xi32>) -> tensor<100xi32>
  %three = onnx.Constant {value = dense<3> : tensor<i32>} : tensor<i32>
  %d = onnx.Div %c, %three : (tensor<100xi32>, tensor<i32>) -> tensor<100xi32>
  return %d : tensor<100xi32>
}

// CHECK-LABEL: @square
// CHECK-NOT: math.powf
// CHECK: arith.mulf %[[X:.*]], %[[X]] : f32
func.func @square(%a: tensor<4xf32>) -> tensor<4xf32> {
  %two = onnx.Constant {value = dense<2.0> : tensor<f32>} : tensor<f32>
  %b = onnx.Pow %a, %two : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  return %b : tensor<4xf32>
}

// The first op, of no elements: nothing comes before what it becomes, and that is nothing.
// CHECK-LABEL: @cast_of_nothing
// CHECK: %[[E:.*]] = {{.*}}tensor<0xf16>
// CHECK: return %[[E]]
func.func @cast_of_nothing(%a: tensor<0xi32>) -> tensor<0xf16> {
  %c = onnx.Cast %a {to = 10 : si64} : (tensor<0xi32>) -> tensor<0xf16>
  return %c : tensor<0xf16>
}

// RUN: twist-opt %s --twist-discover-axes --twist-slice --split-input-file | FileCheck %s

// A feed-forward block: columns and bias of the first product, rows of the
// second; the residual width stays.


// CHECK-NOT: twist.
// CHECK-LABEL: func.func @main
// CHECK-DAG: %[[UP:.*]] = weights.load <@m at 0 as tensor<4x6xf32> select [unit, array<i64: 1, 4>]> {{.*}} : tensor<4x2xf32>
// CHECK-DAG: %[[BIAS:.*]] = onnx.Constant {{.*}}dense<[2.000000e+00, 5.000000e+00]>
// CHECK-DAG: %[[DOWN:.*]] = weights.load <@m at 96 as tensor<6x4xf32> select [array<i64: 1, 4>, unit]> {{.*}} : tensor<2x4xf32>
// CHECK: %[[H:.*]] = onnx.MatMul %arg0, %[[UP]] {{.*}} -> tensor<?x2xf32>
// CHECK: %[[A:.*]] = onnx.Add %[[H]], %[[BIAS]]
// CHECK: %[[G:.*]] = onnx.Sigmoid %[[A]] : (tensor<?x2xf32>) -> tensor<?x2xf32>
// CHECK: onnx.MatMul %[[G]], %[[DOWN]] {{.*}} -> tensor<?x4xf32>
weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64: 1, 4>}
func.func @main(%x: tensor<?x4xf32> {onnx.name = "x"}) -> (tensor<?x4xf32> {onnx.name = "y"}) {
  %up = weights.load <@m at 0 as tensor<4x6xf32>> {onnx.meta = {name = "up"}} : tensor<4x6xf32>
  %b = onnx.Constant {value = dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> : tensor<6xf32>, onnx.meta = {name = "b"}} : tensor<6xf32>
  %down = weights.load <@m at 96 as tensor<6x4xf32>> {onnx.meta = {name = "down"}} : tensor<6x4xf32>
  %h = onnx.MatMul %x, %up {onnx.meta = {name="mm1"}} : (tensor<?x4xf32>, tensor<4x6xf32>) -> tensor<?x6xf32>
  %hb = onnx.Add %h, %b : (tensor<?x6xf32>, tensor<6xf32>) -> tensor<?x6xf32>
  %a = onnx.Sigmoid %hb : (tensor<?x6xf32>) -> tensor<?x6xf32>
  %y = onnx.MatMul %a, %down {onnx.meta = {name="mm2"}} : (tensor<?x6xf32>, tensor<6x4xf32>) -> tensor<?x4xf32>
  %r = onnx.Add %x, %y : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %r : tensor<?x4xf32>
}

// -----

// Packed q, k, v of 3 heads of width 2: three segments of one weight, the
// constant split, both reshapes. Head 1 goes.

// CHECK-LABEL: func.func @main
// CHECK-DAG: weights.load <@m at 0 as tensor<4x18xf32> select [unit, array<i64: 0, 1, 4, 5, 6, 7, 10, 11, 12, 13, 16, 17>]> {{.*}} : tensor<4x12xf32>
// CHECK-DAG: weights.load <@m at 288 as tensor<6x4xf32> select [array<i64: 0, 1, 4, 5>, unit]> {{.*}} : tensor<4x4xf32>
// CHECK: %[[SPLIT:.*]] = onnx.Constant {{.*}}dense<4> : tensor<3xi64>
// CHECK: onnx.Split %{{.*}}, %[[SPLIT]] {axis = 2 : si64}
// CHECK: %[[HEADS:.*]] = onnx.Constant {{.*}}dense<[0, 0, 2, 2]> : tensor<4xi64>
// CHECK: onnx.Reshape %{{.*}}, %[[HEADS]] {{.*}} -> tensor<1x5x2x2xf32>
// CHECK: onnx.Softmax {{.*}} -> tensor<1x2x5x5xf32>
// CHECK: %[[FLAT:.*]] = onnx.Constant {{.*}}dense<[0, 0, 4]> : tensor<3xi64>
// CHECK: onnx.Reshape %{{.*}}, %[[FLAT]] {{.*}} -> tensor<1x5x4xf32>
weights.source @m from "model.bin"
twist.subnetwork @s {head_0 = array<i64: 0, 2>}
func.func @main(%x: tensor<1x5x4xf32> {onnx.name = "x"}) -> (tensor<1x5x4xf32> {onnx.name = "y"}) {
  %w = weights.load <@m at 0 as tensor<4x18xf32>> {onnx.meta = {name = "qkv"}} : tensor<4x18xf32>
  %o = weights.load <@m at 288 as tensor<6x4xf32>> {onnx.meta = {name = "out"}} : tensor<6x4xf32>
  %six = onnx.Constant {value = dense<6> : tensor<3xi64>} : tensor<3xi64>
  %heads = onnx.Constant {value = dense<[0, 0, 3, 2]> : tensor<4xi64>} : tensor<4xi64>
  %flat = onnx.Constant {value = dense<[0, 0, 6]> : tensor<3xi64>} : tensor<3xi64>
  %p = onnx.MatMul %x, %w : (tensor<1x5x4xf32>, tensor<4x18xf32>) -> tensor<1x5x18xf32>
  %q0, %k0, %v0 = onnx.Split %p, %six {axis = 2 : si64} : (tensor<1x5x18xf32>, tensor<3xi64>) -> (tensor<1x5x6xf32>, tensor<1x5x6xf32>, tensor<1x5x6xf32>)
  %q1 = onnx.Reshape %q0, %heads : (tensor<1x5x6xf32>, tensor<4xi64>) -> tensor<1x5x3x2xf32>
  %k1 = onnx.Reshape %k0, %heads : (tensor<1x5x6xf32>, tensor<4xi64>) -> tensor<1x5x3x2xf32>
  %v1 = onnx.Reshape %v0, %heads : (tensor<1x5x6xf32>, tensor<4xi64>) -> tensor<1x5x3x2xf32>
  %q = onnx.Transpose %q1 {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x5x3x2xf32>) -> tensor<1x3x5x2xf32>
  %k = onnx.Transpose %k1 {perm = array<i64: 0, 2, 3, 1>} : (tensor<1x5x3x2xf32>) -> tensor<1x3x2x5xf32>
  %v = onnx.Transpose %v1 {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x5x3x2xf32>) -> tensor<1x3x5x2xf32>
  %s = onnx.MatMul %q, %k : (tensor<1x3x5x2xf32>, tensor<1x3x2x5xf32>) -> tensor<1x3x5x5xf32>
  %a = onnx.Softmax %s : (tensor<1x3x5x5xf32>) -> tensor<1x3x5x5xf32>
  %c = onnx.MatMul %a, %v : (tensor<1x3x5x5xf32>, tensor<1x3x5x2xf32>) -> tensor<1x3x5x2xf32>
  %t = onnx.Transpose %c {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x3x5x2xf32>) -> tensor<1x5x3x2xf32>
  %f = onnx.Reshape %t, %flat : (tensor<1x5x3x2xf32>, tensor<3xi64>) -> tensor<1x5x6xf32>
  %y = onnx.MatMul %f, %o : (tensor<1x5x6xf32>, tensor<6x4xf32>) -> tensor<1x5x4xf32>
  return %y : tensor<1x5x4xf32>
}

// -----

// A weight of two layers that are cut differently becomes two views; where they
// are cut alike it stays one.

// CHECK-LABEL: func.func @main
// CHECK-DAG: weights.load <@m at 0 as tensor<3xf32> select [array<i64: 0>]>
// CHECK-DAG: weights.load <@m at 0 as tensor<3xf32> select [array<i64: 1, 2>]>
weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64: 0>, ffn_2 = array<i64: 1, 2>}
func.func @main(%x: tensor<?x2xf32> {onnx.name = "x"}) -> (tensor<?x2xf32> {onnx.name = "y"}) {
  %b = weights.load <@m at 0 as tensor<3xf32>> {onnx.meta = {name = "b"}} : tensor<3xf32>
  %u0 = weights.load <@m at 12 as tensor<2x3xf32>> {onnx.meta = {name = "u0"}} : tensor<2x3xf32>
  %d0 = weights.load <@m at 36 as tensor<3x2xf32>> {onnx.meta = {name = "d0"}} : tensor<3x2xf32>
  %u1 = weights.load <@m at 60 as tensor<2x3xf32>> {onnx.meta = {name = "u1"}} : tensor<2x3xf32>
  %d1 = weights.load <@m at 84 as tensor<3x2xf32>> {onnx.meta = {name = "d1"}} : tensor<3x2xf32>
  %0 = onnx.MatMul %x, %u0 : (tensor<?x2xf32>, tensor<2x3xf32>) -> tensor<?x3xf32>
  %1 = onnx.Add %0, %b : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
  %2 = onnx.MatMul %1, %d0 : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
  %3 = onnx.MatMul %2, %u1 : (tensor<?x2xf32>, tensor<2x3xf32>) -> tensor<?x3xf32>
  %4 = onnx.Add %3, %b : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
  %5 = onnx.MatMul %4, %d1 : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
  return %5 : tensor<?x2xf32>
}

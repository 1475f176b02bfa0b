// RUN: twist-opt %s --twist-discover-axes --twist-slice --split-input-file | FileCheck %s

// Shape of a cut value is scaled back, the reshape's target is scaled: what is
// between sees dense numbers. Here the size is only known at run time.

// CHECK-LABEL: func.func @main
// CHECK: %[[H:.*]] = onnx.MatMul {{.*}} -> tensor<?x?x4xf32>
// CHECK: %[[S:.*]] = onnx.Shape %[[H]]
// CHECK: %[[IS:.*]] = onnx.Constant {value = dense<[false, false, true]>
// CHECK: %[[DENSE:.*]] = onnx.Constant {value = dense<[0, 0, 6]>
// CHECK: %[[BACK:.*]] = onnx.Where %[[IS]], %[[DENSE]], %[[S]]
// CHECK: %[[T:.*]] = onnx.Mul %[[BACK]], %{{.*}} : (tensor<3xi64>, tensor<3xi64>) -> tensor<3xi64>
// CHECK: %[[CUT:.*]] = onnx.Constant {value = dense<[0, 0, 4]>
// CHECK: %[[NEW:.*]] = onnx.Where %{{.*}}, %[[CUT]], %[[T]]
// CHECK: onnx.Reshape %[[H]], %[[NEW]] {{.*}} -> tensor<?x?x4xf32>
weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64: 0, 1, 3, 4>}
func.func @main(%x: tensor<?x?x4xf32> {onnx.name = "x", onnx.dims = ["b", "s", ""]}) -> (tensor<?x?x4xf32> {onnx.name = "y"}) {
  %up = weights.load <@m at 0 as tensor<4x6xf32>> {onnx.meta = {name = "up"}} : tensor<4x6xf32>
  %down = weights.load <@m at 96 as tensor<6x4xf32>> {onnx.meta = {name = "down"}} : tensor<6x4xf32>
  %one = onnx.Constant {value = dense<1> : tensor<3xi64>} : tensor<3xi64>
  %h = onnx.MatMul %x, %up : (tensor<?x?x4xf32>, tensor<4x6xf32>) -> tensor<?x?x6xf32>
  %s = onnx.Shape %h : (tensor<?x?x6xf32>) -> tensor<3xi64>
  %t = onnx.Mul %s, %one : (tensor<3xi64>, tensor<3xi64>) -> tensor<3xi64>
  %r = onnx.Reshape %h, %t : (tensor<?x?x6xf32>, tensor<3xi64>) -> tensor<?x?x6xf32>
  %y = onnx.MatMul %r, %down : (tensor<?x?x6xf32>, tensor<6x4xf32>) -> tensor<?x?x4xf32>
  return %y : tensor<?x?x4xf32>
}

// -----

// An entry that nobody looks at is left alone.

// CHECK-LABEL: func.func @main
// CHECK: %[[S:.*]] = onnx.Shape
// CHECK-NEXT: %[[I:.*]] = onnx.Constant {value = dense<0>
// CHECK-NEXT: onnx.Gather %[[S]], %[[I]]
weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64: 0, 1, 3, 4>}
func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["b", ""]}) -> (tensor<?x4xf32> {onnx.name = "y"}, tensor<i64> {onnx.name = "n"}) {
  %up = weights.load <@m at 0 as tensor<4x6xf32>> {onnx.meta = {name = "up"}} : tensor<4x6xf32>
  %down = weights.load <@m at 96 as tensor<6x4xf32>> {onnx.meta = {name = "down"}} : tensor<6x4xf32>
  %h = onnx.MatMul %x, %up : (tensor<?x4xf32>, tensor<4x6xf32>) -> tensor<?x6xf32>
  %s = onnx.Shape %h : (tensor<?x6xf32>) -> tensor<2xi64>
  %i = onnx.Constant {value = dense<0> : tensor<i64>} : tensor<i64>
  %n = onnx.Gather %s, %i {axis = 0 : si64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %y = onnx.MatMul %h, %down : (tensor<?x6xf32>, tensor<6x4xf32>) -> tensor<?x4xf32>
  return %y, %n : tensor<?x4xf32>, tensor<i64>
}

// -----

// Slices and constant gathers of segments: bounds and indices count kept units.

// CHECK-LABEL: func.func @main
// CHECK-DAG: weights.load <@m at 0 as tensor<4x8xf32> select [unit, array<i64: 1, 2, 5, 6>]>
// CHECK: %[[E0:.*]] = onnx.Constant {value = dense<2> : tensor<1xi64>}
// CHECK: onnx.Slice %[[H:.*]], %{{.*}}, %[[E0]], {{.*}} -> tensor<?x2xf32>
// CHECK: %[[IDX:.*]] = onnx.Constant {value = dense<[2, 3]> : tensor<2xi64>}
// CHECK: onnx.Gather %[[H]], %[[IDX]] {axis = 1 : si64} {{.*}} -> tensor<?x2xf32>
weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64: 1, 2>}
func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["b", ""]}) -> (tensor<?x4xf32> {onnx.name = "y"}) {
  %up = weights.load <@m at 0 as tensor<4x8xf32>> {onnx.meta = {name = "up"}} : tensor<4x8xf32>
  %down = weights.load <@m at 128 as tensor<4x4xf32>> {onnx.meta = {name = "down"}} : tensor<4x4xf32>
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %four = onnx.Constant {value = dense<4> : tensor<1xi64>} : tensor<1xi64>
  %ax = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %none = onnx.None
  %ids = onnx.Constant {value = dense<[4, 5, 6, 7]> : tensor<4xi64>} : tensor<4xi64>
  %h = onnx.MatMul %x, %up : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  %a = onnx.Slice %h, %zero, %four, %ax, %none : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x4xf32>
  %b = onnx.Gather %h, %ids {axis = 1 : si64} : (tensor<?x8xf32>, tensor<4xi64>) -> tensor<?x4xf32>
  %m = onnx.Mul %a, %b : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %y = onnx.MatMul %m, %down : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// Key and value heads shared by two query heads each: the expansion's shape and
// the reshapes around it, with an open batch. KV group 0 stays.

// CHECK-LABEL: func.func @main
// CHECK: onnx.Expand {{.*}} -> tensor<?x1x2x5x2xf32>
// CHECK: onnx.Reshape {{.*}} -> tensor<?x2x5x2xf32>
weights.source @m from "model.bin"
twist.subnetwork @s {kv_group_0 = array<i64: 0>}
func.func @main(%x: tensor<?x5x4xf32> {onnx.name = "x", onnx.dims = ["b", "", ""]}) -> (tensor<?x5x4xf32> {onnx.name = "y"}) {
  %wq = weights.load <@m at 0 as tensor<4x8xf32>> {onnx.meta = {name = "q"}} : tensor<4x8xf32>
  %wk = weights.load <@m at 128 as tensor<4x4xf32>> {onnx.meta = {name = "k"}} : tensor<4x4xf32>
  %wo = weights.load <@m at 192 as tensor<8x4xf32>> {onnx.meta = {name = "o"}} : tensor<8x4xf32>
  %qs = onnx.Constant {value = dense<[0, 5, 4, 2]> : tensor<4xi64>} : tensor<4xi64>
  %ks = onnx.Constant {value = dense<[0, 5, 2, 2]> : tensor<4xi64>} : tensor<4xi64>
  %es = onnx.Constant {value = dense<[1, 2, 2, 5, 2]> : tensor<5xi64>} : tensor<5xi64>
  %fs = onnx.Constant {value = dense<[-1, 4, 5, 2]> : tensor<4xi64>} : tensor<4xi64>
  %os = onnx.Constant {value = dense<[0, 5, 8]> : tensor<3xi64>} : tensor<3xi64>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %q0 = onnx.MatMul %x, %wq : (tensor<?x5x4xf32>, tensor<4x8xf32>) -> tensor<?x5x8xf32>
  %k0 = onnx.MatMul %x, %wk : (tensor<?x5x4xf32>, tensor<4x4xf32>) -> tensor<?x5x4xf32>
  %q1 = onnx.Reshape %q0, %qs : (tensor<?x5x8xf32>, tensor<4xi64>) -> tensor<?x5x4x2xf32>
  %k1 = onnx.Reshape %k0, %ks : (tensor<?x5x4xf32>, tensor<4xi64>) -> tensor<?x5x2x2xf32>
  %q = onnx.Transpose %q1 {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x5x4x2xf32>) -> tensor<?x4x5x2xf32>
  %k2 = onnx.Transpose %k1 {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x5x2x2xf32>) -> tensor<?x2x5x2xf32>
  %k3 = onnx.Unsqueeze %k2, %two : (tensor<?x2x5x2xf32>, tensor<1xi64>) -> tensor<?x2x1x5x2xf32>
  %k4 = onnx.Expand %k3, %es : (tensor<?x2x1x5x2xf32>, tensor<5xi64>) -> tensor<?x2x2x5x2xf32>
  %k = onnx.Reshape %k4, %fs : (tensor<?x2x2x5x2xf32>, tensor<4xi64>) -> tensor<?x4x5x2xf32>
  %kt = onnx.Transpose %k {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x5x2xf32>) -> tensor<?x4x2x5xf32>
  %s = onnx.MatMul %q, %kt : (tensor<?x4x5x2xf32>, tensor<?x4x2x5xf32>) -> tensor<?x4x5x5xf32>
  %a = onnx.Softmax %s : (tensor<?x4x5x5xf32>) -> tensor<?x4x5x5xf32>
  %c = onnx.MatMul %a, %k : (tensor<?x4x5x5xf32>, tensor<?x4x5x2xf32>) -> tensor<?x4x5x2xf32>
  %t = onnx.Transpose %c {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x4x5x2xf32>) -> tensor<?x5x4x2xf32>
  %f = onnx.Reshape %t, %os : (tensor<?x5x4x2xf32>, tensor<3xi64>) -> tensor<?x5x8xf32>
  %y = onnx.MatMul %f, %wo : (tensor<?x5x8xf32>, tensor<8x4xf32>) -> tensor<?x5x4xf32>
  return %y : tensor<?x5x4xf32>
}

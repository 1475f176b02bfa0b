// RUN: twist-opt %s --twist-lower-gates --split-input-file --verify-diagnostics | FileCheck %s

// A gate on packed segments: a mask over the dimension, a scalar zero.

// CHECK-NOT: twist.
// CHECK: func.func @main
// CHECK-DAG: %[[MASK:.*]] = onnx.Constant {value = dense<[false, true, true, false, true, true, true, true]>
// CHECK-DAG: %[[ZERO:.*]] = onnx.Constant {value = dense<0.000000e+00> : tensor<f32>}
// CHECK: %[[X:.*]] = onnx.Where %[[MASK]], %arg0, %[[ZERO]] : (tensor<8xi1>, tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
// CHECK: return %[[X]]
twist.axis @a {kind = "head", index = 0, units = 3, sources = ["w:1"]}
twist.subnetwork @s {a = array<i64: 1, 2>}
func.func @main(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %g = twist.gate %x by @a dim 1 at [#twist.place<offset=0, outer=2, units=3, inner=1>] : tensor<?x8xf32>
  return %g : tensor<?x8xf32>
}

// -----

// On an outer dimension the mask broadcasts over those after it; nested places
// of inner size 2.

// CHECK: %[[MASK:.*]] = onnx.Constant {value = dense<{{\[\[}}true], [true], [false], [false], [false], [false]]> : tensor<6x1xi1>}
// CHECK: onnx.Where %[[MASK]], %arg0
twist.axis @a {kind = "head", index = 0, units = 3, sources = ["w:0"]}
twist.subnetwork @s {a = array<i64: 0>}
func.func @main(%x: tensor<6x4xf64>) -> tensor<6x4xf64> {
  %g = twist.gate %x by @a dim 0 at [#twist.place<offset=0, outer=1, units=3, inner=2>] : tensor<6x4xf64>
  return %g : tensor<6x4xf64>
}

// -----

// Gates of whole axes vanish, and so do all without a subnetwork.

// CHECK: func.func @main(%[[X:.*]]: tensor<4xf32>)
// CHECK-NEXT: return %[[X]]
twist.axis @a {kind = "ffn", index = 0, units = 4, sources = ["w:0"]}
twist.subnetwork @s {a = array<i64: 0, 1, 2, 3>}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %g = twist.gate %x by @a dim 0 at [#twist.place<offset=0, outer=1, units=4, inner=1>] : tensor<4xf32>
  return %g : tensor<4xf32>
}

// -----

twist.axis @a {kind = "ffn", index = 0, units = 4, sources = ["w:0"]}
twist.subnetwork @s {a = array<i64: 0>}
func.func @main(%x: tensor<?xf32>) -> tensor<?xf32> {
  // expected-error @below {{axis 'a' is gated on dimension 0 of unknown size}}
  %g = twist.gate %x by @a dim 0 at [#twist.place<offset=0, outer=1, units=4, inner=1>] : tensor<?xf32>
  return %g : tensor<?xf32>
}

// -----

twist.axis @a {kind = "ffn", index = 0, units = 4, sources = ["w:0"]}
twist.subnetwork @s {a = array<i64: 0>}
func.func @main(%x: tensor<4xcomplex<f32>>) -> tensor<4xcomplex<f32>> {
  // expected-error @below {{axis 'a' is gated on values without a zero: 'complex<f32>'}}
  %g = twist.gate %x by @a dim 0 at [#twist.place<offset=0, outer=1, units=4, inner=1>] : tensor<4xcomplex<f32>>
  return %g : tensor<4xcomplex<f32>>
}

// RUN: twist-opt %s --twist-discover-axes --twist-slice --split-input-file --verify-diagnostics | FileCheck %s

// A layer without units leaves its bias, folded into the residual sum.

// CHECK-LABEL: func.func @main(
// CHECK-NEXT: %[[C:.*]] = onnx.Constant {{.*}}dense<[1.000000e+00, 2.000000e+00]>
// CHECK-NEXT: %[[Y:.*]] = onnx.Add %arg0, %[[C]] : (tensor<?x2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
// CHECK-NEXT: return %[[Y]]
weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64>}
func.func @main(%x: tensor<?x2xf32> {onnx.name = "x", onnx.dims = ["b", ""]}) -> (tensor<?x2xf32> {onnx.name = "y"}) {
  %u = weights.load <@m at 0 as tensor<2x3xf32>> {onnx.meta = {name = "u"}} : tensor<2x3xf32>
  %d = weights.load <@m at 24 as tensor<3x2xf32>> {onnx.meta = {name = "d"}} : tensor<3x2xf32>
  %c = onnx.Constant {value = dense<[1.0, 2.0]> : tensor<2xf32>} : tensor<2xf32>
  %0 = onnx.MatMul %x, %u : (tensor<?x2xf32>, tensor<2x3xf32>) -> tensor<?x3xf32>
  %1 = onnx.MatMul %0, %d : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
  %2 = onnx.Add %1, %c : (tensor<?x2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
  %3 = onnx.Add %x, %2 : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x2xf32>
  return %3 : tensor<?x2xf32>
}

// -----

// Without a bias nothing is left but the residual.

// CHECK-LABEL: func.func @main(
// CHECK-NEXT: return %arg0
weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64>}
func.func @main(%x: tensor<?x2xf32> {onnx.name = "x", onnx.dims = ["b", ""]}) -> (tensor<?x2xf32> {onnx.name = "y"}) {
  %u = weights.load <@m at 0 as tensor<2x3xf32>> {onnx.meta = {name = "u"}} : tensor<2x3xf32>
  %d = weights.load <@m at 24 as tensor<3x2xf32>> {onnx.meta = {name = "d"}} : tensor<3x2xf32>
  %0 = onnx.MatMul %x, %u : (tensor<?x2xf32>, tensor<2x3xf32>) -> tensor<?x3xf32>
  %1 = onnx.MatMul %0, %d : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
  %3 = onnx.Add %x, %1 : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x2xf32>
  return %3 : tensor<?x2xf32>
}

// -----

// The bias of a Gemm with beta, behind a Reshape, and full where an op needs
// all of it.

// CHECK-LABEL: func.func @main(
// CHECK-DAG: %[[B:.*]] = onnx.Constant {{.*}}dense<[1.000000e+00, 2.000000e+00]>
// CHECK-DAG: %[[BETA:.*]] = onnx.Constant {value = dense<5.000000e-01> : tensor<f32>}
// CHECK: %[[SMALL:.*]] = onnx.Mul %[[B]], %[[BETA]]
// CHECK: %[[BATCH:.*]] = onnx.Shape %arg0
// CHECK: %[[SHAPE:.*]] = onnx.Concat %[[BATCH]], %{{.*}}, %{{.*}} {axis = 0 : si64}
// CHECK: %[[FULL:.*]] = onnx.Expand %[[SMALL]], %[[SHAPE]]
// CHECK: %[[Y:.*]] = onnx.Softmax %[[FULL]]
// CHECK: return %[[Y]]
weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64>}
func.func @main(%x: tensor<?x2xf32> {onnx.name = "x", onnx.dims = ["b", ""]}) -> (tensor<?x1x2xf32> {onnx.name = "y"}) {
  %u = weights.load <@m at 0 as tensor<2x3xf32>> {onnx.meta = {name = "u"}} : tensor<2x3xf32>
  %d = weights.load <@m at 24 as tensor<3x2xf32>> {onnx.meta = {name = "d"}} : tensor<3x2xf32>
  %c = onnx.Constant {value = dense<[1.0, 2.0]> : tensor<2xf32>} : tensor<2xf32>
  %s = onnx.Constant {value = dense<[-1, 1, 2]> : tensor<3xi64>} : tensor<3xi64>
  %0 = onnx.MatMul %x, %u : (tensor<?x2xf32>, tensor<2x3xf32>) -> tensor<?x3xf32>
  %1 = onnx.Gemm %0, %d, %c {beta = 0.5 : f32} : (tensor<?x3xf32>, tensor<3x2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
  %2 = onnx.Reshape %1, %s : (tensor<?x2xf32>, tensor<3xi64>) -> tensor<?x1x2xf32>
  %3 = onnx.Softmax %2 : (tensor<?x1x2xf32>) -> tensor<?x1x2xf32>
  return %3 : tensor<?x1x2xf32>
}

// -----

// A convolution over no channel is its bias; a depthwise one and a norm before it
// go with their channels.

// CHECK-LABEL: func.func @main
// CHECK-SAME: %[[X:.*]]: tensor<?x2x4xf32>
// CHECK-NOT: onnx.Conv
// CHECK-DAG: %[[B:.*]] = onnx.Constant {{.*}}dense<[1.000000e+00, 2.000000e+00]>
// CHECK-DAG: %[[SHAPE:.*]] = onnx.Constant {value = dense<[2, 1]> : tensor<2xi64>}
// CHECK: %[[BIAS:.*]] = onnx.Reshape %[[B]], %[[SHAPE]]
// CHECK: %[[Y:.*]] = onnx.Add %[[X]], %[[BIAS]]
// CHECK: return %[[Y]]
weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64>}
func.func @main(%x: tensor<?x2x4xf32> {onnx.name = "x", onnx.dims = ["b", "", ""]}) -> (tensor<?x2x4xf32> {onnx.name = "y"}) {
  %u = weights.load <@m at 0 as tensor<3x2x1xf32>> {onnx.meta = {name = "u"}} : tensor<3x2x1xf32>
  %w = weights.load <@m at 24 as tensor<3x1x3xf32>> {onnx.meta = {name = "w"}} : tensor<3x1x3xf32>
  %d = weights.load <@m at 60 as tensor<2x3x1xf32>> {onnx.meta = {name = "d"}} : tensor<2x3x1xf32>
  %c = onnx.Constant {value = dense<[1.0, 2.0]> : tensor<2xf32>} : tensor<2xf32>
  %g = onnx.Constant {value = dense<[1.0, 2.0, 3.0]> : tensor<3xf32>} : tensor<3xf32>
  %none = onnx.None
  %0 = onnx.Conv %x, %u, %none : (tensor<?x2x4xf32>, tensor<3x2x1xf32>, none) -> tensor<?x3x4xf32>
  %1 = onnx.Conv %0, %w, %none {group = 3 : si64, pads = array<i64: 1, 1>} : (tensor<?x3x4xf32>, tensor<3x1x3xf32>, none) -> tensor<?x3x4xf32>
  %n, %mean, %variance = onnx.BatchNormalization %1, %g, %g, %g, %g : (tensor<?x3x4xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> (tensor<?x3x4xf32>, none, none)
  %2 = onnx.Conv %n, %d, %c : (tensor<?x3x4xf32>, tensor<2x3x1xf32>, tensor<2xf32>) -> tensor<?x2x4xf32>
  %3 = onnx.Add %x, %2 : (tensor<?x2x4xf32>, tensor<?x2x4xf32>) -> tensor<?x2x4xf32>
  return %3 : tensor<?x2x4xf32>
}

// -----

// State of a layer that has no head left leaves the interface; what its sizes
// told must come from elsewhere.

weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64>}
func.func @main(%x: tensor<1x2xf32> {onnx.name = "x"}, %past: tensor<?x3xf32> {onnx.name = "past", onnx.dims = ["past", ""]})
    -> (tensor<?x2xf32> {onnx.name = "y"}, tensor<?x3xf32> {onnx.name = "present"}, tensor<1xi64> {onnx.name = "n"}) {
  %u = weights.load <@m at 0 as tensor<2x3xf32>> {onnx.meta = {name = "u"}} : tensor<2x3xf32>
  %d = weights.load <@m at 24 as tensor<3x2xf32>> {onnx.meta = {name = "d"}} : tensor<3x2xf32>
  %0 = onnx.MatMul %x, %u : (tensor<1x2xf32>, tensor<2x3xf32>) -> tensor<1x3xf32>
  %p = onnx.Concat %past, %0 {axis = 0 : si64} : (tensor<?x3xf32>, tensor<1x3xf32>) -> tensor<?x3xf32>
  // expected-error @below {{without the units that were cut, no input tells the size 'past'}}
  %n = onnx.Shape %past {end = 1 : si64} : (tensor<?x3xf32>) -> tensor<1xi64>
  %1 = onnx.MatMul %p, %d : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
  return %1, %p, %n : tensor<?x2xf32>, tensor<?x3xf32>, tensor<1xi64>
}

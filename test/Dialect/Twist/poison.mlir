// RUN: twist-opt %s --twist-discover-axes --twist-poison | FileCheck %s

// Each weight gets NaN where the removed unit 1 lies; the bias that no axis
// carries is left alone.

// CHECK: %[[U:.*]] = weights.load <@m at 0
// CHECK: %[[NAN:.*]] = onnx.Constant {value = dense<0x7FC00000> : tensor<f32>}
// CHECK: %[[KEEP:.*]] = onnx.Constant {value = dense<[true, false, true]> : tensor<3xi1>}
// CHECK: %[[PU:.*]] = onnx.Where %[[KEEP]], %[[U]], %[[NAN]]
// CHECK: %[[D:.*]] = weights.load <@m at 24
// CHECK: %[[ROWS:.*]] = onnx.Constant {value = dense<{{\[\[}}true], [false], [true]]> : tensor<3x1xi1>}
// CHECK: %[[PD:.*]] = onnx.Where %[[ROWS]], %[[D]], %{{.*}}
// CHECK: %[[C:.*]] = onnx.Constant {{.*}}dense<[1.000000e+00, 2.000000e+00]>
// CHECK: onnx.MatMul %arg0, %[[PU]]
// CHECK: %[[G:.*]] = twist.gate %[[PD]]
// CHECK: onnx.MatMul %{{.*}}, %[[G]]
// CHECK: onnx.Add %{{.*}}, %[[C]]
weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64: 0, 2>}
func.func @main(%x: tensor<?x2xf32> {onnx.name = "x", onnx.dims = ["b", ""]}) -> (tensor<?x2xf32> {onnx.name = "y"}) {
  %u = weights.load <@m at 0 as tensor<2x3xf32>> {onnx.meta = {name = "u"}} : tensor<2x3xf32>
  %d = weights.load <@m at 24 as tensor<3x2xf32>> {onnx.meta = {name = "d"}} : tensor<3x2xf32>
  %c = onnx.Constant {value = dense<[1.0, 2.0]> : tensor<2xf32>} : tensor<2xf32>
  %0 = onnx.MatMul %x, %u : (tensor<?x2xf32>, tensor<2x3xf32>) -> tensor<?x3xf32>
  %1 = onnx.MatMul %0, %d : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
  %2 = onnx.Add %1, %c : (tensor<?x2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
  return %2 : tensor<?x2xf32>
}

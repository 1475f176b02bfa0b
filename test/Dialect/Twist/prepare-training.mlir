// RUN: twist-opt %s -twist-prepare-training | FileCheck %s
// RUN: twist-opt %s -twist-prepare-training=print=1 -o /dev/null | FileCheck %s --check-prefix=LIST
// RUN: twist-opt %s "-twist-prepare-training=f64=1 freeze=*bias* train=mask,slope" | FileCheck %s --check-prefix=F64

// Weights, biases, norms: f16 becomes f32.
// CHECK-LABEL: func.func @main
// CHECK-SAME: tensor<?x4xf32>
// CHECK-DAG: name = "up"}, twist.parameter = {copies = [], decayed = true, name = "up", role = "weight", trainable = true}{{.*}} tensor<4x8xf32>
// CHECK-DAG: twist.parameter = {copies = [], decayed = false, name = "up.bias", role = "bias", trainable = true}
// CHECK-DAG: twist.parameter = {copies = [], decayed = false, name = "g", role = "scale", trainable = true}
// CHECK-DAG: twist.parameter = {copies = [], decayed = false, name = "b", role = "shift", trainable = true}
// CHECK-DAG: twist.parameter = {copies = [], decayed = false, name = "mask", role = "other", trainable = false}
// CHECK-NOT: name = "one"}, twist.parameter
// CHECK: onnx.MatMul %{{.*}} : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
// LIST: trained:
// LIST-NEXT: up [4, 8] weight, decayed
// LIST-NEXT: up.bias [8] bias
// LIST-NEXT: g [8] scale
// LIST-NEXT: b [8] shift
// LIST-NEXT: frozen:
// LIST-NEXT: mask [1, 8] other
// LIST-NEXT: slope [8] other
// F64-LABEL: func.func @main
// F64-SAME: tensor<?x4xf64>
// F64-DAG: name = "up.bias", role = "bias", trainable = false
// F64-DAG: decayed = true, name = "mask", role = "other", trainable = true
// F64-DAG: decayed = false, name = "slope", role = "other", trainable = true
module {
  func.func @main(%x: tensor<?x4xf16> {onnx.name = "x", onnx.dims = ["batch", ""]}) -> tensor<?x8xf16> {
    %up = onnx.Constant {onnx.meta = {name = "up"}, value = dense<[[1., 2., 3., 4., 5., 6., 7., 8.], [1., 2., 3., 4., 5., 6., 7., 8.], [1., 2., 3., 4., 5., 6., 7., 8.], [1., 2., 3., 4., 5., 6., 7., 9.]]> : tensor<4x8xf16>} : tensor<4x8xf16>
    %ub = onnx.Constant {onnx.meta = {name = "up.bias"}, value = dense<0.> : tensor<8xf16>} : tensor<8xf16>
    %g = onnx.Constant {onnx.meta = {name = "g"}, value = dense<1.> : tensor<8xf16>} : tensor<8xf16>
    %b = onnx.Constant {onnx.meta = {name = "b"}, value = dense<0.> : tensor<8xf16>} : tensor<8xf16>
    %mask = onnx.Constant {onnx.meta = {name = "mask"}, value = dense<[[0., 1., 0., 0., 0., 0., 0., 0.]]> : tensor<1x8xf16>} : tensor<1x8xf16>
    %slope = onnx.Constant {onnx.meta = {name = "slope"}, value = dense<0.25> : tensor<8xf16>} : tensor<8xf16>
    %one = onnx.Constant {onnx.meta = {name = "one"}, value = dense<1.> : tensor<f16>} : tensor<f16>
    %m = onnx.MatMul %x, %up : (tensor<?x4xf16>, tensor<4x8xf16>) -> tensor<?x8xf16>
    %h = onnx.Add %m, %ub : (tensor<?x8xf16>, tensor<8xf16>) -> tensor<?x8xf16>
    %n, %mean, %dev = "onnx.LayerNormalization"(%h, %g, %b) : (tensor<?x8xf16>, tensor<8xf16>, tensor<8xf16>) -> (tensor<?x8xf16>, none, none)
    %s = onnx.Add %n, %one : (tensor<?x8xf16>, tensor<f16>) -> tensor<?x8xf16>
    %p = onnx.PRelu %s, %slope : (tensor<?x8xf16>, tensor<8xf16>) -> tensor<?x8xf16>
    %y = onnx.Add %p, %mask : (tensor<?x8xf16>, tensor<1x8xf16>) -> tensor<?x8xf16>
    return %y : tensor<?x8xf16>
  }
}

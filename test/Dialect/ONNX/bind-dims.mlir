// RUN: twist-opt %s --onnx-bind-dims=dims=batch=2,past=3,x.2=5 | FileCheck %s
// RUN: twist-opt %s --onnx-bind-dims=dims=batch=2 | FileCheck %s --check-prefix=ONE

// CHECK: func.func @main(%arg0: tensor<2x7x5xf32> {onnx.dims = ["", "", ""], onnx.name = "x"}, %arg1: tensor<2x?xf32> {onnx.dims = ["", "sequence + 3"], onnx.name = "m"})
// CHECK-SAME: -> (tensor<10x7xf32> {onnx.dims = ["", ""]})
// CHECK-NOT: onnx.Shape
// ONE: func.func @main(%arg0: tensor<2x7x?xf32> {onnx.dims = ["", "", ""]{{.*}}, %arg1: tensor<2x?xf32> {onnx.dims = ["", "past + sequence"]
// ONE-SAME: -> (tensor<?x7xf32> {onnx.dims = ["", ""]})
func.func @main(%x: tensor<?x7x?xf32> {onnx.name = "x", onnx.dims = ["batch", "", ""]},
                %m: tensor<?x?xf32> {onnx.name = "m", onnx.dims = ["batch", "past + sequence"]})
    -> (tensor<?x7xf32> {onnx.dims = ["", ""]}) {
  %t = onnx.Transpose %x {perm = array<i64: 0, 2, 1>} : (tensor<?x7x?xf32>) -> tensor<?x?x7xf32>
  %s = onnx.Constant {value = dense<[-1, 7]> : tensor<2xi64>} : tensor<2xi64>
  %y = onnx.Reshape %t, %s : (tensor<?x?x7xf32>, tensor<2xi64>) -> tensor<?x7xf32>
  return %y : tensor<?x7xf32>
}

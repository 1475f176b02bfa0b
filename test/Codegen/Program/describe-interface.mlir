// RUN: twist-opt --split-input-file --cpu-describe-interface %s | FileCheck %s

// Names, element types the model had and symbols are kept; sizes of results are
// functions of sizes of arguments alone.

// CHECK: cpu.interface = {inputs = [
// CHECK-SAME: {dims = array<i64: -1, 4>, name = "x", symbols = ["batch", ""], type = "f32"}
// CHECK-SAME: {dims = array<i64: -1>, name = "mask", symbols = ["length"], type = "bool"}
// CHECK-SAME: outputs = [
// CHECK-SAME: {dims = array<i64: -1, 4>, name = "y", symbols = ["", ""], type = "f32"}
// CHECK-SAME: {dims = array<i64: 2>, name = "result1", symbols = [""], type = "i8"}

// CHECK-LABEL: func.func @main

// CHECK-LABEL: func.func private @output_dims
// CHECK-SAME: (%[[BATCH:.*]]: index, %[[LENGTH:.*]]: index) -> index
// CHECK: %[[SUM:.*]] = arith.addi %[[BATCH]], %[[LENGTH]]
// CHECK-NOT: tensor
// CHECK: return %[[SUM]]
func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["batch", ""]},
                %m: tensor<?xi8> {onnx.name = "mask", onnx.type = "bool", onnx.dims = ["length"]})
    -> (tensor<?x4xf32> {onnx.name = "y"}, tensor<2xi8>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %two = arith.constant dense<2> : tensor<2xi8>
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %l = tensor.dim %m, %c0 : tensor<?xi8>
  %s = arith.addi %n, %l : index
  %e = tensor.empty(%s) : tensor<?x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %i = tensor.insert_slice %x into %f[0, 0] [%n, 4] [1, 1] : tensor<?x4xf32> into tensor<?x4xf32>
  return %i, %two : tensor<?x4xf32>, tensor<2xi8>
}

// -----

// A value that is returned twice is copied once.

// CHECK-LABEL: func.func @main
// CHECK: %[[COPY:.*]] = bufferization.alloc_tensor() copy(%[[X:.*]]) : tensor<4xf32>
// CHECK: return %[[X]], %[[COPY]] : tensor<4xf32>, tensor<4xf32>
func.func @main(%x: tensor<4xf32> {onnx.name = "x"}) -> (tensor<4xf32> {onnx.name = "y"}, tensor<4xf32> {onnx.name = "z"}) {
  return %x, %x : tensor<4xf32>, tensor<4xf32>
}

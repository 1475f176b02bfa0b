// RUN: twist-opt %s --convert-onnx-to-linalg --canonicalize --cse | FileCheck %s

// Only what is better than the last of the best is inserted.
// CHECK-LABEL: @topk
// CHECK: scf.for
// CHECK: %[[X:.*]] = tensor.extract %arg0
// CHECK: %[[BETTER:.*]] = arith.cmpf ogt, %[[X]]
// CHECK: scf.if
// CHECK: scf.for
// CHECK: tensor.insert
// CHECK: tensor.insert
func.func @topk(%x: tensor<3x100xf32>) -> (tensor<3x5xf32>, tensor<3x5xi64>) {
  %k = onnx.Constant {value = dense<5> : tensor<1xi64>} : tensor<1xi64>
  %v, %i = onnx.TopK %x, %k : (tensor<3x100xf32>, tensor<1xi64>) -> (tensor<3x5xf32>, tensor<3x5xi64>)
  return %v, %i : tensor<3x5xf32>, tensor<3x5xi64>
}

// CHECK-LABEL: @one_hot
// CHECK: linalg.generic
// CHECK-SAME: ins(%arg0 : tensor<7xi64>)
// CHECK: arith.cmpi eq
// CHECK: arith.select
func.func @one_hot(%i: tensor<7xi64>, %v: tensor<2xf32>) -> tensor<7x9xf32> {
  %depth = onnx.Constant {value = dense<9> : tensor<i64>} : tensor<i64>
  %y = onnx.OneHot %i, %depth, %v : (tensor<7xi64>, tensor<i64>, tensor<2xf32>) -> tensor<7x9xf32>
  return %y : tensor<7x9xf32>
}

// A known condition is a gather.
// CHECK-LABEL: @compress
// CHECK: %[[AT:.*]] = arith.constant dense<[1, 2]> : tensor<2xi64>
// CHECK: nn.gather{{.*}}%[[AT]]
func.func @compress(%x: tensor<4x3xf32>) -> tensor<2x3xf32> {
  %c = onnx.Constant {value = dense<[false, true, true, false]> : tensor<4xi1>} : tensor<4xi1>
  %y = onnx.Compress %x, %c {axis = 0 : si64} : (tensor<4x3xf32>, tensor<4xi1>) -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// The loss of a mean over unweighted labels needs one reduction.
// CHECK-LABEL: @loss
// CHECK: arith.extf {{.*}} f32 to f64
// CHECK: linalg.generic {{.*}}iterator_types = ["reduction"]
// CHECK-NOT: iterator_types = ["reduction"]
// CHECK: return
func.func @loss(%x: tensor<8x10xf32>, %t: tensor<8xi64>) -> tensor<f32> {
  %none = onnx.None
  %y = onnx.NegativeLogLikelihoodLoss %x, %t, %none : (tensor<8x10xf32>, tensor<8xi64>, none) -> tensor<f32>
  return %y : tensor<f32>
}

// RUN: twist-opt %s --convert-onnx-to-linalg --canonicalize --cse | FileCheck %s

// A chain of Shape, Gather, Unsqueeze, Concat leaves no integer tensor, and the
// reshape is found to split one dimension.
// CHECK-LABEL: @chain
// CHECK-DAG: %[[B:.*]] = tensor.dim %arg0, %c0
// CHECK-DAG: %[[S:.*]] = tensor.dim %arg0, %c1
// CHECK-NOT: tensor.from_elements
// CHECK: tensor.expand_shape %arg0 {{\[}}[0], [1], [2, 3]] output_shape [%[[B]], %[[S]], 2, 4]
// CHECK: return
func.func @chain(%x: tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32> {
  %zero = onnx.Constant {value = dense<0> : tensor<i64>} : tensor<i64>
  %one = onnx.Constant {value = dense<1> : tensor<i64>} : tensor<i64>
  %axis = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %heads = onnx.Constant {value = dense<[2, -1]> : tensor<2xi64>} : tensor<2xi64>
  %shape = onnx.Shape %x : (tensor<?x?x8xf32>) -> tensor<3xi64>
  %b0 = onnx.Gather %shape, %zero : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %s0 = onnx.Gather %shape, %one : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %b = onnx.Unsqueeze %b0, %axis : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %s = onnx.Unsqueeze %s0, %axis : (tensor<i64>, tensor<1xi64>) -> tensor<1xi64>
  %to = onnx.Concat %b, %s, %heads {axis = 0 : si64} : (tensor<1xi64>, tensor<1xi64>, tensor<2xi64>) -> tensor<4xi64>
  %y = onnx.Reshape %x, %to : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
  return %y : tensor<?x?x2x4xf32>
}

// Expand, legacy style: Where(shape == -1, 1, shape).
// CHECK-LABEL: @expand
// CHECK-NOT: arith.select
// CHECK: linalg.generic
// CHECK-SAME: ins(%{{.*}} : tensor<4xf32>) outs(%{{.*}} : tensor<?x4xf32>)
func.func @expand(%x: tensor<1x4xf32>, %like: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %shape = onnx.Shape %like : (tensor<?x4xf32>) -> tensor<2xi64>
  %minus = onnx.Constant {value = dense<-1> : tensor<2xi64>} : tensor<2xi64>
  %ones = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %is = onnx.Equal %shape, %minus : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi1>
  %to = onnx.Where %is, %ones, %shape : (tensor<2xi1>, tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  %y = onnx.Expand %x, %to : (tensor<1x4xf32>, tensor<2xi64>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// CHECK-LABEL: @flatten
// CHECK: tensor.collapse_shape %arg0 {{\[}}[0, 1], [2, 3]] : tensor<?x3x?x5xf32> into tensor<?x?xf32>
func.func @flatten(%x: tensor<?x3x?x5xf32>) -> tensor<?x?xf32> {
  %y = onnx.Flatten %x {axis = 2 : si64} : (tensor<?x3x?x5xf32>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// Sizes known at run time only: through one dimension.
// CHECK-LABEL: @computed
// CHECK: tensor.collapse_shape %arg0 {{\[}}[0, 1]]
// CHECK: tensor.expand_shape %{{.*}} {{\[}}[0, 1]]
func.func @computed(%x: tensor<?x?xf32>, %to: tensor<2xi64>) -> tensor<?x?xf32> {
  %y = onnx.Reshape %x, %to : (tensor<?x?xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// Heads to the front and back: two transposes, one shape cast.
// CHECK-LABEL: @transpose
// CHECK: linalg.transpose ins(%arg0 : tensor<?x?x2x4xf32>) outs(%{{.*}} : tensor<?x2x?x4xf32>) permutation = [0, 2, 1, 3]
func.func @transpose(%x: tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32> {
  %y = onnx.Transpose %x {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x4xf32>) -> tensor<?x2x?x4xf32>
  return %y : tensor<?x2x?x4xf32>
}

// "To the end" is no bound.
// CHECK-LABEL: @slice
// CHECK: %[[D:.*]] = tensor.dim %arg0
// CHECK-NOT: minsi
// CHECK: tensor.extract_slice %arg0[0, 1] [%[[D]], 3] [1, 1]
func.func @slice(%x: tensor<?x4xf32>) -> tensor<?x3xf32> {
  %start = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %end = onnx.Constant {value = dense<9223372036854775807> : tensor<1xi64>} : tensor<1xi64>
  %none = onnx.None
  %y = onnx.Slice %x, %start, %end, %start, %none : (tensor<?x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}

// A table cut to a size meets that size: no broadcast; more is refused.
// CHECK-LABEL: @table
// CHECK: %[[D:.*]] = tensor.dim %arg0
// CHECK: %[[CUT:.*]] = arith.minsi %[[D]], %c16
// CHECK: %[[HOLDS:.*]] = arith.cmpi eq, %[[CUT]], %[[D]]
// CHECK: cf.assert %[[HOLDS]], "a size is beyond a table of the model"
// CHECK: nn.gather ins(%{{.*}}, %{{.*}} : tensor<?x8xf32>, tensor<?xi64>)
// CHECK: arith.addf
// CHECK: return %{{.*}} : tensor<?x8xf32>
func.func @table(%x: tensor<?x8xf32>, %table: tensor<16x8xf32>) -> tensor<?x8xf32> {
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %none = onnx.None
  %end = onnx.Shape %x {start = 0 : si64, end = 1 : si64} : (tensor<?x8xf32>) -> tensor<1xi64>
  %t = onnx.Slice %table, %zero, %end, %zero, %none : (tensor<16x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x8xf32>
  %y = onnx.Add %x, %t : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

// Results are inserted into one buffer.
// CHECK-LABEL: @concat
// CHECK: tensor.insert_slice %arg0 into %{{.*}}[0, 0]
// CHECK: tensor.insert_slice %arg1 into
func.func @concat(%a: tensor<?x4xf32> {onnx.dims = ["p", ""]}, %b: tensor<?x4xf32> {onnx.dims = ["s", ""]}) -> tensor<?x4xf32> {
  %y = onnx.Concat %a, %b {axis = 0 : si64} : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

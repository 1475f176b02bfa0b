// RUN: twist-opt %s --convert-onnx-to-linalg --canonicalize --cse | FileCheck %s

// The inputs of all steps are one product; the loop multiplies the state alone
// and keeps it in one buffer.
// CHECK-LABEL: @lstm
// CHECK: linalg.matmul ins(%{{.*}}, %{{.*}} : tensor<12x4xf32>, tensor<4x20xf32>)
// CHECK: scf.for
// CHECK: tensor.extract_slice {{.*}} : tensor<6x2x20xf32> to tensor<{{.*}}2x20xf32>
// CHECK: linalg.matmul ins(%{{.*}}, %{{.*}} : tensor<2x5xf32>, tensor<5x20xf32>)
// CHECK-NOT: linalg.matmul
// CHECK: math.tanh
// CHECK: tensor.insert_slice
// CHECK: bufferization.materialize_in_destination
// CHECK: bufferization.materialize_in_destination
// CHECK: scf.yield
// CHECK-NOT: scf.for
func.func @lstm(%x: tensor<6x2x4xf32>, %w: tensor<1x20x4xf32>, %r: tensor<1x20x5xf32>) -> tensor<6x1x2x5xf32> {
  %none = onnx.None
  %y:3 = onnx.LSTM %x, %w, %r, %none, %none, %none, %none, %none {hidden_size = 5 : si64} : (tensor<6x2x4xf32>, tensor<1x20x4xf32>, tensor<1x20x5xf32>, none, none, none, none, none) -> (tensor<6x1x2x5xf32>, none, none)
  return %y#0 : tensor<6x1x2x5xf32>
}

// A reset before the product splits it: update and reset, then the new state.
// CHECK-LABEL: @gru
// CHECK: scf.for
// CHECK: linalg.matmul ins(%{{.*}}, %{{.*}} : tensor<2x5xf32>, tensor<5x10xf32>)
// CHECK: linalg.matmul ins(%{{.*}}, %{{.*}} : tensor<2x5xf32>, tensor<5x5xf32>)
func.func @gru(%x: tensor<6x2x4xf32>, %w: tensor<1x15x4xf32>, %r: tensor<1x15x5xf32>) -> tensor<1x2x5xf32> {
  %none = onnx.None
  %y:2 = onnx.GRU %x, %w, %r, %none, %none, %none {hidden_size = 5 : si64} : (tensor<6x2x4xf32>, tensor<1x15x4xf32>, tensor<1x15x5xf32>, none, none, none) -> (none, tensor<1x2x5xf32>)
  return %y#1 : tensor<1x2x5xf32>
}

// Both directions: two loops that fill one result.
// CHECK-LABEL: @both
// CHECK: scf.for
// CHECK: scf.for
// CHECK: arith.subi
func.func @both(%x: tensor<6x2x4xf32>, %w: tensor<2x5x4xf32>, %r: tensor<2x5x5xf32>) -> tensor<6x2x2x5xf32> {
  %none = onnx.None
  %y:2 = onnx.RNN %x, %w, %r, %none, %none, %none {direction = "bidirectional"} : (tensor<6x2x4xf32>, tensor<2x5x4xf32>, tensor<2x5x5xf32>, none, none, none) -> (tensor<6x2x2x5xf32>, none)
  return %y#0 : tensor<6x2x2x5xf32>
}

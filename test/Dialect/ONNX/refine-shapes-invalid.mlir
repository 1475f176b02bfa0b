// RUN: twist-opt %s --onnx-refine-shapes --split-input-file --verify-diagnostics

func.func @conflict(%x: tensor<2x3xf32>, %y: tensor<3x5xf32>) -> tensor<2x4xf32> {
  // expected-error @below {{result #0 has sizes [2, 5], but its type says 'tensor<2x4xf32>'}}
  %z = onnx.MatMul %x, %y : (tensor<2x3xf32>, tensor<3x5xf32>) -> tensor<2x4xf32>
  return %z : tensor<2x4xf32>
}

// -----

func.func @rankConflict(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  // expected-error @below {{result #0 has sizes [3, 2], but its type says 'tensor<2xf32>'}}
  %z = onnx.Transpose %x : (tensor<2x3xf32>) -> tensor<2xf32>
  return %z : tensor<2xf32>
}

// -----

// Only where it begins, not at all that follows.
func.func @rank(%x: tensor<2x3xf32>, %shape: tensor<?xi64>) -> tensor<*xf32> {
  // expected-error @below {{the rank of its result does not follow from the graph}}
  %y = onnx.Reshape %x, %shape : (tensor<2x3xf32>, tensor<?xi64>) -> tensor<*xf32>
  %z = onnx.Relu %y : (tensor<*xf32>) -> tensor<*xf32>
  return %z : tensor<*xf32>
}

// -----

// Both are told.
// expected-error @below {{argument #0 has no rank}}
// expected-error @below {{input 'y' has no rank}}
func.func @argument(%x: tensor<*xf32>, %y: tensor<*xf32> {onnx.name = "y"}) {
  return
}

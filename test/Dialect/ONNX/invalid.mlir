// RUN: twist-opt %s --split-input-file --verify-diagnostics

func.func @constant() {
  // expected-error @below {{has a value of type 'tensor<2xi64>', not 'tensor<3xi64>'}}
  %0 = onnx.Constant {value = dense<[1, 2]> : tensor<2xi64>} : tensor<3xi64>
  return
}

// -----

func.func @castElement(%x: tensor<4xi64>) {
  // expected-error @below {{casts to 'f32', but its result is 'tensor<4xf64>'}}
  %0 = onnx.Cast %x {to = 1 : si64} : (tensor<4xi64>) -> tensor<4xf64>
  return
}

// -----

func.func @castNumber(%x: tensor<4xi64>) {
  // expected-error @below {{casts to 99, which is no data type}}
  %0 = onnx.Cast %x {to = 99 : si64} : (tensor<4xi64>) -> tensor<4xf64>
  return
}

// -----

func.func @permTwice(%x: tensor<4x5xf32>) {
  // expected-error @below {{perm is no permutation}}
  %0 = onnx.Transpose %x {perm = array<i64: 0, 0>} : (tensor<4x5xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @permRank(%x: tensor<4x5xf32>) {
  // expected-error @below {{perm is for rank 3, its operand is 'tensor<4x5xf32>'}}
  %0 = onnx.Transpose %x {perm = array<i64: 0, 2, 1>} : (tensor<4x5xf32>) -> tensor<4x5xf32>
  return
}

// -----

func.func @axis(%x: tensor<4x5xf32>) {
  // expected-error @below {{axis 2 is out of range for 'tensor<4x5xf32>'}}
  %0 = onnx.Softmax %x {axis = 2 : si64} : (tensor<4x5xf32>) -> tensor<4x5xf32>
  return
}

// -----

func.func @negativeAxis(%x: tensor<4x5xf32>) {
  // expected-error @below {{axis -3 is out of range for 'tensor<4x5xf32>'}}
  %0 = onnx.Concat %x, %x {axis = -3 : si64} : (tensor<4x5xf32>, tensor<4x5xf32>) -> tensor<4x10xf32>
  return
}

// -----

// Flatten's axis may be the rank, and no more.
func.func @flatten(%x: tensor<4x5xf32>) {
  %0 = onnx.Flatten %x {axis = 2 : si64} : (tensor<4x5xf32>) -> tensor<20x1xf32>
  // expected-error @below {{axis 3 is out of range for 'tensor<4x5xf32>'}}
  %1 = onnx.Flatten %x {axis = 3 : si64} : (tensor<4x5xf32>) -> tensor<20x1xf32>
  return
}

// -----

func.func @kind(%x: tensor<4x5xf32>) {
  // expected-error @below {{attribute 'axis' failed to satisfy constraint: 64-bit signed integer attribute}}
  %0 = onnx.Softmax %x {axis = 1 : i64} : (tensor<4x5xf32>) -> tensor<4x5xf32>
  return
}

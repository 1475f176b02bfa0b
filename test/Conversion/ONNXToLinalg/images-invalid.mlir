// RUN: twist-opt %s -split-input-file -verify-diagnostics --convert-onnx-to-linalg

func.func @indices(%x: tensor<1x4x6x6xf32>) -> tensor<1x4x3x3xi64> {
  // expected-error @below {{the indices of a MaxPool cannot be compiled}}
  %y, %i = onnx.MaxPool %x {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x4x6x6xf32>) -> (tensor<1x4x3x3xf32>, tensor<1x4x3x3xi64>)
  return %i : tensor<1x4x3x3xi64>
}

// -----

func.func @power(%x: tensor<1x4x6xf32>) -> tensor<1x4x5xf32> {
  // expected-error @below {{p must be positive, is 0}}
  %y = onnx.LpPool %x {kernel_shape = array<i64: 2>, p = 0 : si64} : (tensor<1x4x6xf32>) -> tensor<1x4x5xf32>
  return %y : tensor<1x4x5xf32>
}

// -----

func.func @scales(%x: tensor<1x4x6x6xf32>, %s: tensor<4xf32>) -> tensor<1x4x12x12xf32> {
  %none = onnx.None
  // expected-error @below {{its scales must be known at compile time}}
  %y = onnx.Resize %x, %none, %s, %none : (tensor<1x4x6x6xf32>, none, tensor<4xf32>, none) -> tensor<1x4x12x12xf32>
  return %y : tensor<1x4x12x12xf32>
}

// -----

func.func @mode(%x: tensor<1x4x6x6xf32>, %s: tensor<4xi64>) -> tensor<1x4x12x12xf32> {
  %none = onnx.None
  // expected-error @below {{unknown mode 'sharp'}}
  %y = onnx.Resize %x, %none, %none, %s {mode = "sharp"} : (tensor<1x4x6x6xf32>, none, none, tensor<4xi64>) -> tensor<1x4x12x12xf32>
  return %y : tensor<1x4x12x12xf32>
}

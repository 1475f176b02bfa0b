// RUN: twist-opt %s -split-input-file -verify-diagnostics

func.func @groups(%x: tensor<1x4x5x5xf32>, %w: tensor<6x2x3x3xf32>) -> tensor<1x6x3x3xf32> {
  %none = onnx.None
  // expected-error @below {{has 4 input channels, not divisible by its 3 groups}}
  %y = onnx.Conv %x, %w, %none {group = 3 : si64} : (tensor<1x4x5x5xf32>, tensor<6x2x3x3xf32>, none) -> tensor<1x6x3x3xf32>
  return %y : tensor<1x6x3x3xf32>
}

// -----

func.func @units(%x: tensor<1x4x5x5xf32>, %w: tensor<7x2x3x3xf32>) -> tensor<1x7x3x3xf32> {
  %none = onnx.None
  // expected-error @below {{has 7 output channels, not divisible by its 2 groups}}
  %y = onnx.Conv %x, %w, %none {group = 2 : si64} : (tensor<1x4x5x5xf32>, tensor<7x2x3x3xf32>, none) -> tensor<1x7x3x3xf32>
  return %y : tensor<1x7x3x3xf32>
}

// -----

func.func @channels(%x: tensor<1x4x5x5xf32>, %w: tensor<6x3x3x3xf32>) -> tensor<1x6x3x3xf32> {
  %none = onnx.None
  // expected-error @below {{has 4 input channels, its weight 3 for each of 1 groups}}
  %y = onnx.Conv %x, %w, %none : (tensor<1x4x5x5xf32>, tensor<6x3x3x3xf32>, none) -> tensor<1x6x3x3xf32>
  return %y : tensor<1x6x3x3xf32>
}

// -----

func.func @bias(%x: tensor<1x4x5x5xf32>, %w: tensor<6x4x3x3xf32>, %b: tensor<5xf32>) -> tensor<1x6x3x3xf32> {
  // expected-error @below {{has 6 output channels and a bias of 'tensor<5xf32>'}}
  %y = onnx.Conv %x, %w, %b : (tensor<1x4x5x5xf32>, tensor<6x4x3x3xf32>, tensor<5xf32>) -> tensor<1x6x3x3xf32>
  return %y : tensor<1x6x3x3xf32>
}

// -----

func.func @strides(%x: tensor<1x4x5x5xf32>, %w: tensor<6x4x3x3xf32>) -> tensor<1x6x3x3xf32> {
  %none = onnx.None
  // expected-error @below {{strides has 1 numbers, expected 2}}
  %y = onnx.Conv %x, %w, %none {strides = array<i64: 1>} : (tensor<1x4x5x5xf32>, tensor<6x4x3x3xf32>, none) -> tensor<1x6x3x3xf32>
  return %y : tensor<1x6x3x3xf32>
}

// -----

func.func @kernel(%x: tensor<1x4x5x5xf32>, %w: tensor<6x4x3x3xf32>) -> tensor<1x6x3x3xf32> {
  %none = onnx.None
  // expected-error @below {{kernel_shape is 2 in dimension 1, the weight's size 3}}
  %y = onnx.Conv %x, %w, %none {kernel_shape = array<i64: 3, 2>} : (tensor<1x4x5x5xf32>, tensor<6x4x3x3xf32>, none) -> tensor<1x6x3x3xf32>
  return %y : tensor<1x6x3x3xf32>
}

// -----

func.func @unknown_kernel(%x: tensor<1x4x5xf32>, %w: tensor<6x4x?xf32>) -> tensor<1x6x?xf32> {
  %none = onnx.None
  // expected-error @below {{has a kernel whose size is not known}}
  %y = onnx.Conv %x, %w, %none : (tensor<1x4x5xf32>, tensor<6x4x?xf32>, none) -> tensor<1x6x?xf32>
  return %y : tensor<1x6x?xf32>
}

// -----

func.func @auto_pad(%x: tensor<1x4x6xf32>) -> tensor<1x4x5xf32> {
  // expected-error @below {{auto_pad is unknown: 'SOME'}}
  %y = onnx.AveragePool %x {auto_pad = "SOME", kernel_shape = array<i64: 2>} : (tensor<1x4x6xf32>) -> tensor<1x4x5xf32>
  return %y : tensor<1x4x5xf32>
}

// -----

func.func @group_norm(%x: tensor<1x4x6xf32>, %s: tensor<4xf32>) -> tensor<1x4x6xf32> {
  // expected-error @below {{has 4 channels, not divisible by its 3 groups}}
  %y = onnx.GroupNormalization %x, %s, %s {num_groups = 3 : si64} : (tensor<1x4x6xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x6xf32>
  return %y : tensor<1x4x6xf32>
}

// -----

func.func @blocks(%x: tensor<1x6x4x4xf32>) -> tensor<1x1x8x8xf32> {
  // expected-error @below {{has 6 channels, not divisible by its 4 groups}}
  %y = onnx.DepthToSpace %x {blocksize = 2 : si64} : (tensor<1x6x4x4xf32>) -> tensor<1x1x8x8xf32>
  return %y : tensor<1x1x8x8xf32>
}

// -----

func.func @nothing(%x: tensor<1x4x5x5xf32>) -> tensor<1x4x5x5xf32> {
  // expected-error @below {{kernel_shape must be positive, is 0}}
  %y = onnx.AveragePool %x {kernel_shape = array<i64: 0, 2>} : (tensor<1x4x5x5xf32>) -> tensor<1x4x5x5xf32>
  return %y : tensor<1x4x5x5xf32>
}

// -----

func.func @flat(%x: tensor<4x5xf32>) -> tensor<4x5xf32> {
  // expected-error @below {{expects [batch, channels, spatial...], has an operand of type 'tensor<4x5xf32>'}}
  %y = onnx.AveragePool %x {kernel_shape = array<i64>} : (tensor<4x5xf32>) -> tensor<4x5xf32>
  return %y : tensor<4x5xf32>
}

// -----

func.func @far(%x: tensor<1x4x5xf32>) -> tensor<1x4x?xf32> {
  // expected-error @below {{a kernel, stride, dilation or pad of 9223372036854775807 is out of range}}
  %y = onnx.AveragePool %x {kernel_shape = array<i64: 2>, pads = array<i64: 0, 9223372036854775807>} : (tensor<1x4x5xf32>) -> tensor<1x4x?xf32>
  return %y : tensor<1x4x?xf32>
}

// -----

func.func @no_size(%x: tensor<1x1x3xf32>, %w: tensor<1x1x2xf32>, %none: none) -> tensor<1x1x?xf32> {
  // expected-error @below {{output_shape is out of range: -4}}
  %y = onnx.ConvTranspose %x, %w, %none {output_shape = array<i64: -4>} : (tensor<1x1x3xf32>, tensor<1x1x2xf32>, none) -> tensor<1x1x?xf32>
  return %y : tensor<1x1x?xf32>
}

// -----

func.func @negative(%x: tensor<1x4x5xf32>) -> tensor<1x4x3xf32> {
  // expected-error @below {{pads must not be negative}}
  %y = onnx.AveragePool %x {kernel_shape = array<i64: 2>, pads = array<i64: -1, 0>} : (tensor<1x4x5xf32>) -> tensor<1x4x3xf32>
  return %y : tensor<1x4x3xf32>
}

// -----

func.func @no_group(%x: tensor<1x4x5xf32>, %w: tensor<6x4x3xf32>) -> tensor<1x6x3xf32> {
  %none = onnx.None
  // expected-error @below {{needs one group at least, has 0}}
  %y = onnx.Conv %x, %w, %none {group = 0 : si64} : (tensor<1x4x5xf32>, tensor<6x4x3xf32>, none) -> tensor<1x6x3xf32>
  return %y : tensor<1x6x3xf32>
}

// -----

func.func @scales(%x: tensor<1x4x5xf32>, %s: tensor<4xf32>, %b: tensor<3xf32>) -> tensor<1x4x5xf32> {
  // expected-error @below {{has 4 channels, and for each of them 'tensor<3xf32>'}}
  %y, %m, %v = onnx.BatchNormalization %x, %s, %b, %s, %s : (tensor<1x4x5xf32>, tensor<4xf32>, tensor<3xf32>, tensor<4xf32>, tensor<4xf32>) -> (tensor<1x4x5xf32>, none, none)
  return %y : tensor<1x4x5xf32>
}

// -----

func.func @groups_scales(%x: tensor<1x4x5xf32>, %s: tensor<4xf32>, %b: tensor<2x2xf32>) -> tensor<1x4x5xf32> {
  // expected-error @below {{has 4 channels, and for each of them 'tensor<2x2xf32>'}}
  %y = onnx.GroupNormalization %x, %s, %b {num_groups = 2 : si64} : (tensor<1x4x5xf32>, tensor<4xf32>, tensor<2x2xf32>) -> tensor<1x4x5xf32>
  return %y : tensor<1x4x5xf32>
}

// -----

func.func @depth_mode(%x: tensor<1x4x5x5xf32>) -> tensor<1x1x10x10xf32> {
  // expected-error @below {{mode is unknown: 'ABC'}}
  %y = onnx.DepthToSpace %x {blocksize = 2 : si64, mode = "ABC"} : (tensor<1x4x5x5xf32>) -> tensor<1x1x10x10xf32>
  return %y : tensor<1x1x10x10xf32>
}

// -----

func.func @depth_rank(%x: tensor<4x5x5xf32>) -> tensor<1x10x10xf32> {
  // expected-error @below {{expects rank 4, not 'tensor<4x5x5xf32>'}}
  %y = onnx.DepthToSpace %x {blocksize = 2 : si64} : (tensor<4x5x5xf32>) -> tensor<1x10x10xf32>
  return %y : tensor<1x10x10xf32>
}

// -----

func.func @depth_block(%x: tensor<1x4x5x5xf32>) -> tensor<1x1x10x10xf32> {
  // expected-error @below {{blocksize is out of range: 0}}
  %y = onnx.DepthToSpace %x {blocksize = 0 : si64} : (tensor<1x4x5x5xf32>) -> tensor<1x1x10x10xf32>
  return %y : tensor<1x1x10x10xf32>
}

// -----

func.func @space_rank(%x: tensor<4x6x6xf32>) -> tensor<16x3x3xf32> {
  // expected-error @below {{expects rank 4, not 'tensor<4x6x6xf32>'}}
  %y = onnx.SpaceToDepth %x {blocksize = 2 : si64} : (tensor<4x6x6xf32>) -> tensor<16x3x3xf32>
  return %y : tensor<16x3x3xf32>
}

// -----

func.func @space_block(%x: tensor<1x4x6x6xf32>) -> tensor<1x16x3x3xf32> {
  // expected-error @below {{blocksize is out of range: -2}}
  %y = onnx.SpaceToDepth %x {blocksize = -2 : si64} : (tensor<1x4x6x6xf32>) -> tensor<1x16x3x3xf32>
  return %y : tensor<1x16x3x3xf32>
}

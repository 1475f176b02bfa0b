// RUN: twist-opt %s -split-input-file -verify-diagnostics --convert-onnx-to-linalg

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

// -----

func.func @coordinates(%x: tensor<1x4x6x6xf32>, %s: tensor<4xi64>) -> tensor<1x4x12x12xf32> {
  %none = onnx.None
  // expected-error @below {{unknown coordinate_transformation_mode 'odd'}}
  %y = onnx.Resize %x, %none, %none, %s {coordinate_transformation_mode = "odd"} : (tensor<1x4x6x6xf32>, none, none, tensor<4xi64>) -> tensor<1x4x12x12xf32>
  return %y : tensor<1x4x12x12xf32>
}

// -----

func.func @nearest(%x: tensor<1x4x6x6xf32>, %s: tensor<4xi64>) -> tensor<1x4x12x12xf32> {
  %none = onnx.None
  // expected-error @below {{unknown nearest_mode 'far'}}
  %y = onnx.Resize %x, %none, %none, %s {nearest_mode = "far"} : (tensor<1x4x6x6xf32>, none, none, tensor<4xi64>) -> tensor<1x4x12x12xf32>
  return %y : tensor<1x4x12x12xf32>
}

// -----

func.func @antialias(%x: tensor<1x4x6x6xf32>, %s: tensor<4xi64>) -> tensor<1x4x12x12xf32> {
  %none = onnx.None
  // expected-error @below {{antialias is for linear and cubic interpolation}}
  %y = onnx.Resize %x, %none, %none, %s {antialias = 1 : si64} : (tensor<1x4x6x6xf32>, none, none, tensor<4xi64>) -> tensor<1x4x12x12xf32>
  return %y : tensor<1x4x12x12xf32>
}

// -----

func.func @few_scales(%x: tensor<1x4x6x6xf32>) -> tensor<1x4x12x12xf32> {
  %none = onnx.None
  %s = onnx.Constant {value = dense<2.0> : tensor<3xf32>} : tensor<3xf32>
  // expected-error @below {{has 3 scales for 4 dimensions}}
  %y = onnx.Resize %x, %none, %s, %none : (tensor<1x4x6x6xf32>, none, tensor<3xf32>, none) -> tensor<1x4x12x12xf32>
  return %y : tensor<1x4x12x12xf32>
}

// -----

func.func @zero_scale(%x: tensor<1x4x6x6xf32>) -> tensor<1x4x12x12xf32> {
  %none = onnx.None
  %s = onnx.Constant {value = dense<[1.0, 1.0, 0.0, 2.0]> : tensor<4xf32>} : tensor<4xf32>
  // expected-error @below {{its scales must be positive, not 0}}
  %y = onnx.Resize %x, %none, %s, %none : (tensor<1x4x6x6xf32>, none, tensor<4xf32>, none) -> tensor<1x4x12x12xf32>
  return %y : tensor<1x4x12x12xf32>
}

// -----

func.func @policy(%x: tensor<1x4x6x6xf32>) -> tensor<1x4x12x12xf32> {
  %none = onnx.None
  %s = onnx.Constant {value = dense<[1, 4, 12, 12]> : tensor<4xi64>} : tensor<4xi64>
  // expected-error @below {{unknown keep_aspect_ratio_policy 'squeeze'}}
  %y = onnx.Resize %x, %none, %none, %s {keep_aspect_ratio_policy = "squeeze"} : (tensor<1x4x6x6xf32>, none, none, tensor<4xi64>) -> tensor<1x4x12x12xf32>
  return %y : tensor<1x4x12x12xf32>
}

// -----

func.func @ratio(%x: tensor<1x4x?x6xf32>) -> tensor<1x4x?x?xf32> {
  %none = onnx.None
  %s = onnx.Constant {value = dense<[12, 12]> : tensor<2xi64>} : tensor<2xi64>
  // expected-error @below {{keeps an aspect ratio that is not known at compile time}}
  %y = onnx.Resize %x, %none, %none, %s {axes = array<i64: 2, 3>, keep_aspect_ratio_policy = "not_larger"} : (tensor<1x4x?x6xf32>, none, none, tensor<2xi64>) -> tensor<1x4x?x?xf32>
  return %y : tensor<1x4x?x?xf32>
}

// -----

func.func @region(%x: tensor<1x4x6x6xf32>) -> tensor<1x4x12x12xf32> {
  %none = onnx.None
  %s = onnx.Constant {value = dense<[1, 4, 12, 12]> : tensor<4xi64>} : tensor<4xi64>
  // expected-error @below {{its region must be known at compile time, with two numbers a dimension}}
  %y = onnx.Resize %x, %none, %none, %s {coordinate_transformation_mode = "tf_crop_and_resize"} : (tensor<1x4x6x6xf32>, none, none, tensor<4xi64>) -> tensor<1x4x12x12xf32>
  return %y : tensor<1x4x12x12xf32>
}

// -----

func.func @neither(%x: tensor<1x4x6x6xf32>) -> tensor<1x4x12x12xf32> {
  %none = onnx.None
  // expected-error @below {{has neither scales nor sizes}}
  %y = onnx.Resize %x, %none, %none, %none : (tensor<1x4x6x6xf32>, none, none, none) -> tensor<1x4x12x12xf32>
  return %y : tensor<1x4x12x12xf32>
}

// -----

func.func @unknown_taps(%x: tensor<1x4x?xf32>) -> tensor<1x4x12xf32> {
  %none = onnx.None
  %s = onnx.Constant {value = dense<[12]> : tensor<1xi64>} : tensor<1xi64>
  // expected-error @below {{antialias needs scales known at compile time}}
  %y = onnx.Resize %x, %none, %none, %s {axes = array<i64: 2>, antialias = 1 : si64, mode = "linear"} : (tensor<1x4x?xf32>, none, none, tensor<1xi64>) -> tensor<1x4x12xf32>
  return %y : tensor<1x4x12xf32>
}

// -----

func.func @channels(%x: tensor<5xf32>) -> tensor<5xf32> {
  // expected-error @below {{needs channels and a positive size}}
  %y = onnx.LRN %x {size = 3 : si64} : (tensor<5xf32>) -> tensor<5xf32>
  return %y : tensor<5xf32>
}

// -----

func.func @integers(%x: tensor<1x4x5xi32>, %w: tensor<6x4x3xi32>) -> tensor<1x6x3xi32> {
  %none = onnx.None
  // expected-error @below {{Conv is for floats, not 'i32'}}
  %y = onnx.Conv %x, %w, %none : (tensor<1x4x5xi32>, tensor<6x4x3xi32>, none) -> tensor<1x6x3xi32>
  return %y : tensor<1x6x3xi32>
}

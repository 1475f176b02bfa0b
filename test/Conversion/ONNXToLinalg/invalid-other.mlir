// RUN: twist-opt %s --convert-onnx-to-linalg -split-input-file -verify-diagnostics

func.func @more(%x: tensor<3x4xf32>) -> tensor<3x5xf32> {
  %k = onnx.Constant {value = dense<5> : tensor<1xi64>} : tensor<1xi64>
  // expected-error @+1 {{k is 5, but axis 1 has 4 elements}}
  %v, %i = onnx.TopK %x, %k : (tensor<3x4xf32>, tensor<1xi64>) -> (tensor<3x5xf32>, tensor<3x5xi64>)
  return %v : tensor<3x5xf32>
}

// -----
func.func @ks(%x: tensor<3x4xf32>, %k: tensor<2xi64>) -> tensor<3x?xf32> {
  // expected-error @+1 {{operand 1 must have one element}}
  %v, %i = onnx.TopK %x, %k : (tensor<3x4xf32>, tensor<2xi64>) -> (tensor<3x?xf32>, tensor<3x?xi64>)
  return %v : tensor<3x?xf32>
}

// -----
func.func @picked(%x: tensor<4xf32>, %c: tensor<4xi1>) -> tensor<?xf32> {
  // expected-error @+1 {{how many elements it picks depends on data}}
  %y = onnx.Compress %x, %c : (tensor<4xf32>, tensor<4xi1>) -> tensor<?xf32>
  return %y : tensor<?xf32>
}

// -----
func.func @crop(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %to = onnx.Constant {value = dense<4> : tensor<1xi64>} : tensor<1xi64>
  // expected-error @+1 {{has 1 sizes for 2 axes}}
  %y = onnx.CenterCropPad %x, %to : (tensor<4x4xf32>, tensor<1xi64>) -> tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}

// -----
func.func @eye(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{takes a tensor of rank 2}}
  %y = onnx.EyeLike %x : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----
func.func @width(%x: tensor<4xf32>) -> tensor<4xi16> {
  // expected-error @+1 {{a bit cast from 'f32' to 'i16' changes the width}}
  %y = onnx.BitCast %x {to = 5 : si64} : (tensor<4xf32>) -> tensor<4xi16>
  return %y : tensor<4xi16>
}

// -----
func.func @length(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-error @+1 {{p is 3, not 1 or 2}}
  %y = onnx.LpNormalization %x {p = 3 : si64} : (tensor<4x4xf32>) -> tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}

// -----
func.func @reduced(%x: tensor<4x5xf32>, %t: tensor<4xi64>) -> tensor<f32> {
  %none = onnx.None
  // expected-error @+1 {{has an unknown reduction 'median'}}
  %y = onnx.NegativeLogLikelihoodLoss %x, %t, %none {reduction = "median"} : (tensor<4x5xf32>, tensor<4xi64>, none) -> tensor<f32>
  return %y : tensor<f32>
}

// -----
func.func @labels(%x: tensor<4x5xf32>, %t: tensor<4x5xi64>) -> tensor<f32> {
  %none = onnx.None
  // expected-error @+1 {{takes scores [batch, classes, ...] and labels without the classes, not of ranks 2 and 2}}
  %y = onnx.NegativeLogLikelihoodLoss %x, %t, %none : (tensor<4x5xf32>, tensor<4x5xi64>, none) -> tensor<f32>
  return %y : tensor<f32>
}

// -----
func.func @scales(%x: tensor<4x5xi8>, %s: tensor<4x5xf32>) -> tensor<4x5xf32> {
  %none = onnx.None
  // expected-error @+1 {{a scale of rank 2 fits neither an axis nor blocks of its operand}}
  %y = onnx.DequantizeLinear %x, %s, %none : (tensor<4x5xi8>, tensor<4x5xf32>, none) -> tensor<4x5xf32>
  return %y : tensor<4x5xf32>
}

// -----
func.func @zeros(%a: tensor<4x5xi8>, %b: tensor<5x3xi8>, %z: tensor<4x1xi8>) -> tensor<4x3xi32> {
  %none = onnx.None
  // expected-error @+1 {{zero points of rank 2 or more cannot be compiled}}
  %y = onnx.MatMulInteger %a, %b, %z, %none : (tensor<4x5xi8>, tensor<5x3xi8>, tensor<4x1xi8>, none) -> tensor<4x3xi32>
  return %y : tensor<4x3xi32>
}

// -----
func.func @vectors(%a: tensor<5xi8>, %b: tensor<5x3xi8>) -> tensor<3xi32> {
  %none = onnx.None
  // expected-error @+1 {{takes A of rank 2 or more and B of rank 2}}
  %y = onnx.MatMulInteger %a, %b, %none, %none : (tensor<5xi8>, tensor<5x3xi8>, none, none) -> tensor<3xi32>
  return %y : tensor<3xi32>
}

// -----
func.func @activation(%x: tensor<6x2x4xf32>, %w: tensor<1x5x4xf32>, %r: tensor<1x5x5xf32>) -> tensor<6x1x2x5xf32> {
  %none = onnx.None
  // expected-error @+1 {{has an unknown activation 'Wiggle'}}
  %y:2 = onnx.RNN %x, %w, %r, %none, %none, %none {activations = ["Wiggle"]} : (tensor<6x2x4xf32>, tensor<1x5x4xf32>, tensor<1x5x5xf32>, none, none, none) -> (tensor<6x1x2x5xf32>, none)
  return %y#0 : tensor<6x1x2x5xf32>
}

// -----
func.func @activations(%x: tensor<6x2x4xf32>, %w: tensor<1x15x4xf32>, %r: tensor<1x15x5xf32>) -> tensor<6x1x2x5xf32> {
  %none = onnx.None
  // expected-error @+1 {{has 1 activations, needs 2}}
  %y:2 = onnx.GRU %x, %w, %r, %none, %none, %none {activations = ["Tanh"]} : (tensor<6x2x4xf32>, tensor<1x15x4xf32>, tensor<1x15x5xf32>, none, none, none) -> (tensor<6x1x2x5xf32>, none)
  return %y#0 : tensor<6x1x2x5xf32>
}

// -----
func.func @directions(%x: tensor<6x2x4xf32>, %w: tensor<1x5x4xf32>, %r: tensor<1x5x5xf32>) -> tensor<6x2x2x5xf32> {
  %none = onnx.None
  // expected-error @+1 {{direction bidirectional does not fit the first dimension of R}}
  %y:2 = onnx.RNN %x, %w, %r, %none, %none, %none {direction = "bidirectional"} : (tensor<6x2x4xf32>, tensor<1x5x4xf32>, tensor<1x5x5xf32>, none, none, none) -> (tensor<6x2x2x5xf32>, none)
  return %y#0 : tensor<6x2x2x5xf32>
}

// -----
func.func @halves(%x: tensor<6x2x4xf16>, %w: tensor<1x5x4xf16>, %r: tensor<1x5x5xf16>) -> tensor<6x1x2x5xf16> {
  %none = onnx.None
  // expected-error @+1 {{states of element type 'f16' cannot be compiled}}
  %y:2 = onnx.RNN %x, %w, %r, %none, %none, %none : (tensor<6x2x4xf16>, tensor<1x5x4xf16>, tensor<1x5x5xf16>, none, none, none) -> (tensor<6x1x2x5xf16>, none)
  return %y#0 : tensor<6x1x2x5xf16>
}

// -----
func.func @grid(%x: tensor<1x2x4x4xf32>, %g: tensor<1x5x5x3xf32>) -> tensor<1x2x5x5xf32> {
  // expected-error @+1 {{does not address an operand of type}}
  %y = onnx.GridSample %x, %g : (tensor<1x2x4x4xf32>, tensor<1x5x5x3xf32>) -> tensor<1x2x5x5xf32>
  return %y : tensor<1x2x5x5xf32>
}

// -----
func.func @matrices(%t: tensor<2x3xf32>) -> tensor<1x2x2x2xf32> {
  %size = onnx.Constant {value = dense<[1, 1, 2, 2]> : tensor<4xi64>} : tensor<4xi64>
  // expected-error @+1 {{takes matrices and the sizes of batch, channels and image}}
  %y = onnx.AffineGrid %t, %size : (tensor<2x3xf32>, tensor<4xi64>) -> tensor<1x2x2x2xf32>
  return %y : tensor<1x2x2x2xf32>
}

// -----
func.func @blocks(%x: tensor<1x4x4xf32>) -> tensor<1x1x4x4xf32> {
  %image = onnx.Constant {value = dense<4> : tensor<2xi64>} : tensor<2xi64>
  %block = onnx.Constant {value = dense<2> : tensor<2xi64>} : tensor<2xi64>
  // expected-error @+1 {{must be of as many dimensions as the image}}
  %y = onnx.Col2Im %x, %image, %block {strides = array<i64: 2>} : (tensor<1x4x4xf32>, tensor<2xi64>, tensor<2xi64>) -> tensor<1x1x4x4xf32>
  return %y : tensor<1x1x4x4xf32>
}

// -----
func.func @cache(%c: tensor<2x4x3xf32>, %u: tensor<2x1x3xf32>) -> tensor<2x4x3xf32> {
  %none = onnx.None
  // expected-error @+1 {{needs an axis after the batch and the mode linear or circular, has axis 1 and mode 'spiral'}}
  %y = onnx.TensorScatter %c, %u, %none {mode = "spiral"} : (tensor<2x4x3xf32>, tensor<2x1x3xf32>, none) -> tensor<2x4x3xf32>
  return %y : tensor<2x4x3xf32>
}

// -----
func.func @along(%x: tensor<3x4xf32>, %axis: tensor<i64>) -> tensor<3x4xf32> {
  // expected-error @+1 {{its axis must be known at compile time}}
  %y = onnx.CumSum %x, %axis : (tensor<3x4xf32>, tensor<i64>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----
func.func @beyond(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %axis = onnx.Constant {value = dense<2> : tensor<i64>} : tensor<i64>
  // expected-error @+1 {{axis 2 is out of range for rank 2}}
  %y = onnx.CumSum %x, %axis : (tensor<3x4xf32>, tensor<i64>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----
func.func @axes(%x: tensor<4xf32>, %a: tensor<1xi64>) -> tensor<?xf32> {
  %k = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %none = onnx.None
  // expected-error @+1 {{its axes and steps must be known at compile time}}
  %y = onnx.Slice %x, %k, %k, %a, %none : (tensor<4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?xf32>
  return %y : tensor<?xf32>
}

// -----
func.func @lengths(%x: tensor<4x4xf32>) -> tensor<?x?xf32> {
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %two = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %none = onnx.None
  // expected-error @+1 {{starts, ends, axes and steps must have the same length}}
  %y = onnx.Slice %x, %one, %two, %none, %none : (tensor<4x4xf32>, tensor<1xi64>, tensor<2xi64>, none, none) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// -----
func.func @tiles(%x: tensor<4x4xf32>) -> tensor<?x?xf32> {
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  // expected-error @+1 {{needs a repeat for each of 2 dimensions, has 1}}
  %y = onnx.Tile %x, %one : (tensor<4x4xf32>, tensor<1xi64>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// -----
func.func @address(%x: tensor<4xf32>, %i: tensor<3x2xi64>) -> tensor<3xf32> {
  // expected-error @+1 {{its indices address 2 dimensions of data of rank 1}}
  %y = onnx.GatherND %x, %i : (tensor<4xf32>, tensor<3x2xi64>) -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----
func.func @label(%x: tensor<4x5xf32>) -> tensor<4x6xf32> {
  // expected-error @+1 {{'ij->ik' is no equation}}
  %y = onnx.Einsum %x {equation = "ij->ik"} : (tensor<4x5xf32>) -> tensor<4x6xf32>
  return %y : tensor<4x6xf32>
}

// -----
func.func @norm_of_rows(%x: tensor<5xf32>, %s: tensor<5xf32>) -> tensor<5xf32> {
  // expected-error @+1 {{needs channels}}
  %y, %m, %v = onnx.BatchNormalization %x, %s, %s, %s, %s {training_mode = 1 : si64} : (tensor<5xf32>, tensor<5xf32>, tensor<5xf32>, tensor<5xf32>, tensor<5xf32>) -> (tensor<5xf32>, tensor<5xf32>, tensor<5xf32>)
  return %y : tensor<5xf32>
}

// -----
// expected-error @+1 {{needs a body of one block}}
func.func @blocks(%x: tensor<5xf32>) -> tensor<5xf32> {
  cf.br ^next
^next:
  return %x : tensor<5xf32>
}

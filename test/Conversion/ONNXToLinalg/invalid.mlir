// RUN: twist-opt %s --convert-onnx-to-linalg -split-input-file -verify-diagnostics

// Every obstacle is reported, not the first alone.
func.func @unknown(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'Frobnicate' cannot be compiled: it has no lowering}}
  %a = "onnx.node"(%x) <{op_type = "Frobnicate"}> : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @+1 {{'Blur' cannot be compiled: it has no lowering}}
  %b = "onnx.node"(%x) <{op_type = "Blur"}> : (tensor<4xf32>) -> tensor<4xf32>
  %c = onnx.Add %a, %b : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %c : tensor<4xf32>
}

// -----
// expected-error @+1 {{argument 0 has no known rank: 'tensor<*xf32>'}}
func.func @unranked(%x: tensor<*xf32>) -> tensor<*xf32> {
  return %x : tensor<*xf32>
}

// -----
func.func @rank(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{a result has no known rank}}
  %y = onnx.Abs %x : (tensor<4xf32>) -> tensor<*xf32>
  %z = onnx.Abs %y : (tensor<*xf32>) -> tensor<4xf32>
  return %z : tensor<4xf32>
}

// -----
func.func @strings(%x: tensor<4xf32>) -> tensor<4xi1> {
  // expected-error @+1 {{a result has an element type that cannot be compiled: '!onnx.string'}}
  %y = onnx.Cast %x {to = 8 : si64} : (tensor<4xf32>) -> tensor<4x!onnx.string>
  %z = onnx.Equal %y, %y : (tensor<4x!onnx.string>, tensor<4x!onnx.string>) -> tensor<4xi1>
  return %z : tensor<4xi1>
}

// -----
func.func @axes(%x: tensor<4x4xf32>, %axes: tensor<1xi64>) -> tensor<4xf32> {
  %keep = onnx.None
  // expected-error @+1 {{its axes must be known at compile time}}
  %y = onnx.ReduceSum %x, %axes {keepdims = 0 : si64} : (tensor<4x4xf32>, tensor<1xi64>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----
func.func @holes(%x: tensor<4x4xf32>) -> tensor<?x?xf32> {
  %to = onnx.Constant {value = dense<-1> : tensor<2xi64>} : tensor<2xi64>
  // expected-error @+1 {{its shape has more than one -1}}
  %y = onnx.Reshape %x, %to : (tensor<4x4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// -----
func.func @zero(%x: tensor<4xf32>) -> tensor<?x?xf32> {
  %to = onnx.Constant {value = dense<[4, 0]> : tensor<2xi64>} : tensor<2xi64>
  // expected-error @+1 {{entry 1 of its shape is 0, but the data has rank 1}}
  %y = onnx.Reshape %x, %to : (tensor<4xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// -----
func.func @shape(%x: tensor<4xf32>, %to: tensor<?xi64>) -> tensor<?x?xf32> {
  // expected-error @+1 {{operand 1 must be an integer tensor of rank 0 or 1 with a known number of elements}}
  %y = onnx.Reshape %x, %to : (tensor<4xf32>, tensor<?xi64>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

// -----
func.func @step(%x: tensor<4xf32>) -> tensor<4xf32> {
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  // expected-error @+1 {{a step must not be 0}}
  %y = onnx.Slice %x, %zero, %zero, %zero, %zero : (tensor<4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----
func.func @parts(%x: tensor<4xf32>) -> tensor<2xf32> {
  %sizes = onnx.Constant {value = dense<[2, 1, 1]> : tensor<3xi64>} : tensor<3xi64>
  // expected-error @+1 {{splits into 3 parts, but has 2 results}}
  %y:2 = onnx.Split %x, %sizes : (tensor<4xf32>, tensor<3xi64>) -> (tensor<2xf32>, tensor<2xf32>)
  return %y#0 : tensor<2xf32>
}

// -----
func.func @pads(%x: tensor<4xf32>) -> tensor<4xf32> {
  %none = onnx.None
  %pads = onnx.Constant {value = dense<1> : tensor<3xi64>} : tensor<3xi64>
  // expected-error @+1 {{needs two pads an axis, has 3 for 1 axes}}
  %y = onnx.Pad %x, %pads, %none, %none : (tensor<4xf32>, tensor<3xi64>, none, none) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----
func.func @mode(%x: tensor<4xf32>) -> tensor<6xf32> {
  %none = onnx.None
  %pads = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  // expected-error @+1 {{unknown padding mode 'swirl'}}
  %y = onnx.Pad %x, %pads, %none, %none {mode = "swirl"} : (tensor<4xf32>, tensor<2xi64>, none, none) -> tensor<6xf32>
  return %y : tensor<6xf32>
}

// -----
func.func @einsum(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{term 0 of equation 'ij->i' does not have the operand's rank 1}}
  %y = onnx.Einsum %x {equation = "ij->i"} : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----
func.func @scale(%x: tensor<2x4xf32>, %g: tensor<3x2x4xf32>) -> tensor<2x4xf32> {
  // expected-error @+1 {{scale and bias must have the shape of the normalised dimensions}}
  %y = onnx.RMSNormalization %x, %g : (tensor<2x4xf32>, tensor<3x2x4xf32>) -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// -----
func.func @index(%x: tensor<4xf32>) -> tensor<2xf32> {
  %i = onnx.Constant {value = dense<[-4, 4]> : tensor<2xi64>} : tensor<2xi64>
  // expected-error @+1 {{index 4 is outside a dimension of size 4}}
  %y = onnx.Gather %x, %i : (tensor<4xf32>, tensor<2xi64>) -> tensor<2xf32>
  return %y : tensor<2xf32>
}

// -----
func.func @fill(%x: tensor<2xi64>) -> tensor<?x?xf32> {
  // expected-error @+1 {{fills with one value, it has 0}}
  %y = onnx.ConstantOfShape %x {value = dense<> : tensor<0xf32>} : (tensor<2xi64>) -> tensor<?x?xf32>
  return %y : tensor<?x?xf32>
}

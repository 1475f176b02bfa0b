// RUN: twist-opt %s --onnx-type-nodes --split-input-file --verify-diagnostics

func.func @few(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-error @below {{operand #1 must be ONNX value, but got 'none'}}
  %y = "onnx.node"(%x) <{op_type = "MatMul"}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}

// -----

func.func @many(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-error @below {{Relu takes at most 1 operands, not 2}}
  %y = "onnx.node"(%x, %x) <{op_type = "Relu"}> : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}

// -----

func.func @results(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-error @below {{Relu has at most 1 results, not 2}}
  %y:2 = "onnx.node"(%x) <{op_type = "Relu"}> : (tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>)
  return %y#1 : tensor<4x4xf32>
}

// -----

// Both are told.
func.func @attributes(%x: tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  // expected-error @below {{Softmax: Invalid attribute `axis` in property conversion}}
  %y = "onnx.node"(%x) <{op_type = "Softmax", node_attributes = {axis = "last"}}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
  // expected-error @below {{Relu has no attribute 'consumed_inputs'}}
  %z = "onnx.node"(%x) <{op_type = "Relu", node_attributes = {consumed_inputs = array<i64: 0>}}> : (tensor<4x4xf32>) -> tensor<4x4xf32>
  return %y, %z : tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

func.func @required(%x: tensor<4x4xf32>) -> tensor<8x4xf32> {
  // expected-error @below {{axis}}
  %y = "onnx.node"(%x, %x) <{op_type = "Concat"}> : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<8x4xf32>
  return %y : tensor<8x4xf32>
}

// -----

func.func @constant() -> tensor<i64> {
  // expected-error @below {{unsupported attribute 'value_int' of a Constant: "x"}}
  %y = "onnx.node"() <{op_type = "Constant", node_attributes = {value_int = "x"}}> : () -> tensor<i64>
  return %y : tensor<i64>
}

// -----

func.func @noConstant() -> tensor<i64> {
  // expected-error @below {{expected a Constant to have one attribute}}
  %y = "onnx.node"() <{op_type = "Constant"}> : () -> tensor<i64>
  return %y : tensor<i64>
}

// -----
func.func @like(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{CastLike takes two tensors and has one result}}
  %y = "onnx.node"(%x) <{op_type = "CastLike"}> : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @constant(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{a Constant has one result and no operands}}
  %y = "onnx.node"(%x) <{op_type = "Constant", node_attributes = {value = dense<1.0> : tensor<4xf32>}}> : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

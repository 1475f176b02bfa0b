// RUN: twist-opt %s -split-input-file --twist-discover-axes="explain=true" -verify-diagnostics -o %t

// Operands that do not fit bar everything they touch; eight units each.

func.func @main(%x: tensor<?x4xf32>) -> tensor<?x8xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %axes = onnx.Constant {value = dense<5> : tensor<1xi64>} : tensor<1xi64>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it has not the dimensions it reduces}}
  %y = onnx.ReduceSum %h, %axes : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it reaches the output}}
  return %h : tensor<?x8xf32>
}

// -----

func.func @main(%x: tensor<?x4xf32>, %start: tensor<i64>) -> tensor<?x8xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: its starts are no list}}
  %y = onnx.Slice %h, %start, %start, %none, %none : (tensor<?x8xf32>, tensor<i64>, tensor<i64>, none, none) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it reaches the output}}
  return %h : tensor<?x8xf32>
}

// -----

func.func @main(%x: tensor<?x4xf32>) -> tensor<?x8xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %two = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: its starts, axes and steps do not fit}}
  %y = onnx.Slice %h, %one, %one, %two, %none : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<2xi64>, none) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it reaches the output}}
  return %h : tensor<?x8xf32>
}

// -----

func.func @main(%x: tensor<?x4xf32>, %i: tensor<3x?xi64>) -> tensor<?x8xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: its indices are of unknown length}}
  %y = onnx.GatherND %h, %i : (tensor<?x8xf32>, tensor<3x?xi64>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: its indices are of unknown length}}
  %z = onnx.ScatterND %h, %i, %y : (tensor<?x8xf32>, tensor<3x?xi64>, tensor<?x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it reaches the output}}
  return %h : tensor<?x8xf32>
}

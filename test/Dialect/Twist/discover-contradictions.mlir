// RUN: twist-opt %s -split-input-file --twist-discover-axes="explain=true" -verify-diagnostics -o %t
// RUN: not grep -E "twist.(axis|gate)" %t

// Operands and attributes that contradict the ranks of what they are about: the
// onnx library's inference lets them pass.

func.func @main(%x: tensor<5x4xf32>, %i: tensor<5x3xi64>) -> tensor<5x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %seven = onnx.Constant {value = dense<7> : tensor<1xi64>} : tensor<1xi64>
  %pair = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it has not the dimensions listed}}
  %c = onnx.Resize %h, %none, %none, %two {axes = array<i64: 5>} : (tensor<5x8xf32>, none, none, tensor<1xi64>) -> tensor<5x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<5x8xf32>, tensor<8x1xf32>) -> tensor<5x1xf32>
  return %y : tensor<5x1xf32>
}

// -----

func.func @main(%x: tensor<5x4xf32>, %i: tensor<5x3xi64>) -> tensor<5x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %seven = onnx.Constant {value = dense<7> : tensor<1xi64>} : tensor<1xi64>
  %pair = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it has not the dimensions listed}}
  %c = onnx.Squeeze %h, %seven : (tensor<5x8xf32>, tensor<1xi64>) -> tensor<5x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<5x8xf32>, tensor<8x1xf32>) -> tensor<5x1xf32>
  return %y : tensor<5x1xf32>
}

// -----

func.func @main(%x: tensor<5x4xf32>, %i: tensor<5x3xi64>) -> tensor<5x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %seven = onnx.Constant {value = dense<7> : tensor<1xi64>} : tensor<1xi64>
  %pair = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: its pads and axes do not fit}}
  %c = onnx.Pad %h, %two, %none, %none : (tensor<5x8xf32>, tensor<1xi64>, none, none) -> tensor<5x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<5x8xf32>, tensor<8x1xf32>) -> tensor<5x1xf32>
  return %y : tensor<5x1xf32>
}

// -----

func.func @main(%x: tensor<5x4xf32>, %i: tensor<5x3xi64>) -> tensor<5x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %seven = onnx.Constant {value = dense<7> : tensor<1xi64>} : tensor<1xi64>
  %pair = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it has not the dimensions listed}}
  %c = onnx.Pad %h, %pair, %none, %seven : (tensor<5x8xf32>, tensor<2xi64>, none, tensor<1xi64>) -> tensor<5x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<5x8xf32>, tensor<8x1xf32>) -> tensor<5x1xf32>
  return %y : tensor<5x1xf32>
}

// -----

func.func @main(%x: tensor<5x4xf32>, %i: tensor<5x3xi64>) -> tensor<5x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %seven = onnx.Constant {value = dense<7> : tensor<1xi64>} : tensor<1xi64>
  %pair = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: its indices are too long}}
  %c = onnx.GatherND %h, %i : (tensor<5x8xf32>, tensor<5x3xi64>) -> tensor<5x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<5x8xf32>, tensor<8x1xf32>) -> tensor<5x1xf32>
  return %y : tensor<5x1xf32>
}

// -----

func.func @main(%x: tensor<5x4xf32>, %i: tensor<5x3xi64>) -> tensor<5x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %seven = onnx.Constant {value = dense<7> : tensor<1xi64>} : tensor<1xi64>
  %pair = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: its indices or updates do not fit}}
  %c = onnx.ScatterND %h, %i, %h : (tensor<5x8xf32>, tensor<5x3xi64>, tensor<5x8xf32>) -> tensor<5x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<5x8xf32>, tensor<8x1xf32>) -> tensor<5x1xf32>
  return %y : tensor<5x1xf32>
}

// -----

func.func @main(%x: tensor<5x4xf32>, %i: tensor<5x3xi64>) -> tensor<5x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %seven = onnx.Constant {value = dense<7> : tensor<1xi64>} : tensor<1xi64>
  %pair = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it has not the dimensions it norms}}
  %c = onnx.MeanVarianceNormalization %h {axes = array<i64: 0, 2>} : (tensor<5x8xf32>) -> tensor<5x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<5x8xf32>, tensor<8x1xf32>) -> tensor<5x1xf32>
  return %y : tensor<5x1xf32>
}

// -----

func.func @main(%x: tensor<5x4xf32>, %i: tensor<5x3xi64>) -> tensor<5x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %seven = onnx.Constant {value = dense<7> : tensor<1xi64>} : tensor<1xi64>
  %pair = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it has not the dimensions listed}}
  %c = onnx.CenterCropPad %h, %two {axes = array<i64: -3>} : (tensor<5x8xf32>, tensor<1xi64>) -> tensor<5x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<5x8xf32>, tensor<8x1xf32>) -> tensor<5x1xf32>
  return %y : tensor<5x1xf32>
}

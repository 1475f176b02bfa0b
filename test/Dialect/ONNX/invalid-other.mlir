// RUN: twist-opt %s -split-input-file -verify-diagnostics

func.func @reduction(%x: tensor<4xf32>, %i: tensor<2xi64>, %u: tensor<2xf32>) {
  // expected-error @+1 {{has an unknown reduction 'xor'}}
  %y = onnx.ScatterElements %x, %i, %u {reduction = "xor"} : (tensor<4xf32>, tensor<2xi64>, tensor<2xf32>) -> tensor<4xf32>
  return
}

// -----
func.func @mode(%x: tensor<1x1x2x2xf32>, %g: tensor<1x2x2x2xf32>) {
  // expected-error @+1 {{has an unknown mode 'septic'}}
  %y = onnx.GridSample %x, %g {mode = "septic"} : (tensor<1x1x2x2xf32>, tensor<1x2x2x2xf32>) -> tensor<1x1x2x2xf32>
  return
}

// -----
func.func @padding(%x: tensor<1x1x2x2xf32>, %g: tensor<1x2x2x2xf32>) {
  // expected-error @+1 {{has an unknown padding mode 'foam'}}
  %y = onnx.GridSample %x, %g {padding_mode = "foam"} : (tensor<1x1x2x2xf32>, tensor<1x2x2x2xf32>) -> tensor<1x1x2x2xf32>
  return
}

// -----
func.func @direction(%x: tensor<6x2x4xf32>, %w: tensor<1x5x4xf32>, %r: tensor<1x5x5xf32>) {
  %none = onnx.None
  // expected-error @+1 {{has an unknown direction 'sideways'}}
  %y:2 = onnx.RNN %x, %w, %r, %none, %none, %none {direction = "sideways"} : (tensor<6x2x4xf32>, tensor<1x5x4xf32>, tensor<1x5x5xf32>, none, none, none) -> (none, none)
  return
}

// -----
func.func @layout(%x: tensor<6x2x4xf32>, %w: tensor<1x5x4xf32>, %r: tensor<1x5x5xf32>) {
  %none = onnx.None
  // expected-error @+1 {{layout 2 is not 0 or 1}}
  %y:2 = onnx.RNN %x, %w, %r, %none, %none, %none {layout = 2 : si64} : (tensor<6x2x4xf32>, tensor<1x5x4xf32>, tensor<1x5x5xf32>, none, none, none) -> (none, none)
  return
}

// -----
func.func @rank(%x: tensor<2x4xf32>, %w: tensor<1x5x4xf32>, %r: tensor<1x5x5xf32>) {
  %none = onnx.None
  // expected-error @+1 {{takes X, W and R of rank 3, not 'tensor<2x4xf32>'}}
  %y:2 = onnx.RNN %x, %w, %r, %none, %none, %none : (tensor<2x4xf32>, tensor<1x5x4xf32>, tensor<1x5x5xf32>, none, none, none) -> (none, none)
  return
}

// -----
func.func @gates(%x: tensor<6x2x4xf32>, %w: tensor<1x15x4xf32>, %r: tensor<1x15x5xf32>) {
  %none = onnx.None
  // expected-error @+1 {{needs 4 gates of 5 hidden units, but R is 'tensor<1x15x5xf32>'}}
  %y:3 = onnx.LSTM %x, %w, %r, %none, %none, %none, %none, %none : (tensor<6x2x4xf32>, tensor<1x15x4xf32>, tensor<1x15x5xf32>, none, none, none, none, none) -> (none, none, none)
  return
}

// -----
func.func @hidden(%x: tensor<6x2x4xf32>, %w: tensor<1x15x4xf32>, %r: tensor<1x15x5xf32>) {
  %none = onnx.None
  // expected-error @+1 {{has hidden_size 6, but R is 'tensor<1x15x5xf32>'}}
  %y:2 = onnx.GRU %x, %w, %r, %none, %none, %none {hidden_size = 6 : si64} : (tensor<6x2x4xf32>, tensor<1x15x4xf32>, tensor<1x15x5xf32>, none, none, none) -> (none, none)
  return
}

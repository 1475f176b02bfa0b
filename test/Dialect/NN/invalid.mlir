// RUN: twist-opt %s -split-input-file -verify-diagnostics

// C1
func.func @f(%x: tensor<2x8xf32>, %g: tensor<8xf32>, %e: tensor<3x8xf32>) {
  // expected-error @+1 {{init must have the shape and element type of input}}
  %y = nn.rms_norm ins(%x, %g : tensor<2x8xf32>, tensor<8xf32>) outs(%e : tensor<3x8xf32>) {epsilon = 1.0e-5 : f64} -> tensor<3x8xf32>
  return
}

// -----
// C2
func.func @f(%x: tensor<2x8xf32>, %g: tensor<7xf32>) {
  // expected-error @+1 {{scale and bias must have one value per unit}}
  %y = nn.layer_norm ins(%x, %g : tensor<2x8xf32>, tensor<7xf32>) outs(%x : tensor<2x8xf32>) {epsilon = 1.0e-5 : f64} -> tensor<2x8xf32>
  return
}

// -----
// C3
func.func @f(%x: memref<2x8xf32>, %g: tensor<8xf32>) {
  // expected-error @+1 {{mixes tensors and buffers}}
  nn.rms_norm ins(%x, %g : memref<2x8xf32>, tensor<8xf32>) outs(%x : memref<2x8xf32>) {epsilon = 1.0e-5 : f64}
  return
}

// -----
// C3
func.func @f(%x: tensor<2x8xf32>, %g: tensor<8xf32>) {
  // expected-error @+1 {{on tensors needs a result}}
  nn.rms_norm ins(%x, %g : tensor<2x8xf32>, tensor<8xf32>) outs(%x : tensor<2x8xf32>) {epsilon = 1.0e-5 : f64}
  return
}

// -----
// C1 of gather
func.func @f(%t: tensor<4x8xf32>, %i: tensor<3xi64>, %e: tensor<4x8xf32>) {
  // expected-error @+1 {{shape with dimension 0 replaced by the shape of indices}}
  %y = nn.gather ins(%t, %i : tensor<4x8xf32>, tensor<3xi64>) outs(%e : tensor<4x8xf32>) axis 0 -> tensor<4x8xf32>
  return
}

// -----
// C2 of gather
func.func @f(%t: tensor<4x8xf32>, %i: tensor<3xi64>, %e: tensor<4x3xf32>) {
  // expected-error @+1 {{axis must lie in}}
  %y = nn.gather ins(%t, %i : tensor<4x8xf32>, tensor<3xi64>) outs(%e : tensor<4x3xf32>) axis 2 -> tensor<4x3xf32>
  return
}

// -----
// C1 of scatter_add
func.func @f(%t: tensor<4x8xf32>, %i: tensor<3xi64>, %u: tensor<4x8xf32>) {
  // expected-error @+1 {{updates must have init's element type and its shape with dimension 0 replaced by the shape of indices}}
  %y = nn.scatter_add ins(%u, %i : tensor<4x8xf32>, tensor<3xi64>) outs(%t : tensor<4x8xf32>) axis 0 -> tensor<4x8xf32>
  return
}

// -----
// C1 of cross_entropy
func.func @f(%x: tensor<4x8xf32>, %t: tensor<3xi64>, %e: tensor<4xf32>) {
  // expected-error @+1 {{must have one element a row in each of 'tensor<3xi64>'}}
  %y:2 = nn.cross_entropy ins(%x, %t : tensor<4x8xf32>, tensor<3xi64>) outs(%e, %e : tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>, tensor<4xf32>
  return
}

// -----
// C1 of cross_entropy
func.func @f(%x: tensor<4x8xf32>, %t: tensor<4xi64>, %e: tensor<4xf32>) {
  // expected-error @+1 {{has two inits: losses and normalisers}}
  %y = nn.cross_entropy ins(%x, %t : tensor<4x8xf32>, tensor<4xi64>) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----
// C2 of cross_entropy
func.func @f(%x: tensor<4x8xbf16>, %t: tensor<4xi64>, %e: tensor<4xbf16>) {
  // expected-error @+1 {{inits must be 'f32'}}
  %y:2 = nn.cross_entropy ins(%x, %t : tensor<4x8xbf16>, tensor<4xi64>) outs(%e, %e : tensor<4xbf16>, tensor<4xbf16>) -> tensor<4xbf16>, tensor<4xbf16>
  return
}

// -----
// C3 of cross_entropy
func.func @f(%x: tensor<4x8xf32>, %t: tensor<4xi64>, %e: tensor<4xf32>) {
  // expected-error @+1 {{smoothing must lie in [0, 1)}}
  %y:2 = nn.cross_entropy ins(%x, %t : tensor<4x8xf32>, tensor<4xi64>) outs(%e, %e : tensor<4xf32>, tensor<4xf32>) {smoothing = 1.0 : f64} -> tensor<4xf32>, tensor<4xf32>
  return
}

// -----
// C4 of cross_entropy
func.func @f(%x: tensor<4x8xf32>, %t: tensor<4xi64>, %e: tensor<4xf32>) {
  // expected-error @+1 {{on tensors needs a result for each init}}
  nn.cross_entropy ins(%x, %t : tensor<4x8xf32>, tensor<4xi64>) outs(%e, %e : tensor<4xf32>, tensor<4xf32>)
  return
}

// -----
// C3
func.func @f(%x: tensor<4x8xf32>, %s: tensor<8xf32>) {
  // expected-error @+1 {{result must have the type of init}}
  %y = "nn.rms_norm"(%x, %s, %x) <{epsilon = 1.0e-5 : f64}> : (tensor<4x8xf32>, tensor<8xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  return
}

// -----
// C1 of cross_entropy
func.func @f(%x: tensor<f32>, %t: tensor<4xi64>, %e: tensor<4xf32>) {
  // expected-error @+1 {{needs one dimension at least}}
  %y:2 = nn.cross_entropy ins(%x, %t : tensor<f32>, tensor<4xi64>) outs(%e, %e : tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>, tensor<4xf32>
  return
}

// -----
// C1 of softmax_gradient
func.func @f(%y: tensor<4x8xf32>, %g: tensor<4x7xf32>) {
  // expected-error @+1 {{init must have the shape and element type of softmax}}
  %d = nn.softmax_gradient ins(%y : tensor<4x8xf32>) outs(%g : tensor<4x7xf32>) dimension 1 -> tensor<4x7xf32>
  return
}

// -----
// C2 of softmax_gradient
func.func @f(%y: tensor<4x8xf32>, %g: tensor<4x8xf32>) {
  // expected-error @+1 {{dimension must lie in [0, rank)}}
  %d = nn.softmax_gradient ins(%y : tensor<4x8xf32>) outs(%g : tensor<4x8xf32>) dimension 2 -> tensor<4x8xf32>
  return
}

// -----
// C4 of softmax_gradient
func.func @f(%y: tensor<4x8xf32>, %g: tensor<4x8xf32>) {
  // expected-error @+1 {{causal must not be negative, of rows of the last dimension}}
  %d = nn.softmax_gradient ins(%y : tensor<4x8xf32>) outs(%g : tensor<4x8xf32>) dimension 0 causal 0 -> tensor<4x8xf32>
  return
}

// -----
// C1 of causal_softmax
func.func @f(%y: tensor<8xf32>) {
  // expected-error @+1 {{init must have the shape and element type of input, with two dimensions or more}}
  %d = nn.causal_softmax ins(%y : tensor<8xf32>) outs(%y : tensor<8xf32>) offset 0 -> tensor<8xf32>
  return
}

// -----
// C2 of causal_softmax
func.func @f(%y: tensor<4x8xf32>) {
  // expected-error @+1 {{offset must not be negative}}
  %d = nn.causal_softmax ins(%y : tensor<4x8xf32>) outs(%y : tensor<4x8xf32>) offset -1 -> tensor<4x8xf32>
  return
}

// -----
// C1 of norm_gradient
func.func @f(%x: tensor<4x8xf32>, %s: tensor<8xf32>, %g: tensor<4x7xf32>, %m: tensor<4xf32>) {
  // expected-error @+1 {{init must have the shape and element type of input}}
  %d:3 = nn.norm_gradient ins(%x, %s, %g : tensor<4x8xf32>, tensor<8xf32>, tensor<4x7xf32>) outs(%x, %m, %m : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>) {epsilon = 1.0e-5 : f64} -> tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>
  return
}

// -----
// C2 of norm_gradient
func.func @f(%x: tensor<4x8xf32>, %s: tensor<7xf32>, %m: tensor<4xf32>) {
  // expected-error @+1 {{scale and bias must have one value per unit}}
  %d:3 = nn.norm_gradient ins(%x, %s, %x : tensor<4x8xf32>, tensor<7xf32>, tensor<4x8xf32>) outs(%x, %m, %m : tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>) {epsilon = 1.0e-5 : f64} -> tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>
  return
}

// -----
// C3 of norm_gradient
func.func @f(%x: tensor<4x8xf32>, %s: tensor<8xf32>, %m: tensor<4xf64>) {
  // expected-error @+1 {{means and factors must be 'f32'}}
  %d:3 = nn.norm_gradient ins(%x, %s, %x : tensor<4x8xf32>, tensor<8xf32>, tensor<4x8xf32>) outs(%x, %m, %m : tensor<4x8xf32>, tensor<4xf64>, tensor<4xf64>) {epsilon = 1.0e-5 : f64} -> tensor<4x8xf32>, tensor<4xf64>, tensor<4xf64>
  return
}

// -----
// C4 of norm_gradient
func.func @f(%x: tensor<4x8xf32>, %s: tensor<8xf32>, %m: tensor<4xf32>) {
  // expected-error @+1 {{has three inits: gradient, means and factors}}
  %d:2 = nn.norm_gradient ins(%x, %s, %x : tensor<4x8xf32>, tensor<8xf32>, tensor<4x8xf32>) outs(%x, %m : tensor<4x8xf32>, tensor<4xf32>) {epsilon = 1.0e-5 : f64} -> tensor<4x8xf32>, tensor<4xf32>
  return
}

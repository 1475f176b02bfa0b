// Each thing that has no gradient, at its node.
// RUN: twist-opt %s --twist-differentiate --split-input-file --verify-diagnostics

func.func @while(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{has no gradient: 'scf.while' has no rule}}
  %y = scf.while (%a = %x) : (tensor<4xf32>) -> tensor<4xf32> {
    %no = arith.constant false
    scf.condition(%no) %a : tensor<4xf32>
  } do {
  ^bb0(%a: tensor<4xf32>):
    scf.yield %a : tensor<4xf32>
  }
  return %y : tensor<4xf32>
}

// -----

func.func @scalar(%x: tensor<4xf32>, %n: index) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %s = tensor.extract %x[%c0] : tensor<4xf32>
  // expected-error @below {{has no gradient: it reads a computed scalar}}
  %y = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x) -> tensor<4xf32> {
    %b = tensor.insert %s into %a[%i] : tensor<4xf32>
    scf.yield %b : tensor<4xf32>
  }
  return %y : tensor<4xf32>
}

// -----

func.func @carried(%x: tensor<4xf32>, %n: index) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %f = arith.constant 1.0 : f32
  // expected-error @below {{has no gradient: it carries a scalar}}
  %y, %t = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x, %s = %f) -> (tensor<4xf32>, f32) {
    %b = tensor.extract %a[%i] : tensor<4xf32>
    scf.yield %a, %b : tensor<4xf32>, f32
  }
  return %y : tensor<4xf32>
}

// -----

func.func @element(%x: tensor<4xf32>, %n: index) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %y = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x) -> tensor<4xf32> {
    %s = tensor.extract %a[%i] : tensor<4xf32>
    // expected-error @below {{has no gradient: 'tensor.insert' has no rule}}
    %b = tensor.insert %s into %a[%c0] : tensor<4xf32>
    scf.yield %b : tensor<4xf32>
  }
  return %y : tensor<4xf32>
}

// -----

#id = affine_map<(d0) -> (d0)>
func.func @capture(%x: tensor<4xf32>, %y: tensor<f32>) -> tensor<4xf32> {
  %e = tensor.empty() : tensor<4xf32>
  %c = tensor.extract %y[] : tensor<f32>
  // expected-error @below {{has no gradient: its body captures a computed value and does more than pick from it}}
  %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
       ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.mulf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  return %r : tensor<4xf32>
}

// -----

#none = affine_map<(d0) -> ()>
#id = affine_map<(d0) -> (d0)>
func.func @difference(%x: tensor<4xf32>) -> tensor<f32> {
  %one = arith.constant dense<1.0> : tensor<f32>
  // expected-error @below {{has no gradient: it reduces neither by a sum or product nor by a maximum or minimum}}
  %y = linalg.generic {indexing_maps = [#id, #none], iterator_types = ["reduction"]}
       ins(%x : tensor<4xf32>) outs(%one : tensor<f32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.subf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<f32>
  return %y : tensor<f32>
}

// -----

#none = affine_map<(d0) -> ()>
#id = affine_map<(d0) -> (d0)>
func.func @start(%x: tensor<4xf32>, %low: tensor<f32>) -> tensor<f32> {
  // expected-error @below {{has no gradient: a product, maximum or minimum starts from a computed value}}
  %y = linalg.generic {indexing_maps = [#id, #none], iterator_types = ["reduction"]}
       ins(%x : tensor<4xf32>) outs(%low : tensor<f32>) {
  ^bb0(%a: f32, %b: f32):
    %s = arith.maximumf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<f32>
  return %y : tensor<f32>
}

// -----

#id = affine_map<(d0) -> (d0)>
func.func @body(%x: tensor<4xf32>) -> tensor<4xf32> {
  %e = tensor.empty() : tensor<4xf32>
  // expected-error @below {{has no gradient: its body has 'math.clampf', which has no rule}}
  %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
       ins(%x : tensor<4xf32>) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %zero = arith.constant 0.0 : f32
    %one = arith.constant 1.0 : f32
    %s = math.clampf %a to [%zero, %one] : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

#twice = affine_map<(d0, d1) -> (d0 * 2 - d1 + 1)>
#tap = affine_map<(d0, d1) -> (d1)>
#out = affine_map<(d0, d1) -> (d0)>
func.func @windows(%x: tensor<8xf32>, %w: tensor<2xf32>, %z: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{has no gradient: it reads a computed tensor in windows that are no convolution's}}
  %y = linalg.generic {indexing_maps = [#twice, #tap, #out], iterator_types = ["parallel", "reduction"]}
       ins(%x, %w : tensor<8xf32>, tensor<2xf32>) outs(%z : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %c: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %c, %p : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// expected-error @below {{operand 0 is 'f16': gradients are summed in f32 or f64; set the precision first}}
func.func @half(%x: tensor<4xf16>) -> tensor<4xf16> {
  return %x : tensor<4xf16>
}

// -----

// expected-error @below {{cannot be differentiated: it has no operand or no result of floats}}
func.func @integers(%x: tensor<4xi64>) -> tensor<4xi64> {
  return %x : tensor<4xi64>
}

// -----

// expected-error @below {{cannot be differentiated: it has not one block}}
func.func @blocks(%x: tensor<4xf32>) -> tensor<4xf32> {
  cf.br ^next
^next:
  return %x : tensor<4xf32>
}

// -----

#id = affine_map<(d0) -> (d0)>
#none = affine_map<(d0) -> ()>
func.func @scalar(%x: tensor<4xf32>, %y: tensor<f32>) -> tensor<4xf32> {
  %e = tensor.empty() : tensor<4xf32>
  %c = tensor.extract %y[] : tensor<f32>
  // expected-error @below {{has no gradient: a computed scalar is among its operands}}
  %r = linalg.generic {indexing_maps = [#id, #none, #id], iterator_types = ["parallel"]}
       ins(%x, %c : tensor<4xf32>, f32) outs(%e : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.mulf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<4xf32>
  return %r : tensor<4xf32>
}

// RUN: twist-opt --split-input-file --verify-diagnostics --cpu-tensor=loops --cpu-buffer --cpu-program-entry --cpu-resolve-dims --canonicalize --cpu-plan-arena %s

// expected-error@below {{a program needs a function @main}}
module {
  func.func @other() {
    return
  }
}

// -----

// expected-error@below {{a program takes and returns ranked tensors, not 'index'}}
func.func @main(%n: index) {
  return
}

// -----

// The size of the output is the value of an input.
func.func @main(%n: tensor<i64>) -> tensor<?xf32> {
  // expected-error@below {{the size of an output depends on values computed here, not only on the sizes of the inputs}}
  %v = tensor.extract %n[] : tensor<i64>
  %i = arith.index_cast %v : i64 to index
  %z = arith.constant 0.0 : f32
  %e = tensor.empty(%i) : tensor<?xf32>
  %f = linalg.fill ins(%z : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  return %f : tensor<?xf32>
}

// -----

// The size of a value in between is.
func.func @main(%n: tensor<i64>) -> tensor<f32> {
  %v = tensor.extract %n[] : tensor<i64>
  %i = arith.index_cast %v : i64 to index
  %z = arith.constant 0.0 : f32
  // expected-error@below {{the size of this op's result depends on values, not only on the sizes of the inputs}}
  %e = tensor.empty(%i) : tensor<?xf32>
  %f = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]} outs(%e : tensor<?xf32>) {
  ^bb0(%o: f32):
    %k = linalg.index 0 : index
    %ki = arith.index_cast %k : index to i32
    %kf = arith.sitofp %ki : i32 to f32
    linalg.yield %kf : f32
  } -> tensor<?xf32>
  %s = tensor.empty() : tensor<f32>
  %s0 = linalg.fill ins(%z : f32) outs(%s : tensor<f32>) -> tensor<f32>
  %r = linalg.reduce ins(%f : tensor<?xf32>) outs(%s0 : tensor<f32>) dimensions = [0] (%a: f32, %b: f32) {
    %c = arith.addf %a, %b : f32
    linalg.yield %c : f32
  }
  return %r : tensor<f32>
}

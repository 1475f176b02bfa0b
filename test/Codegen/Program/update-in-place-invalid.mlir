// RUN: twist-opt %s -split-input-file -verify-diagnostics -cpu-describe-interface -one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" -cpu-update-in-place

// expected-error@+1 {{argument 0 is updated by result 1, which is none of its type, or another's}}
func.func @main(%p: tensor<4xf32> {cpu.updated_by = 1 : i64}) -> tensor<4xf32> {
  return %p : tensor<4xf32>
}

// -----

// expected-error@+1 {{argument 0 is updated by result 0, which is none of its type, or another's}}
func.func @main(%p: tensor<4xf32> {cpu.updated_by = 0 : i64}, %q: tensor<8xf32>) -> tensor<8xf32> {
  return %q : tensor<8xf32>
}

// -----

// expected-error@+1 {{argument 1 is updated by result 0, which is none of its type, or another's}}
func.func @main(%p: tensor<4xf32> {cpu.updated_by = 0 : i64}, %q: tensor<4xf32> {cpu.updated_by = 0 : i64}) -> tensor<4xf32> {
  return %q : tensor<4xf32>
}

// -----

// expected-error@+1 {{argument 0 is updated by another argument as it was}}
func.func @main(%p: tensor<4xf32> {cpu.updated_by = 1 : i64}, %q: tensor<4xf32> {cpu.updated_by = 0 : i64}) -> (tensor<4xf32>, tensor<4xf32>) {
  return %p, %q : tensor<4xf32>, tensor<4xf32>
}

// RUN: twist-opt %s -split-input-file -verify-diagnostics

// View C1: offset, static type, element type, size.
weights.source @m from "f"
func.func @f() {
  // expected-error @below {{offset -1 is negative}}
  %0 = weights.load <@m at -1 as tensor<4xf32>> : tensor<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{stored type 'tensor<?xf32>' is not static}}
  %0 = weights.load <@m at 0 as tensor<?xf32>> : tensor<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{elements of type 'index' have no form in a file}}
  %0 = weights.load <@m at 0 as tensor<4xindex>> : tensor<4xindex>
  return
}

// -----

func.func @f() {
  // expected-error @below {{ends beyond 63 bits}}
  %0 = weights.load <@m at 9223372036854775807 as tensor<4xf32>> : tensor<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{ends beyond 63 bits}}
  %0 = weights.load <@m at 0 as tensor<4294967296x4294967296xf32>> : tensor<4xf32>
  return
}

// -----

// View C2: selections.
func.func @f() {
  // expected-error @below {{has 1 selections for a stored tensor of rank 2}}
  %0 = weights.load <@m at 0 as tensor<4x4xf32> select [unit]> : tensor<4x4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{selects index 4 of dimension 0, which has 4}}
  %0 = weights.load <@m at 0 as tensor<4xf32> select [array<i64: 0, 4>]> : tensor<2xf32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{selects index -1 of dimension 0, which has 4}}
  %0 = weights.load <@m at 0 as tensor<4xf32> select [array<i64: -1>]> : tensor<1xf32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{selection of dimension 0 is neither unit nor array<i64>}}
  %0 = weights.load <@m at 0 as tensor<4xf32> select ["all"]> : tensor<4xf32>
  return
}

// -----

// View C3: permutation.
func.func @f() {
  // expected-error @below {{is no permutation of 2 dimensions}}
  %0 = weights.load <@m at 0 as tensor<4x4xf32> permutation [0, 0]> : tensor<4x4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @below {{is no permutation of 2 dimensions}}
  %0 = weights.load <@m at 0 as tensor<4x4xf32> permutation [0, 2]> : tensor<4x4xf32>
  return
}

// -----

// Load C1: shape.
weights.source @m from "f"
func.func @f() {
  // expected-error @below {{gives 'tensor<4x3xf32>', but its view describes 'tensor<3x4xf32>'}}
  %0 = weights.load <@m at 0 as tensor<4x3xf32> permutation [1, 0]> : tensor<4x3xf32>
  return
}

// -----

// Load C2: element type.
weights.source @m from "f"
func.func @f() {
  // expected-error @below {{cannot read stored 'f32' as 'i8'}}
  %0 = weights.load <@m at 0 as tensor<4xf32>> : tensor<4xi8>
  return
}

// -----

// Load C3: source.
func.func private @m()
func.func @f() {
  // expected-error @below {{'m' is not a weights.source}}
  %0 = weights.load <@m at 0 as tensor<4xf32>> : tensor<4xf32>
  return
}

// RUN: twist-opt %s -split-input-file -verify-diagnostics

// The packed type follows from the packing.
weights.source @m from "m.onnx"
func.func @packed() {
  // expected-error @+1 {{packed type does not fit the packing}}
  %w = cpu.packed_weight <@m at 0 as tensor<4x50xf32>> of tensor<4x50xf32> by <(n, k) -> (k, n), 48> : tensor<1x4x48xf32>
  return
}

// -----

weights.source @m from "m.onnx"
func.func @packed() {
  // expected-error @+1 {{packing must permute the dimensions of the source}}
  %w = cpu.packed_weight <@m at 0 as tensor<4x50xf32>> of tensor<4x50xf32> by <(n, k) -> (k, k), 48> : tensor<2x4x48xf32>
  return
}

// -----

weights.source @m from "m.onnx"
func.func @packed() {
  // expected-error @+1 {{panel must be at least 1 wide}}
  %w = cpu.packed_weight <@m at 0 as tensor<4x50xf32>> of tensor<4x50xf32> by <(n, k) -> (k, n), 0> : tensor<50x4x1xf32>
  return
}

// -----

weights.source @m from "m.onnx"
func.func @packed() {
  // expected-error @+1 {{group must be 1 or 2 steps of k}}
  %w = cpu.packed_weight <@m at 0 as tensor<4x50xf32>> of tensor<4x50xf32> by <(n, k) -> (k, n), 48 by 3> : tensor<2x2x144xf32>
  return
}

// -----

// C1
func.func @maps(%x: memref<4x8xf32>, %w: memref<8x16xf32>, %y: memref<4x16xf32>) {
  // expected-error @+1 {{needs one map per operand}}
  cpu.gemm(%x, %w) into %y {accumulator = f32, batch = 0 : i64, rows = 1 : i64, indexing_maps = [affine_map<(m, n, k) -> (m, k)>]}
      : (memref<4x8xf32>, memref<8x16xf32>, memref<4x16xf32>) -> () {
  ^bb0(%acc: f32):
    cpu.yield %acc : f32
  }
  return
}

// -----

// C1
func.func @ranks(%x: memref<4x8xf32>, %w: memref<8x16xf32>, %y: memref<4x16xf32>) {
  // expected-error @+1 {{map 1 does not fit its operand}}
  cpu.gemm(%x, %w) into %y {accumulator = f32, batch = 0 : i64, rows = 1 : i64, indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k)>, affine_map<(m, n, k) -> (m, n)>]}
      : (memref<4x8xf32>, memref<8x16xf32>, memref<4x16xf32>) -> () {
  ^bb0(%acc: f32):
    cpu.yield %acc : f32
  }
  return
}

// -----

// C2
func.func @epilogue(%x: memref<4x8xf32>, %w: memref<8x16xf32>, %y: memref<4x16xf32>) {
  // expected-error @+1 {{epilogue must take the accumulator and the extras}}
  cpu.gemm(%x, %w) into %y {accumulator = f32, batch = 0 : i64, rows = 1 : i64, indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]}
      : (memref<4x8xf32>, memref<8x16xf32>, memref<4x16xf32>) -> () {
  ^bb0(%acc: f32, %b: f32):
    cpu.yield %acc : f32
  }
  return
}

// -----

// C3
func.func @columns(%x: memref<4x8xf32>, %w: memref<8x16xf32>, %y: memref<16x4xf32>) {
  // expected-error @+1 {{columns must be the last dimension of init}}
  cpu.gemm(%x, %w) into %y {accumulator = f32, batch = 0 : i64, rows = 1 : i64, indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (n, m)>]}
      : (memref<4x8xf32>, memref<8x16xf32>, memref<16x4xf32>) -> () {
  ^bb0(%acc: f32):
    cpu.yield %acc : f32
  }
  return
}

// -----

func.func @launch(%n: index) {
  // expected-error @+1 {{launches @nothing, not a function}}
  cpu.launch @nothing(%n)
  return
}

// -----

func.func private @kernel(%i: index, %x: f32)
func.func @launch(%n: index) {
  // expected-error @+1 {{operands do not fit @kernel}}
  cpu.launch @kernel(%n)
  return
}

// -----

// C2
func.func @yielded(%x: memref<4x8xf32>, %w: memref<8x16xf32>, %y: memref<4x16xf32>) {
  // expected-error @+1 {{epilogue must yield an element of init}}
  cpu.gemm(%x, %w) into %y {accumulator = f64, batch = 0 : i64, rows = 1 : i64, indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]}
      : (memref<4x8xf32>, memref<8x16xf32>, memref<4x16xf32>) -> () {
  ^bb0(%acc: f64):
    cpu.yield %acc : f64
  }
  return
}

// -----

// C1
func.func @depth(%x: memref<4x8xf32>, %w: memref<8x16xf32>, %y: memref<4x16xf32>) {
  // expected-error @+1 {{needs one k, or more where rhs is not packed}}
  cpu.gemm(%x, %w) into %y {accumulator = f32, batch = 0 : i64, rows = 1 : i64, depth = 0 : i64, indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]}
      : (memref<4x8xf32>, memref<8x16xf32>, memref<4x16xf32>) -> () {
  ^bb0(%acc: f32):
    cpu.yield %acc : f32
  }
  return
}

// -----

// C6
func.func @triangle(%x: memref<4x8xf32>, %w: memref<8x16xf32>, %y: memref<4x16xf32>) {
  // expected-error @+1 {{triangle must be two different dimensions and an offset of 0 or more}}
  cpu.gemm(%x, %w) into %y {accumulator = f32, batch = 0 : i64, rows = 1 : i64, triangle = array<i64: 0, 3, 0>,
      indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]}
      : (memref<4x8xf32>, memref<8x16xf32>, memref<4x16xf32>) -> () {
  ^bb0(%acc: f32):
    cpu.yield %acc : f32
  }
  return
}

// RUN: twist-opt %s -cpu-lower-kernels -canonicalize -cse | FileCheck %s
// RUN: twist-opt %s -cpu-lower-kernels=bf16-dots=true -canonicalize -cse | FileCheck %s --check-prefix=DOTS

// Two equal ops share one kernel; its partition depends on sizes only.
// CHECK-LABEL: func.func @twice(
// CHECK-SAME: %[[X:.*]]: memref<?x?xf32>, %[[Y:.*]]: memref<?x?xf32>)
// CHECK: memref.dim
// CHECK: cpu.launch @kernel_0(%[[N:.*]]) %[[X]], %[[Y]] : memref<?x?xf32>, memref<?x?xf32>
// CHECK: cpu.launch @kernel_0(%{{.*}}) %[[Y]], %[[X]]
// CHECK-NOT: linalg
func.func @twice(%x: memref<?x?xf32>, %y: memref<?x?xf32>) {
  linalg.exp ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>)
  linalg.exp ins(%y : memref<?x?xf32>) outs(%x : memref<?x?xf32>)
  return
}

// CHECK-LABEL: func.func @gemm(
// CHECK: cpu.launch @kernel_1
func.func @gemm(%x: memref<64x32xf32>, %w: memref<2x32x48xf32>, %y: memref<64x96xf32>) {
  cpu.gemm(%x, %w) into %y {accumulator = f32, batch = 0 : i64, rows = 1 : i64, panel = 48 : i64,
      indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]}
      : (memref<64x32xf32>, memref<2x32x48xf32>, memref<64x96xf32>) -> () {
  ^bb0(%acc: f32):
    cpu.yield %acc : f32
  }
  return
}

// CHECK-LABEL: func.func @staged(
// CHECK: cpu.launch @kernel_2
func.func @staged(%x: memref<1024x64xf32>, %w: memref<96x1024xf32>, %y: memref<64x96xf32>) {
  cpu.gemm(%x, %w) into %y {accumulator = f32, batch = 0 : i64, rows = 1 : i64,
      indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]}
      : (memref<1024x64xf32>, memref<96x1024xf32>, memref<64x96xf32>) -> () {
  ^bb0(%acc: f32):
    cpu.yield %acc : f32
  }
  return
}

// Products of bf16: pairs along k in one instruction where the processor has it, else widened.
// CHECK-LABEL: func.func @halves(
func.func @halves(%x: memref<64x63xbf16>, %w: memref<96x63xbf16>, %y: memref<64x96xf32>) {
  cpu.gemm(%x, %w) into %y {accumulator = f32, batch = 0 : i64, rows = 1 : i64,
      indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]}
      : (memref<64x63xbf16>, memref<96x63xbf16>, memref<64x96xf32>) -> () {
  ^bb0(%acc: f32):
    cpu.yield %acc : f32
  }
  return
}
// Both loops are one run: whole vectors, then a masked rest.
// CHECK-LABEL: func.func private @kernel_0(
// CHECK: scf.for
// CHECK: vector.load {{.*}} vector<16xf32>
// CHECK: math.exp {{.*}} : vector<16xf32>
// CHECK: vector.store
// CHECK: vector.create_mask
// CHECK: vector.maskedload
// CHECK: vector.maskedstore

// An 8 x 48 block: 24 accumulators over k.
// CHECK-LABEL: func.func private @kernel_1(
// CHECK: %{{.*}}:24 = scf.for
// CHECK-COUNT-3: vector.load {{.*}} vector<16xf32>
// CHECK: memref.prefetch
// CHECK-COUNT-24: vector.fma
// CHECK: scf.yield
// CHECK-NOT: maskedstore
// CHECK: return

// Neither operand lies as the block reads it: for each 256 steps of k the rows are copied to
// blocks of 8, a panel is transposed in registers, and sums are added to.
// CHECK-LABEL: func.func private @kernel_2(
// CHECK: %[[PANEL:.*]] = memref.alloca() {alignment = 64 : i64} : memref<12288xf32>
// CHECK: %[[ROWS:.*]] = memref.alloca() {alignment = 64 : i64} : memref<100352xf32>
// CHECK: scf.for %{{.*}} = %c0 to %c1024 step %c256
// CHECK: vector.load {{.*}} vector<8xf32>
// CHECK: vector.store {{.*}} vector<8xf32>
// CHECK-COUNT-192: vector.shuffle
// CHECK: %{{.*}}:24 = scf.if
// CHECK: %{{.*}}:24 = scf.for %{{.*}} = %c0 to %c256 step %c8
// CHECK: memref.prefetch {{.*}}, write,
// CHECK-COUNT-192: vector.fma
// CHECK-COUNT-24: vector.store
// CHECK: return

// Columns of k: 16 pairs of 16 columns are transposed as words. The odd last step stands beside a zero.
// CHECK-LABEL: func.func private @kernel_3(
// CHECK-NOT: x86vector
// CHECK: vector.fma
// DOTS-LABEL: func.func private @kernel_3(
// DOTS: vector.load {{.*}} vector<32xbf16>
// DOTS: vector.bitcast {{.*}} : vector<32xbf16> to vector<16xi32>
// DOTS: vector.shuffle
// DOTS: %{{.*}}:24 = scf.for %{{.*}} = %c0 to %c24 step %c8
// DOTS-COUNT-192: x86vector.avx512.dot {{.*}} : vector<32xbf16> -> vector<16xf32>
// DOTS: %{{.*}}:24 = scf.for %{{.*}} = %c24 to %c31 step %c1
// DOTS-COUNT-24: x86vector.avx512.dot
// DOTS: vector.from_elements %{{.*}}, %cst{{.*}} : vector<2xbf16>
// DOTS-COUNT-24: x86vector.avx512.dot

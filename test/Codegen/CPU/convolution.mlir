// RUN: twist-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(cpu-form-contractions),canonicalize,cse)' | FileCheck %s

// Columns run over rows of the padded input, whole panels of them; what wraps
// around is cut away after.
// CHECK-DAG: #[[$X:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d3, d4, d2 + d5)>
// CHECK-DAG: #[[$W:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d1, d3, d4, d5)>
// CHECK-LABEL: @stride_1
// CHECK: %[[P:.*]] = tensor.insert_slice %arg0 into %{{.*}}[0, 0, 1, 1] [1, 4, 8, 8] [1, 1, 1, 1] : tensor<1x4x8x8xf32> into tensor<1x4x12x10xf32>
// CHECK: %[[Y:.*]] = cpu.gemm(%arg1, %[[P]]) into {{.*}}depth = 3{{.*}}[#[[$W]], #[[$X]],{{.*}}rows = 1{{.*}} -> tensor<1x6x96xf32>
// CHECK: %[[S:.*]] = tensor.extract_slice %[[Y]][0, 0, 0] [1, 6, 80] [1, 1, 1]
// CHECK: %[[E:.*]] = tensor.expand_shape %[[S]] {{.*}} into tensor<1x6x8x10xf32>
// CHECK: tensor.extract_slice %[[E]][0, 0, 0, 0] [1, 6, 8, 8] [1, 1, 1, 1]
#x = affine_map<(n, m, i, j, c, a, b) -> (n, c, i + a, j + b)>
#w = affine_map<(n, m, i, j, c, a, b) -> (m, c, a, b)>
#y = affine_map<(n, m, i, j, c, a, b) -> (n, m, i, j)>
func.func @stride_1(%x: tensor<1x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) -> tensor<1x6x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %pe = tensor.empty() : tensor<1x4x10x10xf32>
  %pf = linalg.fill ins(%zero : f32) outs(%pe : tensor<1x4x10x10xf32>) -> tensor<1x4x10x10xf32>
  %p = tensor.insert_slice %x into %pf[0, 0, 1, 1] [1, 4, 8, 8] [1, 1, 1, 1] : tensor<1x4x8x8xf32> into tensor<1x4x10x10xf32>
  %e = tensor.empty() : tensor<1x6x8x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x6x8x8xf32>) -> tensor<1x6x8x8xf32>
  %r = linalg.generic {indexing_maps = [#w, #x, #y], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]} ins(%w, %p : tensor<6x4x3x3xf32>, tensor<1x4x10x10xf32>) outs(%f : tensor<1x6x8x8xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %m = arith.mulf %a, %b : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<1x6x8x8xf32>
  return %r : tensor<1x6x8x8xf32>
}

// -----

// With a stride the four residues are images of their own, and distances of
// taps a table.
// CHECK-LABEL: @stride_2
// CHECK: %[[T:.*]] = arith.constant dense<[0, {{.*}}]> : tensor<9xindex>
// CHECK-COUNT-4: tensor.insert_slice {{.*}} into tensor<1x4x2x2x{{.*}}xf32>
// CHECK: %[[W:.*]] = tensor.collapse_shape %arg1 {{\[\[}}0], [1], [2, 3]]
// CHECK: cpu.gemm(%[[W]], %{{.*}}) at %[[T]] into {{.*}}depth = 2
#x2 = affine_map<(n, m, i, j, c, a, b) -> (n, c, i * 2 + a, j * 2 + b)>
#w2 = affine_map<(n, m, i, j, c, a, b) -> (m, c, a, b)>
#y2 = affine_map<(n, m, i, j, c, a, b) -> (n, m, i, j)>
func.func @stride_2(%x: tensor<1x4x9x9xf32>, %w: tensor<6x4x3x3xf32>) -> tensor<1x6x4x4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x6x4x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<1x6x4x4xf32>) -> tensor<1x6x4x4xf32>
  %r = linalg.generic {indexing_maps = [#w2, #x2, #y2], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction", "reduction", "reduction"]} ins(%w, %x : tensor<6x4x3x3xf32>, tensor<1x4x9x9xf32>) outs(%f : tensor<1x6x4x4xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %m = arith.mulf %a, %b : f32
    %t = arith.addf %s, %m : f32
    linalg.yield %t : f32
  } -> tensor<1x6x4x4xf32>
  return %r : tensor<1x6x4x4xf32>
}

// -----

// A maximum is no sum of products.
// CHECK-LABEL: @maximum
// CHECK-NOT: cpu.gemm
// CHECK: linalg.generic
#x3 = affine_map<(n, i, a) -> (n, i + a)>
#w3 = affine_map<(n, i, a) -> (a)>
#y3 = affine_map<(n, i, a) -> (n, i)>
func.func @maximum(%x: tensor<2x9xf32>, %w: tensor<3xf32>, %f: tensor<2x7xf32>) -> tensor<2x7xf32> {
  %r = linalg.generic {indexing_maps = [#x3, #w3, #y3], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<2x9xf32>, tensor<3xf32>) outs(%f : tensor<2x7xf32>) {
  ^bb0(%a: f32, %b: f32, %s: f32):
    %t = arith.maximumf %s, %a : f32
    linalg.yield %t : f32
  } -> tensor<2x7xf32>
  return %r : tensor<2x7xf32>
}

// RUN: twist-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(cpu-form-contractions),canonicalize,cse)' | FileCheck %s
// RUN: twist-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(cpu-form-contractions{vector-bits=256}),canonicalize,cse)' | FileCheck %s --check-prefix=AVX2

// A weight is packed when compiled; bias and activation follow in the epilogue.
// CHECK-LABEL: @linear
// CHECK: %[[W:.*]] = cpu.packed_weight <@m at 64 as tensor<8x96xf32>> of tensor<8x96xf32> by <{{.*}}, 48> : tensor<2x8x48xf32>
// CHECK: %[[Y:.*]] = cpu.gemm(%{{.*}}, %[[W]], %{{.*}}) into
// CHECK-SAME: panel = 48
// CHECK: ^bb0(%[[ACC:.*]]: f32, %[[B:.*]]: f32):
// CHECK-NEXT: %[[S:.*]] = arith.addf %[[ACC]], %[[B]]
// CHECK-NEXT: %[[T:.*]] = math.tanh %[[S]]
// CHECK-NEXT: cpu.yield %[[T]]
// CHECK: return %[[Y]]
// AVX2-LABEL: @linear
// AVX2: cpu.packed_weight {{.*}} 16> : tensor<6x8x16xf32>
weights.source @m from "m.onnx"
func.func @linear(%x: tensor<?x8xf32>, %bias: tensor<96xf32>) -> tensor<?x96xf32> {
  %w = weights.load <@m at 64 as tensor<8x96xf32>> : tensor<8x96xf32>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %d = tensor.dim %x, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%d) : tensor<?x96xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x96xf32>) -> tensor<?x96xf32>
  %m = linalg.matmul ins(%x, %w : tensor<?x8xf32>, tensor<8x96xf32>) outs(%f : tensor<?x96xf32>) -> tensor<?x96xf32>
  %b = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%m, %bias : tensor<?x96xf32>, tensor<96xf32>) outs(%e : tensor<?x96xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<?x96xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%b : tensor<?x96xf32>) outs(%e : tensor<?x96xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.tanh %a : f32
    linalg.yield %s : f32
  } -> tensor<?x96xf32>
  return %t : tensor<?x96xf32>
}

// -----

// Scores: both transpositions are read through.
// CHECK-LABEL: @scores
// CHECK-NOT: linalg.transpose
// CHECK: cpu.gemm(%arg0, %arg1)
// CHECK-SAME: batch = 2
// CHECK-NOT: linalg
func.func @scores(%q: tensor<?x?x4x8xf32>, %k: tensor<?x?x4x8xf32>, %s0: index, %s1: index, %s2: index, %n: index) -> tensor<?x?x?xf32> {
  %zero = arith.constant 0.0 : f32
  %eq = tensor.empty(%s0, %s1) : tensor<?x4x?x8xf32>
  %tq = linalg.transpose ins(%q : tensor<?x?x4x8xf32>) outs(%eq : tensor<?x4x?x8xf32>) permutation = [0, 2, 1, 3]
  %ek = tensor.empty(%s0, %s2) : tensor<?x4x8x?xf32>
  %tk = linalg.transpose ins(%k : tensor<?x?x4x8xf32>) outs(%ek : tensor<?x4x8x?xf32>) permutation = [0, 2, 3, 1]
  %cq = tensor.collapse_shape %tq [[0, 1], [2], [3]] : tensor<?x4x?x8xf32> into tensor<?x?x8xf32>
  %ck = tensor.collapse_shape %tk [[0, 1], [2], [3]] : tensor<?x4x8x?xf32> into tensor<?x8x?xf32>
  %e = tensor.empty(%n, %s1, %s2) : tensor<?x?x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %m = linalg.batch_matmul ins(%cq, %ck : tensor<?x?x8xf32>, tensor<?x8x?xf32>) outs(%f : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  return %m : tensor<?x?x?xf32>
}

// -----

// The result is transposed as it is stored.
// CHECK-LABEL: @values
// CHECK: cpu.gemm(%arg0, %arg1) into {{.*}} -> tensor<16x4x8xf32>
// CHECK-NOT: linalg.transpose
func.func @values(%p: tensor<4x16x16xf32>, %v: tensor<4x16x8xf32>) -> tensor<16x4x8xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x16x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x16x8xf32>) -> tensor<4x16x8xf32>
  %m = linalg.batch_matmul ins(%p, %v : tensor<4x16x16xf32>, tensor<4x16x8xf32>) outs(%f : tensor<4x16x8xf32>) -> tensor<4x16x8xf32>
  %t = tensor.empty() : tensor<16x4x8xf32>
  %r = linalg.transpose ins(%m : tensor<4x16x8xf32>) outs(%t : tensor<16x4x8xf32>) permutation = [1, 0, 2]
  return %r : tensor<16x4x8xf32>
}

// -----

// A product that two ops read keeps its own buffer.
// CHECK-LABEL: @shared
// CHECK: %[[Y:.*]] = cpu.gemm
// CHECK: cpu.yield
// CHECK: linalg.generic {{.*}} ins(%[[Y]]
// CHECK: return %[[Y]]
func.func @shared(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
  %m = linalg.matmul ins(%x, %w : tensor<4x8xf32>, tensor<8x8xf32>) outs(%f : tensor<4x8xf32>) -> tensor<4x8xf32>
  %t = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]} ins(%m : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.tanh %a : f32
    linalg.yield %s : f32
  } -> tensor<4x8xf32>
  return %m, %t : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// A weight's gradient: two summed dimensions that follow each other are one k.
// CHECK-LABEL: @gradient
// CHECK-DAG: %[[X:.*]] = tensor.collapse_shape %arg0 {{\[\[}}0, 1], [2]] : tensor<?x3x8xf32> into tensor<?x8xf32>
// CHECK-DAG: %[[G:.*]] = tensor.collapse_shape %arg1 {{\[\[}}0, 1], [2]] : tensor<?x3x16xf32> into tensor<?x16xf32>
// CHECK: cpu.gemm(%[[X]], %[[G]]) into
// CHECK-NOT: linalg
func.func @gradient(%x: tensor<?x3x8xf32>, %g: tensor<?x3x16xf32>) -> tensor<8x16xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<8x16xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<8x16xf32>) -> tensor<8x16xf32>
  %m = linalg.generic {indexing_maps = [affine_map<(b, t, i, j) -> (b, t, i)>, affine_map<(b, t, i, j) -> (b, t, j)>, affine_map<(b, t, i, j) -> (i, j)>],
      iterator_types = ["reduction", "reduction", "parallel", "parallel"]} ins(%x, %g : tensor<?x3x8xf32>, tensor<?x3x16xf32>) outs(%f : tensor<8x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %o, %p : f32
    linalg.yield %s : f32
  } -> tensor<8x16xf32>
  return %m : tensor<8x16xf32>
}

// -----

// A cheap op is repeated in all its users, where they read no more for it; one that calls a function is not.
// CHECK-LABEL: @repeated
// CHECK: %[[T:.*]] = linalg.generic {{.*}} ins(%arg0 : tensor<4x8xf32>)
// CHECK: arith.mulf
// CHECK: math.tanh
// CHECK: linalg.generic {{.*}} ins(%[[T]], %arg0 : tensor<4x8xf32>, tensor<4x8xf32>)
// CHECK: arith.mulf
// CHECK: arith.addf
// CHECK-NOT: linalg.generic
#id = affine_map<(i, j) -> (i, j)>
func.func @repeated(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %e = tensor.empty() : tensor<4x8xf32>
  %m = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.mulf %a, %a : f32
    linalg.yield %s : f32
  } -> tensor<4x8xf32>
  %t = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]} ins(%m : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = math.tanh %a : f32
    linalg.yield %s : f32
  } -> tensor<4x8xf32>
  %y = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]} ins(%t, %m : tensor<4x8xf32>, tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %s = arith.addf %a, %b : f32
    linalg.yield %s : f32
  } -> tensor<4x8xf32>
  return %t, %y : tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// A permutation written as a generic is read through, too.
// CHECK-LABEL: @permuted
// CHECK: cpu.gemm(%arg0, %arg1)
// CHECK-NOT: linalg
func.func @permuted(%x: tensor<8x4xf32>, %w: tensor<8x16xf32>) -> tensor<4x16xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x16xf32>
  %et = tensor.empty() : tensor<4x8xf32>
  %xt = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j, i)>], iterator_types = ["parallel", "parallel"]} ins(%x : tensor<8x4xf32>) outs(%et : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<4x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x16xf32>) -> tensor<4x16xf32>
  %m = linalg.matmul ins(%xt, %w : tensor<4x8xf32>, tensor<8x16xf32>) outs(%f : tensor<4x16xf32>) -> tensor<4x16xf32>
  return %m : tensor<4x16xf32>
}

// -----

// A result whose last dimension is another one when read is made so: operands swap roles.
// CHECK-LABEL: @turned
// CHECK: cpu.gemm(%arg1, %arg0) into {{.*}} -> tensor<16x4xf32>
// CHECK-NOT: linalg
func.func @turned(%x: tensor<8x4xf32>, %g: tensor<8x16xf32>) -> tensor<16x4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<4x16xf32>
  %t = tensor.empty() : tensor<16x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x16xf32>) -> tensor<4x16xf32>
  %m = linalg.generic {indexing_maps = [affine_map<(k, i, j) -> (k, i)>, affine_map<(k, i, j) -> (k, j)>, affine_map<(k, i, j) -> (i, j)>],
      iterator_types = ["reduction", "parallel", "parallel"]} ins(%x, %g : tensor<8x4xf32>, tensor<8x16xf32>) outs(%f : tensor<4x16xf32>) {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %o, %p : f32
    linalg.yield %s : f32
  } -> tensor<4x16xf32>
  %r = linalg.transpose ins(%m : tensor<4x16xf32>) outs(%t : tensor<16x4xf32>) permutation = [1, 0]
  return %r : tensor<16x4xf32>
}

// -----

// An elementwise op between a joined batch and its product is done before the joining, and over its operand; the product
// reads what was joined, and is stored as its reader wants it.
// CHECK-LABEL: @joined
// CHECK: %[[G:.*]] = nn.softmax_gradient
// CHECK: %[[S:.*]] = linalg.generic {{.*}} outs(%[[G]] : tensor<2x3x8x8xf32>)
// CHECK: cpu.gemm(%[[S]], %arg2) into {{.*}} -> tensor<2x8x3x4xf32>
// CHECK-NOT: linalg
#id3 = affine_map<(b, i, j) -> (b, i, j)>
func.func @joined(%p: tensor<2x3x8x8xf32>, %g: tensor<2x3x8x8xf32>, %k: tensor<2x3x8x4xf32>) -> tensor<2x8x3x4xf32> {
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %d = nn.softmax_gradient ins(%p : tensor<2x3x8x8xf32>) outs(%g : tensor<2x3x8x8xf32>) dimension 3 -> tensor<2x3x8x8xf32>
  %c = tensor.collapse_shape %d [[0, 1], [2], [3]] : tensor<2x3x8x8xf32> into tensor<6x8x8xf32>
  %e = tensor.empty() : tensor<6x8x8xf32>
  %s = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%c : tensor<6x8x8xf32>) outs(%e : tensor<6x8x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %m = arith.mulf %a, %half : f32
    linalg.yield %m : f32
  } -> tensor<6x8x8xf32>
  %kc = tensor.collapse_shape %k [[0, 1], [2], [3]] : tensor<2x3x8x4xf32> into tensor<6x8x4xf32>
  %y = tensor.empty() : tensor<6x8x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%y : tensor<6x8x4xf32>) -> tensor<6x8x4xf32>
  %q = linalg.batch_matmul ins(%s, %kc : tensor<6x8x8xf32>, tensor<6x8x4xf32>) outs(%f : tensor<6x8x4xf32>) -> tensor<6x8x4xf32>
  %x = tensor.expand_shape %q [[0, 1], [2], [3]] output_shape [2, 3, 8, 4] : tensor<6x8x4xf32> into tensor<2x3x8x4xf32>
  %t = tensor.empty() : tensor<2x8x3x4xf32>
  %r = linalg.transpose ins(%x : tensor<2x3x8x4xf32>) outs(%t : tensor<2x8x3x4xf32>) permutation = [0, 2, 1, 3]
  return %r : tensor<2x8x3x4xf32>
}

// -----

// What adds to its init is not done again for each row that reads it.
// CHECK-LABEL: @added
// CHECK: linalg.generic {{.*}} outs(%arg1 : tensor<8xf32>)
// CHECK: arith.addf
// CHECK: linalg.generic {{.*}} outs({{.*}} : tensor<4x8xf32>)
#vector = affine_map<(j) -> (j)>
#row = affine_map<(i, j) -> (j)>
#all = affine_map<(i, j) -> (i, j)>
func.func @added(%x: tensor<8xf32>, %sum: tensor<8xf32>) -> tensor<4x8xf32> {
  %e = tensor.empty() : tensor<4x8xf32>
  %s = linalg.generic {indexing_maps = [#vector, #vector], iterator_types = ["parallel"]} ins(%x : tensor<8xf32>) outs(%sum : tensor<8xf32>) {
  ^bb0(%a: f32, %o: f32):
    %t = arith.addf %o, %a : f32
    linalg.yield %t : f32
  } -> tensor<8xf32>
  %r = linalg.generic {indexing_maps = [#row, #all], iterator_types = ["parallel", "parallel"]} ins(%s : tensor<8xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %o: f32):
    linalg.yield %a : f32
  } -> tensor<4x8xf32>
  return %r : tensor<4x8xf32>
}

// -----

// A triangle's loops are found again among the gemm's dimensions, behind a batch that is taken apart and with the epilogue;
// where they are joined with others it is forgotten.
// CHECK-LABEL: @triangles
// CHECK: cpu.gemm(%arg0, %arg1) into {{.*}}triangle = array<i64: 2, 3, 1>
// CHECK: arith.mulf
// CHECK: cpu.gemm(%{{.*}}, %{{.*}}) into {{.*}}rows = 1 : i64}
#id3 = affine_map<(b, i, j) -> (b, i, j)>
func.func @triangles(%q: tensor<2x3x5x8xf32>, %k: tensor<2x3x4x8xf32>, %x: tensor<5x2x3xf32>, %y: tensor<5x2x4xf32>) -> (tensor<6x5x4xf32>, tensor<3x4xf32>) {
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %qc = tensor.collapse_shape %q [[0, 1], [2], [3]] : tensor<2x3x5x8xf32> into tensor<6x5x8xf32>
  %kc = tensor.collapse_shape %k [[0, 1], [2], [3]] : tensor<2x3x4x8xf32> into tensor<6x4x8xf32>
  %e = tensor.empty() : tensor<6x5x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<6x5x4xf32>) -> tensor<6x5x4xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(b, i, j, d) -> (b, i, d)>, affine_map<(b, i, j, d) -> (b, j, d)>, affine_map<(b, i, j, d) -> (b, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%qc, %kc : tensor<6x5x8xf32>, tensor<6x4x8xf32>) outs(%f : tensor<6x5x4xf32>)
      attrs = {nn.triangle = array<i64: 1, 2, 1>} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %t = arith.addf %o, %p : f32
    linalg.yield %t : f32
  } -> tensor<6x5x4xf32>
  %m = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%s : tensor<6x5x4xf32>) outs(%e : tensor<6x5x4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.mulf %a, %half : f32
    linalg.yield %r : f32
  } -> tensor<6x5x4xf32>
  %ed = tensor.empty() : tensor<3x4xf32>
  %fd = linalg.fill ins(%zero : f32) outs(%ed : tensor<3x4xf32>) -> tensor<3x4xf32>
  %d = linalg.generic {indexing_maps = [affine_map<(i, u, m, n) -> (i, u, m)>, affine_map<(i, u, m, n) -> (i, u, n)>, affine_map<(i, u, m, n) -> (m, n)>],
      iterator_types = ["reduction", "reduction", "parallel", "parallel"]} ins(%x, %y : tensor<5x2x3xf32>, tensor<5x2x4xf32>) outs(%fd : tensor<3x4xf32>)
      attrs = {nn.triangle = array<i64: 0, 2, 0>} {
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %t = arith.addf %o, %p : f32
    linalg.yield %t : f32
  } -> tensor<3x4xf32>
  return %m, %d : tensor<6x5x4xf32>, tensor<3x4xf32>
}

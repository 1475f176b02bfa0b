// RUN: twist-opt %s --nn-find-causal --split-input-file | FileCheck %s

// Scores replaced by a constant where a mask of weights' bytes says so; the products of the gradient too.
// CHECK-LABEL: @where
// CHECK: linalg.batch_matmul {nn.triangle = array<i64: 1, 2, 0>} ins(%arg0, %arg1
// CHECK: %[[P:.*]] = nn.causal_softmax ins({{.*}}) outs({{.*}}) offset 0
// CHECK: linalg.batch_matmul {nn.triangle = array<i64: 1, 3, 0>} ins(%[[P]], %arg2
// CHECK: linalg.generic {{.*}}iterator_types = ["parallel", "parallel", "parallel", "reduction"]{{.*}} ins(%arg3, %arg2 {{.*}} attrs = {nn.triangle = array<i64: 1, 2, 0>}
// CHECK: %[[D:.*]] = nn.softmax_gradient ins(%[[P]] {{.*}} dimension 2 causal 0
// CHECK: linalg.generic {{.*}} ins(%{{.*}}, %arg0 {{.*}} attrs = {nn.triangle = array<i64: 1, 2, 0>}
#id = affine_map<(b, i, j) -> (b, i, j)>
#mask = affine_map<(b, i, j) -> (i, j)>
func.func @where(%q: tensor<2x4x8xf32>, %k: tensor<2x8x4xf32>, %v: tensor<2x4x8xf32>, %g: tensor<2x4x8xf32>) -> (tensor<2x4x8xf32>, tensor<2x4x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %half = arith.constant 0.5 : f32
  %low = arith.constant -3.40282347E+38 : f32
  %bits = arith.constant dense<[[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]> : tensor<4x4xi8>
  %e = tensor.empty() : tensor<2x4x4xf32>
  %y = tensor.empty() : tensor<2x4x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<2x4x4xf32>) -> tensor<2x4x4xf32>
  %fy = linalg.fill ins(%zero : f32) outs(%y : tensor<2x4x8xf32>) -> tensor<2x4x8xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<2x4x8xf32>, tensor<2x8x4xf32>) outs(%f : tensor<2x4x4xf32>) -> tensor<2x4x4xf32>
  %m = linalg.generic {indexing_maps = [#mask, #id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%bits, %s : tensor<4x4xi8>, tensor<2x4x4xf32>) outs(%e : tensor<2x4x4xf32>) {
  ^bb0(%bit: i8, %x: f32, %o: f32):
    %c = arith.trunci %bit : i8 to i1
    %scaled = arith.mulf %x, %half : f32
    %r = arith.select %c, %scaled, %low : f32
    linalg.yield %r : f32
  } -> tensor<2x4x4xf32>
  %p = linalg.softmax dimension(2) ins(%m : tensor<2x4x4xf32>) outs(%e : tensor<2x4x4xf32>) -> tensor<2x4x4xf32>
  %a = linalg.batch_matmul ins(%p, %v : tensor<2x4x4xf32>, tensor<2x4x8xf32>) outs(%fy : tensor<2x4x8xf32>) -> tensor<2x4x8xf32>
  %dp = linalg.generic {indexing_maps = [affine_map<(b, i, j, d) -> (b, i, d)>, affine_map<(b, i, j, d) -> (b, j, d)>, affine_map<(b, i, j, d) -> (b, i, j)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%g, %v : tensor<2x4x8xf32>, tensor<2x4x8xf32>) outs(%f : tensor<2x4x4xf32>) {
  ^bb0(%x: f32, %z: f32, %o: f32):
    %t = arith.mulf %x, %z : f32
    %u = arith.addf %o, %t : f32
    linalg.yield %u : f32
  } -> tensor<2x4x4xf32>
  %ds = nn.softmax_gradient ins(%p : tensor<2x4x4xf32>) outs(%dp : tensor<2x4x4xf32>) dimension 2 -> tensor<2x4x4xf32>
  %h = linalg.generic {indexing_maps = [#mask, #id, #id], iterator_types = ["parallel", "parallel", "parallel"]}
      ins(%bits, %ds : tensor<4x4xi8>, tensor<2x4x4xf32>) outs(%e : tensor<2x4x4xf32>) {
  ^bb0(%bit: i8, %x: f32, %o: f32):
    %c = arith.trunci %bit : i8 to i1
    %r = arith.select %c, %x, %zero : f32
    %scaled = arith.mulf %r, %half : f32
    linalg.yield %scaled : f32
  } -> tensor<2x4x4xf32>
  %dk = linalg.generic {indexing_maps = [affine_map<(b, i, j, d) -> (b, i, j)>, affine_map<(b, i, j, d) -> (b, i, d)>, affine_map<(b, i, j, d) -> (b, j, d)>],
      iterator_types = ["parallel", "reduction", "parallel", "parallel"]} ins(%h, %q : tensor<2x4x4xf32>, tensor<2x4x8xf32>) outs(%fy : tensor<2x4x8xf32>) {
  ^bb0(%x: f32, %z: f32, %o: f32):
    %t = arith.mulf %x, %z : f32
    %u = arith.addf %o, %t : f32
    linalg.yield %u : f32
  } -> tensor<2x4x8xf32>
  return %a, %dk : tensor<2x4x8xf32>, tensor<2x4x8xf32>
}

// -----

// A mask that is added, from positions, to scores of a joined batch; queries come three positions late.
// CHECK-LABEL: @added
// CHECK: linalg.batch_matmul {nn.triangle = array<i64: 1, 2, 3>}
// CHECK: nn.causal_softmax {{.*}} offset 3
// CHECK: linalg.batch_matmul {nn.triangle = array<i64: 1, 3, 3>}
#id = affine_map<(b, h, i, j) -> (b, h, i, j)>
#mask = affine_map<(b, h, i, j) -> (i, j)>
#plane = affine_map<(i, j) -> (i, j)>
func.func @added(%q: tensor<6x5x8xf32>, %k: tensor<6x8x8xf32>, %v: tensor<6x8x8xf32>) -> tensor<6x5x8xf32> {
  %zero = arith.constant 0.0 : f32
  %low = arith.constant 0xFF800000 : f32
  %three = arith.constant 3 : index
  %em = tensor.empty() : tensor<5x8xf32>
  %e = tensor.empty() : tensor<6x5x8xf32>
  %e4 = tensor.empty() : tensor<2x3x5x8xf32>
  %mask = linalg.generic {indexing_maps = [#plane], iterator_types = ["parallel", "parallel"]} outs(%em : tensor<5x8xf32>) {
  ^bb0(%o: f32):
    %i = linalg.index 0 : index
    %j = linalg.index 1 : index
    %last = arith.addi %i, %three : index
    %c = arith.cmpi sgt, %j, %last : index
    %r = arith.select %c, %low, %zero : f32
    linalg.yield %r : f32
  } -> tensor<5x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<6x5x8xf32>) -> tensor<6x5x8xf32>
  %s = linalg.batch_matmul ins(%q, %k : tensor<6x5x8xf32>, tensor<6x8x8xf32>) outs(%f : tensor<6x5x8xf32>) -> tensor<6x5x8xf32>
  %s4 = tensor.expand_shape %s [[0, 1], [2], [3]] output_shape [2, 3, 5, 8] : tensor<6x5x8xf32> into tensor<2x3x5x8xf32>
  %m = linalg.generic {indexing_maps = [#mask, #id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
      ins(%mask, %s4 : tensor<5x8xf32>, tensor<2x3x5x8xf32>) outs(%e4 : tensor<2x3x5x8xf32>) {
  ^bb0(%c: f32, %x: f32, %o: f32):
    %r = arith.addf %x, %c : f32
    linalg.yield %r : f32
  } -> tensor<2x3x5x8xf32>
  %p = linalg.softmax dimension(3) ins(%m : tensor<2x3x5x8xf32>) outs(%e4 : tensor<2x3x5x8xf32>) -> tensor<2x3x5x8xf32>
  %p3 = tensor.collapse_shape %p [[0, 1], [2], [3]] : tensor<2x3x5x8xf32> into tensor<6x5x8xf32>
  %a = linalg.batch_matmul ins(%p3, %v : tensor<6x5x8xf32>, tensor<6x8x8xf32>) outs(%f : tensor<6x5x8xf32>) -> tensor<6x5x8xf32>
  return %a : tensor<6x5x8xf32>
}

// -----

// Who else reads the scores gets them all.
// CHECK-LABEL: @read_twice
// CHECK: linalg.matmul ins(%arg0, %arg1
// CHECK: nn.causal_softmax
#id = affine_map<(i, j) -> (i, j)>
func.func @read_twice(%q: tensor<2x8xf32>, %k: tensor<8x2xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>) {
  %zero = arith.constant 0.0 : f32
  %mask = arith.constant dense<[[0.0, -1.0e9], [0.0, 0.0]]> : tensor<2x2xf32>
  %e = tensor.empty() : tensor<2x2xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %s = linalg.matmul ins(%q, %k : tensor<2x8xf32>, tensor<8x2xf32>) outs(%f : tensor<2x2xf32>) -> tensor<2x2xf32>
  %m = linalg.add ins(%s, %mask : tensor<2x2xf32>, tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %p = linalg.softmax dimension(1) ins(%m : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  return %p, %s : tensor<2x2xf32>, tensor<2x2xf32>
}

// -----

// No masks of this kind: one that an input makes; a row that reads nothing, whose softmax is even; a number that is not
// low enough; one that hides nothing above the diagonal; one added to a mask that an input makes, where a row may keep
// nothing else.
// CHECK-LABEL: @others
// CHECK-NOT: nn.causal_softmax
// CHECK-NOT: nn.triangle
// CHECK: return
#id = affine_map<(i, j) -> (i, j)>
func.func @others(%s: tensor<2x2xf32>, %q: tensor<2x8xf32>, %k: tensor<8x2xf32>, %input: tensor<2x2xf32>)
    -> (tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = arith.constant dense<[[-1.0e9, -1.0e9], [0.0, 0.0]]> : tensor<2x2xf32>
  %weak = arith.constant dense<[[0.0, -1.0e4], [0.0, 0.0]]> : tensor<2x2xf32>
  %lower = arith.constant dense<[[0.0, 0.0], [-1.0e9, 0.0]]> : tensor<2x2xf32>
  %causal = arith.constant dense<[[0.0, -1.0e9], [0.0, 0.0]]> : tensor<2x2xf32>
  %e = tensor.empty() : tensor<2x2xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %0 = linalg.matmul ins(%q, %k : tensor<2x8xf32>, tensor<8x2xf32>) outs(%f : tensor<2x2xf32>) -> tensor<2x2xf32>
  %m0 = linalg.add ins(%0, %input : tensor<2x2xf32>, tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %p0 = linalg.softmax dimension(1) ins(%m0 : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %m1 = linalg.add ins(%0, %empty : tensor<2x2xf32>, tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %p1 = linalg.softmax dimension(1) ins(%m1 : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %m2 = linalg.add ins(%0, %weak : tensor<2x2xf32>, tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %p2 = linalg.softmax dimension(1) ins(%m2 : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %m3 = linalg.add ins(%0, %lower : tensor<2x2xf32>, tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %p3 = linalg.softmax dimension(1) ins(%m3 : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %m4 = linalg.add ins(%m0, %causal : tensor<2x2xf32>, tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  %p4 = linalg.softmax dimension(1) ins(%m4 : tensor<2x2xf32>) outs(%e : tensor<2x2xf32>) -> tensor<2x2xf32>
  return %p0, %p1, %p2, %p3, %p4 : tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>
}

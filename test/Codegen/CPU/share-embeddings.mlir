// RUN: twist-opt %s --cpu-share-embeddings -split-input-file | FileCheck %s

// Rows of the table are read out of the panels of the matrix it is too.

// CHECK-LABEL: func.func @tied
// CHECK-NOT: weights.load
// CHECK: %[[P:.*]] = cpu.packed_weight {{.*}} : tensor<2x4x48xf32>
// CHECK: linalg.generic {{.*}} ins(%{{.*}} : tensor<?xi64>) outs(%{{.*}} : tensor<?x4xf32>)
// CHECK: %[[K:.*]] = linalg.index 1
// CHECK: %[[WIDTH:.*]] = arith.constant 48 : index
// CHECK-DAG: %[[Q:.*]] = arith.divui %[[I:.*]], %[[WIDTH]]
// CHECK-DAG: %[[R:.*]] = arith.remui %{{.*}}, %[[WIDTH]]
// CHECK: tensor.extract %[[P]][%[[Q]], %[[K]], %[[R]]]
// CHECK-NOT: nn.gather
weights.source @m from "m.bin"
func.func @tied(%ids: tensor<?xi64>, %e: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<2x4x48xf32>) {
  %t = weights.load <@m at 0 as tensor<90x4xf32>> : tensor<90x4xf32>
  %r = nn.gather ins(%t, %ids : tensor<90x4xf32>, tensor<?xi64>) outs(%e : tensor<?x4xf32>) axis 0 -> tensor<?x4xf32>
  %p = cpu.packed_weight <@m at 0 as tensor<90x4xf32> permutation [1, 0]> of tensor<4x90xf32> by <(n, k) -> (k, n), 48> : tensor<2x4x48xf32>
  return %r, %p : tensor<?x4xf32>, tensor<2x4x48xf32>
}

// -----

// Another tensor, one that is packed along its rows, and one that is read otherwise, stay.

// CHECK-LABEL: func.func @apart
// CHECK-COUNT-3: nn.gather
weights.source @m from "m.bin"
func.func @apart(%ids: tensor<?xi64>, %e: tensor<?x4xf32>, %z: tensor<90x4xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<2x4x48xf32>, tensor<1x90x48xf32>, tensor<2x4x48xf32>, tensor<90x4xf32>) {
  %a = weights.load <@m at 0 as tensor<90x4xf32>> : tensor<90x4xf32>
  %b = weights.load <@m at 1440 as tensor<90x4xf32>> : tensor<90x4xf32>
  %c = weights.load <@m at 2880 as tensor<90x4xf32>> : tensor<90x4xf32>
  %ra = nn.gather ins(%a, %ids : tensor<90x4xf32>, tensor<?xi64>) outs(%e : tensor<?x4xf32>) axis 0 -> tensor<?x4xf32>
  %rb = nn.gather ins(%b, %ids : tensor<90x4xf32>, tensor<?xi64>) outs(%e : tensor<?x4xf32>) axis 0 -> tensor<?x4xf32>
  %rc = nn.gather ins(%c, %ids : tensor<90x4xf32>, tensor<?xi64>) outs(%e : tensor<?x4xf32>) axis 0 -> tensor<?x4xf32>
  %pa = cpu.packed_weight <@m at 16 as tensor<90x4xf32> permutation [1, 0]> of tensor<4x90xf32> by <(n, k) -> (k, n), 48> : tensor<2x4x48xf32>
  %pb = cpu.packed_weight <@m at 1440 as tensor<90x4xf32>> of tensor<90x4xf32> by <(n, k) -> (k, n), 48> : tensor<1x90x48xf32>
  %pc = cpu.packed_weight <@m at 2880 as tensor<90x4xf32> permutation [1, 0]> of tensor<4x90xf32> by <(n, k) -> (k, n), 48> : tensor<2x4x48xf32>
  %s = linalg.add ins(%c, %c : tensor<90x4xf32>, tensor<90x4xf32>) outs(%z : tensor<90x4xf32>) -> tensor<90x4xf32>
  return %ra, %rb, %rc, %pa, %pb, %pc, %s : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<2x4x48xf32>, tensor<1x90x48xf32>, tensor<2x4x48xf32>, tensor<90x4xf32>
}

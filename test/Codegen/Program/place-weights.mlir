// RUN: twist-opt --cpu-place-weights %s | FileCheck %s

// Offsets are multiples of 64; a weight used twice has one place; the same view
// in another layout has a place of its own.

// CHECK: cpu.weights = [
// CHECK-SAME: {offset = 0 : i64, type = tensor<5xf32>, view = #weights.view<@m at 0 as tensor<5xf32>>}
// CHECK-SAME: {offset = 64 : i64, packing = #cpu.packing<{{.*}}, 16>, type = tensor<3x20xf32>
// CHECK-SAME: {offset = 448 : i64, type = tensor<3x20xf32>
// CHECK-SAME: cpu.weights_bytes = 704 : i64
weights.source @m from "model.onnx"

// CHECK-LABEL: func.func @main
// CHECK-SAME: (%[[DATA:.*]]: memref<?xi8>, %{{.*}}: tensor<5xf32>)
func.func @main(%x: tensor<5xf32>) -> (tensor<5xf32>, tensor<5xf32>, tensor<2x3x16xf32>, tensor<3x20xf32>) {
  // CHECK: %[[C0:.*]] = arith.constant 0 : index
  // CHECK: %[[V:.*]] = memref.view %[[DATA]][%[[C0]]][] : memref<?xi8> to memref<5xf32>
  // CHECK: bufferization.to_tensor %[[V]] restrict : memref<5xf32> to tensor<5xf32>
  %a = weights.load <@m at 0 as tensor<5xf32>> : tensor<5xf32>
  // CHECK: arith.constant 0 : index
  %b = weights.load <@m at 0 as tensor<5xf32>> : tensor<5xf32>
  // CHECK: arith.constant 64 : index
  %p = cpu.packed_weight <@m at 20 as tensor<3x20xf32>> of tensor<3x20xf32>
         by <(n, k) -> (k, n), 16> : tensor<2x3x16xf32>
  // CHECK: arith.constant 448 : index
  %w = weights.load <@m at 20 as tensor<3x20xf32>> : tensor<3x20xf32>
  return %a, %b, %p, %w : tensor<5xf32>, tensor<5xf32>, tensor<2x3x16xf32>, tensor<3x20xf32>
}

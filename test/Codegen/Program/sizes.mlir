// RUN: twist-opt --cpu-resolve-dims %s | FileCheck %s --check-prefix=DIMS
// RUN: twist-opt --cpu-expand-reshapes --canonicalize %s | FileCheck %s --check-prefix=EXPAND

// DIMS-LABEL: func.func @dims
// DIMS-SAME: (%{{.*}}: memref<?x32xf32>, %[[A:.*]]: index, %[[B:.*]]: index, %[[T:.*]]: tensor<?x4xf32>)
// DIMS: %[[AB:.*]] = arith.muli %[[A]], %[[B]]
// DIMS: %[[N:.*]] = tensor.dim %[[T]]
// DIMS: return %[[AB]], %[[N]]

// EXPAND-LABEL: func.func @dims
// EXPAND-SAME: (%[[BASE:.*]]: memref<?x32xf32>, %[[A:.*]]: index, %[[B:.*]]: index,
// EXPAND: %[[S:.*]] = arith.muli %[[B]], %c32
// EXPAND: memref.reinterpret_cast %[[BASE]] to offset: [0], sizes: [%[[A]], %[[B]], 32], strides: [%[[S]], 32, 1]
func.func @dims(%m: memref<?x32xf32>, %a: index, %b: index, %t: tensor<?x4xf32>) -> (index, index, memref<?x32xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %e = memref.expand_shape %m [[0, 1], [2]] output_shape [%a, %b, 32] : memref<?x32xf32> into memref<?x?x32xf32>
  %c = memref.collapse_shape %e [[0, 1], [2]] : memref<?x?x32xf32> into memref<?x32xf32>
  %d = memref.dim %c, %c0 : memref<?x32xf32>
  %f = linalg.fill ins(%zero : f32) outs(%t : tensor<?x4xf32>) -> tensor<?x4xf32>
  %n = tensor.dim %f, %c0 : tensor<?x4xf32>
  return %d, %n, %c : index, index, memref<?x32xf32>
}

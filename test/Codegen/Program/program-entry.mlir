// RUN: twist-opt --cpu-program-entry %s | FileCheck %s

// CHECK-LABEL: func.func @main
// CHECK-SAME: (%[[W:.*]]: memref<?xi8>, %[[ARENA:.*]]: memref<?xi8>, %[[X:.*]]: memref<?xi8>, %[[Y:.*]]: memref<?xi8>, %[[DX:.*]]: index, %[[DY:.*]]: index, %[[LAUNCHER:.*]]: !llvm.ptr)
// CHECK: %[[C0:.*]] = arith.constant 0 : index
// CHECK: %[[VX:.*]] = memref.view %[[X]][%[[C0]]][%[[DX]]] : memref<?xi8> to memref<?x4xf32>
// CHECK: %[[VY:.*]] = memref.view %[[Y]][%[[C0]]][%[[DY]]] : memref<?xi8> to memref<?x4xf32>
// CHECK: memref.copy %[[VX]], %[[VY]]
func.func @main(%w: memref<?xi8>, %x: memref<?x4xf32>, %y: memref<?x4xf32> {bufferize.result}) {
  memref.copy %x, %y : memref<?x4xf32> to memref<?x4xf32>
  return
}

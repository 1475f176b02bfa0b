// RUN: twist-opt --allow-unregistered-dialect --cpu-plan-arena --canonicalize --cse %s | FileCheck %s

// Four buffers, two slots: %a and %c never live together and differ by a
// constant factor, so the larger counts; %b overlaps both; %d takes the place of
// %b although its size is of another symbol.

// CHECK-LABEL: func.func private @main
// CHECK-SAME: (%{{.*}}: memref<?xi8>, %[[ARENA:[^:]*]]: memref<?xi8>, %{{[^:]*}}: memref<?xi8>, %[[N:[^:]*]]: index, %[[M:[^:]*]]: index, %{{.*}}: !llvm.ptr)
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[C64:.*]] = arith.constant 64 : index
// %c is the larger: 64 bytes a row, a multiple of the alignment.
// CHECK: %[[BYTES:.*]] = arith.muli %[[N]], %[[C64]]
// CHECK: %[[UP:.*]] = arith.addi %[[BYTES]], %{{.*}}
// CHECK: %[[SECOND:.*]] = arith.andi %[[UP]], %{{.*}}
// CHECK: memref.view %[[ARENA]][%[[C0]]][%[[N]]] : memref<?xi8> to memref<?x8xf32>
// CHECK: memref.view %[[ARENA]][%[[SECOND]]][%[[N]]] : memref<?xi8> to memref<?x8xf32>
// CHECK: memref.view %[[ARENA]][%[[C0]]][%[[N]]] : memref<?xi8> to memref<?x16xf32>
// CHECK: memref.view %[[ARENA]][%[[SECOND]]][%[[M]]] : memref<?xi8> to memref<?xf64>
// CHECK-NOT: memref.alloc

// CHECK-LABEL: func.func private @arena_bytes
// CHECK-SAME: (%[[N:.*]]: index, %[[M:.*]]: index) -> index
// CHECK: %[[FIRST:.*]] = arith.andi
// CHECK: %[[LARGER:.*]] = arith.maxui
// CHECK: arith.andi
// CHECK: %[[SUM:.*]] = arith.addi %[[FIRST]]
// CHECK: return %[[SUM]]
func.func private @main(%w: memref<?xi8>, %arena: memref<?xi8>, %x: memref<?xi8>,
                        %n: index, %m: index, %launcher: !llvm.ptr) {
  %a = memref.alloc(%n) : memref<?x8xf32>
  "test.write"(%a) : (memref<?x8xf32>) -> ()
  %b = memref.alloc(%n) : memref<?x8xf32>
  "test.step"(%a, %b) : (memref<?x8xf32>, memref<?x8xf32>) -> ()
  %c = memref.alloc(%n) : memref<?x16xf32>
  "test.step"(%b, %c) : (memref<?x8xf32>, memref<?x16xf32>) -> ()
  %d = memref.alloc(%m) : memref<?xf64>
  "test.step"(%c, %d) : (memref<?x16xf32>, memref<?xf64>) -> ()
  return
}
func.func private @output_dims(%n: index, %m: index) {
  return
}

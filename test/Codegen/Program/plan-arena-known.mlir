// RUN: twist-opt --allow-unregistered-dialect --cpu-plan-arena --canonicalize --cse %s | FileCheck %s

// Where all sizes are known, buffers that live after a larger one share its place.

// CHECK-LABEL: func.func private @main
// CHECK-SAME: %[[ARENA:[^:]*]]: memref<?xi8>, %{{[^:]*}}: !llvm.ptr
// CHECK-DAG: %[[C0:.*]] = arith.constant 0 : index
// CHECK-DAG: %[[C512:.*]] = arith.constant 512 : index
// CHECK: memref.view %[[ARENA]][%[[C0]]][] : memref<?xi8> to memref<256xf32>
// CHECK: memref.view %[[ARENA]][%[[C512]]][] : memref<?xi8> to memref<60xf32>
// CHECK: memref.view %[[ARENA]][%[[C0]]][] : memref<?xi8> to memref<128xf32>
// CHECK-NOT: memref.alloc

// CHECK-LABEL: func.func private @arena_bytes
// CHECK: %[[ALL:.*]] = arith.constant 1024 : index
// CHECK: return %[[ALL]]
func.func private @main(%w: memref<?xi8>, %arena: memref<?xi8>, %launcher: !llvm.ptr) {
  %a = memref.alloc() : memref<256xf32>
  "test.write"(%a) : (memref<256xf32>) -> ()
  %b = memref.alloc() : memref<60xf32>
  "test.write"(%b) : (memref<60xf32>) -> ()
  %c = memref.alloc() : memref<128xf32>
  "test.step"(%b, %c) : (memref<60xf32>, memref<128xf32>) -> ()
  return
}
func.func private @output_dims() {
  return
}

// RUN: twist-opt --allow-unregistered-dialect --cpu-plan-arena --canonicalize --cse %s | FileCheck %s

// A view keeps its buffer alive, and so do the branches of a conditional and
// uses inside a loop: nothing can be shared here.

// CHECK-LABEL: func.func private @main
// CHECK: %[[SIZE:.*]] = arith.andi
// CHECK: %[[TWO:.*]] = arith.addi %[[SIZE]], %[[SIZE]]
// CHECK: memref.view %{{.*}}[%c0]
// CHECK: memref.view %{{.*}}[%[[SIZE]]]
// CHECK: memref.view %{{.*}}[%[[TWO]]]
func.func private @main(%w: memref<?xi8>, %arena: memref<?xi8>, %n: index,
                        %launcher: !llvm.ptr) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %a = memref.alloc(%n) : memref<?xf32>
  %view = memref.subview %a[0] [%n] [1] : memref<?xf32> to memref<?xf32, strided<[1]>>
  %b = memref.alloc(%n) : memref<?xf32>
  "test.write"(%b) : (memref<?xf32>) -> ()
  %some = arith.cmpi eq, %n, %c1 : index
  %either = scf.if %some -> memref<?xf32> {
    scf.yield %b : memref<?xf32>
  } else {
    scf.yield %a : memref<?xf32>
  }
  scf.for %i = %c0 to %n step %c1 {
    %c = memref.alloc(%n) : memref<?xf32>
    "test.step"(%view, %c) : (memref<?xf32, strided<[1]>>, memref<?xf32>) -> ()
  }
  "test.read"(%either) : (memref<?xf32>) -> ()
  return
}
func.func private @output_dims(%n: index) {
  return
}

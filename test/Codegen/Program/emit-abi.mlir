// RUN: twist-opt --cpu-emit-abi %s | FileCheck %s
// RUN: twist-opt --cpu-emit-abi --cpu-llvm %s | FileCheck %s --check-prefix=LLVM

// LLVM-NOT: unrealized
// LLVM-LABEL: llvm.func @twist_run

module attributes {cpu.interface = {
  inputs = [{dims = array<i64: 2, -1>, name = "x", symbols = ["", "n"], type = "f32"}],
  outputs = [{dims = array<i64: 7, -1>, name = "y", symbols = ["", "n"], type = "f32"}]}} {

// CHECK: cpu.checks = ["'node': an index is outside"]
// CHECK-SAME: cpu.sites = ["kernel_0 (node)"]

// In @main a launch stores its operands and passes a thunk to the launcher.
// CHECK-LABEL: func.func private @main
// CHECK-SAME: %[[LAUNCHER:[^:]*]]: !llvm.ptr)
// CHECK: %[[CONTEXT:.*]] = llvm.alloca %{{.*}} x !llvm.struct<(struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>, f32)>
// CHECK: llvm.store %{{.*}}, %{{.*}} : !llvm.struct<
// CHECK: llvm.store %{{.*}}, %{{.*}} : f32
// CHECK: %[[PARALLEL:.*]] = llvm.load %[[LAUNCHER]]
// CHECK: %[[THUNK:.*]] = llvm.mlir.addressof @kernel_0_task
// CHECK: llvm.call %[[PARALLEL]](%[[LAUNCHER]], %[[THUNK]], %[[CONTEXT]], %{{.*}}, %{{.*}})
// CHECK: %[[MEMBER:.*]] = llvm.getelementptr %[[LAUNCHER]][1]
// CHECK: %[[REQUIRE:.*]] = llvm.load %[[MEMBER]]
// CHECK: llvm.call %[[REQUIRE]](%[[LAUNCHER]], %{{.*}}, %{{.*}})
func.func @main(%w: memref<?xi8>, %arena: memref<?xi8>, %x: memref<?xi8>, %y: memref<?xi8>,
                %dx: index, %dy: index, %launcher: !llvm.ptr) {
  %s = arith.constant 1.0 : f32
  cpu.launch @kernel_0(%dx) %x, %s : memref<?xi8>, f32 loc("node")
  %inside = arith.cmpi sge, %dx, %dy : index
  cf.assert %inside, "an index is outside" loc("node")
  return
}

// In a kernel it is a loop.
// CHECK-LABEL: func.func private @kernel_0
// CHECK: scf.for
// CHECK-NEXT: func.call @kernel_1
func.func private @kernel_0(%i: index, %m: memref<?xi8>, %s: f32) {
  cpu.launch @kernel_1(%i) %m : memref<?xi8>
  return
}
func.func private @kernel_1(%i: index, %m: memref<?xi8>) {
  return
}
func.func private @output_dims(%n: index) -> index {
  return %n : index
}
func.func private @arena_bytes(%n: index) -> index {
  return %n : index
}

// CHECK-LABEL: llvm.func internal @kernel_0_task
// CHECK-SAME: (%[[CONTEXT:.*]]: !llvm.ptr, %[[I:.*]]: i64)
// CHECK: func.call @kernel_0

// buffers, dims, arena, weights, launcher: sizes of x at 0 and 1, of y at 2 and 3.
// CHECK-LABEL: llvm.func @twist_run
// CHECK-SAME: (%[[BUFFERS:.*]]: !llvm.ptr, %[[DIMS:.*]]: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %[[L:.*]]: !llvm.ptr)
// CHECK: llvm.getelementptr %[[BUFFERS]][0]
// CHECK: llvm.getelementptr %[[BUFFERS]][1]
// CHECK: llvm.getelementptr %[[DIMS]][1] : (!llvm.ptr) -> !llvm.ptr, i64
// CHECK: llvm.getelementptr %[[DIMS]][3] : (!llvm.ptr) -> !llvm.ptr, i64
// CHECK: func.call @main

// CHECK-LABEL: llvm.func @twist_output_dims
// CHECK: func.call @output_dims
// CHECK: llvm.mlir.constant(7 : i64)
// CHECK-LABEL: llvm.func @twist_arena_bytes
// CHECK: func.call @arena_bytes
}

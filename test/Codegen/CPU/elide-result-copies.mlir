// RUN: twist-opt %s -pass-pipeline='builtin.module(func.func(cpu-elide-result-copies))' | FileCheck %s

// CHECK-LABEL: @reshaped
// CHECK-SAME: %[[R:.*]]: memref<1x16x61xf32>
// CHECK: %[[A:.*]] = memref.collapse_shape %[[R]] {{\[\[}}0, 1], [2]]
// CHECK: linalg.fill {{.*}} outs(%[[A]]
// CHECK-NOT: memref.copy
func.func @reshaped(%r: memref<1x16x61xf32>) {
  %c = arith.constant 1.0 : f32
  %a = memref.alloc() : memref<16x61xf32>
  linalg.fill ins(%c : f32) outs(%a : memref<16x61xf32>)
  %e = memref.expand_shape %a [[0, 1], [2]] output_shape [1, 16, 61] : memref<16x61xf32> into memref<1x16x61xf32>
  memref.copy %e, %r : memref<1x16x61xf32> to memref<1x16x61xf32>
  return
}

// The argument is read too: its copy stays.
// CHECK-LABEL: @read
// CHECK: memref.copy
func.func @read(%r: memref<4xf32>) -> f32 {
  %c0 = arith.constant 0 : index
  %c = arith.constant 1.0 : f32
  %v = memref.load %r[%c0] : memref<4xf32>
  %a = memref.alloc() : memref<4xf32>
  linalg.fill ins(%c : f32) outs(%a : memref<4xf32>)
  memref.copy %a, %r : memref<4xf32> to memref<4xf32>
  return %v : f32
}

// A view of a part is no reshape.
// CHECK-LABEL: @part
// CHECK: memref.copy
func.func @part(%r: memref<4xf32, strided<[1], offset: 2>>) {
  %a = memref.alloc() : memref<8xf32>
  %s = memref.subview %a[2] [4] [1] : memref<8xf32> to memref<4xf32, strided<[1], offset: 2>>
  memref.copy %s, %r : memref<4xf32, strided<[1], offset: 2>> to memref<4xf32, strided<[1], offset: 2>>
  return
}

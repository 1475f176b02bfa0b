// RUN: twist-opt %s -split-input-file -cpu-describe-interface -one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" -cpu-update-in-place -canonicalize | FileCheck %s

// Written where it lies: no copy, no allocation, and no output.
// CHECK: cpu.interface = {inputs = [{dims = array<i64: 4>, name = "p", symbols = [""], type = "f32", updated}, {{.*}}name = "g", symbols = [""], type = "f32"}], outputs = []}
// CHECK-LABEL: func.func @main
// CHECK-SAME: (%[[P:.*]]: memref<4xf32> {{.*}}, %[[G:.*]]: memref<4xf32> {{.*}}) {
// CHECK-NOT: memref.alloc
// CHECK-NOT: memref.copy
// CHECK: linalg.generic {{.*}} ins(%[[G]] : memref<4xf32>) outs(%[[P]] : memref<4xf32>)
// CHECK: return
// CHECK-NEXT: }
#id = affine_map<(d0) -> (d0)>
module {
  func.func @main(%p: tensor<4xf32> {onnx.name = "p", cpu.updated_by = 0 : i64}, %g: tensor<4xf32> {onnx.name = "g"}) -> tensor<4xf32> {
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%g : tensor<4xf32>) outs(%p : tensor<4xf32>) {
    ^bb0(%a: f32, %b: f32):
      %s = arith.subf %b, %a : f32
      linalg.yield %s : f32
    } -> tensor<4xf32>
    return %r : tensor<4xf32>
  }
}

// -----

// Its old value is an output: the new one is written elsewhere and copied.
// CHECK-LABEL: func.func @main
// CHECK: memref.copy
// CHECK: linalg.generic
#id = affine_map<(d0) -> (d0)>
module {
  func.func @main(%p: tensor<4xf32> {cpu.updated_by = 0 : i64}, %g: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%g : tensor<4xf32>) outs(%p : tensor<4xf32>) {
    ^bb0(%a: f32, %b: f32):
      %s = arith.subf %b, %a : f32
      linalg.yield %s : f32
    } -> tensor<4xf32>
    return %r, %p : tensor<4xf32>, tensor<4xf32>
  }
}

// -----

// An input that is not updated is never written, whatever wants to.
// CHECK-LABEL: func.func @main
// CHECK-SAME: (%[[P:.*]]: memref<4xf32>)
// CHECK: %[[A:.*]] = memref.alloc
// CHECK: linalg.generic {{.*}} outs(%[[A]] : memref<4xf32>)
#id = affine_map<(d0) -> (d0)>
module {
  func.func @main(%p: tensor<4xf32>) -> tensor<4xf32> {
    %r = linalg.generic {indexing_maps = [#id], iterator_types = ["parallel"]} outs(%p : tensor<4xf32>) {
    ^bb0(%b: f32):
      %s = arith.addf %b, %b : f32
      linalg.yield %s : f32
    } -> tensor<4xf32>
    return %r : tensor<4xf32>
  }
}

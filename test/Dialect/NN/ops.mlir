// RUN: twist-opt %s | twist-opt | FileCheck %s
// RUN: twist-opt %s --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" | FileCheck %s --check-prefix=BUF

// CHECK-LABEL: @norms
// CHECK: nn.layer_norm ins({{.*}}, {{.*}}, {{.*}} : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) outs({{.*}} : tensor<?x8xf32>) {epsilon = 1.000000e-05 : f64} -> tensor<?x8xf32>
// CHECK: nn.rms_norm ins({{.*}}, {{.*}} : tensor<?x8xf32>, tensor<8xf32>) outs({{.*}} : tensor<?x8xf32>)
// BUF-LABEL: @norms
// BUF: nn.layer_norm ins({{.*}} : memref<?x8xf32>, memref<8xf32>, memref<8xf32>) outs({{.*}} : memref<?x8xf32>)
// BUF-NOT: ->
// BUF: nn.rms_norm ins({{.*}} : memref<?x8xf32>, memref<8xf32>) outs({{.*}} : memref<?x8xf32>)
func.func @norms(%x: tensor<?x8xf32>, %g: tensor<8xf32>, %b: tensor<8xf32>, %n: index) -> tensor<?x8xf32> {
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %y = nn.layer_norm ins(%x, %g, %b : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>) outs(%e : tensor<?x8xf32>) {epsilon = 1.0e-5 : f64} -> tensor<?x8xf32>
  %e2 = tensor.empty(%n) : tensor<?x8xf32>
  %z = nn.rms_norm ins(%y, %g : tensor<?x8xf32>, tensor<8xf32>) outs(%e2 : tensor<?x8xf32>) {epsilon = 1.0e-5 : f64} -> tensor<?x8xf32>
  return %z : tensor<?x8xf32>
}

// CHECK-LABEL: @gather
// CHECK: nn.gather ins({{.*}}, {{.*}} : tensor<100x8xf32>, tensor<?x?xi64>) outs({{.*}} : tensor<?x?x8xf32>) axis 0 -> tensor<?x?x8xf32>
// BUF-LABEL: @gather
// BUF: nn.gather ins({{.*}} : memref<100x8xf32>, memref<?x?xi64>) outs({{.*}} : memref<?x?x8xf32>) axis 0
func.func @gather(%t: tensor<100x8xf32>, %i: tensor<?x?xi64>, %n: index, %m: index) -> tensor<?x?x8xf32> {
  %e = tensor.empty(%n, %m) : tensor<?x?x8xf32>
  %y = nn.gather ins(%t, %i : tensor<100x8xf32>, tensor<?x?xi64>) outs(%e : tensor<?x?x8xf32>) axis 0 -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// CHECK-LABEL: @scatter_add
// CHECK: nn.scatter_add ins({{.*}}, {{.*}} : tensor<?x8xf32>, tensor<?xi64>) outs({{.*}} : tensor<100x8xf32>) axis 0 -> tensor<100x8xf32>
// What the caller still reads is copied before rows are added.
// BUF-LABEL: @scatter_add
// BUF: memref.copy
// BUF: nn.scatter_add ins({{.*}} : memref<?x8xf32>, memref<?xi64>) outs({{.*}} : memref<100x8xf32>) axis 0
func.func @scatter_add(%t: tensor<100x8xf32>, %i: tensor<?xi64>, %u: tensor<?x8xf32>) -> (tensor<100x8xf32>, tensor<100x8xf32>) {
  %y = nn.scatter_add ins(%u, %i : tensor<?x8xf32>, tensor<?xi64>) outs(%t : tensor<100x8xf32>) axis 0 -> tensor<100x8xf32>
  return %y, %t : tensor<100x8xf32>, tensor<100x8xf32>
}

// CHECK-LABEL: @cross_entropy
// CHECK: nn.cross_entropy ins({{.*}}, {{.*}} : tensor<?x8xf32>, tensor<?xi64>) outs({{.*}}, {{.*}} : tensor<?xf32>, tensor<?xf32>) {ignore = -100 : i64, smoothing = 1.000000e-01 : f64} -> tensor<?xf32>, tensor<?xf32>
// BUF-LABEL: @cross_entropy
// Two results never share a buffer.
// BUF: %[[L:.+]] = memref.alloc
// BUF: %[[N:.+]] = memref.alloc
// BUF: nn.cross_entropy ins({{.*}} : memref<?x8xf32>, memref<?xi64>) outs(%[[L]], %[[N]] : memref<?xf32>, memref<?xf32>)
func.func @cross_entropy(%x: tensor<?x8xf32>, %t: tensor<?xi64>, %n: index) -> (tensor<?xf32>, tensor<?xf32>) {
  %e = tensor.empty(%n) : tensor<?xf32>
  %y:2 = nn.cross_entropy ins(%x, %t : tensor<?x8xf32>, tensor<?xi64>) outs(%e, %e : tensor<?xf32>, tensor<?xf32>) {ignore = -100 : i64, smoothing = 0.1 : f64} -> tensor<?xf32>, tensor<?xf32>
  return %y#0, %y#1 : tensor<?xf32>, tensor<?xf32>
}

// The cotangent is overwritten.
// CHECK-LABEL: @softmax_gradient
// CHECK: nn.softmax_gradient ins({{.*}} : tensor<?x8xf32>) outs({{.*}} : tensor<?x8xf32>) dimension 1 -> tensor<?x8xf32>
// BUF-LABEL: @softmax_gradient
// BUF-SAME: %[[Y:.+]]: memref<?x8xf32>, %[[G:.+]]: memref<?x8xf32>)
// BUF-NEXT: nn.softmax_gradient ins(%[[Y]] : memref<?x8xf32>) outs(%[[G]] : memref<?x8xf32>) dimension 1
func.func @softmax_gradient(%y: tensor<?x8xf32>, %g: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %d = nn.softmax_gradient ins(%y : tensor<?x8xf32>) outs(%g : tensor<?x8xf32>) dimension 1 -> tensor<?x8xf32>
  return %d : tensor<?x8xf32>
}

// CHECK-LABEL: @causal
// CHECK: nn.causal_softmax ins({{.*}} : tensor<?x8xf32>) outs({{.*}} : tensor<?x8xf32>) offset 1 -> tensor<?x8xf32>
// CHECK: nn.softmax_gradient ins({{.*}} : tensor<?x8xf32>) outs({{.*}} : tensor<?x8xf32>) dimension 1 causal 1 -> tensor<?x8xf32>
// BUF-LABEL: @causal
// BUF: nn.causal_softmax ins({{.*}} : memref<?x8xf32>) outs({{.*}} : memref<?x8xf32>) offset 1
// BUF: nn.softmax_gradient {{.*}} dimension 1 causal 1
func.func @causal(%x: tensor<?x8xf32>, %g: tensor<?x8xf32>, %n: index) -> tensor<?x8xf32> {
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %y = nn.causal_softmax ins(%x : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) offset 1 -> tensor<?x8xf32>
  %d = nn.softmax_gradient ins(%y : tensor<?x8xf32>) outs(%g : tensor<?x8xf32>) dimension 1 causal 1 -> tensor<?x8xf32>
  return %d : tensor<?x8xf32>
}

// CHECK-LABEL: @norm_gradient
// CHECK: nn.norm_gradient ins({{.*}}, {{.*}}, {{.*}} : tensor<?x8xf32>, tensor<8xf32>, tensor<?x8xf32>) outs({{.*}} : tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) {centred, epsilon = 1.000000e-05 : f64} -> tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>
func.func @norm_gradient(%x: tensor<?x8xf32>, %s: tensor<8xf32>, %g: tensor<?x8xf32>, %m: tensor<?xf32>) -> tensor<?x8xf32> {
  %d:3 = nn.norm_gradient ins(%x, %s, %g : tensor<?x8xf32>, tensor<8xf32>, tensor<?x8xf32>) outs(%x, %m, %m : tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) {centred, epsilon = 1.0e-5 : f64} -> tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>
  return %d#0 : tensor<?x8xf32>
}

// CHECK-LABEL: @again
// CHECK: nn.again {{.*}} : tensor<?x8xf32>
// BUF-LABEL: @again
// BUF-SAME: %[[X:.+]]: memref<?x8xf32>)
// BUF-NEXT: return %[[X]]
func.func @again(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = nn.again %x : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}

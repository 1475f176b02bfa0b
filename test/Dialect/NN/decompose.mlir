// RUN: twist-opt %s --nn-decompose | FileCheck %s

// CHECK-LABEL: @layer_norm
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK: linalg.generic
// CHECK: arith.divf
// CHECK: linalg.generic
// CHECK-SAME: iterator_types = ["parallel", "reduction"]
// CHECK: arith.extf
// CHECK: math.sqrt
// CHECK: arith.truncf {{.*}} : f32 to f16
// CHECK-NOT: nn.
func.func @layer_norm(%x: tensor<?x8xf16>, %g: tensor<8xf16>, %b: tensor<8xf16>, %e: tensor<?x8xf16>) -> tensor<?x8xf16> {
  %y = nn.layer_norm ins(%x, %g, %b : tensor<?x8xf16>, tensor<8xf16>, tensor<8xf16>) outs(%e : tensor<?x8xf16>) {epsilon = 1.0e-5 : f64} -> tensor<?x8xf16>
  return %y : tensor<?x8xf16>
}

// CHECK-LABEL: @gather
// CHECK: linalg.generic
// CHECK: arith.minsi
// CHECK: arith.maxsi
// CHECK: tensor.extract
func.func @gather(%t: tensor<4x100xf32>, %i: tensor<?xi64>, %e: tensor<4x?xf32>) -> tensor<4x?xf32> {
  %y = nn.gather ins(%t, %i : tensor<4x100xf32>, tensor<?xi64>) outs(%e : tensor<4x?xf32>) axis 1 -> tensor<4x?xf32>
  return %y : tensor<4x?xf32>
}

// CHECK-LABEL: @scatter_add
// CHECK: scf.for {{.*}} iter_args(%[[T:.+]] =
// CHECK: %[[ROW:.+]] = tensor.extract_slice %[[T]]
// CHECK: linalg.generic {{.*}} outs(%[[ROW]]
// CHECK: tensor.insert_slice %{{.+}} into %[[T]]
// CHECK-NOT: nn.
func.func @scatter_add(%t: tensor<100x8xf32>, %i: tensor<?xi64>, %u: tensor<?x8xf32>) -> tensor<100x8xf32> {
  %y = nn.scatter_add ins(%u, %i : tensor<?x8xf32>, tensor<?xi64>) outs(%t : tensor<100x8xf32>) axis 0 -> tensor<100x8xf32>
  return %y : tensor<100x8xf32>
}

// A maximum, a sum, a normaliser; then each row picks its target's logit.
// CHECK-LABEL: @cross_entropy
// CHECK: arith.maximumf
// CHECK: math.exp
// CHECK: math.log
// CHECK: tensor.extract
// CHECK: arith.select
// CHECK-NOT: nn.
func.func @cross_entropy(%x: tensor<?x8xf32>, %t: tensor<?xi64>, %e: tensor<?xf32>) -> tensor<?xf32> {
  %y:2 = nn.cross_entropy ins(%x, %t : tensor<?x8xf32>, tensor<?xi64>) outs(%e, %e : tensor<?xf32>, tensor<?xf32>) {ignore = -100 : i64} -> tensor<?xf32>, tensor<?xf32>
  return %y#0 : tensor<?xf32>
}

// Elements above the diagonal count as -inf for softmax, and as 0 for its gradient.
// CHECK-LABEL: @causal
// CHECK: linalg.index 1
// CHECK: arith.cmpi ule
// CHECK: arith.select {{.*}}, %{{.*}}, %{{.*}} : f32
// CHECK: math.exp
// CHECK-COUNT-2: arith.cmpi ule
// CHECK-NOT: nn.
func.func @causal(%x: tensor<?x8xf32>, %g: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = nn.causal_softmax ins(%x : tensor<?x8xf32>) outs(%x : tensor<?x8xf32>) offset 2 -> tensor<?x8xf32>
  %d = nn.softmax_gradient ins(%y : tensor<?x8xf32>) outs(%g : tensor<?x8xf32>) dimension 1 causal 2 -> tensor<?x8xf32>
  return %d : tensor<?x8xf32>
}

// CHECK-LABEL: @gradients
// CHECK-COUNT-3: linalg.generic {{.*}}["parallel", "reduction"]
// CHECK-NOT: nn.
func.func @gradients(%x: tensor<?x8xf32>, %s: tensor<8xf32>, %g: tensor<?x8xf32>, %m: tensor<?xf32>) -> tensor<?x8xf32> {
  %y = nn.softmax_gradient ins(%x : tensor<?x8xf32>) outs(%g : tensor<?x8xf32>) dimension 1 -> tensor<?x8xf32>
  %d:3 = nn.norm_gradient ins(%y, %s, %g : tensor<?x8xf32>, tensor<8xf32>, tensor<?x8xf32>) outs(%x, %m, %m : tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>) {epsilon = 1.0e-5 : f64} -> tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>
  return %d#0 : tensor<?x8xf32>
}

// RUN: twist-opt %s --onnx-refine-shapes --split-input-file | FileCheck %s

// A chain over sizes becomes a constant target.
// CHECK-LABEL: func.func @heads
// CHECK-SAME: -> tensor<?x2x?x?xf32>
func.func @heads(%x: tensor<?x?x8xf32> {onnx.name = "x", onnx.dims = ["batch", "seq", ""]}) -> tensor<*xf32> {
  %s = onnx.Shape %x : (tensor<?x?x8xf32>) -> tensor<3xi64>
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %b = onnx.Gather %s, %zero : (tensor<3xi64>, tensor<1xi64>) -> tensor<1xi64>
  %q = onnx.Gather %s, %one : (tensor<3xi64>, tensor<1xi64>) -> tensor<1xi64>
  %h = onnx.Constant {value = dense<[2, 4]> : tensor<2xi64>} : tensor<2xi64>
  %t = onnx.Concat %b, %q, %h {axis = 0 : si64} : (tensor<1xi64>, tensor<1xi64>, tensor<2xi64>) -> tensor<4xi64>
  // CHECK-NEXT: %[[T:.*]] = onnx.Constant {value = dense<[0, 0, 2, 4]>
  // CHECK-NEXT: onnx.Reshape %arg0, %[[T]] : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<?x?x2x4xf32>
  %r = onnx.Reshape %x, %t {allowzero = 1 : si64} : (tensor<?x?x8xf32>, tensor<4xi64>) -> tensor<*xf32>
  %p = onnx.Transpose %r {perm = array<i64: 0, 2, 1, 3>} : (tensor<*xf32>) -> tensor<*xf32>
  %k = onnx.Transpose %r {perm = array<i64: 0, 2, 3, 1>} : (tensor<*xf32>) -> tensor<*xf32>
  // CHECK: onnx.MatMul {{.*}} -> tensor<?x2x?x?xf32>
  %m = onnx.MatMul %p, %k : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>
  return %m : tensor<*xf32>
}

// -----

// One size that is no copy is -1; two are left to be computed.
// CHECK-LABEL: func.func @targets
func.func @targets(%x: tensor<?x?x8xf32> {onnx.name = "x", onnx.dims = ["b", "s", ""]}) -> (tensor<*xf32>, tensor<*xf32>, tensor<*xf32>) {
  %s = onnx.Shape %x {end = 2 : si64} : (tensor<?x?x8xf32>) -> tensor<2xi64>
  %none = onnx.None {value}
  %eight = onnx.Constant {value = dense<8> : tensor<1xi64>} : tensor<1xi64>
  %n = onnx.ReduceProd %s, %none : (tensor<2xi64>, none) -> tensor<1xi64>
  %f = onnx.Concat %n, %eight {axis = 0 : si64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  // CHECK: %[[F:.*]] = onnx.Constant {value = dense<[-1, 8]>
  // CHECK: %[[FLAT:.*]] = onnx.Reshape %arg0, %[[F]] {{.*}} -> tensor<?x8xf32>
  %a = onnx.Reshape %x, %f : (tensor<?x?x8xf32>, tensor<2xi64>) -> tensor<*xf32>
  %t = onnx.Concat %s, %eight {axis = 0 : si64} : (tensor<2xi64>, tensor<1xi64>) -> tensor<3xi64>
  // CHECK: %[[T:.*]] = onnx.Concat
  // CHECK: onnx.Reshape %[[FLAT]], %[[T]] {{.*}} -> tensor<?x?x8xf32>
  %b = onnx.Reshape %a, %t : (tensor<*xf32>, tensor<3xi64>) -> tensor<*xf32>
  // A Reshape to the sizes there are is none.
  // CHECK: return {{.*}}, %arg0 : tensor<?x8xf32>, tensor<?x?x8xf32>, tensor<?x?x8xf32>
  %c = onnx.Reshape %x, %t : (tensor<?x?x8xf32>, tensor<3xi64>) -> tensor<*xf32>
  return %a, %b, %c : tensor<*xf32>, tensor<*xf32>, tensor<*xf32>
}

// -----

// Expand: 1 where it copies; what repeats by a symbolic size is computed.
// CHECK-LABEL: func.func @expand
func.func @expand(%x: tensor<?x1xf32> {onnx.name = "x", onnx.dims = ["b", ""]}) -> (tensor<*xf32>, tensor<*xf32>) {
  %b = onnx.Shape %x {end = 1 : si64} : (tensor<?x1xf32>) -> tensor<1xi64>
  %four = onnx.Constant {value = dense<4> : tensor<1xi64>} : tensor<1xi64>
  %t = onnx.Concat %four, %b, %four {axis = 0 : si64} : (tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<3xi64>
  // CHECK: %[[T:.*]] = onnx.Constant {value = dense<[4, 1, 4]>
  // CHECK: onnx.Expand %arg0, %[[T]] {{.*}} -> tensor<4x?x4xf32>
  %y = onnx.Expand %x, %t : (tensor<?x1xf32>, tensor<3xi64>) -> tensor<*xf32>
  %u = onnx.Concat %b, %b {axis = 0 : si64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  // CHECK: %[[U:.*]] = onnx.Concat
  // CHECK: onnx.Expand %arg0, %[[U]] {{.*}} -> tensor<?x?xf32>
  %z = onnx.Expand %x, %u : (tensor<?x1xf32>, tensor<2xi64>) -> tensor<*xf32>
  return %y, %z : tensor<*xf32>, tensor<*xf32>
}

// -----

// Constants through every op that exporters use; none of it is left.
// CHECK-LABEL: func.func @fold
// CHECK-SAME: %{{[^:]*}}: tensor<2x6x4xf32>
func.func @fold(%x: tensor<2x6x4xf32>) -> (tensor<3xi64>, tensor<i64>, tensor<2xi32>, tensor<4xi64>, tensor<2x2xi64>, tensor<2xi1>, tensor<i64>, tensor<1xf32>) {
  %none = onnx.None {value}
  %s = onnx.Shape %x : (tensor<2x6x4xf32>) -> tensor<3xi64>
  %i0 = onnx.Constant {value = dense<0> : tensor<i64>} : tensor<i64>
  %i2 = onnx.Constant {value = dense<2> : tensor<i64>} : tensor<i64>
  %v0 = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %v1 = onnx.Constant {value = dense<1> : tensor<i64>} : tensor<i64>
  %v2 = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  // CHECK-DAG: dense<[-2, -1, -1]> : tensor<3xi64>
  %m1 = onnx.Constant {value = dense<[-5, 3, 7]> : tensor<3xi64>} : tensor<3xi64>
  %q = onnx.Div %m1, %i2 : (tensor<3xi64>, tensor<i64>) -> tensor<3xi64>
  %c1 = onnx.Constant {value = dense<[0, -2, -4]> : tensor<3xi64>} : tensor<3xi64>
  %q2 = onnx.Add %q, %c1 : (tensor<3xi64>, tensor<3xi64>) -> tensor<3xi64>
  // CHECK-DAG: dense<24> : tensor<i64>
  %g1 = onnx.Gather %s, %i2 : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %n1 = onnx.Constant {value = dense<-2> : tensor<i64>} : tensor<i64>
  %g2 = onnx.Gather %s, %n1 : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %mul = onnx.Mul %g1, %g2 : (tensor<i64>, tensor<i64>) -> tensor<i64>
  // A cast wraps.
  // CHECK-DAG: dense<[2, -2147483648]> : tensor<2xi32>
  %big = onnx.Constant {value = dense<[4294967298, 2147483648]> : tensor<2xi64>} : tensor<2xi64>
  %w = onnx.Cast %big {to = 6 : si64} : (tensor<2xi64>) -> tensor<2xi32>
  // CHECK-DAG: dense<[6, 4, 2, 0]> : tensor<4xi64>
  %six = onnx.Gather %s, %v1 : (tensor<3xi64>, tensor<i64>) -> tensor<i64>
  %r = onnx.Range %six, %n1, %n1 : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<4xi64>
  // CHECK-DAG: dense<{{\[\[}}6, 2], [4, 0]]> : tensor<2x2xi64>
  %t22 = onnx.Constant {value = dense<[2, 2]> : tensor<2xi64>} : tensor<2xi64>
  %rr = onnx.Reshape %r, %t22 : (tensor<4xi64>, tensor<2xi64>) -> tensor<2x2xi64>
  %rt = onnx.Transpose %rr : (tensor<2x2xi64>) -> tensor<2x2xi64>
  // CHECK-DAG: dense<[true, false]> : tensor<2xi1>
  %front = onnx.Slice %s, %v0, %v2, %none, %none : (tensor<3xi64>, tensor<1xi64>, tensor<1xi64>, none, none) -> tensor<2xi64>
  %less = onnx.Less %front, %g1 : (tensor<2xi64>, tensor<i64>) -> tensor<2xi1>
  // CHECK-DAG: dense<7> : tensor<i64>
  %ones = onnx.ConstantOfShape %v2 {value = dense<7> : tensor<1xi64>} : (tensor<1xi64>) -> tensor<2xi64>
  %sel = onnx.Where %less, %ones, %front : (tensor<2xi1>, tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  %max = onnx.ReduceMax %sel, %none {keepdims = 0 : si64} : (tensor<2xi64>, none) -> tensor<i64>
  // CHECK-DAG: dense<4.000000e+00> : tensor<1xf32>
  // CHECK-NOT: onnx.{{[A-BD-Z]}}
  // CHECK: return
  %last = onnx.Shape %x {start = 2 : si64} : (tensor<2x6x4xf32>) -> tensor<1xi64>
  %f = onnx.Cast %last {to = 1 : si64} : (tensor<1xi64>) -> tensor<1xf32>
  return %q2, %mul, %w, %r, %rt, %less, %max, %f : tensor<3xi64>, tensor<i64>, tensor<2xi32>, tensor<4xi64>, tensor<2x2xi64>, tensor<2xi1>, tensor<i64>, tensor<1xf32>
}

// -----

// A condition on a known size chooses its branch.
// CHECK-LABEL: func.func @branch
// CHECK-SAME: -> tensor<?x4xf32>
// CHECK-NEXT: %[[Y:.*]] = onnx.Neg %arg0
// CHECK-NEXT: return %[[Y]]
func.func @branch(%x: tensor<?x4xf32>) -> tensor<*xf32> {
  %n = onnx.Shape %x {start = 1 : si64} : (tensor<?x4xf32>) -> tensor<1xi64>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %c = onnx.Equal %n, %one : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi1>
  %y = "onnx.node"(%c) <{op_type = "If", region_names = ["else_branch", "then_branch"]}> ({
    %a = onnx.Neg %x : (tensor<?x4xf32>) -> tensor<*xf32>
    onnx.yield %a : tensor<*xf32>
  }, {
    %b = onnx.Squeeze %x, %one : (tensor<?x4xf32>, tensor<1xi64>) -> tensor<*xf32>
    onnx.yield %b : tensor<*xf32>
  }) : (tensor<1xi1>) -> tensor<*xf32>
  return %y : tensor<*xf32>
}

// -----

// Behind a node nobody knows, types are inferred where the op says them.
// CHECK-LABEL: func.func @unknown
func.func @unknown(%x: tensor<4x8xf32>) -> !onnx.opaque<""> {
  %none = onnx.None {value}
  %u = "onnx.node"(%x) <{op_type = "Spin", domain = "com.example"}> : (tensor<4x8xf32>) -> !onnx.opaque<"">
  // CHECK: onnx.Relu %{{.*}} : (!onnx.opaque<"">) -> !onnx.opaque<"">
  %y = onnx.Relu %u : (!onnx.opaque<"">) -> !onnx.opaque<"">
  // CHECK: onnx.Equal %arg0, %arg0 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xi1>
  %e = onnx.Equal %x, %x : (tensor<4x8xf32>, tensor<4x8xf32>) -> !onnx.opaque<"">
  // CHECK: onnx.Where {{.*}} -> !onnx.opaque<"">
  %w = onnx.Where %e, %x, %y : (!onnx.opaque<"">, tensor<4x8xf32>, !onnx.opaque<"">) -> !onnx.opaque<"">
  return %w : !onnx.opaque<"">
}

// Printed and parsed again, ops are the same; so are generic ones.
// RUN: twist-opt %s | twist-opt | FileCheck %s
// RUN: twist-opt %s --mlir-print-op-generic | twist-opt | FileCheck %s

// CHECK-LABEL: func.func @node
func.func @node(%x: tensor<?x4xf32>, %p: i1) -> tensor<*xf32> {
  %none = onnx.None {value}
  // CHECK: "onnx.node"(%{{.*}}, %{{.*}}) <{domain = "com.example", node_attributes = {alpha = 1.000000e+00 : f32}, op_type = "Spin"{{.*}}}> {onnx.meta = {name = "spin"}} : (tensor<?x4xf32>, none) -> tensor<*xf32>
  %y = "onnx.node"(%x, %none) <{op_type = "Spin", domain = "com.example", node_attributes = {alpha = 1.0 : f32}}> {onnx.meta = {name = "spin"}} : (tensor<?x4xf32>, none) -> tensor<*xf32>
  return %y : tensor<*xf32>
}

// CHECK-LABEL: func.func @branches
func.func @branches(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: region_names = ["then_branch", "else_branch"]
  // CHECK: onnx.yield %{{.*}} : tensor<4xf32>
  %y = "onnx.node"(%c) <{op_type = "If", region_names = ["then_branch", "else_branch"]}> ({
    %n = onnx.Neg %x : (tensor<4xf32>) -> tensor<4xf32>
    onnx.yield %n : tensor<4xf32>
  }, {
    onnx.yield %x : tensor<4xf32>
  }) : (tensor<i1>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @typed
func.func @typed(%x: tensor<?x4xf32>, %w: tensor<4x6xf32>, %o: !onnx.opaque<"seq">) -> (tensor<?x3xf32>, tensor<!onnx.string>) {
  // CHECK: %[[NONE:.*]] = onnx.None {value}
  %none = onnx.None {value}
  // CHECK: onnx.Gemm %{{.*}}, %{{.*}}, %[[NONE]] {alpha = 5.000000e-01 : f32} : (tensor<?x4xf32>, tensor<4x6xf32>, none) -> tensor<?x6xf32>
  %y = onnx.Gemm %x, %w, %none {alpha = 0.5 : f32} : (tensor<?x4xf32>, tensor<4x6xf32>, none) -> tensor<?x6xf32>
  // CHECK: onnx.Split %{{.*}}, %[[NONE]] {axis = -1 : si64, num_outputs = 2 : si64}
  %s:2 = onnx.Split %y, %none {axis = -1 : si64, num_outputs = 2 : si64} : (tensor<?x6xf32>, none) -> (tensor<?x3xf32>, tensor<?x3xf32>)
  // CHECK: onnx.LayerNormalization
  %n, %m, %d = onnx.LayerNormalization %s#0, %s#1, %none : (tensor<?x3xf32>, tensor<?x3xf32>, none) -> (tensor<?x3xf32>, none, none)
  // CHECK: onnx.Constant {value = dense<"text"> : tensor<!onnx.string>} : tensor<!onnx.string>
  %t = onnx.Constant {value = dense<"text"> : tensor<!onnx.string>} : tensor<!onnx.string>
  return %n, %t : tensor<?x3xf32>, tensor<!onnx.string>
}

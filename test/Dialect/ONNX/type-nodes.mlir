// RUN: twist-opt %s --onnx-type-nodes --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x4xf32>, %w: tensor<4x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK: %[[NONE:.*]] = onnx.None
  // CHECK: onnx.MatMul %arg0, %arg1 {onnx.meta = {name = "mm"}} : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  %y = "onnx.node"(%x, %w) <{op_type = "MatMul"}> {onnx.meta = {name = "mm"}} : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // CHECK: onnx.Softmax %{{.*}} {axis = 1 : si64}
  %z = "onnx.node"(%y) <{op_type = "Softmax", domain = "ai.onnx", node_attributes = {axis = 1 : si64}}> : (tensor<?x8xf32>) -> tensor<?x8xf32>
  // Operands and results left out at the end are none.
  // CHECK: onnx.Clip %{{.*}}, %[[NONE]], %[[NONE]]
  %q = "onnx.node"(%z) <{op_type = "Clip"}> : (tensor<?x8xf32>) -> tensor<?x8xf32>
  // CHECK: onnx.LayerNormalization %{{.*}}, %{{.*}}, %[[NONE]] {{.*}} -> (tensor<?x8xf32>, none, none)
  %g = "onnx.node"() <{op_type = "Constant", node_attributes = {value_floats = array<f32: 1., 2., 3., 4., 5., 6., 7., 8.>}}> : () -> tensor<8xf32>
  %l = "onnx.node"(%q, %g) <{op_type = "LayerNormalization"}> : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  // CHECK: onnx.Split %{{.*}}, %[[NONE]] {axis = 1 : si64, num_outputs = 2 : si64}
  %s:2 = "onnx.node"(%l) <{op_type = "Split", node_attributes = {axis = 1 : si64, num_outputs = 2 : si64}}> : (tensor<?x8xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>)
  // CHECK: onnx.Concat %{{.*}}#0, %{{.*}}#1
  %k = "onnx.node"(%s#0, %s#1) <{op_type = "Concat", node_attributes = {axis = 1 : si64}}> : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  // CHECK-NOT: Dropout
  %d = "onnx.node"(%k) <{op_type = "Dropout"}> : (tensor<?x8xf32>) -> tensor<?x8xf32>
  // What the dialect does not know, and other domains, stay.
  // CHECK: "onnx.node"{{.*}} op_type = "Unheard"
  %u = "onnx.node"(%d) <{op_type = "Unheard"}> : (tensor<?x8xf32>) -> tensor<?x8xf32>
  // CHECK: "onnx.node"{{.*}}domain = "com.example"{{.*}} op_type = "Relu"
  %r = "onnx.node"(%u) <{op_type = "Relu", domain = "com.example"}> : (tensor<?x8xf32>) -> tensor<?x8xf32>
  // Unused.
  // CHECK-NOT: Exp
  %e = "onnx.node"(%d) <{op_type = "Exp"}> : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %d, %r : tensor<?x8xf32>, tensor<?x8xf32>
}

// CHECK-LABEL: func.func @constants
func.func @constants() -> (tensor<i64>, tensor<2xi64>, tensor<f32>, tensor<!onnx.string>, tensor<2x!onnx.string>, tensor<2xf16>) {
  // CHECK: value = dense<-3> : tensor<i64>
  %a = "onnx.node"() <{op_type = "Constant", node_attributes = {value_int = -3 : si64}}> : () -> tensor<i64>
  // CHECK: value = dense<[1, 2]> : tensor<2xi64>
  %b = "onnx.node"() <{op_type = "Constant", node_attributes = {value_ints = array<i64: 1, 2>}}> : () -> tensor<2xi64>
  // A NaN keeps its bits.
  // CHECK: value = dense<0x7FC00001> : tensor<f32>
  %c = "onnx.node"() <{op_type = "Constant", node_attributes = {value_float = 0x7FC00001 : f32}}> : () -> tensor<f32>
  // CHECK: value = dense<"s"> : tensor<!onnx.string>
  %d = "onnx.node"() <{op_type = "Constant", node_attributes = {value_string = "s"}}> : () -> tensor<!onnx.string>
  // CHECK: value = dense<["s", "t"]> : tensor<2x!onnx.string>
  %e = "onnx.node"() <{op_type = "Constant", node_attributes = {value_strings = ["s", "t"]}}> : () -> tensor<2x!onnx.string>
  // CHECK: value = dense<[1.000000e+00, 0x7E01]> : tensor<2xf16>
  %f = "onnx.node"() <{op_type = "Constant", node_attributes = {value = dense<[1.0, 0x7E01]> : tensor<2xf16>}}> : () -> tensor<2xf16>
  return %a, %b, %c, %d, %e, %f : tensor<i64>, tensor<2xi64>, tensor<f32>, tensor<!onnx.string>, tensor<2x!onnx.string>, tensor<2xf16>
}

// Inside branches too.
// CHECK-LABEL: func.func @branches
func.func @branches(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: op_type = "If"
  %y = "onnx.node"(%c) <{op_type = "If", region_names = ["then_branch", "else_branch"]}> ({
    // CHECK: onnx.Neg
    %n = "onnx.node"(%x) <{op_type = "Neg"}> : (tensor<4xf32>) -> tensor<4xf32>
    onnx.yield %n : tensor<4xf32>
  }, {
    onnx.yield %x : tensor<4xf32>
  }) : (tensor<i1>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// CHECK-LABEL: func.func @cast_like
func.func @cast_like(%x: tensor<4xf32>, %like: tensor<f16>) -> tensor<4xf16> {
  // CHECK: onnx.Cast %arg0 {saturate = 0 : si64, to = 10 : si64} : (tensor<4xf32>) -> tensor<4xf16>
  // CHECK-NOT: CastLike
  %y = "onnx.node"(%x, %like) <{op_type = "CastLike", node_attributes = {saturate = 0 : si64}}> : (tensor<4xf32>, tensor<f16>) -> tensor<4xf16>
  return %y : tensor<4xf16>
}

// The mask of what inference drops is all true.
// CHECK-LABEL: func.func @dropout_mask
func.func @dropout_mask(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xi1>) {
  // CHECK: %[[SHAPE:.*]] = onnx.Shape %arg0 : (tensor<?x4xf32>) -> tensor<2xi64>
  // CHECK: %[[MASK:.*]] = onnx.ConstantOfShape %[[SHAPE]] {value = dense<true> : tensor<1xi1>}
  // CHECK: return %arg0, %[[MASK]]
  %y, %mask = "onnx.node"(%x) <{op_type = "Dropout"}> : (tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xi1>)
  return %y, %mask : tensor<?x4xf32>, tensor<?x4xi1>
}

// RUN: twist-opt %s --onnx-decompose-fused --split-input-file | FileCheck %s

// Query heads of one group are rows of one product with the group's keys.
// CHECK-LABEL: @groups
// CHECK-SAME: %[[Q:.*]]: tensor<?x4x?x8xf32>, %[[K:.*]]: tensor<?x2x?x8xf32>, %[[V:.*]]: tensor<?x2x?x6xf32>
// CHECK: %[[SCALED:.*]] = onnx.Mul %[[Q]]
// CHECK: onnx.Reshape %[[SCALED]], %{{.*}} -> tensor<?x2x?x8xf32>
// CHECK: onnx.Transpose %[[K]] {perm = array<i64: 0, 1, 3, 2>}
// CHECK: %[[S:.*]] = onnx.MatMul %{{.*}} -> tensor<?x2x?x?xf32>
// CHECK: onnx.Reshape %[[S]], %{{.*}} -> tensor<?x4x?x?xf32>
// CHECK: onnx.Softmax
// CHECK: onnx.MatMul %{{.*}}, %[[V]]
// CHECK: %[[Y:.*]] = onnx.Reshape %{{.*}} -> tensor<?x4x?x6xf32>
// CHECK: return %[[Y]]
func.func @groups(%q: tensor<?x4x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x6xf32>) -> tensor<?x4x?x6xf32> {
  %n = onnx.None {value}
  %y, %a, %b, %c = onnx.Attention %q, %k, %v, %n, %n, %n, %n : (tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x6xf32>, none, none, none, none) -> (tensor<?x4x?x6xf32>, none, none, none)
  return %y : tensor<?x4x?x6xf32>
}

// -----

// The order alone forbids no row everything; a mask may.
// CHECK-LABEL: @causal
// CHECK: onnx.LessOrEqual
// CHECK-NOT: onnx.ReduceMax
// CHECK: onnx.Softmax
// CHECK-NOT: onnx.Where
func.func @causal(%q: tensor<2x?x12xf32>) -> tensor<2x?x12xf32> {
  %n = onnx.None {value}
  %y, %a, %b, %c = onnx.Attention %q, %q, %q, %n, %n, %n, %n {is_causal = 1 : si64, q_num_heads = 3 : si64, kv_num_heads = 3 : si64} : (tensor<2x?x12xf32>, tensor<2x?x12xf32>, tensor<2x?x12xf32>, none, none, none, none) -> (tensor<2x?x12xf32>, none, none, none)
  return %y : tensor<2x?x12xf32>
}

// -----

// CHECK-LABEL: @mask
// CHECK-SAME: %[[Q:.*]]: tensor<2x3x4x8xf32>, %[[M:.*]]: tensor<4x4xi1>
// CHECK: %[[BIAS:.*]] = onnx.Where %[[M]]
// CHECK: onnx.Add %{{.*}}, %[[BIAS]]
// CHECK: %[[P:.*]] = onnx.Softmax
// CHECK: onnx.ReduceMax %[[BIAS]]
// CHECK: %[[EMPTY:.*]] = onnx.Equal
// CHECK: onnx.Where %[[EMPTY]], %{{.*}}, %[[P]]
func.func @mask(%q: tensor<2x3x4x8xf32>, %m: tensor<4x4xi1>) -> tensor<2x3x4x8xf32> {
  %n = onnx.None {value}
  %y, %a, %b, %c = onnx.Attention %q, %q, %q, %m, %n, %n, %n : (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<4x4xi1>, none, none, none) -> (tensor<2x3x4x8xf32>, none, none, none)
  return %y : tensor<2x3x4x8xf32>
}

// -----

// CHECK-LABEL: @past
// CHECK-SAME: %[[X:.*]]: tensor<?x?x8xf32>, %[[P:.*]]: tensor<2x?x2x?x4xf32>
// CHECK: %[[QKV:.*]]:3 = onnx.Split
// CHECK: onnx.Split %[[P]]
// CHECK: onnx.Concat %{{.*}}, %{{.*}} {axis = 2 : si64}
// CHECK: onnx.Concat %{{.*}}, %{{.*}} {axis = 2 : si64}
// CHECK: onnx.Softmax
// CHECK: %[[PRESENT:.*]] = onnx.Concat %{{.*}} {axis = 0 : si64}{{.*}} -> tensor<2x?x2x?x4xf32>
// CHECK: return %{{.*}}, %[[PRESENT]]
func.func @past(%x: tensor<?x?x8xf32>, %p: tensor<2x?x2x?x4xf32>) -> (tensor<?x?x8xf32>, tensor<2x?x2x?x4xf32>) {
  %n = onnx.None {value}
  %w = onnx.Constant {value = dense<1.0> : tensor<8x24xf32>} : tensor<8x24xf32>
  %y, %z = onnx.com.microsoft.Attention %x, %w, %n, %n, %p, %n, %n {num_heads = 2 : si64} : (tensor<?x?x8xf32>, tensor<8x24xf32>, none, none, tensor<2x?x2x?x4xf32>, none, none) -> (tensor<?x?x8xf32>, tensor<2x?x2x?x4xf32>)
  return %y, %z : tensor<?x?x8xf32>, tensor<2x?x2x?x4xf32>
}

// -----

// CHECK-LABEL: @rotary
// CHECK-SAME: %[[X:.*]]: tensor<2x3x4x8xf32>, %[[T:.*]]: tensor<9x2xf32>, %[[P:.*]]: tensor<2x4xi64>
// CHECK: %[[COS:.*]] = onnx.Gather %[[T]], %[[P]]
// CHECK: onnx.Slice %[[X]]{{.*}} -> tensor<2x3x4x4xf32>
// CHECK: onnx.Split {{.*}} -> (tensor<2x3x4x2xf32>, tensor<2x3x4x2xf32>)
// CHECK: onnx.Sub
// CHECK: onnx.Add
// CHECK: onnx.Concat {{.*}} -> tensor<2x3x4x4xf32>
// CHECK: %[[REST:.*]] = onnx.Slice %[[X]]{{.*}} -> tensor<2x3x4x4xf32>
// CHECK: onnx.Concat %{{.*}}, %[[REST]]
func.func @rotary(%x: tensor<2x3x4x8xf32>, %t: tensor<9x2xf32>, %p: tensor<2x4xi64>) -> tensor<2x3x4x8xf32> {
  %y = onnx.RotaryEmbedding %x, %t, %t, %p {rotary_embedding_dim = 4 : si64} : (tensor<2x3x4x8xf32>, tensor<9x2xf32>, tensor<9x2xf32>, tensor<2x4xi64>) -> tensor<2x3x4x8xf32>
  return %y : tensor<2x3x4x8xf32>
}

// -----

// CHECK-LABEL: @gqa
// CHECK: onnx.Split %arg0
// CHECK: onnx.Gather %arg4
// CHECK: onnx.Concat %arg1
// CHECK: onnx.Concat %arg2
// CHECK: onnx.LessOrEqual
// CHECK: onnx.GreaterOrEqual
// CHECK: onnx.Softmax
func.func @gqa(%x: tensor<1x?x64xf32>, %pk: tensor<1x2x?x8xf32>, %pv: tensor<1x2x?x8xf32>, %l: tensor<1xi32>, %c: tensor<32x4xf32>, %t: tensor<i32>) -> (tensor<1x?x32xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>) {
  %n = onnx.None {value}
  %y, %a, %b, %d = onnx.com.microsoft.GroupQueryAttention %x, %n, %n, %pk, %pv, %l, %t, %c, %c, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64, do_rotary = 1 : si64, local_window_size = 4 : si64} : (tensor<1x?x64xf32>, none, none, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1xi32>, tensor<i32>, tensor<32x4xf32>, tensor<32x4xf32>, none, none, none, none, none, none, none, none) -> (tensor<1x?x32xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, none)
  return %y, %a, %b : tensor<1x?x32xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>
}

// -----

// CHECK-LABEL: @small_ones
// CHECK: %[[SUM:.*]] = onnx.Add
// CHECK: %[[FULL:.*]] = onnx.Add %[[SUM]]
// CHECK: onnx.LayerNormalization %[[FULL]]{{.*}}epsilon = 9.99999996E-13
// CHECK: onnx.Gelu {{.*}}approximate = "tanh"
// CHECK: onnx.Sigmoid
// CHECK: onnx.Transpose
// CHECK: onnx.MatMul
// CHECK: onnx.Gemm
// CHECK: onnx.Relu
// CHECK: onnx.RMSNormalization
// CHECK-NOT: com.microsoft
func.func @small_ones(%x: tensor<2x8xf32>, %g: tensor<8xf32>) -> tensor<2x2xf32> {
  %n = onnx.None {value}
  %a, %m, %i, %s = onnx.com.microsoft.SkipLayerNormalization %x, %x, %g, %g, %g : (tensor<2x8xf32>, tensor<2x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> (tensor<2x8xf32>, none, none, none)
  %b = onnx.com.microsoft.FastGelu %a, %g : (tensor<2x8xf32>, tensor<8xf32>) -> tensor<2x8xf32>
  %c = onnx.com.microsoft.QuickGelu %b : (tensor<2x8xf32>) -> tensor<2x8xf32>
  %d = onnx.com.microsoft.FusedMatMul %c, %x {transB = 1 : si64} : (tensor<2x8xf32>, tensor<2x8xf32>) -> tensor<2x2xf32>
  %e = onnx.com.microsoft.FusedGemm %d, %d, %n {activation = "Relu"} : (tensor<2x2xf32>, tensor<2x2xf32>, none) -> tensor<2x2xf32>
  %w = onnx.Constant {value = dense<1.0> : tensor<2xf32>} : tensor<2xf32>
  %f, %v = onnx.SimplifiedLayerNormalization %e, %w : (tensor<2x2xf32>, tensor<2xf32>) -> (tensor<2x2xf32>, none)
  return %f : tensor<2x2xf32>
}

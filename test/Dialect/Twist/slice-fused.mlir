// RUN: twist-opt %s --twist-discover-axes --twist-slice --split-input-file | FileCheck %s

// Three heads, q and k 3 wide, v 6: head 1 goes, and the middle of q·k. The
// weights are cut in three segments; sizes and the dense scale are written
// down.

// CHECK-LABEL: func.func @main
// CHECK: weights.load <@m at 0 as tensor<4x36xf32> select [unit, array<i64: 0, 2, 6, 8, 9, 11, 15, 17, 18, 19, 20, 21, 22, 23, 30, 31, 32, 33, 34, 35>]>
// CHECK: onnx.com.microsoft.Attention
// CHECK-SAME: num_heads = 2 : si64
// CHECK-SAME: qkv_hidden_sizes = array<i64: 4, 4, 12>
// CHECK-SAME: scale = 0.577350259 : f32
// CHECK-SAME: -> (tensor<?x?x12xf32>, none)
weights.source @m from "model.bin"
twist.subnetwork @s {head_0 = array<i64: 0, 2>, qk_0 = array<i64: 0, 2>}
func.func @main(%x: tensor<?x?x4xf32> {onnx.name = "x"}) -> (tensor<?x?x4xf32> {onnx.name = "y"}) {
  %n = onnx.None {value}
  %w = weights.load <@m at 0 as tensor<4x36xf32>> {onnx.meta = {name = "w"}} : tensor<4x36xf32>
  %a, %p = onnx.com.microsoft.Attention %x, %w, %n, %n, %n, %n, %n {num_heads = 3 : si64, qkv_hidden_sizes = array<i64: 9, 9, 18>} : (tensor<?x?x4xf32>, tensor<4x36xf32>, none, none, none, none, none) -> (tensor<?x?x18xf32>, none)
  %b = weights.load <@m at 576 as tensor<18x4xf32>> {onnx.meta = {name = "b"}} : tensor<18x4xf32>
  %y = onnx.MatMul %a, %b : (tensor<?x?x18xf32>, tensor<18x4xf32>) -> tensor<?x?x4xf32>
  return %y : tensor<?x?x4xf32>
}

// -----

// Two groups of two queries, 6 wide, 4 of them turned in pairs (0, 2), (1, 3):
// a group, a pair and one of the others go.

// CHECK-LABEL: func.func @main
// CHECK-DAG: weights.load <@m at 0 as tensor<4x24xf32> select [unit, array<i64: 12, 14, 17, 18, 20, 23>]>
// CHECK-DAG: weights.load <@m at 1000 as tensor<4x12xf32> select [unit, array<i64: 6, 8, 11>]>
// CHECK-DAG: weights.load <@m at 2000 as tensor<9x2xf32> select [unit, array<i64: 0>]>
// CHECK: onnx.RotaryEmbedding {{.*}}num_heads = 2 : si64, rotary_embedding_dim = 2 : si64
// CHECK: onnx.RotaryEmbedding {{.*}}num_heads = 1 : si64, rotary_embedding_dim = 2 : si64
// CHECK: onnx.Attention {{.*}}kv_num_heads = 1 : si64{{.*}}q_num_heads = 2 : si64{{.*}}scale = 0.408248305 : f32
weights.source @m from "model.bin"
twist.subnetwork @s {kv_group_0 = array<i64: 1>, qk_0 = array<i64: 0>, qk_1 = array<i64: 1>}
func.func @main(%x: tensor<?x?x4xf32> {onnx.name = "x"}, %i: tensor<?x?xi64> {onnx.name = "i"}) -> (tensor<?x?x4xf32> {onnx.name = "y"}) {
  %n = onnx.None {value}
  %wq = weights.load <@m at 0 as tensor<4x24xf32>> {onnx.meta = {name = "q"}} : tensor<4x24xf32>
  %wk = weights.load <@m at 1000 as tensor<4x12xf32>> {onnx.meta = {name = "k"}} : tensor<4x12xf32>
  %cos = weights.load <@m at 2000 as tensor<9x2xf32>> {onnx.meta = {name = "cos"}} : tensor<9x2xf32>
  %o = weights.load <@m at 3000 as tensor<24x4xf32>> {onnx.meta = {name = "o"}} : tensor<24x4xf32>
  %wv = weights.load <@m at 4000 as tensor<4x12xf32>> {onnx.meta = {name = "v"}} : tensor<4x12xf32>
  %q0 = onnx.MatMul %x, %wq : (tensor<?x?x4xf32>, tensor<4x24xf32>) -> tensor<?x?x24xf32>
  %k0 = onnx.MatMul %x, %wk : (tensor<?x?x4xf32>, tensor<4x12xf32>) -> tensor<?x?x12xf32>
  %v = onnx.MatMul %x, %wv : (tensor<?x?x4xf32>, tensor<4x12xf32>) -> tensor<?x?x12xf32>
  %q = onnx.RotaryEmbedding %q0, %cos, %cos, %i {num_heads = 4 : si64, rotary_embedding_dim = 4 : si64} : (tensor<?x?x24xf32>, tensor<9x2xf32>, tensor<9x2xf32>, tensor<?x?xi64>) -> tensor<?x?x24xf32>
  %k = onnx.RotaryEmbedding %k0, %cos, %cos, %i {num_heads = 2 : si64, rotary_embedding_dim = 4 : si64} : (tensor<?x?x12xf32>, tensor<9x2xf32>, tensor<9x2xf32>, tensor<?x?xi64>) -> tensor<?x?x12xf32>
  %a, %pk, %pv, %s = onnx.Attention %q, %k, %v, %n, %n, %n, %n {q_num_heads = 4 : si64, kv_num_heads = 2 : si64} : (tensor<?x?x24xf32>, tensor<?x?x12xf32>, tensor<?x?x12xf32>, none, none, none, none) -> (tensor<?x?x24xf32>, none, none, none)
  %y = onnx.MatMul %a, %o : (tensor<?x?x24xf32>, tensor<24x4xf32>) -> tensor<?x?x4xf32>
  return %y : tensor<?x?x4xf32>
}

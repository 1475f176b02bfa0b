// RUN: twist-opt %s --onnx-decompose-fused --split-input-file --verify-diagnostics

func.func @widths(%q: tensor<2x3x8xf32>, %k: tensor<2x3x12xf32>) -> tensor<2x3x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{the widths of Q and K differ}}
  %y, %a, %b, %c = onnx.Attention %q, %k, %q, %n, %n, %n, %n {q_num_heads = 2 : si64, kv_num_heads = 2 : si64} : (tensor<2x3x8xf32>, tensor<2x3x12xf32>, tensor<2x3x8xf32>, none, none, none, none) -> (tensor<2x3x8xf32>, none, none, none)
  return %y : tensor<2x3x8xf32>
}

// -----

func.func @no_heads(%q: tensor<2x3x8xf32>) -> tensor<2x3x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{with inputs of rank 3 it needs q_num_heads and kv_num_heads}}
  %y, %a, %b, %c = onnx.Attention %q, %q, %q, %n, %n, %n, %n : (tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, none, none) -> (tensor<2x3x8xf32>, none, none, none)
  return %y : tensor<2x3x8xf32>
}

// -----

func.func @heads_do_not_divide(%q: tensor<2x3x4x8xf32>, %k: tensor<2x2x4x8xf32>) -> tensor<2x3x4x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{3 heads of queries are not divided by 2 of keys}}
  %y, %a, %b, %c = onnx.Attention %q, %k, %k, %n, %n, %n, %n : (tensor<2x3x4x8xf32>, tensor<2x2x4x8xf32>, tensor<2x2x4x8xf32>, none, none, none, none) -> (tensor<2x3x4x8xf32>, none, none, none)
  return %y : tensor<2x3x4x8xf32>
}

// -----

func.func @unknown_width(%q: tensor<2x3x4x?xf32>) -> tensor<2x3x4x?xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{the last size of Q is not known}}
  %y, %a, %b, %c = onnx.Attention %q, %q, %q, %n, %n, %n, %n : (tensor<2x3x4x?xf32>, tensor<2x3x4x?xf32>, tensor<2x3x4x?xf32>, none, none, none, none) -> (tensor<2x3x4x?xf32>, none, none, none)
  return %y : tensor<2x3x4x?xf32>
}

// -----

func.func @ranks(%q: tensor<2x3x4x8xf32>, %k: tensor<2x4x24xf32>) -> tensor<2x3x4x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{Q, K and V are not all of rank 3 or all of rank 4}}
  %y, %a, %b, %c = onnx.Attention %q, %k, %k, %n, %n, %n, %n : (tensor<2x3x4x8xf32>, tensor<2x4x24xf32>, tensor<2x4x24xf32>, none, none, none, none) -> (tensor<2x3x4x8xf32>, none, none, none)
  return %y : tensor<2x3x4x8xf32>
}

// -----

func.func @precision(%q: tensor<2x3x4x8xf32>) -> tensor<2x3x4x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{softmax_precision 7 is no floating-point type}}
  %y, %a, %b, %c = onnx.Attention %q, %q, %q, %n, %n, %n, %n {softmax_precision = 7 : si64} : (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, none, none, none, none) -> (tensor<2x3x4x8xf32>, none, none, none)
  return %y : tensor<2x3x4x8xf32>
}

// -----

func.func @mode(%q: tensor<2x3x4x8xf32>) -> tensor<2x3x4x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{qk_matmul_output_mode 4 is none of 0 to 3}}
  %y, %a, %b, %c = onnx.Attention %q, %q, %q, %n, %n, %n, %n {qk_matmul_output_mode = 4 : si64} : (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, none, none, none, none) -> (tensor<2x3x4x8xf32>, none, none, none)
  return %y : tensor<2x3x4x8xf32>
}

// -----

func.func @mask_type(%q: tensor<2x3x4x8xf32>, %m: tensor<4x4xf64>) -> tensor<2x3x4x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a mask of another type than the queries is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.Attention %q, %q, %q, %m, %n, %n, %n : (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<4x4xf64>, none, none, none) -> (tensor<2x3x4x8xf32>, none, none, none)
  return %y : tensor<2x3x4x8xf32>
}

// -----

func.func @columns(%x: tensor<2x3x8xf32>, %w: tensor<8x20xf32>) -> tensor<2x3x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{the columns of its weights are not those of queries, keys and values}}
  %y, %p = onnx.com.microsoft.Attention %x, %w, %n, %n, %n, %n, %n {num_heads = 2 : si64} : (tensor<2x3x8xf32>, tensor<8x20xf32>, none, none, none, none, none) -> (tensor<2x3x8xf32>, none)
  return %y : tensor<2x3x8xf32>
}

// -----

func.func @rotary_inside(%x: tensor<2x3x8xf32>, %w: tensor<8x24xf32>) -> tensor<2x3x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{do_rotary is not supported in compiled programs}}
  %y, %p = onnx.com.microsoft.Attention %x, %w, %n, %n, %n, %n, %n {num_heads = 2 : si64, do_rotary = 1 : si64} : (tensor<2x3x8xf32>, tensor<8x24xf32>, none, none, none, none, none) -> (tensor<2x3x8xf32>, none)
  return %y : tensor<2x3x8xf32>
}

// -----

func.func @shared_buffer(%x: tensor<2x3x8xf32>, %w: tensor<8x24xf32>, %p: tensor<2x2x2x9x4xf32>) -> tensor<2x3x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{past_present_share_buffer is not supported in compiled programs}}
  %y, %z = onnx.com.microsoft.Attention %x, %w, %n, %n, %p, %n, %n {num_heads = 2 : si64, past_present_share_buffer = 1 : si64} : (tensor<2x3x8xf32>, tensor<8x24xf32>, none, none, tensor<2x2x2x9x4xf32>, none, none) -> (tensor<2x3x8xf32>, none)
  return %y : tensor<2x3x8xf32>
}

// -----

func.func @mask_rank(%x: tensor<2x3x8xf32>, %w: tensor<8x24xf32>, %m: tensor<2x1x3x3xi32>) -> tensor<2x3x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a mask of rank 4 is not supported in compiled programs}}
  %y, %z = onnx.com.microsoft.Attention %x, %w, %n, %m, %n, %n, %n {num_heads = 2 : si64} : (tensor<2x3x8xf32>, tensor<8x24xf32>, none, tensor<2x1x3x3xi32>, none, none, none) -> (tensor<2x3x8xf32>, none)
  return %y : tensor<2x3x8xf32>
}

// -----

func.func @mask_of_starts(%x: tensor<2x3x8xf32>, %w: tensor<8x24xf32>, %m: tensor<4xi32>) -> tensor<2x3x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a mask of one dimension that is not the batch is not supported}}
  %y, %z = onnx.com.microsoft.Attention %x, %w, %n, %m, %n, %n, %n {num_heads = 2 : si64} : (tensor<2x3x8xf32>, tensor<8x24xf32>, none, tensor<4xi32>, none, none, none) -> (tensor<2x3x8xf32>, none)
  return %y : tensor<2x3x8xf32>
}

// -----

func.func @packed(%q: tensor<2x3x2x3x4xf32>) -> tensor<2x3x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{packed queries, keys and values are not supported}}
  %y, %a, %b, %c = onnx.com.microsoft.MultiHeadAttention %q, %n, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 2 : si64} : (tensor<2x3x2x3x4xf32>, none, none, none, none, none, none, none, none, none) -> (tensor<2x3x8xf32>, none, none, none)
  return %y : tensor<2x3x8xf32>
}

// -----

func.func @beams(%q: tensor<2x3x8xf32>, %i: tensor<2x1x9xi32>) -> tensor<2x3x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a cache in a shared buffer is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.MultiHeadAttention %q, %q, %q, %n, %n, %n, %n, %n, %n, %i {num_heads = 2 : si64} : (tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, none, none, none, none, tensor<2x1x9xi32>) -> (tensor<2x3x8xf32>, none, none, none)
  return %y : tensor<2x3x8xf32>
}

// -----

func.func @scores(%q: tensor<2x3x8xf32>) -> tensor<2x2x3x3xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{its output qk is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.MultiHeadAttention %q, %q, %q, %n, %n, %n, %n, %n, %n, %n {num_heads = 2 : si64} : (tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, none, none, none, none, none) -> (tensor<2x3x8xf32>, none, none, tensor<2x2x3x3xf32>)
  return %c : tensor<2x2x3x3xf32>
}

// -----

func.func @bias_of_keys(%q: tensor<2x3x8xf32>, %k: tensor<2x2x5x4xf32>, %b: tensor<24xf32>) -> tensor<2x3x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a bias on keys of rank 4 is not supported in compiled programs}}
  %y, %a, %c, %d = onnx.com.microsoft.MultiHeadAttention %q, %k, %k, %b, %n, %n, %n, %n, %n, %n {num_heads = 2 : si64} : (tensor<2x3x8xf32>, tensor<2x2x5x4xf32>, tensor<2x2x5x4xf32>, tensor<24xf32>, none, none, none, none, none, none) -> (tensor<2x3x8xf32>, none, none, none)
  return %y : tensor<2x3x8xf32>
}

// -----

func.func @activation(%a: tensor<2x3xf32>, %b: tensor<3x4xf32>) -> tensor<2x4xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{the activation 'Softmax' is not supported in compiled programs}}
  %y = onnx.com.microsoft.FusedGemm %a, %b, %n {activation = "Softmax"} : (tensor<2x3xf32>, tensor<3x4xf32>, none) -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// -----

func.func @batch(%a: tensor<3x2x4xf32>, %b: tensor<2x4x5xf32>) -> tensor<2x3x5xf32> {
  // expected-error@+1 {{a transposed batch is not supported in compiled programs}}
  %y = onnx.com.microsoft.FusedMatMul %a, %b {transBatchA = 1 : si64} : (tensor<3x2x4xf32>, tensor<2x4x5xf32>) -> tensor<2x3x5xf32>
  return %y : tensor<2x3x5xf32>
}

// -----

func.func @rank_one(%a: tensor<4xf32>, %b: tensor<2x4x5xf32>) -> tensor<2x5xf32> {
  // expected-error@+1 {{an operand of rank below 2 is not supported in compiled programs}}
  %y = onnx.com.microsoft.FusedMatMul %a, %b : (tensor<4xf32>, tensor<2x4x5xf32>) -> tensor<2x5xf32>
  return %y : tensor<2x5xf32>
}

// -----

func.func @statistics(%x: tensor<2x3x8xf32>, %g: tensor<8xf32>) -> tensor<2x3x1xf32> {
  // expected-error@+1 {{its output inv_std_var is not supported in compiled programs}}
  %y, %i = onnx.SimplifiedLayerNormalization %x, %g : (tensor<2x3x8xf32>, tensor<8xf32>) -> (tensor<2x3x8xf32>, tensor<2x3x1xf32>)
  return %i : tensor<2x3x1xf32>
}

// -----

func.func @skip_statistics(%x: tensor<2x3x8xf32>, %g: tensor<8xf32>) -> tensor<2x3x1xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{its output mean or inv_std_var is not supported in compiled programs}}
  %y, %m, %i, %s = onnx.com.microsoft.SkipSimplifiedLayerNormalization %x, %x, %g, %n : (tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<8xf32>, none) -> (tensor<2x3x8xf32>, none, tensor<2x3x1xf32>, none)
  return %i : tensor<2x3x1xf32>
}

// -----

func.func @mask_index(%ids: tensor<2x3xi32>, %w: tensor<9x8xf32>, %g: tensor<8xf32>) -> tensor<2xi32> {
  %n = onnx.None {value}
  // expected-error@+1 {{its output mask_index without a mask is not supported in compiled programs}}
  %y, %i, %s = onnx.com.microsoft.EmbedLayerNormalization %ids, %n, %w, %w, %n, %g, %g, %n, %n : (tensor<2x3xi32>, none, tensor<9x8xf32>, tensor<9x8xf32>, none, tensor<8xf32>, tensor<8xf32>, none, none) -> (tensor<2x3x8xf32>, tensor<2xi32>, none)
  return %i : tensor<2xi32>
}

// -----

func.func @odd_rotation(%x: tensor<2x3x4x8xf32>, %t: tensor<9x3xf32>, %p: tensor<2x4xi64>) -> tensor<2x3x4x8xf32> {
  // expected-error@+1 {{8 of 8 elements can't be turned by a table of 3}}
  %y = onnx.RotaryEmbedding %x, %t, %t, %p : (tensor<2x3x4x8xf32>, tensor<9x3xf32>, tensor<9x3xf32>, tensor<2x4xi64>) -> tensor<2x3x4x8xf32>
  return %y : tensor<2x3x4x8xf32>
}

// -----

func.func @table_without_positions(%x: tensor<2x3x4x8xf32>, %t: tensor<9x4xf32>) -> tensor<2x3x4x8xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{its tables are not of the rank its position_ids ask for}}
  %y = onnx.RotaryEmbedding %x, %t, %t, %n : (tensor<2x3x4x8xf32>, tensor<9x4xf32>, tensor<9x4xf32>, none) -> tensor<2x3x4x8xf32>
  return %y : tensor<2x3x4x8xf32>
}

// -----

func.func @rotary_rank(%x: tensor<4x8xf32>, %t: tensor<9x4xf32>, %p: tensor<1xi64>) -> tensor<4x8xf32> {
  // expected-error@+1 {{its input is not of rank 3 or 4}}
  %y = onnx.com.microsoft.RotaryEmbedding %x, %p, %t, %t : (tensor<4x8xf32>, tensor<1xi64>, tensor<9x4xf32>, tensor<9x4xf32>) -> tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}

// -----

func.func @rotary_heads(%x: tensor<2x4x9xf32>, %t: tensor<9x4xf32>, %p: tensor<1xi64>) -> tensor<2x4x9xf32> {
  // expected-error@+1 {{nothing says how many heads it has}}
  %y = onnx.com.microsoft.RotaryEmbedding %x, %p, %t, %t : (tensor<2x4x9xf32>, tensor<1xi64>, tensor<9x4xf32>, tensor<9x4xf32>) -> tensor<2x4x9xf32>
  return %y : tensor<2x4x9xf32>
}

// -----

func.func @rotary_packed(%x: tensor<2x4x8xf32>, %t: tensor<9x4xf32>, %p: tensor<1xi64>) -> tensor<2x4x8xf32> {
  // expected-error@+1 {{is_packed_batching is not supported in compiled programs}}
  %y = onnx.com.microsoft.RotaryEmbedding %x, %p, %t, %t {is_packed_batching = 1 : si64} : (tensor<2x4x8xf32>, tensor<1xi64>, tensor<9x4xf32>, tensor<9x4xf32>) -> tensor<2x4x8xf32>
  return %y : tensor<2x4x8xf32>
}

// -----

func.func @rotary_scale(%x: tensor<2x4x8xf32>, %t: tensor<9x4xf32>, %p: tensor<1xi64>) -> tensor<2x4x8xf32> {
  // expected-error@+1 {{a scale other than 1 is not supported in compiled programs}}
  %y = onnx.com.microsoft.RotaryEmbedding %x, %p, %t, %t {scale = 2.0 : f32} : (tensor<2x4x8xf32>, tensor<1xi64>, tensor<9x4xf32>, tensor<9x4xf32>) -> tensor<2x4x8xf32>
  return %y : tensor<2x4x8xf32>
}

// -----

func.func @gqa_quantised(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a quantised cache is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64, k_quant_type = "PER_TENSOR"} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, none, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_bit_width(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a quantised cache is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64, kv_cache_bit_width = 8 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, none, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_key_scale(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a quantised cache is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %s, %n, %n, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, tensor<4xf32>, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_sink(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{smooth_softmax is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %s, %n, %n, %n, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, tensor<4xf32>, none, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_smooth(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{smooth_softmax is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64, smooth_softmax = 1 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, none, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_norm(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a norm of queries and keys is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %n, %n, %s, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, none, none, tensor<4xf32>, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_slides(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a cache that slides is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64, sliding_window_cache = 1 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, none, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_not_causal(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{causal = 0 is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64, causal = 0 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, none, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_no_tables(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{do_rotary needs cos_cache and sin_cache}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64, do_rotary = 1 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, none, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_heads(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{3 heads of queries are not divided by 2 of keys}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 3 : si64, kv_num_heads = 2 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, none, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_width(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x3x16xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{a width of 16 is not divided by 6 heads}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 6 : si64, kv_num_heads = 2 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, none, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, none)
  return %y : tensor<2x3x16xf32>
}

// -----

func.func @gqa_scores(%q: tensor<2x3x16xf32>, %k: tensor<2x3x8xf32>, %l: tensor<2xi32>, %t: tensor<i32>, %s: tensor<4xf32>) -> tensor<2x4x3x3xf32> {
  %n = onnx.None {value}
  // expected-error@+1 {{its output output_qk is not supported in compiled programs}}
  %y, %a, %b, %c = onnx.com.microsoft.GroupQueryAttention %q, %k, %k, %n, %n, %l, %t, %n, %n, %n, %n, %n, %n, %n, %n, %n, %n {num_heads = 4 : si64, kv_num_heads = 2 : si64} : (tensor<2x3x16xf32>, tensor<2x3x8xf32>, tensor<2x3x8xf32>, none, none, tensor<2xi32>, tensor<i32>, none, none, none, none, none, none, none, none, none, none) -> (tensor<2x3x16xf32>, none, none, tensor<2x4x3x3xf32>)
  return %c : tensor<2x4x3x3xf32>
}

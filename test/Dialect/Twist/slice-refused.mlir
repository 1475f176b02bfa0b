// RUN: twist-opt %s --twist-discover-axes --twist-slice --split-input-file --verify-diagnostics

// A rotation of nothing: of eight elements four are turned, and all pairs of them go.

weights.source @m from "model.bin"
twist.subnetwork @s {qk_0 = array<i64>}
func.func @main(%x: tensor<2x1x5x3xf32> {onnx.name = "x"}, %at: tensor<2x5xi64> {onnx.name = "at"}) -> (tensor<2x1x5x5xf32> {onnx.name = "y"}) {
  %wq = weights.load <@m at 0 as tensor<3x8xf32>> {onnx.meta = {name = "q"}} : tensor<3x8xf32>
  %wk = weights.load <@m at 96 as tensor<3x8xf32>> {onnx.meta = {name = "k"}} : tensor<3x8xf32>
  %cos = weights.load <@m at 192 as tensor<9x2xf32>> {onnx.meta = {name = "cos"}} : tensor<9x2xf32>
  %sin = weights.load <@m at 264 as tensor<9x2xf32>> {onnx.meta = {name = "sin"}} : tensor<9x2xf32>
  %q = onnx.MatMul %x, %wq : (tensor<2x1x5x3xf32>, tensor<3x8xf32>) -> tensor<2x1x5x8xf32>
  %k = onnx.MatMul %x, %wk : (tensor<2x1x5x3xf32>, tensor<3x8xf32>) -> tensor<2x1x5x8xf32>
  // expected-error @+1 {{would turn no element: keep at least one pair}}
  %qr = onnx.RotaryEmbedding %q, %cos, %sin, %at {rotary_embedding_dim = 4 : si64} : (tensor<2x1x5x8xf32>, tensor<9x2xf32>, tensor<9x2xf32>, tensor<2x5xi64>) -> tensor<2x1x5x8xf32>
  %kr = onnx.RotaryEmbedding %k, %cos, %sin, %at {rotary_embedding_dim = 4 : si64} : (tensor<2x1x5x8xf32>, tensor<9x2xf32>, tensor<9x2xf32>, tensor<2x5xi64>) -> tensor<2x1x5x8xf32>
  %kt = onnx.Transpose %kr {perm = array<i64: 0, 1, 3, 2>} : (tensor<2x1x5x8xf32>) -> tensor<2x1x8x5xf32>
  %y = onnx.MatMul %qr, %kt : (tensor<2x1x5x8xf32>, tensor<2x1x8x5xf32>) -> tensor<2x1x5x5xf32>
  return %y : tensor<2x1x5x5xf32>
}

// -----

// A shape that is no list of sizes.

weights.source @m from "model.bin"
twist.subnetwork @s {ffn_0 = array<i64: 0>}
func.func @main(%x: tensor<1x2xf32> {onnx.name = "x"}) -> (tensor<2xf32> {onnx.name = "y"}) {
  %u = weights.load <@m at 0 as tensor<2x3xf32>> {onnx.meta = {name = "u"}} : tensor<2x3xf32>
  %d = weights.load <@m at 24 as tensor<3x2xf32>> {onnx.meta = {name = "d"}} : tensor<3x2xf32>
  %s = onnx.Constant {value = dense<3> : tensor<i64>} : tensor<i64>
  %0 = onnx.MatMul %x, %u : (tensor<1x2xf32>, tensor<2x3xf32>) -> tensor<1x3xf32>
  // expected-error @+1 {{its shape operand has no static length}}
  %1 = onnx.Reshape %0, %s : (tensor<1x3xf32>, tensor<i64>) -> tensor<3xf32>
  %2 = onnx.MatMul %1, %d : (tensor<3xf32>, tensor<3x2xf32>) -> tensor<2xf32>
  return %2 : tensor<2xf32>
}

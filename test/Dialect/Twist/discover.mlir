// RUN: twist-opt %s -split-input-file --twist-discover-axes | FileCheck %s
// Found anew, the same axes and gates:
// RUN: twist-opt %s -split-input-file --twist-discover-axes --twist-discover-axes | FileCheck %s

// A sum over the axis is gated on both operands, the weight's rows too.
// CHECK: twist.axis @ffn_0 {index = 0 : i64, kind = "ffn", sources = ["up:1", "b:0", "down:0"], units = 8 : i64}
// CHECK-LABEL: func.func @main
// CHECK: %[[DOWN:.*]] = onnx.Constant {onnx.meta = {name = "down"}
// CHECK: %[[A:.*]] = onnx.Relu
// CHECK-DAG: %[[G:.*]] = twist.gate %[[A]] by @ffn_0 dim 1 at [#twist.place<offset = 0, outer = 1, units = 8, inner = 1>]
// CHECK-DAG: %[[W:.*]] = twist.gate %[[DOWN]] by @ffn_0 dim 0 at [#twist.place<offset = 0, outer = 1, units = 8, inner = 1>]
// CHECK: onnx.MatMul %[[G]], %[[W]]
// CHECK-NOT: twist.gate
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %up = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "up"}} : tensor<4x8xf32>
  %b = onnx.Constant {value = dense<1.0> : tensor<8xf32>, onnx.meta = {name = "b"}} : tensor<8xf32>
  %down = onnx.Constant {value = dense<1.0> : tensor<8x4xf32>, onnx.meta = {name = "down"}} : tensor<8x4xf32>
  %h = onnx.MatMul %x, %up : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  %hb = onnx.Add %h, %b : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %a = onnx.Relu %hb : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = onnx.MatMul %a, %down : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// Gemm with transposed weights, then a sum: one operand, one gate.
// CHECK: twist.axis @ffn_0 {index = 0 : i64, kind = "ffn", sources = ["up:0", "b:1"], units = 8 : i64}
// CHECK-LABEL: func.func @main
// CHECK: %[[H:.*]] = onnx.Gemm
// CHECK: %[[G:.*]] = twist.gate %[[H]] by @ffn_0 dim 1
// CHECK: onnx.ReduceSum %[[G]]
// CHECK-NOT: twist.gate
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x1xf32> {
  %up = onnx.Constant {value = dense<1.0> : tensor<8x4xf32>, onnx.meta = {name = "up"}} : tensor<8x4xf32>
  %b = onnx.Constant {value = dense<1.0> : tensor<1x8xf32>, onnx.meta = {name = "b"}} : tensor<1x8xf32>
  %axes = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %h = onnx.Gemm %x, %up, %b {transB = 1 : si64} : (tensor<?x4xf32>, tensor<8x4xf32>, tensor<1x8xf32>) -> tensor<?x8xf32>
  %y = onnx.ReduceSum %h, %axes : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// Einsum: heads of [d, h, w] weights are free here, a batch nowhere.
// CHECK: twist.axis @ffn_0 {index = 0 : i64, kind = "ffn", sources = ["wq:1", "wo:0"], units = 2 : i64}
// CHECK: twist.axis @ffn_1 {index = 1 : i64, kind = "ffn", sources = ["wq:2", "wo:1"], units = 3 : i64}
// CHECK-LABEL: func.func @main
// CHECK: twist.gate %{{.*}} by @ffn_0 dim 1
// CHECK: twist.gate %{{.*}} by @ffn_0 dim 0
// CHECK: twist.gate %{{.*}} by @ffn_1 dim 2
// CHECK: twist.gate %{{.*}} by @ffn_1 dim 1
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %wq = onnx.Constant {value = dense<1.0> : tensor<4x2x3xf32>, onnx.meta = {name = "wq"}} : tensor<4x2x3xf32>
  %wo = onnx.Constant {value = dense<1.0> : tensor<2x3x4xf32>, onnx.meta = {name = "wo"}} : tensor<2x3x4xf32>
  %h = onnx.Einsum %x, %wq {equation = "bd,dhw->bhw"} : (tensor<?x4xf32>, tensor<4x2x3xf32>) -> tensor<?x2x3xf32>
  %y = onnx.Einsum %h, %wo {equation = "bhw,hwd->bd"} : (tensor<?x2x3xf32>, tensor<2x3x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// Two layers share one bias: it is loaded twice, each layer has its axis.
// CHECK: twist.axis @ffn_0 {{.*}}sources = ["up0:1", "b:0@0", "down0:0"]
// CHECK: twist.axis @ffn_1 {{.*}}sources = ["down0:1", "up1:0"]
// CHECK: twist.axis @ffn_2 {{.*}}sources = ["up1:1", "b:0@1", "down1:0"]
// CHECK-LABEL: func.func @main
// CHECK-COUNT-2: onnx.Constant {onnx.meta = {name = "b"}
// CHECK-NOT: name = "b"
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %up0 = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "up0"}} : tensor<4x8xf32>
  %up1 = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "up1"}} : tensor<4x8xf32>
  %b = onnx.Constant {value = dense<1.0> : tensor<8xf32>, onnx.meta = {name = "b"}} : tensor<8xf32>
  %down0 = onnx.Constant {value = dense<1.0> : tensor<8x4xf32>, onnx.meta = {name = "down0"}} : tensor<8x4xf32>
  %down1 = onnx.Constant {value = dense<1.0> : tensor<8x4xf32>, onnx.meta = {name = "down1"}} : tensor<8x4xf32>
  %h0 = onnx.MatMul %x, %up0 : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  %a0 = onnx.Add %h0, %b : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %y0 = onnx.MatMul %a0, %down0 : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %h1 = onnx.MatMul %y0, %up1 : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  %a1 = onnx.Add %h1, %b : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %y1 = onnx.MatMul %a1, %down1 : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return %y1 : tensor<?x4xf32>
}

// -----

// A table expanded once over the heads of both layers does not tie them.
// CHECK-COUNT-2: kind = "head"
// CHECK-LABEL: func.func @main
// CHECK-COUNT-2: onnx.Expand
func.func @main(%x: tensor<5x4xf32>, %mask: tensor<1x5x5xf32>) -> tensor<5x4xf32> {
  %w0 = onnx.Constant {value = dense<1.0> : tensor<4x6xf32>, onnx.meta = {name = "w0"}} : tensor<4x6xf32>
  %o0 = onnx.Constant {value = dense<1.0> : tensor<6x4xf32>, onnx.meta = {name = "o0"}} : tensor<6x4xf32>
  %w1 = onnx.Constant {value = dense<1.0> : tensor<4x6xf32>, onnx.meta = {name = "w1"}} : tensor<4x6xf32>
  %o1 = onnx.Constant {value = dense<1.0> : tensor<6x4xf32>, onnx.meta = {name = "o1"}} : tensor<6x4xf32>
  %s = onnx.Constant {value = dense<[5, 3, 2]> : tensor<3xi64>} : tensor<3xi64>
  %f = onnx.Constant {value = dense<[5, 6]> : tensor<2xi64>} : tensor<2xi64>
  %m = onnx.Constant {value = dense<[3, 5, 5]> : tensor<3xi64>} : tensor<3xi64>
  %e = onnx.Expand %mask, %m : (tensor<1x5x5xf32>, tensor<3xi64>) -> tensor<3x5x5xf32>
  %h0 = onnx.MatMul %x, %w0 : (tensor<5x4xf32>, tensor<4x6xf32>) -> tensor<5x6xf32>
  %r0 = onnx.Reshape %h0, %s : (tensor<5x6xf32>, tensor<3xi64>) -> tensor<5x3x2xf32>
  %q0 = onnx.Transpose %r0 {perm = array<i64: 1, 0, 2>} : (tensor<5x3x2xf32>) -> tensor<3x5x2xf32>
  %k0 = onnx.Transpose %r0 {perm = array<i64: 1, 2, 0>} : (tensor<5x3x2xf32>) -> tensor<3x2x5xf32>
  %p0 = onnx.MatMul %q0, %k0 : (tensor<3x5x2xf32>, tensor<3x2x5xf32>) -> tensor<3x5x5xf32>
  %a0 = onnx.Add %p0, %e : (tensor<3x5x5xf32>, tensor<3x5x5xf32>) -> tensor<3x5x5xf32>
  %c0 = onnx.MatMul %a0, %q0 : (tensor<3x5x5xf32>, tensor<3x5x2xf32>) -> tensor<3x5x2xf32>
  %t0 = onnx.Transpose %c0 {perm = array<i64: 1, 0, 2>} : (tensor<3x5x2xf32>) -> tensor<5x3x2xf32>
  %j0 = onnx.Reshape %t0, %f : (tensor<5x3x2xf32>, tensor<2xi64>) -> tensor<5x6xf32>
  %y0 = onnx.MatMul %j0, %o0 : (tensor<5x6xf32>, tensor<6x4xf32>) -> tensor<5x4xf32>
  %h1 = onnx.MatMul %y0, %w1 : (tensor<5x4xf32>, tensor<4x6xf32>) -> tensor<5x6xf32>
  %r1 = onnx.Reshape %h1, %s : (tensor<5x6xf32>, tensor<3xi64>) -> tensor<5x3x2xf32>
  %q1 = onnx.Transpose %r1 {perm = array<i64: 1, 0, 2>} : (tensor<5x3x2xf32>) -> tensor<3x5x2xf32>
  %k1 = onnx.Transpose %r1 {perm = array<i64: 1, 2, 0>} : (tensor<5x3x2xf32>) -> tensor<3x2x5xf32>
  %p1 = onnx.MatMul %q1, %k1 : (tensor<3x5x2xf32>, tensor<3x2x5xf32>) -> tensor<3x5x5xf32>
  %a1 = onnx.Add %p1, %e : (tensor<3x5x5xf32>, tensor<3x5x5xf32>) -> tensor<3x5x5xf32>
  %c1 = onnx.MatMul %a1, %q1 : (tensor<3x5x5xf32>, tensor<3x5x2xf32>) -> tensor<3x5x2xf32>
  %t1 = onnx.Transpose %c1 {perm = array<i64: 1, 0, 2>} : (tensor<3x5x2xf32>) -> tensor<5x3x2xf32>
  %j1 = onnx.Reshape %t1, %f : (tensor<5x3x2xf32>, tensor<2xi64>) -> tensor<5x6xf32>
  %y1 = onnx.MatMul %j1, %o1 : (tensor<5x6xf32>, tensor<6x4xf32>) -> tensor<5x4xf32>
  return %y1 : tensor<5x4xf32>
}

// -----

// Swapped halves are pairs: four units two wide.
// CHECK: twist.axis @ffn_0 {index = 0 : i64, kind = "ffn", sources = ["w:1:c0", "w:1:c1", "o:0:c0", "o:0:c1"], units = 4 : i64}
// CHECK-LABEL: func.func @main
// CHECK: twist.gate %{{.*}} by @ffn_0 dim 1 at [#twist.place<offset = 0, outer = 2, units = 4, inner = 1>] : tensor<?x8xf32>
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x4xf32>, onnx.meta = {name = "o"}} : tensor<8x4xf32>
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %four = onnx.Constant {value = dense<4> : tensor<1xi64>} : tensor<1xi64>
  %end = onnx.Constant {value = dense<9223372036854775807> : tensor<1xi64>} : tensor<1xi64>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  %a = onnx.Slice %h, %zero, %four, %one, %none : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x4xf32>
  %b = onnx.Slice %h, %four, %end, %one, %none : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x4xf32>
  %n = onnx.Neg %b : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %r = onnx.Concat %n, %a {axis = 1 : si64} : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  %s = onnx.Add %h, %r : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = onnx.MatMul %s, %o : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// A step picks one of each pair; the pairs are units.
// CHECK: twist.axis @ffn_0 {{.*}}sources = ["w:1:0", "o:0"], units = 4 : i64}
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<4x4xf32>, onnx.meta = {name = "o"}} : tensor<4x4xf32>
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %end = onnx.Constant {value = dense<9223372036854775807> : tensor<1xi64>} : tensor<1xi64>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  %a = onnx.Slice %h, %zero, %end, %one, %two : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x4xf32>
  %b = onnx.Slice %h, %one, %end, %one, %two : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x4xf32>
  %s = onnx.Mul %a, %b : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %y = onnx.MatMul %s, %o : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// Constant indices: one of three by a scalar; each of two groups twice.
// CHECK: twist.axis @ffn_0 {{.*}}sources = ["w:1:1", "o:0:0"], units = 2 : i64}
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x6xf32>, onnx.meta = {name = "w"}} : tensor<4x6xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<4x4xf32>, onnx.meta = {name = "o"}} : tensor<4x4xf32>
  %s = onnx.Constant {value = dense<[0, 3, 2]> : tensor<3xi64>} : tensor<3xi64>
  %i = onnx.Constant {value = dense<1> : tensor<i64>} : tensor<i64>
  %twice = onnx.Constant {value = dense<[0, 0, 1, 1]> : tensor<4xi64>} : tensor<4xi64>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x6xf32>) -> tensor<?x6xf32>
  %r = onnx.Reshape %h, %s : (tensor<?x6xf32>, tensor<3xi64>) -> tensor<?x3x2xf32>
  %p = onnx.Gather %r, %i {axis = 1 : si64} : (tensor<?x3x2xf32>, tensor<i64>) -> tensor<?x2xf32>
  %g = onnx.Gather %p, %twice {axis = 1 : si64} : (tensor<?x2xf32>, tensor<4xi64>) -> tensor<?x4xf32>
  %y = onnx.MatMul %g, %o : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// Concatenated with another branch: its segment stays its own axis. Zeros
// padded after it are a segment too.
// CHECK: twist.axis @ffn_0 {{.*}}sources = ["w:1", "o:0:c0"], units = 6 : i64}
// CHECK: twist.axis @ffn_1 {{.*}}sources = ["u:1", "o:0:c1"], units = 3 : i64}
// CHECK-LABEL: func.func @main
// CHECK: twist.gate %{{.*}} by @ffn_1 dim 1 at [#twist.place<offset = 6, outer = 1, units = 3, inner = 1>]
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x6xf32>, onnx.meta = {name = "w"}} : tensor<4x6xf32>
  %u = onnx.Constant {value = dense<1.0> : tensor<4x3xf32>, onnx.meta = {name = "u"}} : tensor<4x3xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<10x4xf32>, onnx.meta = {name = "o"}} : tensor<10x4xf32>
  %pads = onnx.Constant {value = dense<[0, 0, 0, 1]> : tensor<4xi64>} : tensor<4xi64>
  %none = onnx.None
  %a = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x6xf32>) -> tensor<?x6xf32>
  %b = onnx.MatMul %x, %u : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  %c = onnx.Concat %a, %b {axis = -1 : si64} : (tensor<?x6xf32>, tensor<?x3xf32>) -> tensor<?x9xf32>
  %p = onnx.Pad %c, %pads, %none, %none : (tensor<?x9xf32>, tensor<4xi64>, none, none) -> tensor<?x10xf32>
  %y = onnx.MatMul %p, %o : (tensor<?x10xf32>, tensor<10x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// Heads inside a dimension of dynamic size, [batch · heads, s, w].
// CHECK-DAG: twist.axis @head_0 {index = 0 : i64, kind = "head", sources = ["w:1:0", "o:0:0"], units = 3 : i64}
// CHECK-DAG: twist.axis @qkv_0 {index = 0 : i64, kind = "qkv", sources = ["w:1:1", "o:0:1"], units = 2 : i64}
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x5x4xf32> {onnx.dims = ["batch", "", ""]}) -> tensor<?x5x4xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x6xf32>, onnx.meta = {name = "w"}} : tensor<4x6xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<6x4xf32>, onnx.meta = {name = "o"}} : tensor<6x4xf32>
  %s = onnx.Constant {value = dense<[0, 5, 3, 2]> : tensor<4xi64>} : tensor<4xi64>
  %f = onnx.Constant {value = dense<[-1, 5, 2]> : tensor<3xi64>} : tensor<3xi64>
  %back = onnx.Constant {value = dense<[-1, 3, 5, 2]> : tensor<4xi64>} : tensor<4xi64>
  %flat = onnx.Constant {value = dense<[0, 5, 6]> : tensor<3xi64>} : tensor<3xi64>
  %h = onnx.MatMul %x, %w : (tensor<?x5x4xf32>, tensor<4x6xf32>) -> tensor<?x5x6xf32>
  %r = onnx.Reshape %h, %s : (tensor<?x5x6xf32>, tensor<4xi64>) -> tensor<?x5x3x2xf32>
  %t = onnx.Transpose %r {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x5x3x2xf32>) -> tensor<?x3x5x2xf32>
  %q = onnx.Reshape %t, %f : (tensor<?x3x5x2xf32>, tensor<3xi64>) -> tensor<?x5x2xf32>
  %k = onnx.Transpose %q {perm = array<i64: 0, 2, 1>} : (tensor<?x5x2xf32>) -> tensor<?x2x5xf32>
  %p = onnx.MatMul %q, %k : (tensor<?x5x2xf32>, tensor<?x2x5xf32>) -> tensor<?x5x5xf32>
  %c = onnx.MatMul %p, %q : (tensor<?x5x5xf32>, tensor<?x5x2xf32>) -> tensor<?x5x2xf32>
  %u = onnx.Reshape %c, %back : (tensor<?x5x2xf32>, tensor<4xi64>) -> tensor<?x3x5x2xf32>
  %v = onnx.Transpose %u {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x3x5x2xf32>) -> tensor<?x5x3x2xf32>
  %j = onnx.Reshape %v, %flat : (tensor<?x5x3x2xf32>, tensor<3xi64>) -> tensor<?x5x6xf32>
  %y = onnx.MatMul %j, %o : (tensor<?x5x6xf32>, tensor<6x4xf32>) -> tensor<?x5x4xf32>
  return %y : tensor<?x5x4xf32>
}

// -----

// Nothing to remove: an input's units, a vocabulary no weight makes, a table
// made of weights alone.
// CHECK: module {
// CHECK-NOT: twist.axis
// CHECK-LABEL: func.func @main
func.func @main(%ids: tensor<5xi64>, %t: tensor<5x1xf32>) -> tensor<5x4xf32> {
  %range = onnx.Constant {value = dense<[0, 1, 2, 3, 4, 5, 6]> : tensor<7xi64>} : tensor<7xi64>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %e = onnx.Constant {value = dense<1.0> : tensor<7x4xf32>, onnx.meta = {name = "e"}} : tensor<7x4xf32>
  %w0 = onnx.Constant {value = dense<1.0> : tensor<5x9xf32>, onnx.meta = {name = "w0"}} : tensor<5x9xf32>
  %w1 = onnx.Constant {value = dense<1.0> : tensor<9x4xf32>, onnx.meta = {name = "w1"}} : tensor<9x4xf32>
  %u = onnx.Unsqueeze %ids, %one : (tensor<5xi64>, tensor<1xi64>) -> tensor<5x1xi64>
  %eq = onnx.Equal %u, %range : (tensor<5x1xi64>, tensor<7xi64>) -> tensor<5x7xi1>
  %hot = onnx.Cast %eq {to = 1 : si64} : (tensor<5x7xi1>) -> tensor<5x7xf32>
  %x = onnx.MatMul %hot, %e : (tensor<5x7xf32>, tensor<7x4xf32>) -> tensor<5x4xf32>
  %table = onnx.MatMul %w0, %w1 : (tensor<5x9xf32>, tensor<9x4xf32>) -> tensor<5x4xf32>
  %y = onnx.Add %x, %table : (tensor<5x4xf32>, tensor<5x4xf32>) -> tensor<5x4xf32>
  %z = onnx.Mul %y, %t : (tensor<5x4xf32>, tensor<5x1xf32>) -> tensor<5x4xf32>
  // CHECK-NOT: twist.gate
  return %z : tensor<5x4xf32>
}

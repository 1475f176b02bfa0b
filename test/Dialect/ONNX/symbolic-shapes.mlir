// RUN: twist-opt %s --pass-pipeline='builtin.module(func.func(onnx-print-symbolic-shapes))' | FileCheck %s

// Names that are sums are sums; unnamed sizes have names of their own.
// CHECK-LABEL: func.func @cache
func.func @cache(%k: tensor<?x3x?x4xf32> {onnx.name = "k", onnx.dims = ["batch", "", "past", ""]},
                 %q: tensor<?x3x?x4xf32> {onnx.name = "q", onnx.dims = ["batch", "", "", ""]},
                 %m: tensor<?x?xf32> {onnx.name = "m", onnx.dims = ["batch", "past + q.2"]}) {
  // CHECK: onnx.Concat {{.*}}dims = ["[batch, 3, past + q.2, 4]"]
  %a = onnx.Concat %k, %q {axis = 2 : si64} : (tensor<?x3x?x4xf32>, tensor<?x3x?x4xf32>) -> tensor<?x3x?x4xf32>
  // CHECK: onnx.Transpose {{.*}}dims = ["[batch, 3, 4, past + q.2]"]
  %t = onnx.Transpose %a {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x3x?x4xf32>) -> tensor<?x3x4x?xf32>
  // CHECK: onnx.MatMul {{.*}}dims = ["[batch, 3, q.2, past + q.2]"]
  %s = onnx.MatMul %q, %t : (tensor<?x3x?x4xf32>, tensor<?x3x4x?xf32>) -> tensor<?x3x?x?xf32>
  %one = onnx.Constant {value = dense<[1, 2]> : tensor<2xi64>} : tensor<2xi64>
  // CHECK: onnx.Unsqueeze {{.*}}dims = ["[batch, 1, 1, past + q.2]"]
  %u = onnx.Unsqueeze %m, %one : (tensor<?x?xf32>, tensor<2xi64>) -> tensor<?x?x?x?xf32>
  // CHECK: onnx.Add {{.*}}dims = ["[batch, 3, q.2, past + q.2]"]
  %b = onnx.Add %s, %u : (tensor<?x3x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<?x3x?x?xf32>
  return
}

// CHECK-LABEL: func.func @arithmetic
func.func @arithmetic(%x: tensor<?x?x12xf32> {onnx.name = "x", onnx.dims = ["b", "s", ""]}) {
  // CHECK: onnx.Shape %arg0 {contents = ["[b, s, 12]"]
  %s = onnx.Shape %x : (tensor<?x?x12xf32>) -> tensor<3xi64>
  // CHECK: onnx.Shape %arg0 {contents = ["[s]"]
  %e = onnx.Shape %x {start = 1 : si64, end = -1 : si64} : (tensor<?x?x12xf32>) -> tensor<1xi64>
  // CHECK: onnx.Size %arg0 {contents = ["[12*b*s]"]
  %n = onnx.Size %x : (tensor<?x?x12xf32>) -> tensor<i64>
  %two = onnx.Constant {value = dense<2> : tensor<i64>} : tensor<i64>
  // CHECK: onnx.Div {{.*}}contents = ["[6*b*s]"]
  %h = onnx.Div %n, %two : (tensor<i64>, tensor<i64>) -> tensor<i64>
  // CHECK: onnx.Div {{.*}}contents = ["[floordiv(s, 2)]"]
  %f = onnx.Div %e, %two : (tensor<1xi64>, tensor<i64>) -> tensor<1xi64>
  // CHECK: onnx.Mod {{.*}}contents = ["[mod(b, 2), mod(s, 2), 0]"]
  %m = onnx.Mod %s, %two : (tensor<3xi64>, tensor<i64>) -> tensor<3xi64>
  // Sizes are no negative numbers.
  %minus = onnx.Constant {value = dense<-1> : tensor<i64>} : tensor<i64>
  // CHECK: onnx.Equal {{.*}}contents = ["[0, 0, 0]"]
  %q = onnx.Equal %s, %minus : (tensor<3xi64>, tensor<i64>) -> tensor<3xi1>
  // CHECK: onnx.Equal {{.*}}dims = ["[3]"]
  %r = onnx.Equal %s, %two : (tensor<3xi64>, tensor<i64>) -> tensor<3xi1>
  // CHECK: onnx.Where {{.*}}contents = ["[b, s, 12]"]
  %w = onnx.Where %q, %two, %s : (tensor<3xi1>, tensor<i64>, tensor<3xi64>) -> tensor<3xi64>
  // Through floats, as interpolation and floor_divide go.
  // CHECK: onnx.Cast {{.*}}contents = ["[s]"]
  %c = onnx.Cast %e {to = 1 : si64} : (tensor<1xi64>) -> tensor<1xf32>
  %ff = onnx.Constant {value = dense<4.0> : tensor<f32>} : tensor<f32>
  // CHECK: onnx.Div {{.*}}dims = ["[1]"]
  %d = onnx.Div %c, %ff : (tensor<1xf32>, tensor<f32>) -> tensor<1xf32>
  // CHECK: onnx.Floor {{.*}}contents = ["[floordiv(s, 4)]"]
  %l = onnx.Floor %d : (tensor<1xf32>) -> tensor<1xf32>
  return
}

// CHECK-LABEL: func.func @movement
func.func @movement(%x: tensor<?x?x12xf32> {onnx.name = "x", onnx.dims = ["b", "s", ""]}) {
  %s = onnx.Shape %x : (tensor<?x?x12xf32>) -> tensor<3xi64>
  %none = onnx.None {value}
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %minus = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
  %far = onnx.Constant {value = dense<9223372036854775807> : tensor<1xi64>} : tensor<1xi64>
  %minf = onnx.Constant {value = dense<-9223372036854775808> : tensor<1xi64>} : tensor<1xi64>
  // CHECK: onnx.Slice {{.*}}contents = ["[b, s]"]
  %front = onnx.Slice %s, %zero, %minus, %none, %none : (tensor<3xi64>, tensor<1xi64>, tensor<1xi64>, none, none) -> tensor<2xi64>
  // CHECK: onnx.Slice {{.*}}contents = ["[12, s, b]"]
  %back = onnx.Slice %s, %minus, %minf, %zero, %minus : (tensor<3xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?xi64>
  return
}

// Sizes of slices; symbolic bounds of a table are within it.
// CHECK-LABEL: func.func @slices
func.func @slices(%x: tensor<?x8xf32> {onnx.name = "x", onnx.dims = ["s", ""]}, %table: tensor<512x8xf32>) {
  %none = onnx.None {value}
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %minus = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
  %window = onnx.Constant {value = dense<-64> : tensor<1xi64>} : tensor<1xi64>
  %far = onnx.Constant {value = dense<9223372036854775807> : tensor<1xi64>} : tensor<1xi64>
  %n = onnx.Shape %x {end = 1 : si64} : (tensor<?x8xf32>) -> tensor<1xi64>
  // CHECK: dims = ["[s, 8]"]
  %a = onnx.Slice %table, %zero, %n, %zero, %none : (tensor<512x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x8xf32>
  // CHECK: onnx.Slice {{.*}}dims = ["[1, 8]"]
  %b = onnx.Slice %x, %minus, %far, %zero, %none : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x8xf32>
  // CHECK: onnx.Slice {{.*}}dims = ["[s - 1, 8]"]
  %c = onnx.Slice %x, %zero, %minus, %zero, %none : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x8xf32>
  // CHECK: onnx.Slice {{.*}}dims = ["[floordiv(s + 1, 2), 8]"]
  %d = onnx.Slice %x, %zero, %far, %zero, %two : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<?x8xf32>
  // A sliding window may be longer than the sequence.
  // CHECK: onnx.Slice {{.*}}dims = ["[min(64, s), 8]"]
  %e = onnx.Slice %x, %window, %far, %zero, %none : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x8xf32>
  return
}

// CHECK-LABEL: func.func @others
func.func @others(%x: tensor<?x6x8xf32> {onnx.name = "x", onnx.dims = ["s", "", ""]}, %i: tensor<?x3xi64> {onnx.name = "i", onnx.dims = ["n", ""]}) {
  %none = onnx.None {value}
  // CHECK: onnx.Gather {{.*}}dims = ["[s, n, 3, 8]"]
  %a = onnx.Gather %x, %i {axis = 1 : si64} : (tensor<?x6x8xf32>, tensor<?x3xi64>) -> tensor<*xf32>
  // CHECK: onnx.GatherND {{.*}}dims = ["[n]"]
  %b = onnx.GatherND %x, %i : (tensor<?x6x8xf32>, tensor<?x3xi64>) -> tensor<*xf32>
  // CHECK: onnx.Einsum {{.*}}dims = ["[8, s]"]
  %c = onnx.Einsum %x {equation = "s i j -> js"} : (tensor<?x6x8xf32>) -> tensor<*xf32>
  // CHECK: onnx.Einsum {{.*}}dims = ["[s, 6, 6]"]
  %e = onnx.Einsum %x, %x {equation = "...ik,...jk->...ij"} : (tensor<?x6x8xf32>, tensor<?x6x8xf32>) -> tensor<*xf32>
  // CHECK: onnx.Split {{.*}}dims = ["[s, 6, 3]", "[s, 6, 3]", "[s, 6, 2]"]
  %d:3 = onnx.Split %x, %none {axis = 2 : si64, num_outputs = 3 : si64} : (tensor<?x6x8xf32>, none) -> (tensor<*xf32>, tensor<*xf32>, tensor<*xf32>)
  %axes = onnx.Constant {value = dense<[0, -1]> : tensor<2xi64>} : tensor<2xi64>
  // CHECK: onnx.ReduceSum {{.*}}dims = ["[1, 6, 1]"]
  %f = onnx.ReduceSum %x, %axes : (tensor<?x6x8xf32>, tensor<2xi64>) -> tensor<*xf32>
  // CHECK: onnx.ReduceMax {{.*}}dims = ["[]"]
  %g = onnx.ReduceMax %x, %none {keepdims = 0 : si64} : (tensor<?x6x8xf32>, none) -> tensor<*xf32>
  // CHECK: onnx.ArgMax {{.*}}dims = ["[s, 6]"]
  %h = onnx.ArgMax %x {axis = -1 : si64, keepdims = 0 : si64} : (tensor<?x6x8xf32>) -> tensor<*xi64>
  // CHECK: onnx.Flatten {{.*}}dims = ["[6*s, 8]"]
  %j = onnx.Flatten %x {axis = 2 : si64} : (tensor<?x6x8xf32>) -> tensor<*xf32>
  %pads = onnx.Constant {value = dense<[1, 0, 2, 0, 0, 3]> : tensor<6xi64>} : tensor<6xi64>
  // CHECK: onnx.Pad {{.*}}dims = ["[s + 1, 6, 13]"]
  %k = onnx.Pad %x, %pads, %none, %none : (tensor<?x6x8xf32>, tensor<6xi64>, none, none) -> tensor<*xf32>
  %reps = onnx.Constant {value = dense<[2, 1, 3]> : tensor<3xi64>} : tensor<3xi64>
  // CHECK: onnx.Tile {{.*}}dims = ["[2*s, 6, 24]"]
  %l = onnx.Tile %x, %reps : (tensor<?x6x8xf32>, tensor<3xi64>) -> tensor<*xf32>
  // CHECK: onnx.LayerNormalization {{.*}}dims = ["[s, 6, 8]", "[s, 1, 1]", "[s, 1, 1]"]
  %m, %n, %o = onnx.LayerNormalization %x, %x, %none {axis = 1 : si64} : (tensor<?x6x8xf32>, tensor<?x6x8xf32>, none) -> (tensor<*xf32>, tensor<*xf32>, tensor<*xf32>)
  // Sizes that data decides have a name of their own.
  // CHECK: onnx.Range {{.*}}dims = ["[onnx.Range@{{[0-9]+}}:0.0]"]
  %limit = onnx.ReduceMax %i, %none {keepdims = 0 : si64} : (tensor<?x3xi64>, none) -> tensor<i64>
  %zero = onnx.Constant {value = dense<0> : tensor<i64>} : tensor<i64>
  %p = onnx.Range %zero, %limit, %zero : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  return
}

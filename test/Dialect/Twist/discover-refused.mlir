// RUN: twist-opt %s -split-input-file --twist-discover-axes="explain=true" -verify-diagnostics -o %t
// RUN: not grep -E "twist.(axis|gate)" %t

// Each function tries to make eight units and fails at the marked op.

// A norm's mean changes with the size: the same answer for the fused op …
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %s = onnx.Constant {value = dense<1.0> : tensor<8xf32>, onnx.meta = {name = "scale"}} : tensor<8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: statistic: LayerNormalization over it}}
  %n, %m, %v = onnx.LayerNormalization %h, %s, %none : (tensor<?x8xf32>, tensor<8xf32>, none) -> (tensor<?x8xf32>, none, none)
  %y = onnx.MatMul %n, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// … with a mean …
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %axes = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: statistic: ReduceMean over it}}
  %m = onnx.ReduceMean %h, %axes : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %c = onnx.Sub %h, %m : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// … and with a sum that comes back to its units.
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %axes = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: statistic: a sum over it scales it}}
  %q = onnx.ReduceSumSquare %h, %axes : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %r = onnx.Sqrt %q : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %c = onnx.Div %h, %r : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

func.func @main(%x: tensor<?x4xf32>) -> tensor<?x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: Softmax over it}}
  %p = onnx.Softmax %h {axis = -1 : si64} : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = onnx.MatMul %p, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

func.func @main(%x: tensor<?x4xf32>) -> (tensor<?x1xf32>, tensor<?x8xf32> {onnx.name = "hidden"}) {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  %y = onnx.MatMul %h, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it reaches the output 'hidden'}}
  return %y, %h : tensor<?x1xf32>, tensor<?x8xf32>
}

// -----

// expected-remark @+1 {{8 units of w:1 can't be cut: it comes with the input 'more'}}
func.func @main(%x: tensor<?x4xf32>, %more: tensor<8xf32> {onnx.name = "more"}) -> tensor<?x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  %a = onnx.Add %h, %more : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %y = onnx.MatMul %a, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

func.func @main(%x: tensor<?x4xf32>) -> tensor<?x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %axes = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: ReduceMax over it}}
  %y = onnx.ReduceMax %h, %axes : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

func.func @main(%x: tensor<?x4xf32>) -> (tensor<?x1xf32>, tensor<?xi64>) {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: ArgMax over it}}
  %i = onnx.ArgMax %h {axis = 1 : si64, keepdims = 0 : si64} : (tensor<?x8xf32>) -> tensor<?xi64>
  %y = onnx.MatMul %h, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %y, %i : tensor<?x1xf32>, tensor<?xi64>
}

// -----

func.func @main(%x: tensor<?x4xf32>) -> tensor<?x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %axis = onnx.Constant {value = dense<1> : tensor<i64>} : tensor<i64>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: CumSum over it}}
  %c = onnx.CumSum %h, %axis : (tensor<?x8xf32>, tensor<i64>) -> tensor<?x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

func.func @main(%x: tensor<5x4xf32>) -> tensor<5x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: a triangle depends on its indices}}
  %c = onnx.Trilu %h, %none : (tensor<5x8xf32>, none) -> tensor<5x8xf32>
  %y = onnx.MatMul %c, %o : (tensor<5x8xf32>, tensor<8x1xf32>) -> tensor<5x1xf32>
  return %y : tensor<5x1xf32>
}

// -----

func.func @main(%x: tensor<?x4xf32>, %i: tensor<3xi64>) -> tensor<?x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %axes = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it is indexed at run time}}
  %g = onnx.Gather %h, %i {axis = 1 : si64} : (tensor<?x8xf32>, tensor<3xi64>) -> tensor<?x3xf32>
  %r = onnx.ReduceSum %g, %axes : (tensor<?x3xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  %y = onnx.MatMul %h, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  %z = onnx.Add %y, %r : (tensor<?x1xf32>, tensor<?x1xf32>) -> tensor<?x1xf32>
  return %z : tensor<?x1xf32>
}

// -----

func.func @main(%x: tensor<?x4xf32>, %end: tensor<1xi64>) -> tensor<?x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %none = onnx.None
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it is sliced at bounds known at run time}}
  %g = onnx.Slice %h, %zero, %end, %one, %none : (tensor<?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x?xf32>
  %y = onnx.ReduceSum %g, %one : (tensor<?x?xf32>, tensor<1xi64>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// A node the compiler does not know.
func.func @main(%x: tensor<?x4xf32>) -> tensor<?x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it declares no relations}}
  %g = "onnx.node"(%h) <{op_type = "Shrink"}> : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = onnx.MatMul %g, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

// A subgraph that uses the value.
func.func @main(%x: tensor<?x4xf32>, %c: tensor<i1>) -> (tensor<?x1xf32>, tensor<?x1xf32>) {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x1xf32>, onnx.meta = {name = "o"}} : tensor<8x1xf32>
  %axes = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
  %h = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
  // expected-remark @+1 {{8 units of w:1 can't be cut: it is used inside a subgraph}}
  %z = "onnx.node"(%c) <{op_type = "If", region_names = ["then_branch"]}> ({
    %r = onnx.ReduceSum %h, %axes : (tensor<?x8xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    onnx.yield %r : tensor<?x1xf32>
  }) : (tensor<i1>) -> tensor<?x1xf32>
  %y = onnx.MatMul %h, %o : (tensor<?x8xf32>, tensor<8x1xf32>) -> tensor<?x1xf32>
  return %y, %z : tensor<?x1xf32>, tensor<?x1xf32>
}

// -----

// Two reshapes that cut the same dimension apart in two ways.
func.func @main(%x: tensor<5x4xf32>) -> tensor<5x1xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x6xf32>, onnx.meta = {name = "w"}} : tensor<4x6xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<6x1xf32>, onnx.meta = {name = "o"}} : tensor<6x1xf32>
  %s = onnx.Constant {value = dense<[5, 2, 3]> : tensor<3xi64>} : tensor<3xi64>
  %t = onnx.Constant {value = dense<[5, 3, 2]> : tensor<3xi64>} : tensor<3xi64>
  %f = onnx.Constant {value = dense<[5, 6]> : tensor<2xi64>} : tensor<2xi64>
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x6xf32>) -> tensor<5x6xf32>
  %a = onnx.Reshape %h, %s : (tensor<5x6xf32>, tensor<3xi64>) -> tensor<5x2x3xf32>
  // expected-remark @below {{2 units of w:1:0 can't be cut: it brackets the dimension in another way}}
  // expected-remark @below {{3 units of w:1:1 can't be cut: it brackets the dimension in another way}}
  %b = onnx.Reshape %h, %t : (tensor<5x6xf32>, tensor<3xi64>) -> tensor<5x3x2xf32>
  %c = onnx.Transpose %b {perm = array<i64: 0, 2, 1>} : (tensor<5x3x2xf32>) -> tensor<5x2x3xf32>
  %d = onnx.Add %a, %c : (tensor<5x2x3xf32>, tensor<5x2x3xf32>) -> tensor<5x2x3xf32>
  %e = onnx.Reshape %d, %f : (tensor<5x2x3xf32>, tensor<2xi64>) -> tensor<5x6xf32>
  %y = onnx.MatMul %e, %o : (tensor<5x6xf32>, tensor<6x1xf32>) -> tensor<5x1xf32>
  return %y : tensor<5x1xf32>
}

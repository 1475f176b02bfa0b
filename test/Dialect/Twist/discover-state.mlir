// RUN: twist-opt %s -split-input-file --twist-discover-axes | FileCheck %s --check-prefixes=CHECK,BARE
// RUN: twist-opt %s -split-input-file --twist-discover-axes="state=in.*=out.*" | FileCheck %s --check-prefixes=CHECK,STATE
// RUN: not twist-opt %s -split-input-file --twist-discover-axes="state=old=new" 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: error: state 'old=new' names no input and output of the model

// An output that an input is concatenated into carries it on, without being
// named: it is cut with it. The dimension that grows is kept.
// CHECK: twist.axis @ffn_0 {{.*}}sources = ["w:1", "o:0"]
// CHECK-LABEL: func.func @main
// CHECK: %[[ALL:.*]] = onnx.Concat
// CHECK: %[[G:.*]] = twist.gate %[[ALL]]
// CHECK: return %{{.*}}, %[[ALL]]
func.func @main(%x: tensor<5x4xf32>, %past: tensor<?x8xf32> {onnx.name = "in.a", onnx.dims = ["past", ""]})
    -> (tensor<?x4xf32>, tensor<?x8xf32> {onnx.name = "out.a"}) {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x4xf32>, onnx.meta = {name = "o"}} : tensor<8x4xf32>
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  %all = onnx.Concat %past, %h {axis = 0 : si64} : (tensor<?x8xf32>, tensor<5x8xf32>) -> tensor<?x8xf32>
  %y = onnx.MatMul %all, %o : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return %y, %all : tensor<?x4xf32>, tensor<?x8xf32>
}

// -----

// An output computed otherwise has to be named.
// BARE-NOT: twist.axis
// STATE: module attributes {twist.state = ["in.*=out.*"]}
// STATE: twist.axis @ffn_0 {{.*}}sources = ["w:1", "o:0"]
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<5x4xf32>, %past: tensor<5x8xf32> {onnx.name = "in.a"})
    -> (tensor<5x4xf32>, tensor<5x8xf32> {onnx.name = "out.a"}) {
  %w = onnx.Constant {value = dense<1.0> : tensor<4x8xf32>, onnx.meta = {name = "w"}} : tensor<4x8xf32>
  %o = onnx.Constant {value = dense<1.0> : tensor<8x4xf32>, onnx.meta = {name = "o"}} : tensor<8x4xf32>
  %h = onnx.MatMul %x, %w : (tensor<5x4xf32>, tensor<4x8xf32>) -> tensor<5x8xf32>
  %s = onnx.Add %past, %h : (tensor<5x8xf32>, tensor<5x8xf32>) -> tensor<5x8xf32>
  %y = onnx.MatMul %s, %o : (tensor<5x8xf32>, tensor<8x4xf32>) -> tensor<5x4xf32>
  return %y, %s : tensor<5x4xf32>, tensor<5x8xf32>
}

// Everything that stands in the way, in one run.
// RUN: not twist-opt %s --onnx-preflight=for=compile 2>&1 | FileCheck %s
// RUN: not twist-opt %s --onnx-preflight=for=slice 2>&1 | FileCheck %s --check-prefix=SLICE
// RUN: not twist-opt %s --onnx-preflight=for=fun 2>&1 | FileCheck %s --check-prefix=PURPOSE
// RUN: echo "" | not twist-opt --onnx-preflight 2>&1 | FileCheck %s --check-prefix=MAIN

// PURPOSE: error: unknown purpose 'fun'; known are slice and compile
// MAIN: error: there is no function @main with a body

// CHECK: error: input 't' is a tensor of strings
// CHECK: error: input 'h' is a tensor of 2^63 bytes and more
// CHECK: error: there is no lowering for Spin of domain 'com.example'
// CHECK: error: the sizes of its result depend on data
// CHECK: error: the rank of its result does not follow from the graph
// CHECK: error: there is no lowering for If whose condition does not follow from sizes and constants
// CHECK: error: the sizes of its result depend on data: 'tensor<2x?xi64>'
// CHECK: error: its result is a tensor of an unsupported element type: 'tensor<2xf8E4M3FN>'
// CHECK-NOT: error:
// SLICE-NOT: lowering
// SLICE: error: the rank of its result does not follow from the graph
// SLICE-NOT: error:
func.func @main(%x: tensor<2x3xf32> {onnx.name = "x"}, %t: tensor<4x!onnx.string> {onnx.name = "t"}, %n: tensor<i64> {onnx.name = "n"}, %s: tensor<?xi64> {onnx.name = "s"}, %c: tensor<i1> {onnx.name = "c"}, %h: tensor<?x2x3x1152921504606846980xf32> {onnx.name = "h"}) -> (tensor<?xi64>, tensor<*xf32>, tensor<2x3xf32>, tensor<2x?xi64>, tensor<2xf8E4M3FN>) {
  %one = onnx.Constant {value = dense<1> : tensor<i64>} : tensor<i64>
  %y = "onnx.node"(%x) <{op_type = "Spin", domain = "com.example"}> : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %r = onnx.Range %one, %n, %one : (tensor<i64>, tensor<i64>, tensor<i64>) -> tensor<?xi64>
  %z = onnx.Reshape %y, %s : (tensor<2x3xf32>, tensor<?xi64>) -> tensor<*xf32>
  %e = onnx.Exp %z : (tensor<*xf32>) -> tensor<*xf32>
  %i = "onnx.node"(%c) <{op_type = "If", region_names = ["then_branch", "else_branch"]}> ({
    onnx.yield %x : tensor<2x3xf32>
  }, {
    onnx.yield %y : tensor<2x3xf32>
  }) : (tensor<i1>) -> tensor<2x3xf32>
  %w = onnx.NonZero %x : (tensor<2x3xf32>) -> tensor<2x?xi64>
  %f = onnx.Constant {value = dense<1.0> : tensor<2xf8E4M3FN>} : tensor<2xf8E4M3FN>
  return %r, %e, %i, %w, %f : tensor<?xi64>, tensor<*xf32>, tensor<2x3xf32>, tensor<2x?xi64>, tensor<2xf8E4M3FN>
}

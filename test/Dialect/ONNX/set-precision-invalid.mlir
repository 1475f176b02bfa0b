// RUN: twist-opt %s --onnx-set-precision --verify-diagnostics

func.func @main(%x: tensor<4xf32>, %i: tensor<4xi64>) -> (tensor<4xf32>, tensor<4xi64>) {
  // expected-error @below {{the precision of an unknown node (Spin) can't be changed}}
  %y = "onnx.node"(%x) <{op_type = "Spin", domain = "com.example"}> : (tensor<4xf32>) -> tensor<4xf32>
  %j = "onnx.node"(%i) <{op_type = "Count", domain = "com.example"}> : (tensor<4xi64>) -> tensor<4xi64>
  return %y, %j : tensor<4xf32>, tensor<4xi64>
}

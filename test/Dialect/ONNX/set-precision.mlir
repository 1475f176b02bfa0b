// RUN: twist-opt %s --onnx-set-precision | FileCheck %s
// RUN: twist-opt %s --onnx-set-precision=precision=f32 | FileCheck %s --check-prefix=F32
// RUN: twist-opt %s --onnx-set-precision=precision=f16 | FileCheck %s --check-prefix=F16
// RUN: twist-opt %s --onnx-set-precision=precision=bf16 | FileCheck %s --check-prefix=BF16
// RUN: not twist-opt %s --onnx-set-precision=precision=f8 2>&1 | FileCheck %s --check-prefix=NAME

// NAME: error: unknown precision 'f8'; known are f64, f32, f16 and bf16
weights.source @m from "m.onnx"
// CHECK: func.func @main(%arg0: tensor<?x4xf64>, %arg1: tensor<?x4xi64>) -> (tensor<?x8xf64>, tensor<?x8xi1>)
// F32: func.func @main(%arg0: tensor<?x4xf32>, %arg1: tensor<?x4xi64>) -> (tensor<?x8xf32>, tensor<?x8xi1>)
// F16: func.func @main(%arg0: tensor<?x4xf16>, %arg1: tensor<?x4xi64>) -> (tensor<?x8xf16>, tensor<?x8xi1>)
// BF16: func.func @main(%arg0: tensor<?x4xbf16>, %arg1: tensor<?x4xi64>) -> (tensor<?x8xbf16>, tensor<?x8xi1>)
// BF16: weights.load <@m at 8 as tensor<4x8xbf16>> : tensor<4x8xbf16>
func.func @main(%x: tensor<?x4xf16>, %i: tensor<?x4xi64>) -> (tensor<?x8xf32>, tensor<?x8xi1>) {
  %none = onnx.None {value}
  // The view says how bytes lie; the tensor what they become.
  // CHECK: weights.load <@m at 8 as tensor<4x8xbf16>> : tensor<4x8xf64>
  %w = weights.load <@m at 8 as tensor<4x8xbf16>> : tensor<4x8xbf16>
  // CHECK: onnx.Cast %arg1 {to = 11 : si64} : (tensor<?x4xi64>) -> tensor<?x4xf64>
  // F32: onnx.Cast %arg1 {to = 1 : si64} : (tensor<?x4xi64>) -> tensor<?x4xf32>
  %c = onnx.Cast %i {to = 10 : si64} : (tensor<?x4xi64>) -> tensor<?x4xf16>
  %a = onnx.Add %x, %c : (tensor<?x4xf16>, tensor<?x4xf16>) -> tensor<?x4xf16>
  %b = onnx.Cast %a {to = 16 : si64} : (tensor<?x4xf16>) -> tensor<?x4xbf16>
  %m = onnx.MatMul %b, %w : (tensor<?x4xbf16>, tensor<4x8xbf16>) -> tensor<?x8xbf16>
  %f = onnx.Cast %m {to = 1 : si64} : (tensor<?x8xbf16>) -> tensor<?x8xf32>
  // A constant has the f32's own value.
  // CHECK: onnx.Constant {value = dense<0.10000000149011612> : tensor<8xf64>} : tensor<8xf64>
  %s = onnx.Constant {value = dense<0.1> : tensor<8xf32>} : tensor<8xf32>
  // CHECK: onnx.LayerNormalization {{.*}} {stash_type = 11 : si64} {{.*}} -> (tensor<?x8xf64>, none, none)
  %n, %mean, %dev = onnx.LayerNormalization %f, %s, %none : (tensor<?x8xf32>, tensor<8xf32>, none) -> (tensor<?x8xf32>, none, none)
  %eight = onnx.Constant {value = dense<8> : tensor<1xi64>} : tensor<1xi64>
  // Without a value it is an f32 zero.
  // CHECK: onnx.ConstantOfShape %{{.*}} {value = dense<0.000000e+00> : tensor<1xf64>} : (tensor<1xi64>) -> tensor<8xf64>
  %z = onnx.ConstantOfShape %eight : (tensor<1xi64>) -> tensor<8xf32>
  // CHECK: onnx.Less {{.*}} : (tensor<?x8xf64>, tensor<8xf64>) -> tensor<?x8xi1>
  %l = onnx.Less %n, %z : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xi1>
  return %n, %l : tensor<?x8xf32>, tensor<?x8xi1>
}

// What is finite stays so: an attention mask of the lowest f32 is f16's lowest number, infinity stays infinity.
// F16-LABEL: func.func @lowest
// F16: dense<[-6.550400e+04, 0xFC00]> : tensor<2xf16>
// BF16-LABEL: func.func @lowest
// BF16: dense<[-3.389530e+38, 0xFF80]> : tensor<2xbf16>
func.func @lowest() -> tensor<2xf32> {
  %c = onnx.Constant {value = dense<[-3.4028234663852886e+38, 0xFF800000]> : tensor<2xf32>} : tensor<2xf32>
  return %c : tensor<2xf32>
}

// Sums inside a norm stay f32.
// F16-LABEL: func.func @norm
// F16-NOT: stash_type = 10
// F16: onnx.LayerNormalization
func.func @norm(%x: tensor<2x8xf32>, %s: tensor<8xf32>) -> tensor<2x8xf32> {
  %none = onnx.None {value}
  %n, %mean, %dev = onnx.LayerNormalization %x, %s, %none : (tensor<2x8xf32>, tensor<8xf32>, none) -> (tensor<2x8xf32>, none, none)
  return %n : tensor<2x8xf32>
}

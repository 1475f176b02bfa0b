// RUN: twist-opt %s -twist-prepare-training | FileCheck %s
// RUN: twist-opt %s -twist-prepare-training=print=1 -o /dev/null | FileCheck %s --check-prefix=LIST

// A cache is empty and goes; a head that is the embedding's transpose is it.
// CHECK-LABEL: func.func @main
// CHECK-SAME: (%[[IDS:.*]]: tensor<?x?xi64>
// CHECK-NOT: past
// CHECK-SAME: -> (tensor<?x?x3xf32> {onnx.name = "logits"})
// CHECK: %[[W:.*]] = onnx.Constant {{.*}}copies = ["head"], decayed = true, name = "wte", role = "embedding"
// CHECK: %[[T:.*]] = onnx.Transpose %[[W]]
// CHECK: %[[X:.*]] = onnx.Gather %[[W]], %[[IDS]]
// CHECK-NOT: onnx.Concat
// CHECK: %[[K:.*]] = onnx.Relu %[[X]]
// CHECK: onnx.MatMul %[[K]], %[[T]]
// LIST: wte [3, 2] embedding, decayed, also head
module {
  func.func @main(%ids: tensor<?x?xi64> {onnx.name = "ids", onnx.dims = ["batch", "sequence"]},
                  %past: tensor<?x?x2xf32> {onnx.name = "past", onnx.dims = ["batch", "past", ""]})
      -> (tensor<?x?x3xf32> {onnx.name = "logits"}, tensor<?x?x2xf32> {onnx.name = "present", onnx.dims = ["batch", "total", ""]}) {
    %wte = onnx.Constant {onnx.meta = {name = "wte"}, value = dense<[[1., 2.], [3., 4.], [5., 6.]]> : tensor<3x2xf32>} : tensor<3x2xf32>
    %head = onnx.Constant {onnx.meta = {name = "head"}, value = dense<[[1., 3., 5.], [2., 4., 6.]]> : tensor<2x3xf32>} : tensor<2x3xf32>
    %x = onnx.Gather %wte, %ids {axis = 0 : si64} : (tensor<3x2xf32>, tensor<?x?xi64>) -> tensor<?x?x2xf32>
    %all = onnx.Concat %past, %x {axis = 1 : si64} : (tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x2xf32>
    %k = onnx.Relu %all : (tensor<?x?x2xf32>) -> tensor<?x?x2xf32>
    %y = onnx.MatMul %k, %head : (tensor<?x?x2xf32>, tensor<2x3xf32>) -> tensor<?x?x3xf32>
    return %y, %all : tensor<?x?x3xf32>, tensor<?x?x2xf32>
  }
}

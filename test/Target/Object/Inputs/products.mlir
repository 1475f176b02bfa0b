// softmax(x · y) · z: buffers whose sizes are products of up to three open sizes.
func.func @main(%x: tensor<?x?x?xf32> {onnx.name = "x", onnx.dims = ["b", "m", "k"]},
                %y: tensor<?x?x?xf32> {onnx.name = "y", onnx.dims = ["b", "k", "n"]},
                %z: tensor<?x?x?xf32> {onnx.name = "z", onnx.dims = ["b", "n", "k"]})
    -> (tensor<?x?x?xf32> {onnx.name = "r", onnx.dims = ["b", "m", "k"]}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %zero = arith.constant 0.0 : f32
  %b = tensor.dim %x, %c0 : tensor<?x?x?xf32>
  %m = tensor.dim %x, %c1 : tensor<?x?x?xf32>
  %k = tensor.dim %x, %c2 : tensor<?x?x?xf32>
  %n = tensor.dim %y, %c2 : tensor<?x?x?xf32>
  %se = tensor.empty(%b, %m, %n) : tensor<?x?x?xf32>
  %sf = linalg.fill ins(%zero : f32) outs(%se : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %s = linalg.batch_matmul ins(%x, %y : tensor<?x?x?xf32>, tensor<?x?x?xf32>)
      outs(%sf : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %p = linalg.softmax dimension(2) ins(%s : tensor<?x?x?xf32>)
      outs(%se : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %re = tensor.empty(%b, %m, %k) : tensor<?x?x?xf32>
  %rf = linalg.fill ins(%zero : f32) outs(%re : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  %r = linalg.batch_matmul ins(%p, %z : tensor<?x?x?xf32>, tensor<?x?x?xf32>)
      outs(%rf : tensor<?x?x?xf32>) -> tensor<?x?x?xf32>
  return %r : tensor<?x?x?xf32>
}

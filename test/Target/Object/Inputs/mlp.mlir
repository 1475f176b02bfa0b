// tanh(x · w + b) and the sums of x · w; w [4, 8] and b [8] stand in mlp.bin
// behind 128 bytes.
weights.source @m from "mlp.bin"
func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["batch", ""]})
    -> (tensor<?x8xf32> {onnx.name = "out/y", onnx.dims = ["batch", ""]},
        tensor<?xf32> {onnx.name = "s", onnx.dims = ["batch"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x4xf32>
  %w = weights.load <@m at 128 as tensor<4x8xf32>> : tensor<4x8xf32>
  %b = weights.load <@m at 256 as tensor<8xf32>> : tensor<8xf32>
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %xw = linalg.matmul ins(%x, %w : tensor<?x4xf32>, tensor<4x8xf32>)
          outs(%f : tensor<?x8xf32>) -> tensor<?x8xf32>
  %y = linalg.generic {
      indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>,
                       affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%xw, %b : tensor<?x8xf32>, tensor<8xf32>) outs(%e : tensor<?x8xf32>) {
  ^bb0(%p: f32, %q: f32, %o: f32):
    %sum = arith.addf %p, %q : f32
    %t = math.tanh %sum : f32
    linalg.yield %t : f32
  } -> tensor<?x8xf32>
  %se = tensor.empty(%n) : tensor<?xf32>
  %sf = linalg.fill ins(%zero : f32) outs(%se : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.reduce ins(%xw : tensor<?x8xf32>) outs(%sf : tensor<?xf32>) dimensions = [1]
      (%in: f32, %acc: f32) {
    %a = arith.addf %in, %acc : f32
    linalg.yield %a : f32
  }
  return %y, %s : tensor<?x8xf32>, tensor<?xf32>
}

// The interface of a sentence encoder: ids and mask to one row of 4 numbers: the
// sum of the ids, the same with the mask added, and both again.
func.func @main(%ids: tensor<?x?xi64> {onnx.name = "ids", onnx.dims = ["batch", "tokens"]},
                %mask: tensor<?x?xi64> {onnx.name = "mask", onnx.dims = ["batch", "tokens"]})
    -> (tensor<?x4xf32> {onnx.name = "row", onnx.dims = ["batch", ""]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %ids, %c0 : tensor<?x?xi64>
  %e = tensor.empty(%n) : tensor<?x4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x4xf32>) -> tensor<?x4xf32>
  %r = linalg.generic {
      indexing_maps = [affine_map<(b, j, t) -> (b, t)>, affine_map<(b, j, t) -> (b, t)>,
                       affine_map<(b, j, t) -> (b, j)>],
      iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%ids, %mask : tensor<?x?xi64>, tensor<?x?xi64>) outs(%f : tensor<?x4xf32>) {
  ^bb0(%id: i64, %m: i64, %acc: f32):
    %j = linalg.index 1 : index
    %c2 = arith.constant 2 : index
    %odd = arith.remui %j, %c2 : index
    %o = arith.index_cast %odd : index to i64
    %om = arith.muli %o, %m : i64
    %s = arith.addi %id, %om : i64
    %v = arith.sitofp %s : i64 to f32
    %a = arith.addf %acc, %v : f32
    linalg.yield %a : f32
  } -> tensor<?x4xf32>
  return %r : tensor<?x4xf32>
}

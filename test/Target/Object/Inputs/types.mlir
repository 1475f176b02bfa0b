// Every element type of a boundary passes through unchanged; no weights.
func.func @main(%a: tensor<2xf64>, %b: tensor<2xf16>, %c: tensor<2xbf16>,
                %d: tensor<2xi64>, %e: tensor<2xi16>,
                %f: tensor<2xi8> {onnx.type = "u8"}, %g: tensor<2xi8> {onnx.type = "bool"},
                %h: tensor<f32>, %i: tensor<0x3xi32>)
    -> (tensor<2xf64>, tensor<2xf16>, tensor<2xbf16>, tensor<2xi64>, tensor<2xi16>,
        tensor<2xi8> {onnx.type = "u8"}, tensor<2xi8> {onnx.type = "bool"},
        tensor<f32>, tensor<0x3xi32>, tensor<2xf64>) {
  return %a, %b, %c, %d, %e, %f, %g, %h, %i, %a
    : tensor<2xf64>, tensor<2xf16>, tensor<2xbf16>, tensor<2xi64>, tensor<2xi16>,
      tensor<2xi8>, tensor<2xi8>, tensor<f32>, tensor<0x3xi32>, tensor<2xf64>
}

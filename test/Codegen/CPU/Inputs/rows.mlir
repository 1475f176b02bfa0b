func.func @softmax(%x: memref<?x?xf32>, %y: memref<?x?xf32>) attributes {llvm.emit_c_interface} {
  linalg.softmax dimension(1) ins(%x : memref<?x?xf32>) outs(%y : memref<?x?xf32>)
  return
}
func.func @softmax0(%x: memref<?x?xf64>, %y: memref<?x?xf64>) attributes {llvm.emit_c_interface} {
  linalg.softmax dimension(0) ins(%x : memref<?x?xf64>) outs(%y : memref<?x?xf64>)
  return
}
func.func @softmax16(%x: memref<?x?xf16>, %y: memref<?x?xf16>) attributes {llvm.emit_c_interface} {
  linalg.softmax dimension(1) ins(%x : memref<?x?xf16>) outs(%y : memref<?x?xf16>)
  return
}
func.func @layer(%x: memref<?x?xf32>, %s: memref<?xf32>, %b: memref<?xf32>, %y: memref<?x?xf32>) attributes {llvm.emit_c_interface} {
  nn.layer_norm ins(%x, %s, %b : memref<?x?xf32>, memref<?xf32>, memref<?xf32>) outs(%y : memref<?x?xf32>) {epsilon = 1.0e-5 : f64}
  return
}
func.func @rms(%x: memref<?x?xf64>, %s: memref<?xf64>, %y: memref<?x?xf64>) attributes {llvm.emit_c_interface} {
  nn.rms_norm ins(%x, %s : memref<?x?xf64>, memref<?xf64>) outs(%y : memref<?x?xf64>) {epsilon = 1.0e-5 : f64}
  return
}
func.func @gather(%x: memref<?x?xf32>, %i: memref<?x?xi64>, %y: memref<?x?x?xf32>) attributes {llvm.emit_c_interface} {
  nn.gather ins(%x, %i : memref<?x?xf32>, memref<?x?xi64>) outs(%y : memref<?x?x?xf32>) axis 0
  return
}
func.func @gather1(%x: memref<?x?xi8>, %i: memref<?xi32>, %y: memref<?x?xi8>) attributes {llvm.emit_c_interface} {
  nn.gather ins(%x, %i : memref<?x?xi8>, memref<?xi32>) outs(%y : memref<?x?xi8>) axis 1
  return
}
func.func @losses(%x: memref<?x?xf32>, %t: memref<?xi64>, %y: memref<?xf32>, %n: memref<?xf32>) attributes {llvm.emit_c_interface} {
  nn.cross_entropy ins(%x, %t : memref<?x?xf32>, memref<?xi64>) outs(%y, %n : memref<?xf32>, memref<?xf32>) {ignore = -100 : i64, smoothing = 0.1 : f64}
  return
}
func.func @scatter0(%u: memref<?x?x?xf32>, %i: memref<?x?xi64>, %y: memref<?x?xf32>) attributes {llvm.emit_c_interface} {
  nn.scatter_add ins(%u, %i : memref<?x?x?xf32>, memref<?x?xi64>) outs(%y : memref<?x?xf32>) axis 0
  return
}
func.func @scatter1(%u: memref<?x?xf64>, %i: memref<?xi32>, %y: memref<?x?xf64>) attributes {llvm.emit_c_interface} {
  nn.scatter_add ins(%u, %i : memref<?x?xf64>, memref<?xi32>) outs(%y : memref<?x?xf64>) axis 1
  return
}
func.func @softmax_gradient(%y: memref<?x?xf32>, %g: memref<?x?xf32>) attributes {llvm.emit_c_interface} {
  nn.softmax_gradient ins(%y : memref<?x?xf32>) outs(%g : memref<?x?xf32>) dimension 1
  return
}
func.func @softmax_gradient0(%y: memref<?x?xf64>, %g: memref<?x?xf64>) attributes {llvm.emit_c_interface} {
  nn.softmax_gradient ins(%y : memref<?x?xf64>) outs(%g : memref<?x?xf64>) dimension 0
  return
}
func.func @layer_gradient(%x: memref<?x?xf32>, %s: memref<?xf32>, %g: memref<?x?xf32>, %d: memref<?x?xf32>, %m: memref<?xf32>, %f: memref<?xf32>) attributes {llvm.emit_c_interface} {
  nn.norm_gradient ins(%x, %s, %g : memref<?x?xf32>, memref<?xf32>, memref<?x?xf32>) outs(%d, %m, %f : memref<?x?xf32>, memref<?xf32>, memref<?xf32>) {centred, epsilon = 1.0e-5 : f64}
  return
}
func.func @rms_gradient(%x: memref<?x?xf64>, %s: memref<?xf64>, %g: memref<?x?xf64>, %d: memref<?x?xf64>, %m: memref<?xf64>, %f: memref<?xf64>) attributes {llvm.emit_c_interface} {
  nn.norm_gradient ins(%x, %s, %g : memref<?x?xf64>, memref<?xf64>, memref<?x?xf64>) outs(%d, %m, %f : memref<?x?xf64>, memref<?xf64>, memref<?xf64>) {epsilon = 1.0e-5 : f64}
  return
}

// RUN: twist-opt %s --cpu-describe-interface --canonicalize | FileCheck %s

// An assertion on sizes leaves the program; the shape function gives the least integer where it fails.
// CHECK-LABEL: func.func @main
// CHECK-NOT: cf.assert
// CHECK-LABEL: func.func private @output_dims
// CHECK-SAME: (%[[N:.*]]: index) -> index
// CHECK: %[[CUT:.*]] = arith.minsi %[[N]], %c16
// CHECK: %[[HOLDS:.*]] = arith.cmpi eq, %[[CUT]], %[[N]]
// CHECK: %[[SIZE:.*]] = arith.select %[[HOLDS]], %[[N]], %c-9223372036854775808
// CHECK: return %[[SIZE]]
func.func @main(%x: tensor<?x8xf32> {onnx.name = "x", onnx.dims = ["n", ""]}) -> (tensor<?x8xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %n = tensor.dim %x, %c0 : tensor<?x8xf32>
  %cut = arith.minsi %n, %c16 : index
  %holds = arith.cmpi eq, %cut, %n : index
  cf.assert %holds, "a size is beyond a table of the model"
  return %x : tensor<?x8xf32>
}

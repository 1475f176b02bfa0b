// RUN: not twist-opt %s --onnx-bind-dims=dims=batch=1,sequense=4 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not twist-opt %s --onnx-bind-dims=dims=batch=0 2>&1 | FileCheck %s --check-prefix=ZERO
// RUN: not twist-opt %s --onnx-bind-dims=dims=batch=two 2>&1 | FileCheck %s --check-prefix=NUMBER
// RUN: not twist-opt %s --onnx-bind-dims=dims=3 2>&1 | FileCheck %s --check-prefix=FORM
// RUN: echo "" | not twist-opt --onnx-bind-dims=dims=batch=1 2>&1 | FileCheck %s --check-prefix=MAIN

// NAME: error: no input has a dimension 'sequense'; the symbolic ones are: batch, sequence, x.2
// ZERO: error: the size of dimension 'batch' must be positive, not 0
// NUMBER: error: expected name=size, not 'batch=two'
// FORM: error: expected name=size, not '3'
// MAIN: error: there is no function @main to bind dimensions of
func.func @main(%x: tensor<?x?x?xf32> {onnx.name = "x", onnx.dims = ["batch", "sequence", ""]}) {
  return
}

// RUN: twist-opt %s -split-input-file -verify-diagnostics -twist-prepare-training
// RUN: not twist-opt %s -split-input-file "-twist-prepare-training=train=nothing*" 2>&1 | FileCheck %s --check-prefix=TRAIN
// RUN: not twist-opt %s -split-input-file "-twist-prepare-training=freeze=*" 2>&1 | FileCheck %s --check-prefix=FREEZE
// RUN: not twist-opt %s -split-input-file "-twist-prepare-training=train=[" 2>&1 | FileCheck %s --check-prefix=GLOB

// TRAIN: --train 'nothing*' names no weight of the model
// FREEZE: no weight is left to train
// GLOB: --train '[':
module {
  func.func @main(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
    %w = onnx.Constant {onnx.meta = {name = "w"}, value = dense<1.> : tensor<2x2xf32>} : tensor<2x2xf32>
    %y = onnx.MatMul %x, %w : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    return %y : tensor<?x2xf32>
  }
}

// -----

module {
  // expected-error@+1 {{no weight is left to train}}
  func.func @main(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
    %y = onnx.Relu %x : (tensor<?x2xf32>) -> tensor<?x2xf32>
    return %y : tensor<?x2xf32>
  }
}

// -----

module {
  func.func @main(%ids: tensor<?x?xi64> {onnx.name = "ids", onnx.dims = ["batch", "sequence"]})
      -> (tensor<?x1x3xf32> {onnx.name = "logits"}) {
    %wte = onnx.Constant {onnx.meta = {name = "wte"}, value = dense<[[1., 2., 3.], [3., 4., 3.], [5., 6., 3.]]> : tensor<3x3xf32>} : tensor<3x3xf32>
    %x = onnx.Gather %wte, %ids {axis = 0 : si64} : (tensor<3x3xf32>, tensor<?x?xi64>) -> tensor<?x?x3xf32>
    %from = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
    %to = onnx.Constant {value = dense<9223372036854775807> : tensor<1xi64>} : tensor<1xi64>
    %axis = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
    %none = onnx.None
    %last = onnx.Slice %x, %from, %to, %axis, %none : (tensor<?x?x3xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<?x1x3xf32>
    // expected-error@+1 {{output 'logits' is of the last position alone: training needs a model that gives all positions}}
    %y = onnx.Relu %last : (tensor<?x1x3xf32>) -> tensor<?x1x3xf32>
    return %y : tensor<?x1x3xf32>
  }
}

// -----

module {
  // expected-error@+1 {{input 'past' holds state of a fixed length: training needs a model that can be without}}
  func.func @main(%x: tensor<?x?x2xf32> {onnx.name = "x", onnx.dims = ["batch", "sequence", ""]},
                  %past: tensor<?x4x2xf32> {onnx.name = "past", onnx.dims = ["batch", "", ""]})
      -> (tensor<?x?x2xf32> {onnx.name = "present"}) {
    %all = onnx.Concat %past, %x {axis = 1 : si64} : (tensor<?x4x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x2xf32>
    return %all : tensor<?x?x2xf32>
  }
}

// -----

module {
  func.func @main(%x: tensor<?x?x2xf32> {onnx.name = "x", onnx.dims = ["batch", "sequence", ""]},
                  %past: tensor<?x?x2xf32> {onnx.name = "past", onnx.dims = ["batch", "past", ""]})
      -> (tensor<?x?x2xf32> {onnx.name = "y"}, tensor<?x?x2xf32> {onnx.name = "present"}) {
    %all = onnx.Concat %past, %x {axis = 1 : si64} : (tensor<?x?x2xf32>, tensor<?x?x2xf32>) -> tensor<?x?x2xf32>
    // expected-error@+1 {{reads the past in a way that training cannot leave out (input 'past')}}
    %y = onnx.Relu %past : (tensor<?x?x2xf32>) -> tensor<?x?x2xf32>
    return %y, %all : tensor<?x?x2xf32>, tensor<?x?x2xf32>
  }
}

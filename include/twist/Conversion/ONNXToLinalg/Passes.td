//===- Passes.td - ONNX to linalg ---------------------------*- tablegen -*-===//
#ifndef TWIST_CONVERSION_ONNXTOLINALG_PASSES_TD
#define TWIST_CONVERSION_ONNXTOLINALG_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertONNXToLinalgPass : Pass<"convert-onnx-to-linalg", "::mlir::ModuleOp"> {
  let summary = "Writes each ONNX op's mathematics in linalg, tensor, arith, math and nn";
  let description = [{
    Takes normalised functions (typed `onnx.*` ops on ranked tensors) and gives
    the same functions on signless tensors: `i1` becomes `i8` holding 0 or 1,
    `uiN` becomes `iN`, at the functions' boundaries too. Integers that only
    make shapes become scalar index arithmetic on the sizes of the arguments;
    two dimensions with the same name in `onnx.dims` are the same size. Weights
    stay `weights.load`. Sizes that a model cannot take (more positions than it
    has a table for) are refused by a `cf.assert` on the sizes. An op without a lowering is an error at its node; all
    of them are reported before the pass fails.

    Before:
    ```mlir
    %y = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    ```
    After:
    ```mlir
    %d = tensor.dim %x, %c0 : tensor<?x4xf32>
    %e = tensor.empty(%d) : tensor<?x8xf32>
    %z = linalg.fill ins(%cst : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
    %y = linalg.matmul ins(%x, %w : tensor<?x4xf32>, tensor<4x8xf32>)
         outs(%z : tensor<?x8xf32>) -> tensor<?x8xf32>
    ```
  }];
  let statistics = [
    Statistic<"numLowered", "lowered", "ONNX ops lowered">
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect",
                           "::mlir::cf::ControlFlowDialect", "::mlir::func::FuncDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect",
                           "::twist::nn::NNDialect"];
}

#endif // TWIST_CONVERSION_ONNXTOLINALG_PASSES_TD

//===- Passes.td - Passes of the NN dialect -----------------*- tablegen -*-===//
#ifndef TWIST_DIALECT_NN_PASSES_TD
#define TWIST_DIALECT_NN_PASSES_TD

include "mlir/Pass/PassBase.td"

def NNDecomposePass : Pass<"nn-decompose"> {
  let summary = "Writes nn ops and softmax on tensors as linalg generics";
  let description = [{
    The decomposition is each op's meaning; targets without a better way to
    compute an op use it, and `linalg.softmax` goes the same way. Ops on buffers
    are left alone.

    Before:
    ```mlir
    %y = nn.gather ins(%table, %ids : tensor<100x8xf32>, tensor<?xi64>)
         outs(%init : tensor<?x8xf32>) axis 0 -> tensor<?x8xf32>
    ```
    After: one `linalg.generic` over the result, whose body reads `%table` with
    `tensor.extract`. `nn.scatter_add` becomes a loop over its indices. A norm becomes two or three generics: statistics, then
    the result.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}

#endif // TWIST_DIALECT_NN_PASSES_TD

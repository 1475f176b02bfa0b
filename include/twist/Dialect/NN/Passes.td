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

def NNFindCausalPass : Pass<"nn-find-causal", "::mlir::ModuleOp"> {
  let summary = "Finds attention that looks back only, and what it need not compute";
  let description = [{
    Where scores of fixed size get a mask of constants that hides element (i, j) for
    all j > i + offset, softmax becomes `nn.causal_softmax`; its gradient is told the
    offset; and products get the attribute `nn.triangle = [first, second, offset]`:
    their terms where loop `second` is above loop `first` + offset are 0, or, where
    both loops are the result's, the elements there are read by nobody. The mask is
    computed from the weights' bytes: chosen by `arith.select`, added, of -30000 or
    less, and each row keeps an element. What an input decides is no such mask.

    Hidden scores and values are not read then: a NaN or an infinity among them no
    longer shows in rows that do not look at it.

    Before:
    ```mlir
    %s = linalg.batch_matmul ins(%q, %k) …
    %m = linalg.generic ins(%mask, %s) … arith.select …
    %p = linalg.softmax dimension(2) ins(%m : tensor<6x64x64xf32>) …
    %y = linalg.batch_matmul ins(%p, %v) …
    ```
    After:
    ```mlir
    %s = linalg.batch_matmul {nn.triangle = array<i64: 1, 2, 0>} ins(%q, %k) …
    %m = linalg.generic ins(%mask, %s) … arith.select …
    %p = nn.causal_softmax ins(%m : tensor<6x64x64xf32>) … offset 0
    %y = linalg.batch_matmul {nn.triangle = array<i64: 1, 3, 0>} ins(%p, %v) …
    ```
  }];
  let options = [
    Option<"baseDirectory", "base-directory", "std::string", "\"\"",
           "Where relative paths of weights start">
  ];
  let statistics = [Statistic<"numCausal", "causal", "Causal softmaxes">];
  let dependentDialects = ["::twist::nn::NNDialect"];
}

#endif // TWIST_DIALECT_NN_PASSES_TD

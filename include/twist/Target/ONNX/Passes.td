//===- Passes.td - Passes that need the onnx library -------*- tablegen -*-===//
#ifndef TWIST_TARGET_ONNX_PASSES_TD
#define TWIST_TARGET_ONNX_PASSES_TD

include "mlir/Pass/PassBase.td"

def ONNXUpgrade : Pass<"onnx-upgrade", "::mlir::ModuleOp"> {
  let summary = "Inline functions, convert to one operator set, infer shapes";
  let description = [{
    The model as the onnx library sees it, without its weights: model-local
    functions are inlined, the default domain is brought to operator set
    max(opset, the model's), types of values are inferred. Nodes keep their name
    and metadata where their first output keeps its name. Constant nodes become
    `onnx.Constant` or `weights.load`, sparse initializers dense ones, inputs
    with a default value that value.

    ```mlir
    %y = "onnx.node"(%x) <{op_type = "ReduceMean", node_attributes = {axes = array<i64: 1>}}>
        : (tensor<?x4xf32>) -> !onnx.opaque<"">
    // becomes
    %axes = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
    %y = "onnx.node"(%x, %axes) <{op_type = "ReduceMean"}> : (tensor<?x4xf32>, tensor<1xi64>) -> tensor<?x1xf32>
    ```
  }];
  let options = [
    Option<"opset", "opset", "int64_t", "23", "Oldest operator set of the result">
  ];
  let statistics = [
    Statistic<"numFunctions", "functions-inlined", "Model-local functions inlined">,
    Statistic<"numNodes", "nodes", "Nodes of the result">
  ];
  let dependentDialects = ["::mlir::func::FuncDialect", "::twist::onnx::ONNXDialect",
                           "::twist::weights::WeightsDialect"];
}

#endif // TWIST_TARGET_ONNX_PASSES_TD

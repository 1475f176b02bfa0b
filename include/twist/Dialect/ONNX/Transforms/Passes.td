//===- Passes.td - Passes on ONNX graphs -------------------*- tablegen -*-===//
#ifndef TWIST_DIALECT_ONNX_TRANSFORMS_PASSES_TD
#define TWIST_DIALECT_ONNX_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def ONNXTypeNodes : Pass<"onnx-type-nodes", "::mlir::ModuleOp"> {
  let summary = "Replace each imported node the compiler knows by its typed op";
  let description = [{
    A node of ONNX's own domain becomes `onnx.<op_type>`, with its attributes by
    name and an `onnx.None` for each operand it leaves out; `Constant` nodes of
    every form become `onnx.Constant`, `Dropout` at inference its input. A node
    the dialect has no op for stays as it is; one that has a wrong number of
    operands or a wrong attribute is an error at the node. Unused nodes go.

    ```mlir
    %y = "onnx.node"(%x, %w) <{op_type = "MatMul"}> : (tensor<2x4xf32>, tensor<4x8xf32>) -> tensor<2x8xf32>
    // becomes
    %y = onnx.MatMul %x, %w : (tensor<2x4xf32>, tensor<4x8xf32>) -> tensor<2x8xf32>
    ```
  }];
  let statistics = [
    Statistic<"numTyped", "nodes-typed", "Nodes replaced by a typed op">,
    Statistic<"numKept", "nodes-kept", "Nodes the dialect has no op for">,
    Statistic<"numErased", "nodes-erased", "Unused nodes">
  ];
}

def ONNXRefineShapes : Pass<"onnx-refine-shapes", "::mlir::ModuleOp"> {
  let summary = "Follow sizes symbolically and write down what they say";
  let description = [{
    Result types become as static as the sizes are known; integer tensors known
    to be constant become `onnx.Constant`; a conditional with a known condition
    is replaced by its branch; the shape of a Reshape or Expand becomes a
    constant with 0, -1 or 1 where that says the same. A value whose rank stays
    unknown is an error at its node.

    ```mlir
    %s = onnx.Shape %x : (tensor<?x4xf32>) -> tensor<2xi64>
    %b = onnx.Gather %s, %zero {axis = 0 : si64} : (tensor<2xi64>, tensor<1xi64>) -> tensor<1xi64>
    %t = onnx.Concat %b, %twos {axis = 0 : si64} : (tensor<1xi64>, tensor<2xi64>) -> tensor<3xi64>
    %y = onnx.Reshape %x, %t : (tensor<?x4xf32>, tensor<3xi64>) -> tensor<?x?x?xf32>
    // becomes
    %t = onnx.Constant {value = dense<[-1, 2, 2]> : tensor<3xi64>} : tensor<3xi64>
    %y = onnx.Reshape %x, %t : (tensor<?x4xf32>, tensor<3xi64>) -> tensor<?x2x2xf32>
    ```
  }];
  let statistics = [
    Statistic<"numTypes", "types-refined", "Values whose type became more static">,
    Statistic<"numConstants", "values-folded", "Integer tensors found constant">,
    Statistic<"numTargets", "targets-folded", "Shapes of Reshape and Expand made constant">,
    Statistic<"numBranches", "branches-inlined", "Conditionals with a known condition">
  ];
}

def ONNXPrintSymbolicShapes : Pass<"onnx-print-symbolic-shapes", "::mlir::func::FuncOp"> {
  let summary = "Attach the symbolic sizes of results to each op, for tests";
  let description = [{
    Each op of the dialect gets `dims`, one array of polynomials per result, and
    `contents` where the elements of a result are known.
  }];
}

def ONNXBindDims : Pass<"onnx-bind-dims", "::mlir::ModuleOp"> {
  let summary = "Give symbolic input dimensions a size";
  let description = [{
    Dimensions of the main function's arguments with a given name become static,
    and with them what depends on them. A name no argument has is an error.
  }];
  let options = [
    Option<"dims", "dims", "std::string", "",
           "name=size, separated by commas; sizes are positive">
  ];
}

def ONNXSetPrecision : Pass<"onnx-set-precision", "::mlir::ModuleOp"> {
  let summary = "Compute in one floating-point type";
  let description = [{
    Every tensor of f16, bf16, f32 or f64 gets the given element type: arguments
    and results of functions, weights (their views are read with conversion),
    constants (a finite number stays finite), the targets of casts. In f16 and
    bf16 sums and functions are computed in f32 still (docs/Lowering.md). An
    untyped node with such a tensor is an error at the node.
  }];
  let options = [
    Option<"precision", "precision", "std::string", "\"f64\"", "f64, f32, f16 or bf16">
  ];
}

def ONNXDecomposeFused : Pass<"onnx-decompose-fused", "::mlir::ModuleOp"> {
  let summary = "Replace fused attention, norms and activations by plain ops";
  let description = [{
    Attention, RotaryEmbedding and the ops of com.microsoft become the ops of
    ONNX that they stand for, so that programs and proofs need to know those
    only. What an op's form does not allow is an error at its node.

    ```mlir
    %y = onnx.com.microsoft.BiasGelu %x, %b : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
    // becomes
    %s = onnx.Add %x, %b : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
    %y = onnx.Gelu %s : (tensor<2x4xf32>) -> tensor<2x4xf32>
    ```
  }];
  let statistics = [
    Statistic<"numDecomposed", "ops-decomposed", "Fused ops replaced">
  ];
}

def ONNXPreflight : Pass<"onnx-preflight", "::mlir::ModuleOp"> {
  let summary = "List every obstacle to slicing or compiling, each at its node";
  let options = [
    Option<"purpose", "for", "std::string", "\"slice\"", "slice or compile">
  ];
}

#endif // TWIST_DIALECT_ONNX_TRANSFORMS_PASSES_TD

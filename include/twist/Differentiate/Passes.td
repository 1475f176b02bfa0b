//===- Passes.td - Reverse mode -----------------------------*- tablegen -*-===//
#ifndef TWIST_DIFFERENTIATE_PASSES_TD
#define TWIST_DIFFERENTIATE_PASSES_TD

include "mlir/Pass/PassBase.td"

def DifferentiatePass : Pass<"twist-differentiate", "::mlir::ModuleOp"> {
  let summary = "Adds to each function one that computes its gradients";
  let description = [{
    Takes functions of one block on tensors (linalg, tensor, nn) and adds
    `@NAME_gradient`: the operands of `@NAME` and a cotangent for each chosen
    result; the results of `@NAME` and, for each chosen operand, the cotangents'
    product with the derivative (a vector-Jacobian product). Forward and
    backward are one function; what the backward part reads is kept alive.

    With `split` they are two: `@NAME_forward` takes the operands of `@NAME` and
    gives its results and what is kept; `@NAME_backward` takes the operands, what
    is kept and the cotangents, and gives the gradients. `recompute` says what may
    be computed again in the backward part; it is where that keeps fewer bytes
    than its result has. `report` prints what is kept, as a remark.

    A `linalg.generic` becomes, for each operand that needs it, a generic with
    transposed roles: the operand's map is the output's, dimensions it does not
    name are summed, and the body is the adjoint of the scalar body. Composites
    without a rule of their own are decomposed first. An op between the chosen
    operands and results that has no rule is an error at its node; nothing is
    taken as constant in silence. Integers and booleans have no gradient.

    At a tie, a maximum of two computed values gives each half; against a
    constant, the value gets nothing (so Relu's derivative at 0 is 0). A maximum
    over a dimension shares evenly among the equal ones.

    Before:
    ```mlir
    func.func @f(%x: tensor<4xf64>) -> tensor<4xf64> {
      %y = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]}
           ins(%x : tensor<4xf64>) outs(%e : tensor<4xf64>) {
      ^bb0(%a: f64, %b: f64):
        %s = math.exp %a : f64
        linalg.yield %s : f64
      } -> tensor<4xf64>
      return %y : tensor<4xf64>
    }
    ```
    After, beside it: `@f_gradient(%x, %y_cotangent)` that returns `%y` and
    `%y_cotangent * exp(%x)`.
  }];
  let options = [
    Option<"function", "function", "std::string", "\"\"",
           "Only this function (default: all with a body)">,
    ListOption<"operands", "operands", "int64_t",
               "Numbers of the operands (default: all of floats)">,
    ListOption<"results", "results", "int64_t",
               "Numbers of the results (default: all of floats)">,
    Option<"split", "split", "bool", "false",
           "Forward and backward as two functions">,
    Option<"recompute", "recompute", "std::string", "\"nothing\"",
           "What may be computed again: nothing, elementwise (ops and norms) or "
           "attention (softmax and large products too)">,
    Option<"report", "report", "bool", "false",
           "Print what is kept between forward and backward">
  ];
  let statistics = [
    Statistic<"numRules", "rules", "Ops whose rule was applied">
  ];
  let dependentDialects = ["::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
                           "::mlir::bufferization::BufferizationDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::math::MathDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect", "::twist::nn::NNDialect"];
}

#endif // TWIST_DIFFERENTIATE_PASSES_TD

//===- Passes.td - Passes on axes, gates and subnetworks ---*- tablegen -*-===//
#ifndef TWIST_DIALECT_TWIST_TRANSFORMS_PASSES_TD
#define TWIST_DIALECT_TWIST_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def TwistRecordModel : Pass<"twist-record-model", "::mlir::ModuleOp"> {
  let summary = "Write the model's hashes into the module";
  let description = [{
    To be run on the imported model, before anything changes it. A ticket that
    names a model is checked against these hashes.

    ```mlir
    module attributes {twist.model = {structure_sha256 = "5e88…", weights_sha256 = "9f86…"}}
    ```
  }];
  let options = [
    Option<"baseDirectory", "base-directory", "std::string", "",
           "where relative paths of weights start">
  ];
}

def TwistDiscoverAxes : Pass<"twist-discover-axes", "::mlir::ModuleOp"> {
  let summary = "Find the sets of units that can be removed together; gate them";
  let description = [{
    Follows how ops relate dimensions (docs/Rationale-Twist.md). Each axis
    becomes a `twist.axis`, and every operand that is summed away over it, the
    rows of weights included, passes a `twist.gate`. A weight used twice that
    is cut in two ways is loaded twice. Axes and gates already there are found
    anew.

    ```mlir
    %up = weights.load <@m at 0 as tensor<4x8xf32>> {onnx.meta = {name = "up"}} : tensor<4x8xf32>
    %down = weights.load <@m at 128 as tensor<8x4xf32>> {onnx.meta = {name = "down"}} : tensor<8x4xf32>
    %h = onnx.MatMul %x, %up : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    %a = onnx.Relu %h : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %y = onnx.MatMul %a, %down : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    // becomes
    twist.axis @ffn_0 {index = 0 : i64, kind = "ffn", sources = ["up:1", "down:0"], units = 8 : i64}
    %h = onnx.MatMul %x, %up : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    %a = onnx.Relu %h : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %g = twist.gate %a by @ffn_0 dim 1 at [#twist.place<offset = 0, outer = 1, units = 8, inner = 1>] : tensor<?x8xf32>
    %w = twist.gate %down by @ffn_0 dim 0 at [#twist.place<offset = 0, outer = 1, units = 8, inner = 1>] : tensor<8x4xf32>
    %y = onnx.MatMul %g, %w : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    ```
  }];
  let dependentDialects = ["::twist::axes::TwistDialect"];
  let options = [
    ListOption<"state", "state", "std::string",
               "inputs and the outputs that carry them on: `input=output`, one * on both sides">,
    ListOption<"kinds", "kinds", "std::string",
               "gate axes of these kinds only (default: all)">,
    Option<"explain", "explain", "bool", "false",
           "remark on every set of units that can't be cut, and why">
  ];
  let statistics = [
    Statistic<"numAxes", "axes", "Axes found">,
    Statistic<"numGates", "gates", "Gates placed">,
    Statistic<"numCopies", "copies", "Ops copied because their uses are cut apart">,
    Statistic<"numRefused", "refused", "Sets of units that can't be cut">
  ];
}

def TwistPrintDimensions : Pass<"twist-print-dimensions", "::mlir::ModuleOp"> {
  let summary = "Print of what the dimensions of inputs and outputs are made";
  let description = [{
    For tests of what ops declare. For each function its name, one line for each
    place of a class of units in a dimension, then one for each class that an op
    sums away or refuses; that inputs and outputs keep their sizes is left out.

    ```
    function main
    input 0 dim 1: class 2 offset 0 outer 1 units 4 inner 1
    output 0 dim 1: class 3 offset 0 outer 1 units 8 inner 1
    summed class 2
    refused class 3: Softmax over it
    ```
  }];
}

def TwistApplySubnetwork : Pass<"twist-apply-subnetwork", "::mlir::ModuleOp"> {
  let summary = "Give the model the kept units a ticket names";
  let description = [{
    Finds the model's axis of each of the ticket's and adds a
    `twist.subnetwork`. Without a ticket, the subnetwork that stands in the
    module is checked: its axes exist, kept units ascend and are the axis's.

    ```mlir
    twist.axis @ffn0 {index = 0 : i64, kind = "ffn", sources = ["up:1"], units = 4 : i64}
    // with {"version": 1, "axes": {"up:1": {"units": 4, "keep": [0, 3]}}} adds
    twist.subnetwork @ticket {ffn0 = array<i64: 0, 3>}
    ```
  }];
  let options = [
    Option<"ticket", "ticket", "std::string", "", "the ticket's file">,
    Option<"anyWeights", "any-weights", "bool", "false",
           "take a ticket made for other weights, or another model">
  ];
  let statistics = [
    Statistic<"numAxes", "axes-cut", "Axes with a unit removed">,
    Statistic<"numUnits", "units-removed", "Units removed">
  ];
}

def TwistLowerGates : Pass<"twist-lower-gates", "::mlir::ModuleOp"> {
  let summary = "Make the masked dense model: gates become selections";
  let description = [{
    A gate whose axis loses units becomes a Where on a constant mask, one value
    per index of the gated dimension; every other gate vanishes, and so do axes
    and subnetwork.

    ```mlir
    twist.axis @ffn0 {index = 0 : i64, kind = "ffn", sources = ["up:1"], units = 4 : i64}
    twist.subnetwork @ticket {ffn0 = array<i64: 0, 3>}
    %g = twist.gate %h by @ffn0 dim 1 at [#twist.place<offset = 0, outer = 1, units = 4, inner = 1>] : tensor<?x4xf32>
    // becomes
    %m = onnx.Constant {value = dense<[true, false, false, true]> : tensor<4xi1>} : tensor<4xi1>
    %z = onnx.Constant {value = dense<0.000000e+00> : tensor<f32>} : tensor<f32>
    %g = onnx.Where %m, %h, %z : (tensor<4xi1>, tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
    ```
  }];
  let dependentDialects = ["::twist::onnx::ONNXDialect"];
  let statistics = [
    Statistic<"numMasks", "gates-lowered", "Gates that became a selection">,
    Statistic<"numErased", "gates-erased", "Gates of whole axes">
  ];
}

def TwistSlice : Pass<"twist-slice", "::mlir::ModuleOp"> {
  let summary = "Remove the units the subnetwork does not keep";
  let description = [{
    Every value that carries a cut axis gets its smaller type; views of weights
    select the kept indices, constants lose elements, ops with sizes of their own
    re-emit them (arithmetic on shapes stays in dense numbers), gates, axes and
    subnetwork vanish. A layer without a unit leaves its consumer's bias. A
    weight used twice and cut differently becomes two views of the same bytes.

    ```mlir
    twist.axis @ffn0 {index = 0 : i64, kind = "ffn", sources = ["up:1"], units = 4 : i64}
    twist.subnetwork @ticket {ffn0 = array<i64: 0, 3>}
    %up = weights.load <@m at 0 as tensor<2x4xf32>> {onnx.meta = {name = "up"}} : tensor<2x4xf32>
    %down = weights.load <@m at 32 as tensor<4x2xf32>> {onnx.meta = {name = "down"}} : tensor<4x2xf32>
    %h = onnx.MatMul %x, %up : (tensor<?x2xf32>, tensor<2x4xf32>) -> tensor<?x4xf32>
    %g = twist.gate %h by @ffn0 dim 1 at [#twist.place<offset = 0, outer = 1, units = 4, inner = 1>] : tensor<?x4xf32>
    %w = twist.gate %down by @ffn0 dim 0 at [#twist.place<offset = 0, outer = 1, units = 4, inner = 1>] : tensor<4x2xf32>
    %y = onnx.MatMul %g, %w : (tensor<?x4xf32>, tensor<4x2xf32>) -> tensor<?x2xf32>
    // becomes
    %up = weights.load <@m at 0 as tensor<2x4xf32> select [unit, array<i64: 0, 3>]> {onnx.meta = {name = "up"}} : tensor<2x2xf32>
    %down = weights.load <@m at 32 as tensor<4x2xf32> select [array<i64: 0, 3>, unit]> {onnx.meta = {name = "down"}} : tensor<2x2xf32>
    %h = onnx.MatMul %x, %up : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    %y = onnx.MatMul %h, %down : (tensor<?x2xf32>, tensor<2x2xf32>) -> tensor<?x2xf32>
    ```
  }];
  let dependentDialects = ["::twist::onnx::ONNXDialect", "::twist::weights::WeightsDialect"];
  let options = [
    ListOption<"state", "state", "std::string",
               "input=output pairs that hold state; `*` stands for any text">
  ];
  let statistics = [
    Statistic<"numAxes", "axes-cut", "Axes with a unit removed">,
    Statistic<"numUnits", "units-removed", "Units removed">,
    Statistic<"bytesSaved", "bytes-saved", "Bytes of weights removed">
  ];
}

def TwistPoison : Pass<"twist-poison", "::mlir::ModuleOp"> {
  let summary = "Put NaN where the weights of removed units lie";
  let description = [{
    The masked model's outputs must stay the same, bit for bit: then nothing of
    a removed unit reaches them. Each use of a weight is poisoned on its own.
    To be run before `twist-lower-gates`.

    ```mlir
    twist.axis @ffn0 {index = 0 : i64, kind = "ffn", sources = ["up:1"], units = 4 : i64}
    twist.subnetwork @ticket {ffn0 = array<i64: 0, 3>}
    %up = weights.load <@m at 0 as tensor<2x4xf32>> {onnx.meta = {name = "up"}} : tensor<2x4xf32>
    %down = weights.load <@m at 32 as tensor<4x2xf32>> {onnx.meta = {name = "down"}} : tensor<4x2xf32>
    %h = onnx.MatMul %x, %up : (tensor<?x2xf32>, tensor<2x4xf32>) -> tensor<?x4xf32>
    %g = twist.gate %h by @ffn0 dim 1 at [#twist.place<offset = 0, outer = 1, units = 4, inner = 1>] : tensor<?x4xf32>
    %w = twist.gate %down by @ffn0 dim 0 at [#twist.place<offset = 0, outer = 1, units = 4, inner = 1>] : tensor<4x2xf32>
    %y = onnx.MatMul %g, %w : (tensor<?x4xf32>, tensor<4x2xf32>) -> tensor<?x2xf32>
    // becomes
    %nan = onnx.Constant {value = dense<0x7FC00000> : tensor<f32>} : tensor<f32>
    %m = onnx.Constant {value = dense<[true, false, false, true]> : tensor<4xi1>} : tensor<4xi1>
    %p = onnx.Where %m, %up, %nan : (tensor<4xi1>, tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
    %h = onnx.MatMul %x, %p : (tensor<?x2xf32>, tensor<2x4xf32>) -> tensor<?x4xf32>
    ```
  }];
  let dependentDialects = ["::twist::onnx::ONNXDialect"];
  let options = [
    ListOption<"state", "state", "std::string",
               "input=output pairs that hold state; `*` stands for any text">
  ];
  let statistics = [
    Statistic<"numElements", "elements-poisoned", "Elements made NaN">
  ];
}

def TwistPrepareTraining : Pass<"twist-prepare-training", "::mlir::ModuleOp"> {
  let summary = "An inference export becomes a graph to train";
  let description = [{
    Of a normalised graph: state inputs (a key-value cache) are taken to be empty
    and go, with the outputs that carry them on; fused ops become plain ones;
    weights of equal content, or one the other's transpose, become one again
    (constant ones, such as fresh biases, stay apart); floats are f32, or f64,
    weights read with conversion. An output of the last position alone is an
    error: a loss needs all.

    Every weight of floats gets the attribute `twist.parameter`, which says what
    it is for, told by the ops that read it: `weight` of a contraction or
    convolution, `bias` of one, `scale` and `shift` of a norm, `embedding`, whose
    rows are gathered. Those are trained, `other` is frozen (masks, tables of
    positions that multiply data, running statistics); `train` and `freeze`
    override by name, `freeze` last. Weight decay acts on trained tensors of
    rank 2 and more.

    ```mlir
    %w = weights.load <@m at 0 as tensor<4x8xf16>> {onnx.meta = {name = "up"}} : tensor<4x8xf16>
    %y = onnx.MatMul %x, %w : (tensor<?x4xf16>, tensor<4x8xf16>) -> tensor<?x8xf16>
    // becomes
    %w = weights.load <@m at 0 as tensor<4x8xf16>> {onnx.meta = {name = "up"}, twist.parameter = {copies = [], decayed = true, name = "up", role = "weight", trainable = true}} : tensor<4x8xf32>
    %y = onnx.MatMul %x, %w : (tensor<?x4xf32>, tensor<4x8xf32>) -> tensor<?x8xf32>
    ```
  }];
  let dependentDialects = ["::twist::onnx::ONNXDialect", "::twist::weights::WeightsDialect"];
  let options = [
    ListOption<"state", "state", "std::string",
               "inputs and the outputs that carry them on: `input=output`, one * on both sides">,
    ListOption<"train", "train", "std::string", "globs on names of weights to train">,
    ListOption<"freeze", "freeze", "std::string", "globs on names of weights to leave as they are">,
    Option<"f64", "f64", "bool", "false", "parameters and all that is computed are f64">,
    Option<"print", "print", "bool", "false", "print both lists">,
    Option<"baseDirectory", "base-directory", "std::string", "",
           "where relative paths of weights start">
  ];
  let statistics = [
    Statistic<"numTrained", "trained", "Weights to train">,
    Statistic<"numFrozen", "frozen", "Weights that stay">
  ];
}

#endif // TWIST_DIALECT_TWIST_TRANSFORMS_PASSES_TD

//===- NNOps.td - Composites of neural networks -------------*- tablegen -*-===//
#ifndef TWIST_DIALECT_NN_OPS_TD
#define TWIST_DIALECT_NN_OPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

def NN_Dialect : Dialect {
  let name = "nn";
  let cppNamespace = "::twist::nn";
  let summary = "Composites that deserve better than their decomposition";
  let description = [{
    Each op is destination-style, on tensors and on buffers, and has a
    decomposition into linalg that states its meaning.
  }];
}

def NN_FloatTensorOrBuffer : AnyTypeOf<[TensorOf<[AnyFloat]>, MemRefOf<[AnyFloat]>],
                                       "ranked tensor or buffer of floats">;
def NN_AnyTensorOrBuffer : AnyTypeOf<[AnyRankedTensor, AnyMemRef],
                                     "ranked tensor or buffer">;
def NN_IndexTensorOrBuffer
    : AnyTypeOf<[TensorOf<[AnySignlessInteger]>, MemRefOf<[AnySignlessInteger]>],
                "ranked tensor or buffer of integers">;

class NN_Op<string mnemonic> : Op<NN_Dialect, mnemonic,
    [DestinationStyleOpInterface, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
     DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>]> {
  let results = (outs Optional<AnyRankedTensor>:$result);
  let hasVerifier = 1;
  code dpsDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }
  }];
  let extraClassDeclaration = dpsDeclaration;
}

/// Several results, one an init.
class NN_MultiOp<string mnemonic> : Op<NN_Dialect, mnemonic,
    [DestinationStyleOpInterface, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
     DeclareOpInterfaceMethods<ReifyRankedShapedTypeOpInterface, ["reifyResultShapes"]>]> {
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let hasVerifier = 1;
  code dpsDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitsMutable(); }
  }];
  let extraClassDeclaration = dpsDeclaration;
}

def NN_LayerNormOp : NN_Op<"layer_norm"> {
  let summary = "normalises each row to mean 0 and variance 1, then scales and shifts";
  let description = [{
    Semantics: over the last dimension n of `input`, with x one of its rows,
    `result = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + bias`.
    Means and the division are computed in the larger of f32 and the element
    type; the result is rounded once.

    Operands: `input` and `init` have the same shape, rank >= 1; `scale` and
    `bias` (optional) have rank 1 and the size of the last dimension.

    Constraints:
    - C1: `init` has the type of `input`'s shape and element type.
    - C2: `scale` and `bias` have rank 1 and the last dimension's size.
    - C3: on tensors there is a result, of `init`'s type; on buffers none.

    Example:
    ```mlir
    %y = nn.layer_norm ins(%x, %g, %b : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>)
         outs(%init : tensor<?x8xf32>) {epsilon = 1.0e-5 : f64} -> tensor<?x8xf32>
    ```
  }];
  let arguments = (ins NN_FloatTensorOrBuffer:$input, NN_FloatTensorOrBuffer:$scale,
                       Optional<NN_FloatTensorOrBuffer>:$bias,
                       NN_FloatTensorOrBuffer:$init, F64Attr:$epsilon);
  let assemblyFormat = [{
    `ins` `(` $input `,` $scale (`,` $bias^)? `:` type($input) `,` type($scale)
    (`,` type($bias)^)? `)` `outs` `(` $init `:` type($init) `)` attr-dict
    (`->` type($result)^)?
  }];
}

def NN_RMSNormOp : NN_Op<"rms_norm"> {
  let summary = "divides each row by its root mean square, then scales";
  let description = [{
    Semantics: over the last dimension of `input`, with x one of its rows,
    `result = x / sqrt(mean(x^2) + epsilon) * scale`, computed in the larger of
    f32 and the element type and rounded once.

    Constraints: C1 to C3 of `nn.layer_norm`, without `bias`.

    Example:
    ```mlir
    %y = nn.rms_norm ins(%x, %g : tensor<?x8xf32>, tensor<8xf32>)
         outs(%init : tensor<?x8xf32>) {epsilon = 1.0e-5 : f64} -> tensor<?x8xf32>
    ```
  }];
  let arguments = (ins NN_FloatTensorOrBuffer:$input, NN_FloatTensorOrBuffer:$scale,
                       NN_FloatTensorOrBuffer:$init, F64Attr:$epsilon);
  let assemblyFormat = [{
    `ins` `(` $input `,` $scale `:` type($input) `,` type($scale) `)`
    `outs` `(` $init `:` type($init) `)` attr-dict (`->` type($result)^)?
  }];
}

def NN_GatherOp : NN_Op<"gather"> {
  let summary = "rows of a tensor, picked by indices along one dimension";
  let description = [{
    Semantics: with a = `axis`, q = rank of `indices` and n = size of `data`'s
    dimension a, `result[i.., j.., k..] = data[i.., p, k..]` where i has a
    entries, j has q entries and p = `indices[j..]`, plus n if it is negative,
    then clamped to [0, n - 1]: an index from a user never reads outside `data`.

    Constraints:
    - C1: `init` has `data`'s element type and rank(data) - 1 + q dimensions,
      `data[:a] ++ indices ++ data[a+1:]` where sizes are static.
    - C2: 0 <= `axis` < rank(data).
    - C3: on tensors there is a result, of `init`'s type; on buffers none.

    Example:
    ```mlir
    %y = nn.gather ins(%table, %ids : tensor<100x8xf32>, tensor<?x?xi64>)
         outs(%init : tensor<?x?x8xf32>) axis 0 -> tensor<?x?x8xf32>
    ```
  }];
  let arguments = (ins NN_AnyTensorOrBuffer:$data, NN_IndexTensorOrBuffer:$indices,
                       NN_AnyTensorOrBuffer:$init, I64Attr:$axis);
  let assemblyFormat = [{
    `ins` `(` $data `,` $indices `:` type($data) `,` type($indices) `)`
    `outs` `(` $init `:` type($init) `)` `axis` $axis attr-dict (`->` type($result)^)?
  }];
}

def NN_ScatterAddOp : NN_Op<"scatter_add"> {
  let summary = "adds rows to a tensor, at indices along one dimension";
  let description = [{
    Semantics: the transpose of `nn.gather`. With a = `axis`, q = rank of
    `indices` and n = size of `init`'s dimension a, `result` is `init`, plus,
    for each j, `updates[i.., j.., k..]` at `[i.., p, k..]` where i has a
    entries, j has q entries and p = `indices[j..]`, plus n if it is negative,
    then clamped to [0, n - 1]. Rows that meet are added in the order of j.

    Constraints:
    - C1: `updates` has `init`'s element type and the shape of
      `init[:a] ++ indices ++ init[a+1:]` where sizes are static.
    - C2: 0 <= `axis` < rank(init).
    - C3: on tensors there is a result, of `init`'s type; on buffers none.

    Example:
    ```mlir
    %y = nn.scatter_add ins(%rows, %ids : tensor<?x?x8xf32>, tensor<?x?xi64>)
         outs(%table : tensor<100x8xf32>) axis 0 -> tensor<100x8xf32>
    ```
  }];
  let arguments = (ins NN_FloatTensorOrBuffer:$updates, NN_IndexTensorOrBuffer:$indices,
                       NN_FloatTensorOrBuffer:$init, I64Attr:$axis);
  let assemblyFormat = [{
    `ins` `(` $updates `,` $indices `:` type($updates) `,` type($indices) `)`
    `outs` `(` $init `:` type($init) `)` `axis` $axis attr-dict (`->` type($result)^)?
  }];
}

def NN_CrossEntropyOp : NN_MultiOp<"cross_entropy"> {
  let summary = "how unlikely each row makes its target";
  let description = [{
    Semantics: over the last dimension of `logits`, V long, with x one of its rows
    and t the row's target:
    `normaliser = log(sum(exp(x)))`, computed without overflow, and
    `loss = normaliser - (1 - smoothing) * x[t] - smoothing * mean(x)`,
    the cross entropy of softmax(x) with a distribution that has 1 - smoothing at t
    and the rest spread evenly (Szegedy et al., "Rethinking the Inception
    Architecture", section 7). A row whose target is `ignore` has loss 0; else
    a target outside [0, V) makes the loss NaN, and reads nothing. Both results are
    in the larger of f32 and `logits`' element type.

    Operands: `targets` has the shape of `logits` without its last dimension.

    Constraints:
    - C1: `targets` and both inits have `logits`' shape without its last dimension.
    - C2: both inits have the larger of f32 and `logits`' element type.
    - C3: 0 <= `smoothing` < 1.
    - C4: on tensors the results have the inits' types; on buffers there are none.

    Example:
    ```mlir
    %loss, %normaliser = nn.cross_entropy
        ins(%logits, %targets : tensor<?x100xf32>, tensor<?xi64>)
        outs(%e, %e : tensor<?xf32>, tensor<?xf32>) {ignore = -100 : i64}
        -> tensor<?xf32>, tensor<?xf32>
    ```
  }];
  let arguments = (ins NN_FloatTensorOrBuffer:$logits, NN_IndexTensorOrBuffer:$targets,
                       Variadic<NN_FloatTensorOrBuffer>:$inits,
                       OptionalAttr<I64Attr>:$ignore,
                       DefaultValuedAttr<F64Attr, "0.0">:$smoothing);
  let assemblyFormat = [{
    `ins` `(` $logits `,` $targets `:` type($logits) `,` type($targets) `)`
    `outs` `(` $inits `:` type($inits) `)` attr-dict (`->` type($results)^)?
  }];
}

def NN_CausalSoftmaxOp : NN_Op<"causal_softmax"> {
  let summary = "softmax of the first elements of each row, zeros after them";
  let description = [{
    Semantics: with n the size of the last dimension, row i of the one before it
    (for each index of the others) has m = min(n, i + `offset` + 1) elements:
    `result[.., i, j]` is element j of the softmax of `input[.., i, 0 .. m)` for
    j < m, else 0. Elements from m on are not read.

    Constraints:
    - C1: `init` has `input`'s shape and element type, of rank >= 2.
    - C2: 0 <= `offset`.
    - C3: on tensors there is a result, of `init`'s type; on buffers none.

    Example:
    ```mlir
    %y = nn.causal_softmax ins(%x : tensor<?x8x8xf32>) outs(%init : tensor<?x8x8xf32>)
         offset 0 -> tensor<?x8x8xf32>
    ```
  }];
  let arguments = (ins NN_FloatTensorOrBuffer:$input, NN_FloatTensorOrBuffer:$init,
                       I64Attr:$offset);
  let assemblyFormat = [{
    `ins` `(` $input `:` type($input) `)` `outs` `(` $init `:` type($init) `)`
    `offset` $offset attr-dict (`->` type($result)^)?
  }];
}

def NN_SoftmaxGradientOp : NN_Op<"softmax_gradient"> {
  let summary = "what softmax's input gets from its result's cotangent";
  let description = [{
    Semantics: along `dimension`, with y a line of `softmax` and g the same line of
    `init`, `result = y * (g - sum(y * g))`. The cotangent is the init, as it is
    read where it is written. With `causal` it is the gradient of
    nn.causal_softmax with this offset: of row i only the first i + `causal` + 1
    elements are read, and the others of the result are 0.

    Constraints:
    - C1: `init` has `softmax`'s shape and element type.
    - C2: 0 <= `dimension` < rank.
    - C3: on tensors there is a result, of `init`'s type; on buffers none.
    - C4: `causal` >= 0, `dimension` is the last and not the only one then.

    Example:
    ```mlir
    %d = nn.softmax_gradient ins(%y : tensor<?x8xf32>) outs(%g : tensor<?x8xf32>)
         dimension 1 -> tensor<?x8xf32>
    ```
  }];
  let arguments = (ins NN_FloatTensorOrBuffer:$softmax, NN_FloatTensorOrBuffer:$init,
                       I64Attr:$dimension, OptionalAttr<I64Attr>:$causal);
  let assemblyFormat = [{
    `ins` `(` $softmax `:` type($softmax) `)` `outs` `(` $init `:` type($init) `)`
    `dimension` $dimension (`causal` $causal^)? attr-dict (`->` type($result)^)?
  }];
}

def NN_NormGradientOp : NN_MultiOp<"norm_gradient"> {
  let summary = "what a norm's input gets from its result's cotangent";
  let description = [{
    Semantics: over the last dimension of `input`, with x one of its rows, g the
    row of `cotangent`, and `mean(x)` 0 unless `centred`:
    `factor = 1 / sqrt(mean((x - mean(x))^2) + epsilon)`, h = (x - mean(x)) *
    factor, s = g * scale and
    `result = factor * (s - mean(s) - h * mean(s * h))`, where mean(s) too is 0
    unless `centred`. The results are this, of `input`'s element type, and for each
    row mean(x) and factor, in the larger of f32 and that: what the gradients of
    scale and bias need. `centred` is layer_norm's gradient, else rms_norm's.

    Constraints:
    - C1: `cotangent` and the first init have `input`'s shape and element type.
    - C2: `scale` has rank 1 and the size of the last dimension.
    - C3: the other two inits have one element a row, of the larger of f32 and
      `input`'s element type.
    - C4: on tensors the results have the inits' types; on buffers there are none.

    Example:
    ```mlir
    %d:3 = nn.norm_gradient
        ins(%x, %scale, %g : tensor<?x8xf32>, tensor<8xf32>, tensor<?x8xf32>)
        outs(%e, %m, %m : tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>)
        {centred, epsilon = 1.0e-5 : f64}
        -> tensor<?x8xf32>, tensor<?xf32>, tensor<?xf32>
    ```
  }];
  let arguments = (ins NN_FloatTensorOrBuffer:$input, NN_FloatTensorOrBuffer:$scale,
                       NN_FloatTensorOrBuffer:$cotangent,
                       Variadic<NN_FloatTensorOrBuffer>:$inits,
                       F64Attr:$epsilon, UnitAttr:$centred);
  let assemblyFormat = [{
    `ins` `(` $input `,` $scale `,` $cotangent `:` type($input) `,` type($scale) `,`
    type($cotangent) `)` `outs` `(` $inits `:` type($inits) `)` attr-dict
    (`->` type($results)^)?
  }];
}

def NN_AgainOp : Op<NN_Dialect, "again", [Pure, SameOperandsAndResultType]> {
  let summary = "the same value, for what is computed once more";
  let description = [{
    Semantics: `result` is `value`. Ops that read it compute again what others
    computed from `value`: without it they would be the same ops, of which one
    would stay, and its result be kept from the first use to the last. It costs
    nothing: both are one buffer.

    Example:
    ```mlir
    %x2 = nn.again %x : tensor<?x8xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$value);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$value attr-dict `:` type($value)";
}

#endif // TWIST_DIALECT_NN_OPS_TD

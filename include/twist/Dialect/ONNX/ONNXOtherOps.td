//===- ONNXOtherOps.td - Indexing, recurrence, losses -------*- tablegen -*-===//
//
// The rest of ONNXOps.td, which includes this file after its classes.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_ONNX_OTHER_OPS_TD
#define TWIST_DIALECT_ONNX_OTHER_OPS_TD

//===----------------------------------------------------------------------===//
// Element-wise
//===----------------------------------------------------------------------===//

def ONNX_ShrinkOp : ONNX_MapOp<"Shrink", (ins ONNX_Float<"0.0">:$bias, ONNX_Float<"0.5">:$lambd)>;
def ONNX_BitCastOp : ONNX_MapOp<"BitCast", (ins SI64Attr:$to)>;
def ONNX_SwiGLUOp : ONNX_Map2Op<"SwiGLU", (ins ONNX_Float<"1.0">:$alpha)>;

// Scale and zero point are of one element, of one per index along `axis`, or of
// one per block along it.
def ONNX_QuantizeLinearOp : ONNX_Op<"QuantizeLinear", [Pure]> {
  let arguments = (ins ONNX_Value:$x, ONNX_Value:$y_scale, ONNX_Optional:$y_zero_point, ONNX_Int<"1">:$axis,
                       ONNX_OptInt:$block_size, ONNX_OptInt:$output_dtype, ONNX_OptInt:$precision,
                       ONNX_OptInt:$saturate);
  let results = (outs ONNX_Value:$y);
  let extraClassDefinition = ONNX_RelateBy<"relateQuantization">.definition;
}
def ONNX_DequantizeLinearOp : ONNX_Op<"DequantizeLinear", [Pure]> {
  let arguments = (ins ONNX_Value:$x, ONNX_Value:$x_scale, ONNX_Optional:$x_zero_point, ONNX_Int<"1">:$axis,
                       ONNX_OptInt:$block_size, ONNX_OptInt:$output_dtype);
  let results = (outs ONNX_Value:$y);
  let extraClassDefinition = ONNX_RelateBy<"relateQuantization">.definition;
}

//===----------------------------------------------------------------------===//
// Contractions, norms, reductions, losses
//===----------------------------------------------------------------------===//

def ONNX_MatMulIntegerOp : ONNX_Op<"MatMulInteger", [Pure]> {
  let arguments = (ins ONNX_Value:$A, ONNX_Value:$B, ONNX_Optional:$a_zero_point, ONNX_Optional:$b_zero_point);
  let results = (outs ONNX_Value:$Y);
}
def ONNX_LpNormalizationOp : ONNX_UnaryOp<"LpNormalization", (ins ONNX_Int<"-1">:$axis, ONNX_Int<"2">:$p)> {
  let extraClassDefinition = ONNX_RelateBy<"relateAlongAxis">.definition;
}
def ONNX_MeanVarianceNormalizationOp : ONNX_UnaryOp<"MeanVarianceNormalization", (ins ONNX_OptInts:$axes)>;
def ONNX_CumProdOp : ONNX_Op<"CumProd", [Pure]> {
  let arguments = (ins ONNX_Value:$x, ONNX_Value:$axis, ONNX_Int<"0">:$exclusive, ONNX_Int<"0">:$reverse);
  let results = (outs ONNX_Value:$y);
  let extraClassDefinition = ONNX_RelateBy<"relateCumulative">.definition;
}
def ONNX_NegativeLogLikelihoodLossOp : ONNX_Op<"NegativeLogLikelihoodLoss", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$target, ONNX_Optional:$weight,
                       ONNX_OptInt:$ignore_index, ONNX_Str<"mean">:$reduction);
  let results = (outs ONNX_Value:$loss);
  let extraClassDefinition = ONNX_RelateBy<"relateLoss">.definition;
}
def ONNX_SoftmaxCrossEntropyLossOp : ONNX_Op<"SoftmaxCrossEntropyLoss", [Pure]> {
  let arguments = (ins ONNX_Value:$scores, ONNX_Value:$labels, ONNX_Optional:$weights,
                       ONNX_OptInt:$ignore_index, ONNX_Str<"mean">:$reduction);
  let results = (outs ONNX_Value:$output, ONNX_Optional:$log_prob);
  let extraClassDefinition = ONNX_RelateBy<"relateLoss">.definition;
}

//===----------------------------------------------------------------------===//
// Recurrent nets: X is [sequence, batch, input], [batch, sequence, input] with
// layout 1; W [directions, gates * hidden, input]; R [.., .., hidden]
//===----------------------------------------------------------------------===//

class ONNX_RecurrentOp<string mnemonic, dag moreOperands, dag moreAttributes, dag moreResults>
    : ONNX_Op<mnemonic, [Pure]> {
  let arguments = !con((ins ONNX_Value:$X, ONNX_Value:$W, ONNX_Value:$R, ONNX_Optional:$B,
                            ONNX_Optional:$sequence_lens, ONNX_Optional:$initial_h),
                       moreOperands,
                       (ins OptionalAttr<DenseF32ArrayAttr>:$activation_alpha,
                            OptionalAttr<DenseF32ArrayAttr>:$activation_beta,
                            OptionalAttr<StrArrayAttr>:$activations, ONNX_OptFloat:$clip,
                            ONNX_Str<"forward">:$direction, ONNX_OptInt:$hidden_size,
                            ONNX_Int<"0">:$layout),
                       moreAttributes);
  let results = !con((outs ONNX_Optional:$Y, ONNX_Optional:$Y_h), moreResults);
  let hasVerifier = 1;
  let extraClassDefinition = ONNX_RelateBy<"relateRecurrent">.definition;
}
def ONNX_RNNOp : ONNX_RecurrentOp<"RNN", (ins), (ins), (outs)>;
def ONNX_GRUOp : ONNX_RecurrentOp<"GRU", (ins), (ins ONNX_Int<"0">:$linear_before_reset), (outs)>;
def ONNX_LSTMOp : ONNX_RecurrentOp<"LSTM", (ins ONNX_Optional:$initial_c, ONNX_Optional:$P),
                                   (ins ONNX_Int<"0">:$input_forget), (outs ONNX_Optional:$Y_c)>;

//===----------------------------------------------------------------------===//
// Data movement
//===----------------------------------------------------------------------===//

def ONNX_ScatterElementsOp : ONNX_Op<"ScatterElements", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Value:$indices, ONNX_Value:$updates, ONNX_Int<"0">:$axis,
                       ONNX_Str<"none">:$reduction);
  let results = (outs ONNX_Value:$output);
  let hasVerifier = 1;
}
def ONNX_TensorScatterOp : ONNX_Op<"TensorScatter", [Pure]> {
  let arguments = (ins ONNX_Value:$past_cache, ONNX_Value:$update, ONNX_Optional:$write_indices,
                       ONNX_Int<"-2">:$axis, ONNX_Str<"linear">:$mode);
  let results = (outs ONNX_Value:$present_cache);
}
def ONNX_TopKOp : ONNX_Op<"TopK", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Value:$K, ONNX_Int<"-1">:$axis, ONNX_Int<"1">:$largest,
                       ONNX_Int<"1">:$sorted);
  let results = (outs ONNX_Value:$Values, ONNX_Value:$Indices);
}
def ONNX_OneHotOp : ONNX_Op<"OneHot", [Pure]> {
  let arguments = (ins ONNX_Value:$indices, ONNX_Value:$depth, ONNX_Value:$values, ONNX_Int<"-1">:$axis);
  let results = (outs ONNX_Value:$output);
}
def ONNX_ReverseSequenceOp : ONNX_Op<"ReverseSequence", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$sequence_lens, ONNX_Int<"1">:$batch_axis,
                       ONNX_Int<"0">:$time_axis);
  let results = (outs ONNX_Value:$Y);
}
def ONNX_CenterCropPadOp : ONNX_Op<"CenterCropPad", [Pure]> {
  let arguments = (ins ONNX_Value:$input_data, ONNX_Value:$shape, ONNX_OptInts:$axes);
  let results = (outs ONNX_Value:$output_data);
}
def ONNX_Col2ImOp : ONNX_Op<"Col2Im", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$image_shape, ONNX_Value:$block_shape,
                       ONNX_OptInts:$dilations, ONNX_OptInts:$pads, ONNX_OptInts:$strides);
  let results = (outs ONNX_Value:$output);
}
def ONNX_GridSampleOp : ONNX_Op<"GridSample", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Value:$grid, ONNX_Int<"0">:$align_corners,
                       ONNX_Str<"linear">:$mode, ONNX_Str<"zeros">:$padding_mode);
  let results = (outs ONNX_Value:$Y);
  let hasVerifier = 1;
}

// How many elements these pick depends on data.
def ONNX_CompressOp : ONNX_Op<"Compress", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$condition, ONNX_OptInt:$axis);
  let results = (outs ONNX_Value:$output);
}
def ONNX_NonZeroOp : ONNX_UnaryOp<"NonZero">;
def ONNX_UniqueOp : ONNX_Op<"Unique", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_OptInt:$axis, ONNX_Int<"1">:$sorted);
  let results = (outs ONNX_Value:$Y, ONNX_Optional:$indices, ONNX_Optional:$inverse_indices,
                      ONNX_Optional:$counts);
}

//===----------------------------------------------------------------------===//
// Sizes and sources
//===----------------------------------------------------------------------===//

def ONNX_EyeLikeOp : ONNX_UnaryOp<"EyeLike", (ins ONNX_OptInt:$dtype, ONNX_Int<"0">:$k)>;
def ONNX_AffineGridOp : ONNX_Op<"AffineGrid", [Pure]> {
  let arguments = (ins ONNX_Value:$theta, ONNX_Value:$size, ONNX_Int<"0">:$align_corners);
  let results = (outs ONNX_Value:$grid);
}

#endif // TWIST_DIALECT_ONNX_OTHER_OPS_TD

//===- ONNXOps.td - ONNX ops, typed -------------------------*- tablegen -*-===//
//
// Operand and attribute names are ONNX's own. Attribute types decide the
// AttributeProto kind on export: si64 INT, f32 FLOAT, string STRING, array<i64>
// INTS, array<f32> FLOATS, elements TENSOR. An attribute equal to its default
// is still written.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_DIALECT_ONNX_OPS_TD
#define TWIST_DIALECT_ONNX_OPS_TD

include "mlir/Interfaces/ControlFlowInterfaces.td"
include "twist/Dialect/ONNX/ONNXDialect.td"

//===----------------------------------------------------------------------===//
// Types, attributes and op families
//===----------------------------------------------------------------------===//

// Tensors of any rank and element type; what the compiler passes through too.
def ONNX_Value : Type<CPred<"::llvm::isa<::mlir::TensorType, ::twist::onnx::OpaqueType>($_self)">,
                      "ONNX value">;
def ONNX_Optional : Type<Or<[ONNX_Value.predicate, NoneType.predicate]>,
                         "ONNX value or none">;

class ONNX_Int<string default> : DefaultValuedAttr<SI64Attr, default>;
class ONNX_Float<string default> : DefaultValuedAttr<F32Attr, default>;
class ONNX_Str<string default> : DefaultValuedStrAttr<StrAttr, default>;
defvar ONNX_OptInt = OptionalAttr<SI64Attr>;
defvar ONNX_OptInts = OptionalAttr<DenseI64ArrayAttr>;
defvar ONNX_OptFloat = OptionalAttr<F32Attr>;

// An `axis` attribute counts dimensions of the first operand.
def ONNX_AxisInRange : NativeOpTrait<"AxisInRange"> {
  let cppNamespace = "::twist::onnx";
}

// Every typed op says how its dimensions relate (lib/Dialect/ONNX/Relations*.cpp).
class ONNX_Op<string mnemonic, list<Trait> traits = []>
    : Op<ONNX_Dialect, mnemonic,
         traits # [ONNX_AxisInRange,
                   DeclareOpInterfaceMethods<DimensionRelationsOpInterface, ["declareRelations"]>]> {
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
}

// For families that relate their dimensions alike, by a function of
// lib/Dialect/ONNX/Relations.h.
class ONNX_RelateBy<string function> {
  string definition = "void $cppClass::declareRelations(::twist::Relations &relations) { "
                      # function # "(*this, relations); }";
}
defvar ONNX_RelateUnits = ONNX_RelateBy<"relateUnits">.definition;

// For ops that hold sizes of their own (lib/Dialect/ONNX/SliceUpdate.cpp).
defvar ONNX_UpdatesForSlice = [{
  ::llvm::LogicalResult updateForSlice(::twist::SliceUpdate &update);
}];

// The result's element at an index depends on the operands' elements there,
// after numpy's broadcasting, alone.
def ONNX_Elementwise : NativeOpTrait<"Elementwise"> {
  let cppNamespace = "::twist::onnx";
}

class ONNX_UnaryOp<string mnemonic, dag attributes = (ins), list<Trait> traits = []>
    : ONNX_Op<mnemonic, [Pure] # traits> {
  let arguments = !con((ins ONNX_Value:$X), attributes);
  let results = (outs ONNX_Value:$Y);
}

class ONNX_BinaryOp<string mnemonic, dag attributes = (ins), list<Trait> traits = []>
    : ONNX_Op<mnemonic, [Pure] # traits> {
  let arguments = !con((ins ONNX_Value:$A, ONNX_Value:$B), attributes);
  let results = (outs ONNX_Value:$C);
}

class ONNX_MapOp<string mnemonic, dag attributes = (ins)>
    : ONNX_UnaryOp<mnemonic, attributes, [ONNX_Elementwise]> {
  let extraClassDefinition = ONNX_RelateUnits;
}
class ONNX_Map2Op<string mnemonic, dag attributes = (ins)>
    : ONNX_BinaryOp<mnemonic, attributes, [ONNX_Elementwise]> {
  let extraClassDefinition = ONNX_RelateUnits;
}

class ONNX_VariadicOp<string mnemonic> : ONNX_Op<mnemonic, [Pure, ONNX_Elementwise]> {
  let arguments = (ins Variadic<ONNX_Value>:$data_0);
  let results = (outs ONNX_Value:$result);
  let extraClassDefinition = ONNX_RelateUnits;
}

class ONNX_ReduceOp<string mnemonic> : ONNX_Op<mnemonic, [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Optional:$axes,
                       ONNX_Int<"1">:$keepdims, ONNX_Int<"0">:$noop_with_empty_axes);
  let results = (outs ONNX_Value:$reduced);
  let extraClassDefinition = ONNX_RelateBy<"relateReduction">.definition;
}

class ONNX_ArgOp<string mnemonic> : ONNX_Op<mnemonic, [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Int<"0">:$axis,
                       ONNX_Int<"1">:$keepdims, ONNX_Int<"0">:$select_last_index);
  let results = (outs ONNX_Value:$reduced);
  let extraClassDefinition = ONNX_RelateBy<"relateArgReduction">.definition;
}

//===----------------------------------------------------------------------===//
// As imported
//===----------------------------------------------------------------------===//

def ONNX_NodeOp : Op<ONNX_Dialect, "node", [DimensionRelationsOpInterface]> {
  let summary = "a node exactly as the file has it";
  let description = [{
    `node_attributes` holds the node's attributes by name; graph attributes are
    regions, named in order by `region_names`. All else a NodeProto says stands
    in `onnx.meta`.
  }];
  let arguments = (ins Variadic<ONNX_Optional>:$inputs, StrAttr:$op_type,
                       DefaultValuedStrAttr<StrAttr, "">:$domain,
                       DefaultValuedAttr<DictionaryAttr, "{}">:$node_attributes,
                       DefaultValuedAttr<StrArrayAttr, "{}">:$region_names);
  let results = (outs Variadic<ONNX_Optional>:$outputs);
  let regions = (region VariadicRegion<AnyRegion>:$subgraphs);
}

def ONNX_YieldOp : Op<ONNX_Dialect, "yield", [Pure, Terminator, ReturnLike]> {
  let summary = "the outputs of a subgraph";
  let arguments = (ins Variadic<ONNX_Optional>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

def ONNX_NoneOp : Op<ONNX_Dialect, "None", [Pure, ConstantLike]> {
  let summary = "an absent optional operand";
  let arguments = (ins UnitAttr:$value);
  let results = (outs NoneType:$none);
  let hasFolder = 1;
  let assemblyFormat = "attr-dict";
}

// Not ConstantLike: folding would merge equal weights and lose their names.
def ONNX_ConstantOp : ONNX_Op<"Constant", [Pure]> {
  let summary = "a small constant: the integers of shapes, floats up to 1 KiB";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs ONNX_Value:$output);
  let assemblyFormat = "attr-dict `:` type($output)";
  let extraClassDefinition = ONNX_RelateBy<"relateConstant">.definition;
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Element-wise: one line an op
//===----------------------------------------------------------------------===//

foreach name = ["Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Ceil",
                "Cos", "Cosh", "Erf", "Exp", "Floor", "HardSwish", "IsNaN",
                "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign",
                "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh"] in
  def ONNX_#name#Op : ONNX_MapOp<name>;

def ONNX_CeluOp : ONNX_MapOp<"Celu", (ins ONNX_Float<"1.0">:$alpha)>;
def ONNX_EluOp : ONNX_MapOp<"Elu", (ins ONNX_Float<"1.0">:$alpha)>;
def ONNX_GeluOp : ONNX_MapOp<"Gelu", (ins ONNX_Str<"none">:$approximate)>;
def ONNX_HardSigmoidOp : ONNX_MapOp<"HardSigmoid", (ins ONNX_Float<"0.2">:$alpha, ONNX_Float<"0.5">:$beta)>;
def ONNX_IsInfOp : ONNX_MapOp<"IsInf", (ins ONNX_Int<"1">:$detect_negative, ONNX_Int<"1">:$detect_positive)>;
def ONNX_LeakyReluOp : ONNX_MapOp<"LeakyRelu", (ins ONNX_Float<"0.01">:$alpha)>;
def ONNX_SeluOp : ONNX_MapOp<"Selu", (ins ONNX_Float<"1.67326319217681884765625">:$alpha,
                                            ONNX_Float<"1.05070102214813232421875">:$gamma)>;
def ONNX_SwishOp : ONNX_MapOp<"Swish", (ins ONNX_Float<"1.0">:$alpha)>;
def ONNX_ThresholdedReluOp : ONNX_MapOp<"ThresholdedRelu", (ins ONNX_Float<"1.0">:$alpha)>;
def ONNX_CastOp : ONNX_MapOp<"Cast", (ins SI64Attr:$to, ONNX_Int<"1">:$saturate, OptionalAttr<StrAttr>:$round_mode)> {
  let hasVerifier = 1;
  let hasFolder = 1;
}
def ONNX_IdentityOp : ONNX_MapOp<"Identity"> {
  let hasFolder = 1;
}

foreach name = ["Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater",
                "GreaterOrEqual", "Less", "LessOrEqual", "Mul", "Or", "PRelu", "Pow", "Sub", "Xor"] in
  def ONNX_#name#Op : ONNX_Map2Op<name>;
def ONNX_ModOp : ONNX_Map2Op<"Mod", (ins ONNX_Int<"0">:$fmod)>;
def ONNX_BitShiftOp : ONNX_Map2Op<"BitShift", (ins StrAttr:$direction)>;

foreach name = ["Max", "Mean", "Min", "Sum"] in
  def ONNX_#name#Op : ONNX_VariadicOp<name>;

def ONNX_ClipOp : ONNX_Op<"Clip", [Pure, ONNX_Elementwise]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Optional:$min, ONNX_Optional:$max);
  let results = (outs ONNX_Value:$output);
  let extraClassDefinition = ONNX_RelateUnits;
}
def ONNX_WhereOp : ONNX_Op<"Where", [Pure, ONNX_Elementwise]> {
  let arguments = (ins ONNX_Value:$condition, ONNX_Value:$X, ONNX_Value:$Y);
  let results = (outs ONNX_Value:$output);
  let extraClassDefinition = ONNX_RelateUnits;
}

//===----------------------------------------------------------------------===//
// Contractions, norms, reductions
//===----------------------------------------------------------------------===//

def ONNX_MatMulOp : ONNX_BinaryOp<"MatMul">;
def ONNX_GemmOp : ONNX_Op<"Gemm", [Pure]> {
  let arguments = (ins ONNX_Value:$A, ONNX_Value:$B, ONNX_Optional:$C,
                       ONNX_Float<"1.0">:$alpha, ONNX_Float<"1.0">:$beta,
                       ONNX_Int<"0">:$transA, ONNX_Int<"0">:$transB);
  let results = (outs ONNX_Value:$Y);
}
def ONNX_EinsumOp : ONNX_Op<"Einsum", [Pure]> {
  let arguments = (ins Variadic<ONNX_Value>:$Inputs, StrAttr:$equation);
  let results = (outs ONNX_Value:$Output);
}

foreach name = ["Softmax", "LogSoftmax", "Hardmax"] in
  def ONNX_#name#Op : ONNX_UnaryOp<name, (ins ONNX_Int<"-1">:$axis)> {
    let extraClassDefinition = ONNX_RelateBy<"relateAlongAxis">.definition;
  }

def ONNX_LayerNormalizationOp : ONNX_Op<"LayerNormalization", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Value:$Scale, ONNX_Optional:$B, ONNX_Int<"-1">:$axis,
                       ONNX_Float<"1e-05">:$epsilon, ONNX_Int<"1">:$stash_type);
  let results = (outs ONNX_Value:$Y, ONNX_Optional:$Mean, ONNX_Optional:$InvStdDev);
}
def ONNX_RMSNormalizationOp : ONNX_Op<"RMSNormalization", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Value:$scale, ONNX_Int<"-1">:$axis,
                       ONNX_Float<"1e-05">:$epsilon, ONNX_Int<"1">:$stash_type);
  let results = (outs ONNX_Value:$Y);
}

foreach name = ["ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
                "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"] in
  def ONNX_#name#Op : ONNX_ReduceOp<name>;
foreach name = ["ArgMax", "ArgMin"] in
  def ONNX_#name#Op : ONNX_ArgOp<name>;
def ONNX_CumSumOp : ONNX_Op<"CumSum", [Pure]> {
  let arguments = (ins ONNX_Value:$x, ONNX_Value:$axis, ONNX_Int<"0">:$exclusive, ONNX_Int<"0">:$reverse);
  let results = (outs ONNX_Value:$y);
  let extraClassDefinition = ONNX_RelateBy<"relateCumulative">.definition;
}

//===----------------------------------------------------------------------===//
// Convolutions, pooling, norms of images: [batch, channels, spatial...]
//===----------------------------------------------------------------------===//

def ONNX_ConvOp : ONNX_Op<"Conv", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Value:$W, ONNX_Optional:$B,
                       ONNX_Str<"NOTSET">:$auto_pad, ONNX_OptInts:$dilations, ONNX_Int<"1">:$group,
                       ONNX_OptInts:$kernel_shape, ONNX_OptInts:$pads, ONNX_OptInts:$strides);
  let results = (outs ONNX_Value:$Y);
  let hasVerifier = 1;
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_ConvTransposeOp : ONNX_Op<"ConvTranspose", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Value:$W, ONNX_Optional:$B,
                       ONNX_Str<"NOTSET">:$auto_pad, ONNX_OptInts:$dilations, ONNX_Int<"1">:$group,
                       ONNX_OptInts:$kernel_shape, ONNX_OptInts:$output_padding, ONNX_OptInts:$output_shape,
                       ONNX_OptInts:$pads, ONNX_OptInts:$strides);
  let results = (outs ONNX_Value:$Y);
  let hasVerifier = 1;
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}

// Windows over the spatial dimensions; batch and channels go through.
class ONNX_PoolOp<string mnemonic, dag more = (ins)> : ONNX_Op<mnemonic, [Pure]> {
  let arguments = !con((ins ONNX_Value:$X, ONNX_Str<"NOTSET">:$auto_pad, ONNX_Int<"0">:$ceil_mode,
                            ONNX_OptInts:$dilations, DenseI64ArrayAttr:$kernel_shape,
                            ONNX_OptInts:$pads, ONNX_OptInts:$strides), more);
  let results = (outs ONNX_Value:$Y);
  let hasVerifier = 1;
  let extraClassDefinition = ONNX_RelateBy<"relatePool">.definition;
}
def ONNX_AveragePoolOp : ONNX_PoolOp<"AveragePool", (ins ONNX_Int<"0">:$count_include_pad)>;
def ONNX_LpPoolOp : ONNX_PoolOp<"LpPool", (ins ONNX_Int<"2">:$p)>;
def ONNX_MaxPoolOp : ONNX_PoolOp<"MaxPool", (ins ONNX_Int<"0">:$storage_order)> {
  let results = (outs ONNX_Value:$Y, ONNX_Optional:$Indices);
}
class ONNX_GlobalPoolOp<string mnemonic, dag attributes = (ins)> : ONNX_UnaryOp<mnemonic, attributes> {
  let extraClassDefinition = ONNX_RelateBy<"relateGlobalPool">.definition;
}
def ONNX_GlobalAveragePoolOp : ONNX_GlobalPoolOp<"GlobalAveragePool">;
def ONNX_GlobalMaxPoolOp : ONNX_GlobalPoolOp<"GlobalMaxPool">;
def ONNX_GlobalLpPoolOp : ONNX_GlobalPoolOp<"GlobalLpPool", (ins ONNX_Int<"2">:$p)>;

def ONNX_BatchNormalizationOp : ONNX_Op<"BatchNormalization", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Value:$scale, ONNX_Value:$B,
                       ONNX_Value:$input_mean, ONNX_Value:$input_var, ONNX_Float<"1e-05">:$epsilon,
                       ONNX_Float<"0.9">:$momentum, ONNX_Int<"0">:$training_mode);
  let results = (outs ONNX_Value:$Y, ONNX_Optional:$running_mean, ONNX_Optional:$running_var);
  let hasVerifier = 1;
}
def ONNX_InstanceNormalizationOp : ONNX_Op<"InstanceNormalization", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$scale, ONNX_Value:$B, ONNX_Float<"1e-05">:$epsilon);
  let results = (outs ONNX_Value:$output);
}
def ONNX_GroupNormalizationOp : ONNX_Op<"GroupNormalization", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Value:$scale, ONNX_Value:$bias, ONNX_Float<"1e-05">:$epsilon,
                       SI64Attr:$num_groups, ONNX_Int<"1">:$stash_type);
  let results = (outs ONNX_Value:$Y);
  let hasVerifier = 1;
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_LRNOp : ONNX_UnaryOp<"LRN", (ins ONNX_Float<"0.0001">:$alpha, ONNX_Float<"0.75">:$beta,
                                          ONNX_Float<"1.0">:$bias, SI64Attr:$size)>;

def ONNX_ResizeOp : ONNX_Op<"Resize", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Optional:$roi, ONNX_Optional:$scales, ONNX_Optional:$sizes,
                       ONNX_Int<"0">:$antialias, ONNX_OptInts:$axes,
                       ONNX_Str<"half_pixel">:$coordinate_transformation_mode,
                       ONNX_Float<"-0.75">:$cubic_coeff_a, ONNX_Int<"0">:$exclude_outside,
                       ONNX_Float<"0.0">:$extrapolation_value,
                       ONNX_Str<"stretch">:$keep_aspect_ratio_policy, ONNX_Str<"nearest">:$mode,
                       ONNX_Str<"round_prefer_floor">:$nearest_mode);
  let results = (outs ONNX_Value:$Y);
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_DepthToSpaceOp : ONNX_UnaryOp<"DepthToSpace", (ins SI64Attr:$blocksize, ONNX_Str<"DCR">:$mode)> {
  let hasVerifier = 1;
}
def ONNX_SpaceToDepthOp : ONNX_UnaryOp<"SpaceToDepth", (ins SI64Attr:$blocksize)> {
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Data movement
//===----------------------------------------------------------------------===//

def ONNX_ReshapeOp : ONNX_Op<"Reshape", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Value:$shape, ONNX_Int<"0">:$allowzero);
  let results = (outs ONNX_Value:$reshaped);
  let hasFolder = 1;
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_FlattenOp : ONNX_UnaryOp<"Flatten", (ins ONNX_Int<"1">:$axis)>;
def ONNX_TransposeOp : ONNX_UnaryOp<"Transpose", (ins ONNX_OptInts:$perm)> {
  let hasVerifier = 1;
  let hasFolder = 1;
}
def ONNX_SqueezeOp : ONNX_Op<"Squeeze", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Optional:$axes);
  let results = (outs ONNX_Value:$squeezed);
}
def ONNX_UnsqueezeOp : ONNX_Op<"Unsqueeze", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Value:$axes);
  let results = (outs ONNX_Value:$expanded);
}
def ONNX_ConcatOp : ONNX_Op<"Concat", [Pure]> {
  let arguments = (ins Variadic<ONNX_Value>:$inputs, SI64Attr:$axis);
  let results = (outs ONNX_Value:$concat_result);
}
def ONNX_SplitOp : ONNX_Op<"Split", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Optional:$split, ONNX_Int<"0">:$axis, ONNX_OptInt:$num_outputs);
  let results = (outs Variadic<ONNX_Value>:$outputs);
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_SliceOp : ONNX_Op<"Slice", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Value:$starts, ONNX_Value:$ends,
                       ONNX_Optional:$axes, ONNX_Optional:$steps);
  let results = (outs ONNX_Value:$output);
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_PadOp : ONNX_Op<"Pad", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Value:$pads, ONNX_Optional:$constant_value,
                       ONNX_Optional:$axes, ONNX_Str<"constant">:$mode);
  let results = (outs ONNX_Value:$output);
}
def ONNX_ExpandOp : ONNX_Op<"Expand", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$shape);
  let results = (outs ONNX_Value:$output);
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_TileOp : ONNX_Op<"Tile", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$repeats);
  let results = (outs ONNX_Value:$output);
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_GatherOp : ONNX_Op<"Gather", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Value:$indices, ONNX_Int<"0">:$axis);
  let results = (outs ONNX_Value:$output);
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_GatherElementsOp : ONNX_Op<"GatherElements", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Value:$indices, ONNX_Int<"0">:$axis);
  let results = (outs ONNX_Value:$output);
}
def ONNX_GatherNDOp : ONNX_Op<"GatherND", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Value:$indices, ONNX_Int<"0">:$batch_dims);
  let results = (outs ONNX_Value:$output);
}
def ONNX_ScatterNDOp : ONNX_Op<"ScatterND", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_Value:$indices, ONNX_Value:$updates, ONNX_Str<"none">:$reduction);
  let results = (outs ONNX_Value:$output);
}
def ONNX_TriluOp : ONNX_Op<"Trilu", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Optional:$k, ONNX_Int<"1">:$upper);
  let results = (outs ONNX_Value:$output);
}

//===----------------------------------------------------------------------===//
// Sizes and sources
//===----------------------------------------------------------------------===//

def ONNX_ShapeOp : ONNX_Op<"Shape", [Pure]> {
  let arguments = (ins ONNX_Value:$data, ONNX_OptInt:$end, ONNX_Int<"0">:$start);
  let results = (outs ONNX_Value:$shape);
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_SizeOp : ONNX_UnaryOp<"Size"> {
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_RangeOp : ONNX_Op<"Range", [Pure]> {
  let arguments = (ins ONNX_Value:$start, ONNX_Value:$limit, ONNX_Value:$delta);
  let results = (outs ONNX_Value:$output);
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}
def ONNX_ConstantOfShapeOp : ONNX_Op<"ConstantOfShape", [Pure]> {
  let arguments = (ins ONNX_Value:$input, OptionalAttr<ElementsAttr>:$value);
  let results = (outs ONNX_Value:$output);
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}

//===----------------------------------------------------------------------===//
// Fused attention and its like: decomposed for programs (onnx-decompose-fused)
//===----------------------------------------------------------------------===//

// Sizes of their own (heads) are cut too.
class ONNX_FusedOp<string mnemonic> : ONNX_Op<mnemonic, [Pure]> {
  let extraClassDeclaration = ONNX_UpdatesForSlice;
}

def ONNX_AttentionOp : ONNX_FusedOp<"Attention"> {
  let arguments = (ins ONNX_Value:$Q, ONNX_Value:$K, ONNX_Value:$V, ONNX_Optional:$attn_mask,
                       ONNX_Optional:$past_key, ONNX_Optional:$past_value, ONNX_Optional:$nonpad_kv_seqlen,
                       ONNX_Int<"0">:$is_causal, ONNX_OptInt:$kv_num_heads, ONNX_OptInt:$left_window_size,
                       ONNX_OptInt:$q_num_heads, ONNX_Int<"0">:$qk_matmul_output_mode,
                       ONNX_OptInt:$right_window_size, ONNX_OptFloat:$scale,
                       ONNX_Float<"0.0">:$softcap, ONNX_OptInt:$softmax_precision);
  let results = (outs ONNX_Value:$Y, ONNX_Optional:$present_key, ONNX_Optional:$present_value,
                      ONNX_Optional:$qk_matmul_output);
}
def ONNX_RotaryEmbeddingOp : ONNX_FusedOp<"RotaryEmbedding"> {
  let arguments = (ins ONNX_Value:$X, ONNX_Value:$cos_cache, ONNX_Value:$sin_cache, ONNX_Optional:$position_ids,
                       ONNX_Int<"0">:$interleaved, ONNX_OptInt:$num_heads, ONNX_Int<"0">:$rotary_embedding_dim);
  let results = (outs ONNX_Value:$Y);
}
// onnxruntime's own, in ONNX's domain.
def ONNX_SimplifiedLayerNormalizationOp : ONNX_Op<"SimplifiedLayerNormalization", [Pure]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Value:$scale, ONNX_Int<"-1">:$axis,
                       ONNX_Float<"1e-05">:$epsilon, ONNX_Int<"1">:$stash_type);
  let results = (outs ONNX_Value:$Y, ONNX_Optional:$inv_std_var);
}

// Attributes of com.microsoft are optional: written only where the file has
// them, as older runtimes know fewer.
defvar MS = "com.microsoft.";
def ONNX_MSGeluOp : ONNX_MapOp<MS#"Gelu">;
def ONNX_MSQuickGeluOp : ONNX_MapOp<MS#"QuickGelu", (ins ONNX_OptFloat:$alpha)>;
def ONNX_MSBiasGeluOp : ONNX_Map2Op<MS#"BiasGelu">;
def ONNX_MSFastGeluOp : ONNX_Op<MS#"FastGelu", [Pure, ONNX_Elementwise]> {
  let arguments = (ins ONNX_Value:$X, ONNX_Optional:$bias);
  let results = (outs ONNX_Value:$Y);
  let extraClassDefinition = ONNX_RelateUnits;
}
def ONNX_MSFusedMatMulOp : ONNX_BinaryOp<MS#"FusedMatMul", (ins
    ONNX_OptFloat:$alpha, ONNX_OptInt:$transA, ONNX_OptInt:$transB,
    ONNX_OptInt:$transBatchA, ONNX_OptInt:$transBatchB)>;
def ONNX_MSFusedGemmOp : ONNX_Op<MS#"FusedGemm", [Pure]> {
  let arguments = (ins ONNX_Value:$A, ONNX_Value:$B, ONNX_Optional:$C,
                       OptionalAttr<StrAttr>:$activation, ONNX_OptFloat:$activation_alpha,
                       ONNX_OptFloat:$activation_beta, ONNX_OptFloat:$activation_gamma,
                       ONNX_OptFloat:$alpha, ONNX_OptFloat:$beta, ONNX_OptInt:$transA, ONNX_OptInt:$transB);
  let results = (outs ONNX_Value:$Y);
}
def ONNX_MSSkipLayerNormalizationOp : ONNX_Op<MS#"SkipLayerNormalization", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$skip, ONNX_Value:$gamma, ONNX_Optional:$beta,
                       ONNX_Optional:$bias, ONNX_OptFloat:$epsilon);
  let results = (outs ONNX_Value:$output, ONNX_Optional:$mean, ONNX_Optional:$inv_std_var,
                      ONNX_Optional:$input_skip_bias_sum);
}
def ONNX_MSSkipSimplifiedLayerNormalizationOp : ONNX_Op<MS#"SkipSimplifiedLayerNormalization", [Pure]> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$skip, ONNX_Value:$gamma, ONNX_Optional:$bias,
                       ONNX_OptFloat:$epsilon);
  let results = (outs ONNX_Value:$output, ONNX_Optional:$mean, ONNX_Optional:$inv_std_var,
                      ONNX_Optional:$input_skip_bias_sum);
}
def ONNX_MSEmbedLayerNormalizationOp : ONNX_Op<MS#"EmbedLayerNormalization", [Pure]> {
  let arguments = (ins ONNX_Value:$input_ids, ONNX_Optional:$segment_ids, ONNX_Value:$word_embedding,
                       ONNX_Value:$position_embedding, ONNX_Optional:$segment_embedding, ONNX_Value:$gamma,
                       ONNX_Value:$beta, ONNX_Optional:$mask, ONNX_Optional:$position_ids,
                       ONNX_OptFloat:$epsilon, ONNX_OptInt:$mask_index_type);
  let results = (outs ONNX_Value:$output, ONNX_Optional:$mask_index, ONNX_Optional:$embedding_sum);
}
def ONNX_MSRotaryEmbeddingOp : ONNX_FusedOp<MS#"RotaryEmbedding"> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$position_ids, ONNX_Value:$cos_cache, ONNX_Value:$sin_cache,
                       ONNX_OptInt:$interleaved, ONNX_OptInt:$is_packed_batching, ONNX_OptInt:$num_heads,
                       ONNX_OptInt:$rotary_embedding_dim, ONNX_OptFloat:$scale);
  let results = (outs ONNX_Value:$output);
}
def ONNX_MSAttentionOp : ONNX_FusedOp<MS#"Attention"> {
  let arguments = (ins ONNX_Value:$input, ONNX_Value:$weights, ONNX_Optional:$bias, ONNX_Optional:$mask_index,
                       ONNX_Optional:$past, ONNX_Optional:$attention_bias, ONNX_Optional:$past_sequence_length,
                       ONNX_OptInt:$do_rotary, ONNX_OptFloat:$mask_filter_value, SI64Attr:$num_heads,
                       ONNX_OptInt:$past_present_share_buffer, ONNX_OptInts:$qkv_hidden_sizes,
                       ONNX_OptInt:$rotary_embedding_dim, ONNX_OptFloat:$scale, ONNX_OptInt:$unidirectional);
  let results = (outs ONNX_Value:$output, ONNX_Optional:$present);
}
def ONNX_MSMultiHeadAttentionOp : ONNX_FusedOp<MS#"MultiHeadAttention"> {
  let arguments = (ins ONNX_Value:$query, ONNX_Optional:$key, ONNX_Optional:$value, ONNX_Optional:$bias,
                       ONNX_Optional:$key_padding_mask, ONNX_Optional:$attention_bias, ONNX_Optional:$past_key,
                       ONNX_Optional:$past_value, ONNX_Optional:$past_sequence_length,
                       ONNX_Optional:$cache_indirection, ONNX_OptFloat:$mask_filter_value, SI64Attr:$num_heads,
                       ONNX_OptFloat:$scale, ONNX_OptInt:$unidirectional);
  let results = (outs ONNX_Value:$output, ONNX_Optional:$present_key, ONNX_Optional:$present_value,
                      ONNX_Optional:$qk);
}
def ONNX_MSGroupQueryAttentionOp : ONNX_FusedOp<MS#"GroupQueryAttention"> {
  let arguments = (ins ONNX_Value:$query, ONNX_Optional:$key, ONNX_Optional:$value, ONNX_Optional:$past_key,
                       ONNX_Optional:$past_value, ONNX_Value:$seqlens_k, ONNX_Value:$total_sequence_length,
                       ONNX_Optional:$cos_cache, ONNX_Optional:$sin_cache, ONNX_Optional:$position_ids,
                       ONNX_Optional:$attention_bias, ONNX_Optional:$head_sink, ONNX_Optional:$k_scale,
                       ONNX_Optional:$v_scale, ONNX_Optional:$q_norm_weight, ONNX_Optional:$k_norm_weight,
                       ONNX_Optional:$query_seqlens, ONNX_OptInt:$causal, ONNX_OptInt:$do_rotary,
                       ONNX_OptFloat:$k_norm_epsilon, OptionalAttr<StrAttr>:$k_quant_type,
                       ONNX_OptInt:$kv_cache_bit_width, SI64Attr:$kv_num_heads, ONNX_OptInt:$local_window_size,
                       SI64Attr:$num_heads, ONNX_OptFloat:$q_norm_epsilon, ONNX_OptFloat:$qk_norm_epsilon,
                       ONNX_OptInt:$qk_output, ONNX_OptInt:$rotary_interleaved, ONNX_OptFloat:$scale,
                       ONNX_OptInt:$sliding_window_cache, ONNX_OptInt:$smooth_softmax, ONNX_OptFloat:$softcap,
                       OptionalAttr<StrAttr>:$v_quant_type);
  let results = (outs ONNX_Value:$output, ONNX_Optional:$present_key, ONNX_Optional:$present_value,
                      ONNX_Optional:$output_qk);
}

include "twist/Dialect/ONNX/ONNXOtherOps.td"

#endif // TWIST_DIALECT_ONNX_OPS_TD

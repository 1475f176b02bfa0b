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
def ONNX_CastOp : ONNX_MapOp<"Cast", (ins SI64Attr:$to, ONNX_Int<"1">:$saturate)> {
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

#endif // TWIST_DIALECT_ONNX_OPS_TD

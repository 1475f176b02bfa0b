//===- ONNXDialect.td - The ONNX graph as MLIR --------------*- tablegen -*-===//
#ifndef TWIST_DIALECT_ONNX_DIALECT_TD
#define TWIST_DIALECT_ONNX_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "twist/Interfaces/DimensionRelations.td"

def ONNX_Dialect : Dialect {
  let name = "onnx";
  let cppNamespace = "::twist::onnx";
  let summary = "An ONNX graph, first without loss, then with one typed form per op";
  let description = [{
    A model is a module; its main graph is a `func.func`. Two forms exist.

    *As imported*: every node is one `onnx.node`, which carries each field of
    the NodeProto, so that export gives the same file back.

    *Normalised* (`onnx-normalise`): functions are inlined, the model is
    upgraded to one operator set, and every node the compiler knows is a typed
    op of this dialect with ONNX's own operand and attribute names. An absent
    optional operand is an `onnx.None`. A node the compiler does not know stays
    an `onnx.node`: a barrier for slicing, an error for lowering.

    Every op may carry the discardable attribute `onnx.meta`, a dictionary with
    the node's name (`name`), its result names (`outputs`) and what else the
    file says of it; the op's location is the node's name, for diagnostics.
  }];
  let useDefaultTypePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

class ONNX_Type<string name, string mnemonicName> : TypeDef<ONNX_Dialect, name> {
  let mnemonic = mnemonicName;
}

def ONNX_StringType : ONNX_Type<"String", "string"> {
  let summary = "the element type of string tensors";
}

def ONNX_OpaqueType : ONNX_Type<"Opaque", "opaque"> {
  let summary = "a type the compiler only passes through: sequence, map, optional, or none given";
  let description = [{
    `proto` holds the serialised TypeProto, empty where the file gives no type.
  }];
  let parameters = (ins StringRefParameter<"serialised TypeProto">:$proto);
  let assemblyFormat = "`<` $proto `>`";
}

#endif // TWIST_DIALECT_ONNX_DIALECT_TD

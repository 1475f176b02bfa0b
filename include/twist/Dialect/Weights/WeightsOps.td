//===- WeightsOps.td - Weights as views of files ------------*- tablegen -*-===//
#ifndef TWIST_DIALECT_WEIGHTS_OPS_TD
#define TWIST_DIALECT_WEIGHTS_OPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Weights_Dialect : Dialect {
  let name = "weights";
  let cppNamespace = "::twist::weights";
  let summary = "Weights that stay in their files";
  let description = [{
    A weight is never a value in the compiler: it is a view of bytes in a file.
    Slicing, transposing and casting edit the view; whoever needs the bytes maps
    the file and reads through the view.
  }];
  let useDefaultAttributePrinterParser = 1;
}

def Weights_ViewAttr : AttrDef<Weights_Dialect, "View"> {
  let mnemonic = "view";
  let summary = "a tensor read from a source through selections and a permutation";
  let description = [{
    `stored` is the tensor as it lies in the source at byte `offset`, row-major
    and little-endian. `select` has one entry per stored dimension: `unit` keeps
    all of it, `array<i64: …>` gathers these indices in this order. Then
    dimension d of the result is stored dimension `permutation[d]` (empty: the
    identity). The element type of the loaded tensor may differ from the stored
    one; values are then converted, rounding to nearest even.
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$source, "int64_t":$offset,
                        "::mlir::RankedTensorType":$stored,
                        OptionalParameter<"::mlir::ArrayAttr">:$select,
                        OptionalParameter<"::mlir::DenseI64ArrayAttr">:$permutation);
  let assemblyFormat = [{ `<` $source `at` $offset `as` $stored (`select` $select^)?
                          (`permutation` $permutation^)? `>` }];
}

def Weights_SourceOp : Op<Weights_Dialect, "source", [Symbol]> {
  let summary = "a file whose bytes back views";
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$path,
                       OptionalAttr<StrAttr>:$sym_visibility);
  let assemblyFormat = "$sym_name `from` $path attr-dict";
}

def Weights_LoadOp : Op<Weights_Dialect, "load", [Pure]> {
  let summary = "the tensor a view describes";
  let arguments = (ins Weights_ViewAttr:$view);
  let results = (outs AnyStaticShapeTensor:$tensor);
  let assemblyFormat = "$view attr-dict `:` type($tensor)";
}

#endif // TWIST_DIALECT_WEIGHTS_OPS_TD

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

    Booleans (i1) take one byte each. Elements narrower than a byte are packed
    from the low bits up, rows not padded.

    Constraints: `stored` is static, its size in bytes fits 63 bits together
    with `offset` >= 0 (C1); `select` has one entry per stored dimension, each
    `unit` or indices within the dimension (C2); `permutation` is one of the
    stored dimensions (C3).
  }];
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$source, "int64_t":$offset,
                        "::mlir::RankedTensorType":$stored,
                        OptionalParameter<"::mlir::ArrayAttr">:$select,
                        OptionalParameter<"::mlir::DenseI64ArrayAttr">:$permutation);
  let assemblyFormat = [{ `<` $source `at` $offset `as` $stored (`select` $select^)?
                          (`permutation` $permutation^)? `>` }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Shape of the tensor the view describes.
    ::llvm::SmallVector<int64_t> getShape() const;
    /// Number of elements of the tensor the view describes.
    int64_t getNumElements() const;
    /// The tensor the view describes, of the stored element type.
    ::mlir::RankedTensorType getType() const;
    /// Neither selects nor permutes: the bytes of the source are the tensor.
    bool isContiguous() const { return !getSelect() && !getPermutation(); }
  }];
}

def Weights_SourceOp : Op<Weights_Dialect, "source", [Symbol]> {
  let summary = "a file whose bytes back views";
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$path,
                       OptionalAttr<StrAttr>:$sym_visibility);
  let assemblyFormat = "$sym_name `from` $path attr-dict";
}

def Weights_LoadOp : Op<Weights_Dialect, "load", [
    Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the tensor a view describes";
  let description = [{
    Constraints: the result has the view's shape (C1); the stored element type
    converts to the result's (C2: float to float, integer to integer or float);
    the source is a `weights.source` (C3).
  }];
  let arguments = (ins Weights_ViewAttr:$view);
  let results = (outs AnyStaticShapeTensor:$tensor);
  let assemblyFormat = "$view attr-dict `:` type($tensor)";
  let hasVerifier = 1;
}

#endif // TWIST_DIALECT_WEIGHTS_OPS_TD

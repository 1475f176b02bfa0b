//===- TwistOps.td - Axes, gates, subnetworks ---------------*- tablegen -*-===//
#ifndef TWIST_DIALECT_TWIST_OPS_TD
#define TWIST_DIALECT_TWIST_OPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Twist_Dialect : Dialect {
  let name = "twist";
  let cppNamespace = "::twist::axes";
  let summary = "Prunable axes of a graph, gates on them, subnetworks";
  let description = [{
    An *axis* is a set of units that can be removed together; a *gate* stands on
    an operand of the op that sums an axis away and selects the operand where
    units are kept, 0 elsewhere; a *subnetwork* names the kept units of axes.
  }];
  let useDefaultAttributePrinterParser = 1;
}

def Twist_PlaceAttr : AttrDef<Twist_Dialect, "Place"> {
  let mnemonic = "place";
  let summary = "where the units of an axis lie in one dimension";
  let description = [{
    Unit u occupies the indices offset + (o·units + u)·inner + i for every o in
    [0, outer) and i in [0, inner).
  }];
  let parameters = (ins "int64_t":$offset, "int64_t":$outer, "int64_t":$units, "int64_t":$inner);
  let assemblyFormat = "`<` struct(params) `>`";
}
def Twist_PlacesAttr : TypedArrayAttrBase<Twist_PlaceAttr, "places of an axis in a dimension">;

def Twist_AxisOp : Op<Twist_Dialect, "axis", [Symbol]> {
  let summary = "a set of units that can be removed together";
  let description = [{
    `kind` is told by role (head, kv_group, ffn, channel, qk, v, …), `index` is
    its place among its kind in graph order. `sources` are the weights that make
    it, each a path `weight:dim[:segment…]`; the first is the axis's name for
    people, all are aliases.

    Constraints:
    - C1: `units` is positive.

    ```mlir
    twist.axis @ffn_0 {kind = "ffn", index = 0 : i64, units = 8 : i64, sources = ["up:1", "down:0"]}
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$kind, I64Attr:$index, I64Attr:$units,
                       StrArrayAttr:$sources, OptionalAttr<StrAttr>:$sym_visibility);
  let assemblyFormat = "$sym_name attr-dict";
  let hasVerifier = 1;
}

def Twist_GateOp : Op<Twist_Dialect, "gate",
                      [Pure, AllTypesMatch<["input", "output"]>,
                       DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "selects the operand where the axis's units are kept, 0 elsewhere";
  let description = [{
    Semantics: the element at an index of dimension `dim` is the input's, unless
    the index lies in a removed unit of the axis at one of `places`; then it is
    0, even where the input is NaN. Without a subnetwork all units are kept.

    Constraints:
    - C1: `dim` is a dimension of the input.
    - C2: there is a place; offsets are not negative, outer, units and inner positive.
    - C3: in a dimension of static size, places end inside it.
    - C4: `axis` names a `twist.axis`.
    - C5: every place has the axis's units.

    ```mlir
    %g = twist.gate %a by @ffn_0 dim 1 at [#twist.place<offset = 0, outer = 1, units = 8, inner = 1>] : tensor<?x8xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$input, FlatSymbolRefAttr:$axis, I64Attr:$dim,
                       Twist_PlacesAttr:$places);
  let results = (outs AnyRankedTensor:$output);
  let assemblyFormat = "$input `by` $axis `dim` $dim `at` $places attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Twist_SubnetworkOp : Op<Twist_Dialect, "subnetwork", [Symbol]> {
  let summary = "the kept units of each axis";
  let description = [{
    `keep` maps an axis's symbol name to its kept units, ascending. An axis it
    does not name is whole.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, DictionaryAttr:$keep,
                       OptionalAttr<StrAttr>:$sym_visibility);
  let assemblyFormat = "$sym_name $keep attr-dict";
}

#endif // TWIST_DIALECT_TWIST_OPS_TD

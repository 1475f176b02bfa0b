//===- CPUOps.td - Kernels of the CPU target ----------------*- tablegen -*-===//
#ifndef TWIST_CODEGEN_CPU_CPUOPS_TD
#define TWIST_CODEGEN_CPU_CPUOPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def CPU_Dialect : Dialect {
  let name = "cpu";
  let cppNamespace = "::twist::cpu";
  let summary = "Kernels of the CPU target and their launches";
  let description = [{
    Between linalg and LLVM: contractions over packed panels (`cpu.gemm`), the
    packed forms of their right-hand sides, and the launch of an outlined kernel
    over tasks whose partition follows from the shapes alone, so that the bytes
    of a result do not depend on the number of threads.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::twist::weights::WeightsDialect"];
}

def CPU_PackingAttr : AttrDef<CPU_Dialect, "Packing"> {
  let mnemonic = "packing";
  let summary = "how a matrix lies in panels";
  let description = [{
    `map` takes (batch…, column, k) to the dimensions of the source. The packed
    shape is [batch…, ceil(N / panel), K, panel], row-major; columns from N on in
    the last panel are zero. With a `group` of 2, two steps of k lie next to each
    other for each column, [batch…, ceil(N / panel), ceil(K / 2), panel · 2], an odd
    last one beside zeros.
  }];
  let parameters = (ins "::mlir::AffineMap":$map, "int64_t":$panel,
                        DefaultValuedParameter<"int64_t", "1">:$group);
  let assemblyFormat = "`<` $map `,` $panel (`by` $group^)? `>`";
  let extraClassDeclaration = [{
    /// The packed shape for a source of this shape (kDynamic where unknown).
    ::llvm::SmallVector<int64_t>
    getPackedShape(::llvm::ArrayRef<int64_t> source) const;
    /// Dimension of the source that holds the columns, or k.
    int64_t getColumnDim() const;
    int64_t getKDim() const;
  }];
}

// As weights.load's; its definition can't be included without its ops.
def CPU_ViewAttr : Attr<
    CPred<"::llvm::isa<::twist::weights::ViewAttr>($_self)">, "a view"> {
  let storageType = "::twist::weights::ViewAttr";
  let returnType = "::twist::weights::ViewAttr";
  let convertFromStorage = "$_self";
}

class CPU_Op<string mnemonic, list<Trait> traits = []> :
    Op<CPU_Dialect, mnemonic, traits>;

def CPU_PackedWeightOp : CPU_Op<"packed_weight", [Pure]> {
  let summary = "a weight, packed when the program is compiled";
  let description = [{
    The tensor that `view` describes, of type `unpacked`, in the layout that
    `packing` gives. `packPanels` (twist/Codegen/CPU/Packing.h) makes the bytes.

    ```mlir
    %w = cpu.packed_weight <@m at 128 as tensor<4x96xf32>> of tensor<4x96xf32>
           by <(n, k) -> (k, n), 48> : tensor<2x4x48xf32>
    ```
  }];
  let arguments = (ins CPU_ViewAttr:$view, TypeAttr:$unpacked,
                       CPU_PackingAttr:$packing);
  let results = (outs AnyStaticShapeTensor:$packed);
  let assemblyFormat = [{
    $view `of` $unpacked `by` $packing attr-dict `:` type($packed)
  }];
  let hasVerifier = 1;
}

def CPU_GemmOp : CPU_Op<"gemm", [
    AttrSizedOperandSegments,
    DestinationStyleOpInterface,
    SingleBlockImplicitTerminator<"YieldOp">,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "a matrix product with an epilogue";
  let description = [{
    Over the dimensions (batch…, row…, column, k…), `batch` and `rows` of the first
    two kinds and `depth` of the last:

      acc  = Σ_k lhs · rhs              in the type `accumulator`
      init = epilogue(acc, extras…)     whole, never accumulated into

    `indexing_maps` has one map for lhs, rhs, each extra and init; each is a
    projection of the dimensions, constants 0 standing for extents of 1. With
    `panel`, rhs is packed (see `#cpu.packing`): its map gives (batch…, column, k)
    of the unpacked matrix. A last dimension of rhs that is twice the panel holds
    pairs along k, of bf16. Without, a task copies the panels it reads, unless they
    are few and contiguous. With more than one k its columns are contiguous, and its
    map may have sums, which may lead beyond the end of a row into the next (the windows
    of a convolution): rhs is one run of memory then. With `taps` the last k has
    no place in the map of rhs: k reads rhs taps[k] elements further on. Columns are the
    last dimension of init. Integers widen to the accumulator by sign, or by
    zeros where `lhs_unsigned` or `rhs_unsigned` stands. With `triangle`, [first,
    second, offset] of two dimensions, terms where `second` is above `first` + offset
    need not be summed: they are 0, or, where one is a row and the other the column,
    their elements of init hold anything afterwards, as nobody reads them.

    Constraints:
    C1  one map per operand, over the same dimensions
    C2  the epilogue takes the accumulator and one scalar per extra
    C3  the last result of init's map is the column
    C4  there is one k at least, and no more where rhs is packed
    C5  taps are indices, one for each of the last k, and rhs is not packed
    C6  a triangle has two different dimensions and an offset of 0 or more
  }];
  let arguments = (ins AnyShaped:$lhs, AnyShaped:$rhs, Variadic<AnyType>:$extras,
                       Optional<AnyShaped>:$taps, AnyShaped:$init, AffineMapArrayAttr:$indexing_maps,
                       I64Attr:$batch, I64Attr:$rows, OptionalAttr<I64Attr>:$panel,
                       TypeAttr:$accumulator, UnitAttr:$lhs_unsigned,
                       UnitAttr:$rhs_unsigned, DefaultValuedAttr<I64Attr, "1">:$depth,
                       OptionalAttr<DenseI64ArrayAttr>:$triangle);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = [{
    `(` $lhs `,` $rhs (`,` $extras^)? `)` (`at` $taps^)? `into` $init attr-dict `:`
    functional-type(operands, $results) $epilogue
  }];
  let extraClassDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getInitMutable(); }
    unsigned getNumDims() { return getBatch() + getRows() + 1 + getDepth(); }
    unsigned getColumnDim() { return getBatch() + getRows(); }
    /// The first k.
    unsigned getKDim() { return getBatch() + getRows() + 1; }
    ::mlir::AffineMap getMap(unsigned operand);
    ::mlir::AffineMap getLhsMap() { return getMap(0); }
    ::mlir::AffineMap getRhsMap() { return getMap(1); }
    ::mlir::AffineMap getInitMap() { return getMap((*this)->getNumOperands() - 1); }
    /// Whether the epilogue only yields the accumulator.
    bool isPlain();
  }];
  let hasVerifier = 1;
}

def CPU_YieldOp : CPU_Op<"yield", [Pure, Terminator, HasParent<"GemmOp">]> {
  let summary = "the value an epilogue stores";
  let arguments = (ins Optional<AnyType>:$value);
  let builders = [OpBuilder<(ins), [{ (void)odsState; }]>];
  let assemblyFormat = "($value^ `:` type($value))? attr-dict";
}

def CPU_LaunchOp : CPU_Op<"launch", [
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "runs a kernel once for each task";
  let description = [{
    Calls @kernel(i, operands…) for each i in [0, count), in any order and on any
    thread; tasks write disjoint memory. All are over when the op is.

    Constraints:
    C1  @kernel is a function that takes an index and then the operands
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Index:$count,
                       Variadic<AnyType>:$args);
  let assemblyFormat = [{
    $kernel `(` $count `)` ($args^ `:` type($args))? attr-dict
  }];
}

#endif // TWIST_CODEGEN_CPU_CPUOPS_TD

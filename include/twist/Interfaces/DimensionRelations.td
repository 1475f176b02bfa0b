//===- DimensionRelations.td - How an op relates dimensions -*- tablegen -*-===//
#ifndef TWIST_INTERFACES_DIMENSIONRELATIONS_TD
#define TWIST_INTERFACES_DIMENSIONRELATIONS_TD

include "mlir/IR/OpBase.td"

def DimensionRelationsOpInterface : OpInterface<"DimensionRelationsOpInterface"> {
  let cppNamespace = "::twist";
  let description = [{
    What an op says about the dimensions of its operands and results, and how
    its own sizes change when one of them is cut. An op that declares nothing
    is a barrier on every dimension it touches: sound by default.
  }];
  let methods = [
    InterfaceMethod<
      "Tells `relations` how the dimensions of operands and results relate.",
      "void", "declareRelations", (ins "::twist::Relations &":$relations),
      /*methodBody=*/"", /*defaultImplementation=*/[{
        relations.barrierAll($_op.getOperation(), "it declares no relations");
      }]>,
    InterfaceMethod<
      "Re-emits size operands and attributes after dimensions were cut.",
      "::llvm::LogicalResult", "updateForSlice", (ins "::twist::SliceUpdate &":$update),
      /*methodBody=*/"", /*defaultImplementation=*/[{ return ::llvm::success(); }]>
  ];
}

#endif // TWIST_INTERFACES_DIMENSIONRELATIONS_TD

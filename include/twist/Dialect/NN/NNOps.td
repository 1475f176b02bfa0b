//===- NNOps.td - Composites of neural networks -------------*- tablegen -*-===//
#ifndef TWIST_DIALECT_NN_OPS_TD
#define TWIST_DIALECT_NN_OPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"

def NN_Dialect : Dialect {
  let name = "nn";
  let cppNamespace = "::twist::nn";
  let summary = "Composites that deserve better than their decomposition";
  let description = [{
    Each op is destination-style, on tensors and on buffers, and has a
    decomposition into linalg that states its meaning.
  }];
}

#endif // TWIST_DIALECT_NN_OPS_TD

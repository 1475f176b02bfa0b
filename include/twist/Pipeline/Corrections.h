//===- Corrections.h - A corrected model ------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_CORRECTIONS_H
#define TWIST_PIPELINE_CORRECTIONS_H

#include "mlir/IR/BuiltinOps.h"

namespace twist {

/// Gives consumers at gates the weights a safetensors file holds for them:
/// KEY.weight [width, columns] in place of the weight, KEY.bias [columns] added
/// to the result. Gates and subnetwork stay: masked and sliced model follow
/// from the corrected one. Errors at `loc`: a file that is not as `sha256`
/// (empty: any) says, a tensor for no gate of the model or of another shape, a
/// consumer that is no product with a matrix.
llvm::LogicalResult applyCorrections(mlir::ModuleOp module,
                                     llvm::StringRef path,
                                     llvm::StringRef sha256,
                                     mlir::Location loc);

} // namespace twist

#endif // TWIST_PIPELINE_CORRECTIONS_H

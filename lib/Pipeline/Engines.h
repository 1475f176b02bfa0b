//===- Engines.h - What runs the models of a proof --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_PIPELINE_ENGINES_H
#define TWIST_LIB_PIPELINE_ENGINES_H

#include "twist/Pipeline/Verify.h"
#include "twist/Runtime/twist.h"

namespace twist {

/// A type of the runtime and MLIR's.
struct TypePair {
  twist_type runtime;
  mlir::Type type;
};
llvm::SmallVector<TypePair> typePairs(mlir::MLIRContext *context);
/// None: the runtime has no such elements.
std::optional<twist_type> runtimeType(mlir::Type elementType);

/// The runtime's type of a tensor's elements; an error at `loc` if it has none.
mlir::FailureOr<twist_type> runtimeType(const proof::HostTensor &tensor,
                                        mlir::Location loc);

} // namespace twist

#endif // TWIST_LIB_PIPELINE_ENGINES_H

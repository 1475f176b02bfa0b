//===- Load.cpp - What compilation starts from ------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Load.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;
using namespace twist;

FailureOr<OwningOpRef<ModuleOp>>
twist::loadForCompilation(StringRef path, MLIRContext *context,
                          const ModelOptions &options,
                          llvm::json::Object &card) {
  if (path.ends_with(".mlir")) {
    OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(path, context);
    if (!module)
      return failure();
    return FailureOr<OwningOpRef<ModuleOp>>(std::move(module));
  }
  return emitError(UnknownLoc::get(context))
         << "'" << path << "' is neither an ONNX model nor MLIR";
}

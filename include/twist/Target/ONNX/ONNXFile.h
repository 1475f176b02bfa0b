//===- ONNXFile.h - ONNX files and MLIR
//-------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Reads and writes ONNX files, and what the onnx library does to whole models:
// inlining, conversion to an operator set, shape inference. The fields that are
// kept, and how, stand in docs/ONNX.md.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TARGET_ONNX_ONNXFILE_H
#define TWIST_TARGET_ONNX_ONNXFILE_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Support/LLVM.h"

#include <cstdint>

namespace twist {

/// Reads the model in file `path` into generic ops (`onnx.node`). Weights stay
/// in their files: `weights.source` names the model's path as given, external
/// data beside it. Needs the onnx, weights and func dialects in the context's
/// registry. Errors are reported at the file, node or initializer.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
importONNX(llvm::StringRef path, mlir::MLIRContext *context);

/// Where an exported model keeps its weights.
enum class ExternalData { Auto, Always, Never };

struct ExportONNXOptions {
  /// Auto: in the model, beyond `inlineLimit` in the file NAME.data beside it.
  ExternalData external = ExternalData::Auto;
  /// Bytes of the largest model with its weights inside; protobuf readers stop
  /// at 2 GiB.
  uint64_t inlineLimit = (uint64_t(1) << 31) - (uint64_t(1) << 20);
  /// Directory that relative paths of `weights.source` start from.
  llvm::StringRef sourceDirectory = "";
  /// Called when all is written and checked, before it takes the place of an
  /// older file: where it fails, that stays.
  llvm::function_ref<mlir::LogicalResult()> beforeReplacing = nullptr;
};

/// Writes a module of imported or normalised form to file `path`: to a
/// temporary beside it, which is read again, checked and renamed. No file is
/// left behind by a failure. Holds one tensor in memory at a time.
mlir::LogicalResult exportONNX(mlir::ModuleOp module, llvm::StringRef path,
                               const ExportONNXOptions &options = {});

/// The model with functions inlined, at operator set max(minOpset, its own) of
/// the default domain, with the types the onnx library infers. Nodes keep their
/// names and metadata where their first output keeps its name. Constant nodes
/// become onnx.Constant or weights.load.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
upgradeToOpset(mlir::ModuleOp module, int64_t minOpset = 23);

} // namespace twist

#endif // TWIST_TARGET_ONNX_ONNXFILE_H

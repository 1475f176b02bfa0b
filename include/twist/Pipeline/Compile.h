//===- Compile.h - From a model to a program --------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_COMPILE_H
#define TWIST_PIPELINE_COMPILE_H

#include "twist/Support/HostTensor.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/JSON.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace twist {

/// What `compileToFiles` writes.
enum class EmitKind {
  SharedObject, ///< OUTPUT.so, OUTPUT.weights, OUTPUT.card.json
  Executable,   ///< OUTPUT, OUTPUT.weights, OUTPUT.card.json
  Object,       ///< OUTPUT.o, OUTPUT.weights, OUTPUT.card.json
  LLVM,         ///< OUTPUT.ll
  MLIR          ///< OUTPUT.mlir: LLVM dialect
};

struct CompileOptions {
  /// A processor by LLVM's name, or this machine's.
  std::string cpu = "native";
  /// "f64", "f32", "f16" or "bf16": the type of all floating-point tensors
  /// (sums of f16 and bf16 are in f32); "": the model's.
  std::string precision;
  /// Sizes for symbolic dimensions of a model: {"batch", 1}.
  std::vector<std::pair<std::string, int64_t>> dims;
  /// Scalar loops in place of vectorised kernels.
  bool loops = false;
  EmitKind emit = EmitKind::SharedObject;
  /// Path of the artefact without its extension.
  std::string output;
  /// Where relative paths of `weights.source` start; empty: here.
  std::string baseDirectory;
  /// If not empty, a pass that fails or crashes leaves its input here.
  std::string reproducer;
  /// Whether the module is verified after each pass, not only at the end.
  bool verifyPasses = false;
  /// Further fields of the card: "ticket", "proofs".
  llvm::json::Object card;
  /// Told each stage when it starts.
  std::function<void(llvm::StringRef stage)> progress;
};

/// What compilation has written.
struct CompiledFiles {
  std::vector<std::string> paths;
  llvm::json::Object card; ///< empty where EmitKind has none
};

/// Compiles @main, of typed onnx ops or on tensors of linalg (the pipeline's
/// later stages: Pipeline/CPU.h), and writes the artefact. The module is left
/// as it was. What fails is reported; then no file of the artefact is written
/// anew.
mlir::FailureOr<CompiledFiles> compileToFiles(mlir::ModuleOp module,
                                              const CompileOptions &options);

/// Reports every obstacle that keeps a module of typed onnx ops from being
/// compiled, each at its node.
mlir::LogicalResult checkCompilable(mlir::ModuleOp module);

/// Typed onnx ops of @main to linalg, as compilation does first; obstacles are
/// reported each at its node.
mlir::LogicalResult lowerToLinalg(mlir::ModuleOp module);

/// A program compiled into a temporary folder and loaded: gone with this
/// object.
class CompiledProgram {
public:
  CompiledProgram(CompiledProgram &&other);
  CompiledProgram &operator=(CompiledProgram &&) = delete;
  ~CompiledProgram();

  /// Inputs, outputs: see twist.h.
  const twist_program *get() const { return program; }
  /// SHA-256 of code and weights, hexadecimal; empty if they cannot be read.
  std::string hash() const;

  /// Runs it on `inputs`, in the program's order, with `threads` threads (0:
  /// one per processor); reports wrong types and shapes at `loc`.
  mlir::FailureOr<std::vector<HostTensor>>
  run(llvm::ArrayRef<HostTensor> inputs, mlir::Location loc,
      int threads = 0) const;

private:
  friend mlir::FailureOr<CompiledProgram>
  compileInProcess(mlir::ModuleOp module, CompileOptions options);
  CompiledProgram() = default;

  std::string folder;
  twist_program *program = nullptr;
};

/// Compiles a module whose @main takes nothing for f64 and runs it: its
/// results, row-major, in the function's order.
mlir::FailureOr<std::vector<std::vector<double>>>
evaluateNatively(mlir::ModuleOp module);

/// As `compileToFiles`, for use at once. `emit` and `output` are ignored. The
/// temporary folder needs room for the weights.
mlir::FailureOr<CompiledProgram> compileInProcess(mlir::ModuleOp module,
                                                  CompileOptions options);

} // namespace twist

#endif // TWIST_PIPELINE_COMPILE_H

//===- Object.h - Native code and the files of an artefact ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TARGET_OBJECT_OBJECT_H
#define TWIST_TARGET_OBJECT_OBJECT_H

#include "twist/Support/OutputFile.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"

#include <array>
#include <memory>
#include <string>

namespace twist::weights {
class SourceFiles;
} // namespace twist::weights

namespace twist::object {

/// A processor to compile for.
struct Target {
  std::string cpu;      ///< LLVM's name: "znver5"
  std::string features; ///< in LLVM's form: "+avx2,-amx-tile,…"
  /// Of `required()`: what a program asks of the machine it runs on.
  std::string requiredFeatures;
  int64_t vectorBits = 256;     ///< width of a vector register
  bool bf16Conversions = false; ///< whether it rounds f32 to bf16
  /// Whether it multiplies pairs of bf16 into f32 faster than f32.
  bool bf16Dots = false;
  std::unique_ptr<llvm::TargetMachine> machine;

  /// How programs for it compute in bf16, in words for people.
  llvm::StringRef describeBF16() const;
};

/// The target for `cpu`, "native" being this machine. Reports at `loc` a name
/// that LLVM does not know or a processor without AVX2 and FMA.
mlir::FailureOr<Target> createTarget(llvm::StringRef cpu, mlir::Location loc);

/// A PendingFile that reports errors at a location.
class OutputFile {
public:
  /// Creates the temporary file beside `path`.
  static mlir::FailureOr<OutputFile>
  create(llvm::StringRef path, mlir::Location loc, bool isExecutable = false);

  llvm::StringRef getPath() const { return path; }
  mlir::LogicalResult write(llvm::ArrayRef<char> bytes);
  mlir::LogicalResult writeAt(llvm::ArrayRef<char> bytes, uint64_t offset);
  /// Closes the file and gives it its name.
  mlir::LogicalResult keep();

private:
  OutputFile(llvm::StringRef path, mlir::Location loc) : path(path), loc(loc) {}
  mlir::LogicalResult fail(const llvm::Twine &what, const llvm::Twine &why);

  std::string path;
  PendingFile file;
  mlir::Location loc;
};

using Sha256 = std::array<uint8_t, 32>;
std::string toHex(const Sha256 &digest);

/// What Target/Object puts beside the code of a module that `cpu-pipeline`
/// made.
struct WeightsFile {
  uint64_t bytes = 0;
  Sha256 sha256 = {};
};

/// Writes the file of weights that `cpu.weights` describes (Runtime/Program.h),
/// tensor by tensor: needs memory for the largest one twice. A module without
/// weights writes nothing and gives 0 bytes.
mlir::FailureOr<WeightsFile> writeWeights(mlir::ModuleOp module,
                                          weights::SourceFiles &sources,
                                          OutputFile &output);

/// LLVM IR of the module, optimised for the target, with the program's table.
mlir::FailureOr<std::unique_ptr<llvm::Module>>
translateProgram(mlir::ModuleOp module, const WeightsFile &weights,
                 const Target &target, llvm::LLVMContext &context);

/// Machine code of an optimised module.
mlir::LogicalResult emitObject(llvm::Module &module, const Target &target,
                               llvm::SmallVectorImpl<char> &object,
                               mlir::Location loc);

/// Links machine code into a shared object that needs libc and libm only, in a
/// folder among the system's temporary ones.
mlir::LogicalResult linkSharedObject(llvm::ArrayRef<char> code,
                                     OutputFile &output, mlir::Location loc);

/// Links machine code and the runtime into an executable with the options of
/// `twist run`; `runtime` is libTwistRuntimeStatic.a.
mlir::LogicalResult linkExecutable(llvm::ArrayRef<char> code,
                                   llvm::StringRef runtime, OutputFile &output,
                                   mlir::Location loc);

} // namespace twist::object

#endif // TWIST_TARGET_OBJECT_OBJECT_H

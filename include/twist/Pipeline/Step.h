//===- Step.h - Training steps from ONNX models -----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_STEP_H
#define TWIST_PIPELINE_STEP_H

#include "twist/Differentiate/Recompute.h"
#include "twist/Train/CompiledStep.h"

#include <functional>

namespace twist {

/// Constant: a parameter that the step reads. Learned: one it trains.
enum class GainKind { None, Constant, Learned };

struct StepCompilerOptions {
  /// Kinds of axes; empty: heads (KV groups), FFN units, channels; "*": all;
  /// "none".
  std::vector<std::string> kinds;
  /// Globs on names of parameters that are trained, or not, whatever they are.
  std::vector<std::string> train, freeze;
  /// A gain per axis, a parameter "gain:AXIS".
  GainKind gains = GainKind::None;
  /// Dropout at the axes' gates.
  bool dropout = false;
  /// State pairs `past=present` as in `twist slice`.
  std::vector<std::string> state;
  /// Parameters are f64 and all is computed in f64, else f32.
  bool f64 = false;
  /// What the backward part may compute again rather than keep.
  Recompute recompute = Recompute::Nothing;
  /// If not empty, a folder for each entry's module before code generation,
  /// step.mlir and so on: what twist-opt's cpu-pipeline takes.
  std::string emitMLIR;
  std::string cpu = "native";
  /// Told stages of compilation.
  std::function<void(llvm::StringRef)> progress;
};

/// Takes an inference export as it is: twist-prepare-training makes a training
/// graph of it. Errors name the model's node.
llvm::Expected<std::unique_ptr<train::StepCompiler>>
makeStepCompiler(llvm::StringRef modelPath, const StepCompilerOptions &options);

/// How steps for `cpu` compute in bf16, in words for people.
llvm::Expected<std::string> describeBF16(llvm::StringRef cpu);

} // namespace twist

#endif // TWIST_PIPELINE_STEP_H

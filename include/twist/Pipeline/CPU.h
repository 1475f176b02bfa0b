//===- CPU.h - From structured IR to a program for the CPU ------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_CPU_H
#define TWIST_PIPELINE_CPU_H

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace twist {

struct CPUPipelineOptions : mlir::PassPipelineOptions<CPUPipelineOptions> {
  Option<int64_t> vectorBits{
      *this, "vector-bits",
      llvm::cl::desc("Width of a vector register: 512 or 256"),
      llvm::cl::init(512)};
  Option<bool> bf16Dots{
      *this, "bf16-dots",
      llvm::cl::desc("Whether the processor multiplies pairs of bf16 into f32"),
      llvm::cl::init(false)};
  Option<bool> bf16Conversions{
      *this, "bf16-conversions",
      llvm::cl::desc("Whether the processor rounds f32 to bf16"),
      llvm::cl::init(false)};
  Option<std::string> baseDirectory{
      *this, "base-directory",
      llvm::cl::desc("Where relative paths of weights start"),
      llvm::cl::init("")};
  Option<bool> loops{
      *this, "loops",
      llvm::cl::desc("Scalar loops in place of vectorised kernels"),
      llvm::cl::init(false)};
};

/// Each stage ends with the dialects its comment in CPU.cpp lists.
void populateCPUTensorPasses(mlir::OpPassManager &pm,
                             const CPUPipelineOptions &options);
void populateCPUBufferPasses(mlir::OpPassManager &pm);
void populateCPUKernelPasses(mlir::OpPassManager &pm,
                             const CPUPipelineOptions &options);
void populateCPUProgramPasses(mlir::OpPassManager &pm);
void populateCPULLVMPasses(mlir::OpPassManager &pm,
                           const CPUPipelineOptions &options);

/// All of them: @main on tensors to LLVM dialect with the entry points of
/// twist/Runtime/Program.h.
void populateCPUPasses(mlir::OpPassManager &pm,
                       const CPUPipelineOptions &options);

/// Registers `cpu-tensor`, `cpu-buffer`, `cpu-kernel`, `cpu-program`,
/// `cpu-llvm` and `cpu-pipeline`.
void registerCPUPipelines();

} // namespace twist

#endif // TWIST_PIPELINE_CPU_H

//===- Passes.td - Passes of the CPU target -----------------*- tablegen -*-===//
#ifndef TWIST_CODEGEN_CPU_PASSES_TD
#define TWIST_CODEGEN_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

// A pass of the kernels asks for the registers of the target it makes them for.
class CPU_TargetOptions {
  list<Option> options = [
    Option<"vectorBits", "vector-bits", "int64_t", "512",
           "width of a vector register: 512 or 256">,
    Option<"bf16Dots", "bf16-dots", "bool", "false",
           "whether it multiplies pairs of bf16 into f32 (avx512_bf16)">
  ];
}

def CPUFormContractions : Pass<"cpu-form-contractions", "::mlir::func::FuncOp"> {
  let summary = "Turns contractions on tensors into cpu.gemm";
  let description = [{
    A contraction becomes a `cpu.gemm`; a weight on its right becomes a
    `cpu.packed_weight`. Elementwise ops are fused with each other, and those
    that follow a `cpu.gemm` become its epilogue.

    ```mlir
    %y = linalg.matmul ins(%x, %w) outs(%zero)
    %z = linalg.generic … ins(%y, %bias) { addf }
    // becomes
    %p = cpu.packed_weight …
    %z = cpu.gemm(%x, %p, %bias) … { ^bb0(%acc, %b): addf }
    ```
  }];
  let options = CPU_TargetOptions<>.options;
  let statistics = [
    Statistic<"numGemms", "num-gemms", "contractions formed">,
    Statistic<"numEpilogues", "num-epilogues", "ops fused into epilogues">
  ];
  let dependentDialects = [
    "::twist::cpu::CPUDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"
  ];
}

def CPUShareEmbeddings : Pass<"cpu-share-embeddings", "::mlir::func::FuncOp"> {
  let summary = "Reads rows of a table where a cpu.gemm has it packed";
  let description = [{
    A table of which rows are picked, and nothing else, and which is a
    right-hand side too (embeddings tied to the last product) is not stored
    twice: its rows are read out of the panels.

    ```mlir
    %t = weights.load <@m at 0 as tensor<96x4xf32>> : tensor<96x4xf32>
    %e = nn.gather ins(%t, %ids) … axis 0
    %p = cpu.packed_weight <@m at 0 as tensor<96x4xf32> permutation [1, 0]> … : tensor<2x4x48xf32>
    // becomes
    %e = linalg.generic ins(%ids) … { %p[%i / 48, %k, %i mod 48] }
    ```
  }];
  let statistics = [Statistic<"numShared", "num-shared", "tables read where they are packed">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"
  ];
}

def CPUElideResultCopies : Pass<"cpu-elide-result-copies", "::mlir::func::FuncOp"> {
  let summary = "Computes results where the caller wants them";
  let description = [{
    A buffer that is only reshaped and copied into an argument becomes a reshape
    of that argument, if nothing else uses the argument.

    ```mlir
    %a = memref.alloc() : memref<16x61xf32>
    …
    %e = memref.expand_shape %a [[0, 1], [2]] … : memref<16x61xf32> into memref<1x16x61xf32>
    memref.copy %e, %result : memref<1x16x61xf32> to memref<1x16x61xf32>
    // becomes
    %a = memref.collapse_shape %result [[0, 1], [2]] : memref<1x16x61xf32> into memref<16x61xf32>
    ```
  }];
  let statistics = [Statistic<"numElided", "num-elided", "copies elided">];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def CPULowerKernels : Pass<"cpu-lower-kernels", "::mlir::ModuleOp"> {
  let summary = "Outlines every computation on buffers into a vectorised kernel";
  let description = [{
    Each linalg, nn and cpu op on memrefs, and memref.copy, becomes a function of
    loops and vectors, launched over tasks. Equal ops share one function.

    ```mlir
    linalg.fill ins(%c : f32) outs(%m : memref<?xf32>)
    // becomes
    func.func private @kernel_0(%i: index, %c: f32, %m: memref<?xf32>) { … }
    cpu.launch @kernel_0(%count) %c, %m : f32, memref<?xf32>
    ```
  }];
  let options = CPU_TargetOptions<>.options;
  let statistics = [
    Statistic<"numLaunches", "num-launches", "ops outlined">,
    Statistic<"numKernels", "num-kernels", "distinct kernels made">
  ];
  let dependentDialects = [
    "::twist::cpu::CPUDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect", "::mlir::affine::AffineDialect",
    "::mlir::x86vector::X86VectorDialect"
  ];
}

def CPUExpandMath : Pass<"cpu-expand-math", "::mlir::ModuleOp"> {
  let summary = "Replaces functions on f32 vectors by polynomials";
  let description = [{
    exp, tanh, erf, log and the like on f32 become polynomials (errors up to 4
    ulp); f16 and bf16 go through f32; other functions, and all on f64, call
    libm, lane by lane.

    ```mlir
    %y = math.sin %x : vector<8xf64>
    // becomes
    %x0 = vector.extract %x[0] : f64 from vector<8xf64>
    %y0 = math.sin %x0 : f64
    …
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def CPULaunchToLoops : Pass<"cpu-launch-to-loops", "::mlir::ModuleOp"> {
  let summary = "Replaces each cpu.launch by a loop of calls";
  let description = [{
    For tests and for programs without threads.

    ```mlir
    cpu.launch @kernel_0(%count) %m : memref<?xf32>
    // becomes
    scf.for %i = %c0 to %count step %c1 { call @kernel_0(%i, %m) }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::scf::SCFDialect"
  ];
}

#endif // TWIST_CODEGEN_CPU_PASSES_TD

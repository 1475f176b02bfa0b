//===- Passes.td - From tensors to a program with an ABI ----*- tablegen -*-===//
#ifndef TWIST_CODEGEN_CPU_PROGRAM_PASSES_TD
#define TWIST_CODEGEN_CPU_PROGRAM_PASSES_TD

include "mlir/Pass/PassBase.td"

def CPUDescribeInterface : Pass<"cpu-describe-interface", "::mlir::ModuleOp"> {
  let summary = "Records the program's inputs and outputs and makes its shape function";
  let description = [{
    The names, types and sizes of @main's arguments and results go into the module
    attribute `cpu.interface`. A function @output_dims is made that computes the
    dynamic sizes of the results from the dynamic sizes of the arguments, in order.
    A result whose size depends on values, not on sizes, is an error at the op that
    makes it so. A value that is returned twice is copied: each result has a buffer
    of its own. An argument with `cpu.updated_by = N` is an input that the program
    writes result N to, which is no output; all others are read only.

    ```mlir
    func.func @main(%x: tensor<?x4xf32>) -> tensor<?x8xf32>
    // adds
    func.func private @output_dims(%d0: index) -> index { return %d0 : index }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect",
    "::mlir::func::FuncDialect", "::mlir::tensor::TensorDialect",
    "::mlir::affine::AffineDialect"
  ];
}

def CPUResolveDims : Pass<"cpu-resolve-dims"> {
  let summary = "Asks for sizes where they are made, not behind reshapes";
  let description = [{
    Sizes of reshapes, of destination-style ops and of whatever can tell its shape
    become arithmetic on the sizes of what they are made from, on tensors and on
    buffers.

    ```mlir
    %c = memref.collapse_shape %m [[0, 1], [2]] : memref<?x?x32xf32> into memref<?x32xf32>
    %d = memref.dim %c, %c0 : memref<?x32xf32>
    // becomes
    %d0 = memref.dim %m, %c0 : memref<?x?x32xf32>
    %d1 = memref.dim %m, %c1 : memref<?x?x32xf32>
    %d = arith.muli %d0, %d1 : index
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::affine::AffineDialect",
    "::mlir::memref::MemRefDialect", "::mlir::tensor::TensorDialect"
  ];
}

def CPUPlaceWeights : Pass<"cpu-place-weights", "::mlir::ModuleOp"> {
  let summary = "Gives every weight its place in the weights file";
  let description = [{
    Each distinct `weights.load` and `cpu.packed_weight` gets an offset, a multiple
    of 64, in the order of first use; @main gets the file's data as its first
    argument and reads the weights through views of it. The module attribute
    `cpu.weights` lists what `writeWeights` has to write where, and
    `cpu.weights_bytes` their size.

    ```mlir
    %w = weights.load <@m at 128 as tensor<4x8xf32>> : tensor<4x8xf32>
    // becomes, with %weights: memref<?xi8>
    %v = memref.view %weights[%c0][] : memref<?xi8> to memref<4x8xf32>
    %w = bufferization.to_tensor %v restrict : memref<4x8xf32> to tensor<4x8xf32>
    ```
  }];
  let statistics = [
    Statistic<"numWeights", "num-weights", "distinct weights placed">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::bufferization::BufferizationDialect",
    "::mlir::memref::MemRefDialect"
  ];
}

def CPUUpdateInPlace : Pass<"cpu-update-in-place", "::mlir::func::FuncOp"> {
  let summary = "Results that take the place of arguments vanish";
  let description = [{
    On buffers: the result named by an argument's `cpu.updated_by` is the argument
    itself where bufferisation wrote in place; where it did not, it is copied there
    at the end.

    ```mlir
    func.func @main(%p: memref<4xf32> {cpu.updated_by = 0 : i64}) -> memref<4xf32> {
      …
      return %p : memref<4xf32>
    // becomes
    func.func @main(%p: memref<4xf32>) {
      …
      return
    ```
  }];
  let statistics = [
    Statistic<"numCopies", "num-copies", "results copied to their arguments">
  ];
  let dependentDialects = ["::mlir::memref::MemRefDialect"];
}

def CPUProgramEntry : Pass<"cpu-program-entry", "::mlir::ModuleOp"> {
  let summary = "Gives @main raw buffers and sizes for memrefs";
  let description = [{
    The new arguments are: the weights, the arena, one raw buffer for each input and
    output, the dynamic sizes of the inputs and of the outputs, and the launcher.

    ```mlir
    func.func @main(%w: memref<?xi8>, %x: memref<?x4xf32>,
                    %y: memref<?x8xf32> {bufferize.result})
    // becomes
    func.func private @main(%w: memref<?xi8>, %arena: memref<?xi8>,
                            %x: memref<?xi8>, %y: memref<?xi8>,
                            %dx: index, %dy: index, %launcher: !llvm.ptr) {
      %vx = memref.view %x[%c0][%dx] : memref<?xi8> to memref<?x4xf32>
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect",
    "::mlir::LLVM::LLVMDialect"
  ];
}

def CPUPlanArena : Pass<"cpu-plan-arena", "::mlir::ModuleOp"> {
  let summary = "Replaces allocations by slots of one arena";
  let description = [{
    Allocations whose lives do not overlap share a slot, those of the same symbolic
    size first. Sizes and offsets are computed from the program's sizes at the start
    of @main; @arena_bytes computes their sum. A size that depends on values, or a
    buffer that a loop renews while the old one lives, is an error.

    ```mlir
    %a = memref.alloc(%d) : memref<?x8xf32>
    // becomes
    %a = memref.view %arena[%offset][%d] : memref<?xi8> to memref<?x8xf32>
    ```
  }];
  let statistics = [
    Statistic<"numAllocations", "num-allocations", "allocations placed">,
    Statistic<"numSlots", "num-slots", "slots they share">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::memref::MemRefDialect"
  ];
}

def CPUOpsToLoops : Pass<"cpu-ops-to-loops", "::mlir::func::FuncOp"> {
  let summary = "Lowers what no kernel covers to scalar loops";
  let description = [{
    Structured ops and strided copies on buffers become loops of `scf`. It is the
    whole lowering under `--kernels=loops`, the reference for the kernels' tests.
  }];
  let dependentDialects = [
    "::mlir::linalg::LinalgDialect", "::mlir::scf::SCFDialect",
    "::mlir::memref::MemRefDialect", "::mlir::affine::AffineDialect"
  ];
}

def CPUExpandReshapes : Pass<"cpu-expand-reshapes"> {
  let summary = "Lowers memref.expand_shape with any number of open sizes";
  let description = [{
    The general expansion of strided metadata computes one open size per group of
    dimensions; here the sizes are taken from the op.

    ```mlir
    %e = memref.expand_shape %m [[0, 1], [2]] output_shape [%a, %b, 32]
           : memref<?x32xf32> into memref<?x?x32xf32>
    // becomes
    %base, %offset, %sizes:2, %strides:2 = memref.extract_strided_metadata %m
    %s = arith.muli %strides#0, %b
    %e = memref.reinterpret_cast %base to offset: [0], sizes: [%a, %b, 32],
           strides: [%s, %strides#0, 1]
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"
  ];
}

def CPUMaskIntegers : Pass<"cpu-mask-integers"> {
  let summary = "Makes masked accesses of bf16 ones of i16";
  let description = [{
    Where the processor has no masks for 16 bits, LLVM goes lane by lane, and takes
    bf16 from lane to lane as f32: by a function of a library that programs have not.

    ```mlir
    %x = llvm.intr.masked.load %p, %m, %y {alignment = 2 : i32}
           : (!llvm.ptr, vector<8xi1>, vector<8xbf16>) -> vector<8xbf16>
    // becomes
    %z = llvm.bitcast %y : vector<8xbf16> to vector<8xi16>
    %i = llvm.intr.masked.load %p, %m, %z {alignment = 2 : i32}
           : (!llvm.ptr, vector<8xi1>, vector<8xi16>) -> vector<8xi16>
    %x = llvm.bitcast %i : vector<8xi16> to vector<8xbf16>
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def CPUEmitABI : Pass<"cpu-emit-abi", "::mlir::ModuleOp"> {
  let summary = "Lowers launches and emits the functions the runtime calls";
  let description = [{
    A `cpu.launch` in @main stores its operands into a context on the stack and
    calls the launcher with a thunk that loads them and calls the kernel; one inside
    a kernel becomes a loop of calls. The module attribute `cpu.sites` names the
    launches. A `cf.assert` in @main tells the launcher whether it holds;
    `cpu.checks` has their messages. @twist_run, @twist_output_dims and @twist_arena_bytes
    (twist/Runtime/Program.h) wrap @main, @output_dims and @arena_bytes.
  }];
  let statistics = [
    Statistic<"numLaunches", "num-launches", "launches lowered">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::LLVM::LLVMDialect"
  ];
}

#endif // TWIST_CODEGEN_CPU_PROGRAM_PASSES_TD

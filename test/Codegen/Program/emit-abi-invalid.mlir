// RUN: twist-opt %s --cpu-emit-abi -split-input-file -verify-diagnostics

// What the passes before it leave.

// expected-error @+1 {{emitting the ABI needs @main, @output_dims, @arena_bytes and the interface of the program}}
module {
  func.func @main() {
    return
  }
}

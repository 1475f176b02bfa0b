// RUN: twist-opt --allow-unregistered-dialect --verify-diagnostics --cpu-plan-arena %s

// The buffer an iteration yields is alive when the next one makes another.
func.func private @main(%w: memref<?xi8>, %arena: memref<?xi8>, %x: memref<8xf32>,
                        %n: index, %launcher: !llvm.ptr) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %r = scf.for %i = %c0 to %n step %c1 iter_args(%old = %x) -> memref<8xf32> {
    // expected-error@below {{this loop makes a new buffer in each iteration while the last one is still in use: such loops are not supported}}
    %new = memref.alloc() : memref<8xf32>
    "test.step"(%old, %new) : (memref<8xf32>, memref<8xf32>) -> ()
    scf.yield %new : memref<8xf32>
  }
  "test.read"(%r) : (memref<8xf32>) -> ()
  return
}
func.func private @output_dims(%n: index) {
  return
}

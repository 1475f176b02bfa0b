//===- Loops.h - Loops that write tensors element by element ----*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CONVERSION_ONNXTOLINALG_LOOPS_H
#define TWIST_LIB_CONVERSION_ONNXTOLINALG_LOOPS_H

#include "Lowering.h"

namespace twist::lowering {

/// The body of a nest: the loops' indices and the state; gives the new state.
using LoopBody = function_ref<SmallVector<Value>(
    ImplicitLocOpBuilder &, ValueRange loops, ValueRange state)>;

/// A nest of loops from 0 to `bounds` (index values), run in order, the last
/// the innermost, each passing `state` on.
SmallVector<Value> loopNest(ImplicitLocOpBuilder &b, ValueRange bounds,
                            ValueRange state, LoopBody body);

/// The sizes of a tensor as index values.
SmallVector<Value> boundsOf(Lowering &l, Value tensor);

/// A user's index as a position in [0, size): negative ones from the end, what
/// is out of range at the nearest.
Value position(ImplicitLocOpBuilder &b, Value index, Value size);

} // namespace twist::lowering

#endif // TWIST_LIB_CONVERSION_ONNXTOLINALG_LOOPS_H

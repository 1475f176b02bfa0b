//===- Gather.h - Reading along one axis ------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_LIB_CONVERSION_ONNXTOLINALG_GATHER_H
#define TWIST_LIB_CONVERSION_ONNXTOLINALG_GATHER_H

#include "Lowering.h"

namespace twist::lowering {

/// nn.gather of `data` along `axis` by an integer tensor.
Value gather(Lowering &l, Value data, Value indices, int64_t axis);

/// Makes indices outside [-size, size) an error of the compiler where they are
/// known (reported at `op`), else of the program that runs: a `cf.assert`. What
/// reads by them clamps, so that it reads nothing else meanwhile.
LogicalResult requireIndices(Lowering &l, Operation *op, Value indices,
                             Size size);

/// `size` elements along `axis`: element i is element index(i) of `data`.
Value gatherComputed(
    Lowering &l, Value data, int64_t axis, Size size,
    function_ref<Value(ImplicitLocOpBuilder &, Value i)> index);

} // namespace twist::lowering

#endif // TWIST_LIB_CONVERSION_ONNXTOLINALG_GATHER_H

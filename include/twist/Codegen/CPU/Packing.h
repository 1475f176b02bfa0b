//===- Packing.h - The bytes of packed weights ------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_CODEGEN_CPU_PACKING_H
#define TWIST_CODEGEN_CPU_PACKING_H

#include "twist/Codegen/CPU/CPU.h"

namespace twist::cpu {

/// Copies a row-major tensor of shape `shape` and `elementBytes` (1, 2, 4 or 8)
/// per element at `source` into the layout of `packing` at `packed`, which has
/// the product of `packing.getPackedShape(shape)` elements. Every byte of
/// `packed` is written.
void packPanels(PackingAttr packing, llvm::ArrayRef<int64_t> shape,
                unsigned elementBytes, const void *source, void *packed);

} // namespace twist::cpu

#endif // TWIST_CODEGEN_CPU_PACKING_H

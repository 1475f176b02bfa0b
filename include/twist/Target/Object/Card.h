//===- Card.h - What an artefact is, for people -----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TARGET_OBJECT_CARD_H
#define TWIST_TARGET_OBJECT_CARD_H

#include "twist/Target/Object/Object.h"

#include "llvm/Support/JSON.h"

namespace twist::object {

/// The card of a module that `cpu-pipeline` made: inputs and outputs,
/// parameters (elements of all weights), bytes, hashes, the target, and the
/// fields of `extra` ("precision", "ticket", "axes", "proofs"), which win.
llvm::json::Object makeCard(mlir::ModuleOp module, const WeightsFile &weights,
                            const Target &target,
                            const llvm::json::Object &extra);

} // namespace twist::object

#endif // TWIST_TARGET_OBJECT_CARD_H

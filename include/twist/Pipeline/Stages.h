//===- Stages.h - A model with axes as a row of programs --------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_PIPELINE_STAGES_H
#define TWIST_PIPELINE_STAGES_H

#include "twist/Pipeline/Gates.h"
#include "twist/Prune/Staged.h"
#include "twist/Ticket/Ticket.h"

#include "mlir/IR/BuiltinOps.h"

namespace twist {

/// The model's inputs, for a feed.
std::vector<prune::Port> inputPorts(mlir::ModuleOp module);

/// The kept units of the module's subnetwork by the axes' names; axes that
/// lose none are not in it.
mlir::FailureOr<prune::KeptUnits> keptUnits(mlir::ModuleOp module);

/// The same of a ticket whose axes have the names that AxisInfo::name() gives.
prune::KeptUnits keptUnits(const Ticket &ticket);

/// Cuts `module`, which has axes and gates and is left as it is, into stages
/// and compiles them for inputs of the batch's sizes. Outputs that are state
/// are left out. Errors: no site; two at one node; a value between stages whose
/// size the inputs' sizes do not tell; an input without elements that is more
/// than appended to or asked for its size.
mlir::FailureOr<prune::StagedModel>
stageModel(mlir::ModuleOp module, const prune::Batch &batch,
           SiteChoice choice = SiteChoice::Gated);

} // namespace twist

#endif // TWIST_PIPELINE_STAGES_H

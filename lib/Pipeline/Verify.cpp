//===- Verify.cpp - The proofs, and what runs them ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Verify.h"

#include "twist/Dialect/Weights/Weights.h"
#include "twist/Pipeline/Compile.h"

#include "mlir/IR/OwningOpRef.h"

using namespace mlir;
using namespace twist;

/// Why a model can't be compiled: its first obstacle.
static std::optional<std::pair<Location, std::string>>
findObstacle(ModuleOp module) {
  std::optional<std::pair<Location, std::string>> found;
  ScopedDiagnosticHandler handler(
      module.getContext(), [&](Diagnostic &diagnostic) {
        if (!found && diagnostic.getSeverity() == DiagnosticSeverity::Error)
          found.emplace(diagnostic.getLocation(), diagnostic.str());
        return success();
      });
  OwningOpRef<ModuleOp> copy = module.clone();
  axes::GateCounts gates;
  (void)(succeeded(axes::lowerGates(*copy, gates)) &&
         succeeded(checkCompilable(*copy)));
  return found;
}

FailureOr<proof::Engine> twist::chooseEngine(ModuleOp gated, ModuleOp sliced) {
  for (ModuleOp module : {gated, sliced}) {
    auto obstacle = findObstacle(module);
    if (!obstacle)
      continue;
    auto node = dyn_cast<NameLoc>(obstacle->first);
    return onnxruntimeEngine(obstacle->first, obstacle->second,
                             node ? node.getName().getValue() : "");
  }
  return nativeEngine();
}

FailureOr<std::vector<proof::Verdict>> twist::proveSlice(
    ModuleOp gated, ModuleOp sliced, const axes::SliceOptions &options,
    const axes::SliceReport &report, const proof::InputOptions &inputs,
    const proof::Engine &engine) {
  // Tensors of inputs and outputs are read through views.
  gated.getContext()->getOrLoadDialect<weights::WeightsDialect>();
  OwningOpRef<ModuleOp> masked = gated.clone();
  axes::GateCounts gates;
  int64_t elements = 0;
  if (failed(axes::poison(*masked, options, elements, /*tagMasks=*/true)) ||
      failed(axes::lowerGates(*masked, gates, /*tagMasks=*/true)))
    return failure();
  auto masks = proof::liftMasks(*masked);
  return proof::prove({*masked, masks, sliced, report.interface}, inputs,
                      engine);
}

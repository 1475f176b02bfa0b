//===- TrainResults.cpp - What a training leaves --------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/TrainResults.h"

#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Dialect/Twist/Transforms/Subnetwork.h"
#include "twist/Pipeline/Compile.h"
#include "twist/Pipeline/Gates.h"
#include "twist/Pipeline/Model.h"
#include "twist/Prune/Correction.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace twist;

FailureOr<std::vector<DrawnTicket>>
twist::drawTickets(StringRef path, MLIRContext *context,
                   const DrawOptions &options) {
  LoadOptions load;
  load.hashes = true;
  load.state.assign(options.state.begin(), options.state.end());
  FailureOr<OwningOpRef<ModuleOp>> module =
      loadModelWithAxes(path, context, load);
  if (failed(module))
    return failure();
  std::vector<AxisInfo> axes = axes::axesOf(**module);
  if (failed(axes::countLayers(**module, axes)))
    return failure();
  std::vector<DrawnTicket> drawn;
  for (double kappa : options.kappas)
    for (int64_t i = 0; i < options.count; ++i) {
      PolicyOptions policy = options.policy;
      policy.policy = TicketPolicy::Random;
      policy.kappa = kappa;
      policy.seed += uint64_t(i);
      std::vector<PolicyRow> rows;
      FailureOr<Ticket> ticket =
          makeTicket(axes, policy, UnitScores(), rows,
                     FileLineColLoc::get(context, path, 0, 0));
      if (failed(ticket))
        return failure();
      axes::stampModel(**module, *ticket);
      ticket->provenance = llvm::json::Object{{"made_by", "twist train"},
                                              {"policy", "random"},
                                              {"kappa", kappa},
                                              {"seed", int64_t(policy.seed)}};
      std::string name;
      llvm::raw_string_ostream(name)
          << "kappa" << llvm::format("%g", kappa) << "-" << i;
      drawn.push_back({name, kappa, policy.seed, std::move(*ticket)});
    }
  return drawn;
}

llvm::Expected<std::string>
twist::writeGains(StringRef path, const llvm::StringMap<double> &ratios,
                  StringRef output, MLIRContext *context,
                  ArrayRef<std::string> state) {
  LoadOptions load;
  load.state.assign(state.begin(), state.end());
  FailureOr<OwningOpRef<ModuleOp>> module =
      loadModelWithAxes(path, context, load);
  if (failed(module))
    return llvm::createStringError(path + ": cannot be read again");
  FailureOr<ExposedGates> gates = exposeGates(**module, {"*"});
  if (failed(gates))
    return llvm::createStringError(path + ": has no gates to scale");
  std::vector<prune::CorrectedSite> scaled;
  for (const prune::Site &site : gates->sites) {
    double ratio = 1;
    for (const prune::SiteAxis &axis : site.axes)
      if (auto known = ratios.find(axis.name); known != ratios.end())
        ratio *= known->second;
    if (ratio == 1)
      continue;
    if (!site.isMatrix)
      return llvm::createStringError(site.name() +
                                     ": a gain needs a matrix behind the gate");
    prune::CorrectedSite &result = scaled.emplace_back();
    result.key = site.key;
    result.width = site.width;
    result.columns = site.columns;
    result.bias.resize(site.columns);
    for (double weight : site.weight)
      result.weight.push_back(ratio * weight);
  }
  return prune::writeCorrections(output, scaled);
}

llvm::Expected<train::Masks> twist::masksOf(const Ticket &ticket,
                                            const train::ModelLayout &layout) {
  train::Masks masks = train::wholeMasks(layout);
  for (const TicketAxis &axis : ticket.axes) {
    int index = layout.findAxis(axis.name);
    if (index < 0)
      return llvm::createStringError("the ticket's axis '" + axis.name +
                                     "' is none that is trained");
    if (layout.axes[index].units != axis.units)
      return llvm::createStringError(
          llvm::formatv("the ticket's axis '{0}' has {1} units, the model's "
                        "{2}",
                        axis.name, axis.units, layout.axes[index].units)
              .str());
    masks[index] = axis.keptUnits();
  }
  return masks;
}

LogicalResult twist::sliceFile(StringRef path, StringRef ticket,
                               StringRef output, MLIRContext *context,
                               ArrayRef<std::string> state) {
  LoadOptions load;
  load.state.assign(state.begin(), state.end());
  load.evaluate = evaluateNatively;
  FailureOr<OwningOpRef<ModuleOp>> module =
      loadModelWithTicket(path, ticket, /*anyWeights=*/false, context, load);
  if (failed(module))
    return failure();
  axes::SliceOptions options;
  options.state = load.state;
  axes::SliceReport report;
  if (failed(sliceModel(**module, options, report)))
    return failure();
  return exportONNX(**module, output);
}

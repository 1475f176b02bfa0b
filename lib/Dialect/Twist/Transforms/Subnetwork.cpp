//===- Subnetwork.cpp - Axes and their kept units -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/Transforms/Subnetwork.h"

#include "twist/Dialect/Twist/AxisAnalysis.h"
#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Dialect/Twist/Transforms/Passes.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

std::vector<AxisInfo> twist::axes::axesOf(ModuleOp module) {
  std::vector<AxisInfo> axes;
  for (AxisOp axis : module.getOps<AxisOp>()) {
    AxisInfo info{axis.getSymName().str(), axis.getKind().str(),
                  int64_t(axis.getIndex()), int64_t(axis.getUnits())};
    for (auto source : axis.getSources().getAsRange<StringAttr>())
      info.names.push_back(source.str());
    axes.push_back(std::move(info));
  }
  return axes;
}

LogicalResult twist::axes::countLayers(ModuleOp module,
                                       std::vector<AxisInfo> &axes) {
  for (auto function : module.getOps<func::FuncOp>()) {
    FailureOr<AxisAnalysis> analysis = AxisAnalysis::compute(function);
    if (failed(analysis))
      return failure();
    llvm::StringMap<AxisLayer> bySymbol;
    for (auto [axis, layer] : llvm::zip(analysis->axes(), analysis->layers()))
      bySymbol[axis.symbol] = layer;
    for (AxisInfo &axis : axes)
      if (auto it = bySymbol.find(axis.symbol); it != bySymbol.end()) {
        axis.layersBefore = it->second.before;
        axis.layersAfter = it->second.after;
      }
  }
  return success();
}

LogicalResult twist::axes::applyTicket(ModuleOp module, const Ticket &ticket,
                                       Location loc,
                                       const EvaluateConstants &evaluate) {
  FailureOr<std::vector<AxisKeep>> keeps =
      resolveTicket(ticket, axesOf(module), loc);
  if (failed(keeps))
    return failure();
  if (!module.getOps<SubnetworkOp>().empty())
    return emitError(loc) << "ticket: the module has a subnetwork already";
  OpBuilder builder(module.getContext());
  SmallVector<NamedAttribute> keep;
  llvm::StringSet<> keepsBias;
  for (const AxisKeep &axis : *keeps) {
    keep.push_back(builder.getNamedAttr(
        axis.symbol, builder.getDenseI64ArrayAttr(axis.keep)));
    if (axis.site == MaskSite::Weight)
      keepsBias.insert(axis.symbol);
  }
  if (!keepsBias.empty() && !evaluate)
    return emitError(loc)
           << "ticket: site \"weight\" needs constants computed: "
              "use twist slice or twist compile";
  builder.setInsertionPointToStart(module.getBody());
  for (AxisOp axis : module.getOps<AxisOp>())
    builder.setInsertionPointAfter(axis);
  SubnetworkOp::create(builder, module.getLoc(),
                       builder.getStringAttr("ticket"),
                       builder.getDictionaryAttr(keep), StringAttr());
  return keepsBias.empty() ? success()
                           : keepBiases(module, keepsBias, evaluate);
}

/// The kept units of one entry of a subnetwork, checked against its axis.
static FailureOr<CutAxis> readCut(SubnetworkOp subnetwork, NamedAttribute entry,
                                  SymbolTableCollection &symbols) {
  auto axis =
      symbols.lookupNearestSymbolFrom<AxisOp>(subnetwork, entry.getName());
  if (!axis)
    return subnetwork.emitOpError()
           << "names no twist.axis: '" << entry.getName().strref() << "'";
  auto keep = dyn_cast<DenseI64ArrayAttr>(entry.getValue());
  if (!keep)
    return subnetwork.emitOpError()
           << "keeps no array<i64> of '" << entry.getName().strref() << "'";
  int64_t units = axis.getUnits();
  CutAxis cut{axis, SmallVector<int64_t>(keep.asArrayRef()),
              llvm::BitVector(units)};
  for (auto [i, unit] : llvm::enumerate(cut.keep)) {
    if (unit < 0 || unit >= units)
      return subnetwork.emitOpError()
             << "keeps unit " << unit << " of axis '" << axis.getSymName()
             << "', which has " << units;
    if (i > 0 && cut.keep[i - 1] >= unit)
      return subnetwork.emitOpError()
             << "keeps units of axis '" << axis.getSymName()
             << "' that do not ascend";
    cut.kept.set(unit);
  }
  return cut;
}

FailureOr<CutAxes> CutAxes::of(ModuleOp module) {
  CutAxes result;
  SymbolTableCollection symbols;
  auto subnetworks = module.getOps<SubnetworkOp>();
  if (subnetworks.empty())
    return result;
  if (std::next(subnetworks.begin()) != subnetworks.end())
    return (*std::next(subnetworks.begin())).emitOpError()
           << "is the module's second";
  SubnetworkOp subnetwork = *subnetworks.begin();
  for (NamedAttribute entry : subnetwork.getKeep()) {
    FailureOr<CutAxis> cut = readCut(subnetwork, entry, symbols);
    if (failed(cut))
      return failure();
    if (!cut->kept.all())
      result.axes.try_emplace(entry.getName().strref(), std::move(*cut));
  }
  return result;
}

void twist::axes::clearRemoved(PlaceAttr place, const CutAxis &cut,
                               llvm::BitVector &keep) {
  int64_t inner = place.getInner();
  for (int64_t o = 0; o < place.getOuter(); ++o)
    for (int64_t u = 0; u < place.getUnits(); ++u) {
      if (cut.kept.test(u))
        continue;
      int64_t at = place.getOffset() + (o * place.getUnits() + u) * inner;
      keep.reset(at, at + inner);
    }
}

void twist::axes::eraseAxes(ModuleOp module) {
  for (Operation &op : llvm::make_early_inc_range(*module.getBody()))
    if (isa<AxisOp, SubnetworkOp>(op))
      op.erase();
}

namespace twist::axes {
#define GEN_PASS_DEF_TWISTAPPLYSUBNETWORK
#include "twist/Dialect/Twist/Transforms/Passes.h.inc"
} // namespace twist::axes

namespace {
struct ApplySubnetwork : axes::impl::TwistApplySubnetworkBase<ApplySubnetwork> {
  using TwistApplySubnetworkBase::TwistApplySubnetworkBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!ticket.empty()) {
      Location loc = FileLineColLoc::get(&getContext(), ticket, 0, 0);
      FailureOr<Ticket> read = readTicket(ticket, &getContext());
      if (failed(read) ||
          (!anyWeights && failed(checkModel(module, *read, loc))) ||
          failed(applyTicket(module, *read, loc)))
        return signalPassFailure();
    }
    FailureOr<CutAxes> cuts = CutAxes::of(module);
    if (failed(cuts))
      return signalPassFailure();
    for (const auto &entry : cuts->all()) {
      ++numAxes;
      numUnits += entry.second.kept.size() - entry.second.kept.count();
    }
  }
};
} // namespace

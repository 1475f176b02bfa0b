//===- DiscoverAxes.cpp - Axes and gates ----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/AxisAnalysis.h"
#include "twist/Dialect/Twist/Transforms/Passes.h"
#include "twist/Dialect/Twist/Twist.h"

namespace twist::axes {
#define GEN_PASS_DEF_TWISTDISCOVERAXES
#define GEN_PASS_DEF_TWISTPRINTDIMENSIONS
#include "twist/Dialect/Twist/Transforms/Passes.h.inc"
} // namespace twist::axes

using namespace mlir;
using namespace twist;
using namespace twist::axes;

static void eraseAxesAndGates(ModuleOp module) {
  SmallVector<GateOp> gates;
  module.walk([&](GateOp gate) { gates.push_back(gate); });
  for (GateOp gate : gates) {
    gate.getOutput().replaceAllUsesWith(gate.getInput());
    gate.erase();
  }
  for (AxisOp axis : llvm::make_early_inc_range(module.getOps<AxisOp>()))
    axis.erase();
}

/// One twist.axis before the function.
static void createAxis(func::FuncOp function, const Axis &axis) {
  OpBuilder builder(function);
  SmallVector<StringRef> sources(axis.sources.begin(), axis.sources.end());
  AxisOp::create(builder, function.getLoc(), builder.getStringAttr(axis.symbol),
                 builder.getStringAttr(axis.kind),
                 builder.getI64IntegerAttr(axis.index),
                 builder.getI64IntegerAttr(axis.units),
                 builder.getStrArrayAttr(sources), StringAttr());
}

namespace {
/// A gate to be.
struct Gate {
  AxisSink sink;
  FlatSymbolRefAttr axis;
  ArrayAttr places;

  static Gate at(const AxisSink &sink, unsigned axis,
                 const AxisAnalysis &analysis) {
    MLIRContext *context = sink.operand->getOwner()->getContext();
    SmallVector<Attribute> places;
    for (const AxisPlace &found : analysis.placesOf(*sink.operand, sink.dim))
      if (found.axis == axis)
        places.push_back(PlaceAttr::get(context, found.place.offset,
                                        found.place.outer, found.place.units,
                                        found.place.inner));
    StringRef symbol = analysis.axes()[axis].symbol;
    return {sink, FlatSymbolRefAttr::get(context, symbol),
            ArrayAttr::get(context, places)};
  }

  void create() const {
    Operation *op = sink.operand->getOwner();
    OpBuilder builder(op);
    Value operand = sink.operand->get();
    sink.operand->set(
        GateOp::create(builder, op->getLoc(), operand.getType(), operand, axis,
                       builder.getI64IntegerAttr(sink.dim), places));
  }
};
} // namespace

static void remarkRefused(const AxisAnalysis &analysis) {
  for (const RefusedClass &refused : analysis.refused())
    for (const RefusedClass::Reason &reason : refused.reasons) {
      InFlightDiagnostic remark = reason.op->emitRemark();
      remark << refused.size << " units"
             << (refused.sources.empty() ? "" : " of ")
             << (refused.sources.empty() ? "" : refused.sources[0])
             << " can't be cut: " << reason.text;
    }
}

namespace {
struct DiscoverAxesPass : axes::impl::TwistDiscoverAxesBase<DiscoverAxesPass> {
  using TwistDiscoverAxesBase::TwistDiscoverAxesBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    eraseAxesAndGates(module);
    if (!state.empty()) {
      SmallVector<StringRef> texts(state.begin(), state.end());
      module->setAttr(kStateAttr, Builder(module).getStrArrayAttr(texts));
    }
    for (auto function : module.getOps<func::FuncOp>())
      if (!function.isExternal() && failed(discover(function)))
        return signalPassFailure();
  }

  LogicalResult discover(func::FuncOp function) {
    FailureOr<AxisAnalysis> analysis = AxisAnalysis::compute(function);
    if (failed(analysis))
      return failure();
    if (unsigned copies = shareNothing(function, *analysis)) {
      numCopies += copies;
      analysis = AxisAnalysis::compute(function);
      if (failed(analysis))
        return failure();
    }
    if (explain)
      remarkRefused(*analysis);
    numRefused += analysis->refused().size();
    // All places before the first gate: the analysis does not know gates.
    std::vector<Gate> gates;
    for (auto [number, axis] : llvm::enumerate(analysis->axes())) {
      if (!kinds.empty() && !llvm::is_contained(kinds, axis.kind))
        continue;
      ++numAxes;
      createAxis(function, axis);
      // Units that an op makes inside itself are masked in its weights alone.
      for (const AxisSink &sink : axis.sinks)
        if (Gate gate = Gate::at(sink, number, *analysis); !gate.places.empty())
          gates.push_back(std::move(gate));
    }
    numGates += gates.size();
    for (const Gate &gate : gates)
      gate.create();
    return success();
  }
};
} // namespace

namespace {
struct PrintDimensionsPass
    : axes::impl::TwistPrintDimensionsBase<PrintDimensionsPass> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      FailureOr<AxisAnalysis> analysis = AxisAnalysis::compute(function);
      if (failed(analysis))
        return signalPassFailure();
      llvm::outs() << "function " << function.getSymName() << "\n";
      analysis->printDimensions(llvm::outs());
    }
    markAllAnalysesPreserved();
  }
};
} // namespace

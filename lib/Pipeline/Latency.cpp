//===- Latency.cpp - What widths of axes save, measured -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Engines.h"

#include "twist/Dialect/Twist/AxisAnalysis.h"
#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Pipeline/Choice.h"
#include "twist/Pipeline/Compile.h"
#include "twist/Proof/Proof.h"
#include "twist/Prune/Evaluate.h"

using namespace mlir;
using namespace twist;

namespace {
/// A program with inputs of its own.
struct Timed {
  CompiledProgram program;
  prune::Runner runner;
  std::vector<prune::Array> inputs;
};

/// Axes of one kind, size and cost.
struct Alike {
  std::vector<PolicyRow> rows;
  axes::AxisCost cost;
};
} // namespace

static FailureOr<Timed> prepare(ModuleOp module,
                                ArrayRef<std::pair<std::string, int64_t>> dims,
                                int threads, Location loc) {
  proof::InputOptions options;
  options.dims.insert(dims.begin(), dims.end());
  auto inputs = proof::randomInputs(module, options);
  if (failed(inputs))
    return failure();
  auto compiled = compileInProcess(module, {});
  if (failed(compiled))
    return failure();
  auto runner = prune::Runner::create(compiled->get(), threads);
  if (!runner)
    return emitError(loc) << toString(runner.takeError());
  Timed timed{std::move(*compiled), std::move(*runner), {}};
  for (proof::HostTensor &input : *inputs) {
    prune::Array &array = timed.inputs.emplace_back();
    array.type = runtimeType(input.elementType).value_or(TWIST_F32);
    array.dims.assign(input.shape.begin(), input.shape.end());
    array.data = std::move(input.bytes);
  }
  return FailureOr<Timed>(std::move(timed));
}

static FailureOr<std::vector<Alike>>
group(ModuleOp module, const PolicyOptions &options, Location loc) {
  auto known = axesFor(module, options);
  if (failed(known))
    return failure();
  auto rows = planRows(*known, options, loc);
  auto analysis =
      axes::AxisAnalysis::compute(module.lookupSymbol<func::FuncOp>("main"));
  if (failed(rows) || failed(analysis))
    return failure();
  axes::AxisCosts costs = analysis->costs();
  llvm::StringMap<axes::AxisCost> bySymbol;
  for (auto [axis, cost] : llvm::zip_equal(analysis->axes(), costs.axes))
    bySymbol[axis.symbol] = cost;
  std::vector<Alike> groups;
  for (PolicyRow &row : *rows) {
    axes::AxisCost cost = bySymbol[row.axis.symbol];
    auto found = llvm::find_if(groups, [&](const Alike &other) {
      const AxisInfo &axis = other.rows[0].axis;
      return axis.kind == row.axis.kind && axis.units == row.axis.units &&
             other.cost.parameters == cost.parameters &&
             other.cost.flops == cost.flops;
    });
    if (found == groups.end())
      found = groups.insert(groups.end(), {{}, cost});
    found->rows.push_back(std::move(row));
  }
  return groups;
}

/// Up to `steps` widths below the whole, spread evenly.
static std::vector<int64_t>
widthsOf(const PolicyRow &row, const PolicyOptions &options, int64_t steps) {
  std::vector<int64_t> allowed = allowedGroups(row, options), widths;
  allowed.pop_back();
  int64_t count = std::min<int64_t>(steps, int64_t(allowed.size()));
  for (int64_t i = 0; i < count; ++i)
    widths.push_back(allowed[i * int64_t(allowed.size()) / count] * row.group);
  return widths;
}

static Ticket ticketFor(const Alike &alike, int64_t width) {
  Ticket ticket;
  for (const PolicyRow &row : alike.rows) {
    TicketAxis axis{row.axis.name(), row.axis.units, 1, {}};
    for (int64_t u = 0; u < width; ++u)
      axis.keep.push_back(u);
    ticket.axes.push_back(std::move(axis));
  }
  return ticket;
}

FailureOr<prune::LatencyTable> twist::measureLatency(
    ModuleOp module, const PolicyOptions &options,
    ArrayRef<std::pair<std::string, int64_t>> dims, ArrayRef<std::string> state,
    int threads, int64_t steps, int64_t repeat,
    function_ref<void(StringRef, int64_t, int64_t, double)> tell,
    Location loc) {
  auto groups = group(module, options, loc);
  if (failed(groups))
    return failure();
  prune::LatencyTable table;
  Ticket stamp;
  axes::stampModel(module, stamp);
  table.machine = prune::machineName();
  table.structureSHA256 = stamp.structureSHA256;
  for (const auto &[name, size] : dims)
    table.sizes +=
        (table.sizes.empty() ? "" : ",") + name + "=" + std::to_string(size);
  OwningOpRef<ModuleOp> whole = module.clone();
  axes::GateCounts gates;
  if (failed(axes::lowerGates(*whole, gates)))
    return failure();
  auto dense = prepare(*whole, dims, threads, loc);
  if (failed(dense))
    return failure();
  table.threads = dense->runner.threads();
  std::vector<double> seconds;
  for (const Alike &alike : *groups) {
    int64_t count = int64_t(alike.rows.size());
    std::vector<int64_t> widths = widthsOf(alike.rows[0], options, steps);
    std::vector<double> saved;
    for (int64_t width : widths) {
      auto cut = cutModel(module, ticketFor(alike, width), "", state, loc);
      if (failed(cut))
        return failure();
      auto small = prepare(*cut->sliced, dims, threads, loc);
      if (failed(small))
        return failure();
      auto times = prune::timeInTurn({&dense->runner, &small->runner},
                                     {dense->inputs, small->inputs}, repeat);
      if (!times)
        return emitError(loc) << toString(times.takeError());
      seconds.push_back((*times)[0]);
      // A ratio of neighbours: what slows all of a minute slows both.
      saved.push_back(1 - (*times)[1] / (*times)[0]);
      tell(alike.rows[0].axis.kind, count, width, (*times)[1]);
    }
    for (const PolicyRow &row : alike.rows) {
      prune::LatencyRow &entry = table.axes.emplace_back();
      entry.axis = row.axis.name();
      entry.units = row.axis.units;
      entry.widths = widths;
      for (double part : saved)
        entry.saved.push_back(part / double(count));
    }
  }
  table.denseSeconds = seconds.empty() ? 0 : *llvm::min_element(seconds);
  for (prune::LatencyRow &row : table.axes)
    for (double &saved : row.saved)
      saved *= table.denseSeconds;
  return table;
}

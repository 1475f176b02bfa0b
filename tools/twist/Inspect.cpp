//===- Inspect.cpp - twist inspect ----------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"

#include "twist/Dialect/Twist/AxisAnalysis.h"
#include "twist/Dialect/Twist/Transforms/Fingerprint.h"
#include "twist/Dialect/Twist/Transforms/PrepareTraining.h"
#include "twist/Pipeline/Model.h"
#include "twist/Pipeline/ReplaceWeights.h"
#include "twist/Ticket/Ticket.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

using namespace mlir;
using namespace twist;
using llvm::format;
using twist::tools::grouped;
namespace cl = llvm::cl;
namespace json = llvm::json;

//===----------------------------------------------------------------------===//
// Inputs and outputs
//===----------------------------------------------------------------------===//

namespace {
struct Port {
  std::string name;
  std::string type;
  std::vector<std::string> dims; ///< a number, a name, or "?"
};
} // namespace

static Port portOf(func::FuncOp function, bool isResult, unsigned i) {
  auto attribute = [&](StringRef name) {
    return isResult ? function.getResultAttr(i, name)
                    : function.getArgAttr(i, name);
  };
  Port port;
  if (auto name = dyn_cast_or_null<StringAttr>(attribute("onnx.name")))
    port.name = name.str();
  Type type =
      isResult ? function.getResultTypes()[i] : function.getArgumentTypes()[i];
  auto tensor = dyn_cast<RankedTensorType>(type);
  llvm::raw_string_ostream os(port.type);
  os << (tensor ? tensor.getElementType() : type);
  if (!tensor)
    return port;
  auto names = dyn_cast_or_null<ArrayAttr>(attribute("onnx.dims"));
  for (auto [dim, size] : llvm::enumerate(tensor.getShape())) {
    StringRef name;
    if (names && dim < names.size())
      name = cast<StringAttr>(names[dim]).getValue();
    port.dims.push_back(!ShapedType::isDynamic(size) ? std::to_string(size)
                        : name.empty()               ? "?"
                                                     : name.str());
  }
  return port;
}

static std::vector<Port> portsOf(func::FuncOp function, bool isResult) {
  std::vector<Port> ports;
  unsigned count =
      isResult ? function.getNumResults() : function.getNumArguments();
  for (unsigned i = 0; i < count; ++i)
    ports.push_back(portOf(function, isResult, i));
  return ports;
}

/// The ONNX node's name.
static std::string nodeOf(Operation *op) {
  if (auto name = dyn_cast<NameLoc>(op->getLoc()))
    return name.getName().str();
  if (auto function = dyn_cast<func::FuncOp>(op))
    return function.getName().str();
  return op->getName().stripDialect().str();
}

//===----------------------------------------------------------------------===//
// As a table
//===----------------------------------------------------------------------===//

static void printPorts(StringRef title, ArrayRef<Port> ports) {
  llvm::outs() << title << "\n";
  for (const Port &port : ports)
    llvm::outs() << format("  %-24s %-5s [", port.name.c_str(),
                           port.type.c_str())
                 << llvm::join(port.dims, ", ") << "]\n";
}

static std::string shortened(ArrayRef<std::string> sources) {
  if (sources.empty())
    return "(no named weight)";
  std::string text = sources[0];
  if (sources.size() > 1)
    text += " +" + std::to_string(sources.size() - 1);
  return text;
}

/// Axes share weights (a head and its width), so their parts overlap.
static void printAxes(const axes::AxisAnalysis &analysis,
                      const axes::AxisCosts &costs) {
  auto percent = [](int64_t part, int64_t whole) {
    return whole ? 100.0 * double(part) / double(whole) : 0.0;
  };
  llvm::outs() << "axes: " << analysis.axes().size() << "\n"
               << format("  %-16s %6s %14s %7s %7s  %s\n", "axis", "units",
                         "parameters", "", "FLOPs", "made by");
  for (auto [axis, cost] : llvm::zip_equal(analysis.axes(), costs.axes)) {
    std::string name = axis.kind + "." + std::to_string(axis.index);
    llvm::outs() << format("  %-16s %6lld %14s %5.1f %% %5.1f %%  ",
                           name.c_str(), (long long)axis.units,
                           grouped(cost.parameters).c_str(),
                           percent(cost.parameters, costs.total.parameters),
                           percent(cost.flops, costs.total.flops))
                 << shortened(axis.sources) << "\n";
  }
  llvm::outs() << format("  %-16s %6s %14s %7s %7s  ", "model", "",
                         grouped(costs.total.parameters).c_str(), "", "")
               << grouped(costs.total.flops)
               << " FLOPs with dynamic sizes of 1\n";
}

/// One line a reason: at which node first, and at how many more.
static std::string reasonsOf(const axes::RefusedClass &refused) {
  llvm::MapVector<StringRef, SmallVector<Operation *>> byText;
  for (const axes::RefusedClass::Reason &reason : refused.reasons)
    byText[reason.text].push_back(reason.op);
  std::string lines;
  for (auto &[text, ops] : byText) {
    lines += ("           " + text + ", at " + nodeOf(ops[0])).str();
    if (ops.size() > 1)
      lines += " and " + std::to_string(ops.size() - 1) + " more";
    lines += "\n";
  }
  return lines;
}

static void printRefused(const axes::AxisAnalysis &analysis) {
  // The uses of one weight that fare alike are one entry.
  std::vector<std::pair<std::string, unsigned>> entries;
  for (const axes::RefusedClass &refused : analysis.refused()) {
    std::string source = shortened(refused.sources);
    source = source.substr(0, source.find('@'));
    std::string entry;
    llvm::raw_string_ostream(entry)
        << format("  %6lld units of ", (long long)refused.size) << source
        << "\n"
        << reasonsOf(refused);
    auto known = llvm::find_if(
        entries, [&](const auto &other) { return other.first == entry; });
    if (known == entries.end())
      entries.push_back({entry, 1});
    else
      ++known->second;
  }
  if (!entries.empty())
    llvm::outs() << "can't be cut\n";
  for (auto &[entry, count] : entries) {
    auto [title, reasons] = StringRef(entry).split('\n');
    llvm::outs() << title;
    if (count > 1)
      llvm::outs() << ", " << count << " uses";
    llvm::outs() << "\n" << reasons;
  }
}

//===----------------------------------------------------------------------===//
// As JSON
//===----------------------------------------------------------------------===//

static json::Array toJSON(ArrayRef<Port> ports) {
  json::Array array;
  for (const Port &port : ports)
    array.push_back(json::Object{{"name", port.name},
                                 {"type", port.type},
                                 {"dims", json::Array(port.dims)}});
  return array;
}

/// Weights by name with what they hold, and where axes run through them: what
/// training elsewhere needs to find and slice its own tensors.
static FailureOr<json::Array> weightsOf(ModuleOp module, func::FuncOp function,
                                        const axes::AxisAnalysis &analysis) {
  weights::SourceFiles files(module);
  json::Array array;
  for (Operation &op : function.getBody().front()) {
    if (!isFloatWeight(&op))
      continue;
    FailureOr<WeightContent> content = readContent(&op, files);
    if (failed(content))
      return failure();
    auto type = cast<RankedTensorType>(op.getResult(0).getType());
    json::Array places;
    for (int64_t dim = 0; dim < type.getRank(); ++dim)
      for (const axes::AxisPlace &at : analysis.placesOf(op.getResult(0), dim))
        places.push_back(json::Object{{"dim", dim},
                                      {"axis", analysis.axes()[at.axis].symbol},
                                      {"offset", at.place.offset},
                                      {"outer", at.place.outer},
                                      {"units", at.place.units},
                                      {"inner", at.place.inner}});
    array.push_back(json::Object{{"name", axes::weightName(&op)},
                                 {"dims", json::Array(type.getShape())},
                                 {"sha256", content->hash},
                                 {"transposed_sha256", content->transposed},
                                 {"places", std::move(places)}});
  }
  return array;
}

static json::Object toJSON(func::FuncOp function,
                           const axes::AxisAnalysis &analysis,
                           const axes::AxisCosts &costs) {
  json::Array axesArray, refusedArray, state;
  for (auto [axis, cost] : llvm::zip_equal(analysis.axes(), costs.axes))
    axesArray.push_back(
        json::Object{{"name", axis.sources.empty()
                                  ? axis.kind + "." + std::to_string(axis.index)
                                  : axis.sources[0]},
                     {"symbol", axis.symbol},
                     {"kind", axis.kind},
                     {"index", axis.index},
                     {"units", axis.units},
                     {"sources", json::Array(axis.sources)},
                     {"parameters", cost.parameters},
                     {"flops", cost.flops}});
  for (const axes::RefusedClass &refused : analysis.refused()) {
    json::Array reasons;
    for (const axes::RefusedClass::Reason &reason : refused.reasons)
      reasons.push_back(
          json::Object{{"node", nodeOf(reason.op)}, {"why", reason.text}});
    refusedArray.push_back(
        json::Object{{"units", refused.size},
                     {"sources", json::Array(refused.sources)},
                     {"reasons", std::move(reasons)}});
  }
  for (auto [input, output] : analysis.statePairs())
    state.push_back(json::Array{portOf(function, false, input).name,
                                portOf(function, true, output).name});
  return json::Object{{"inputs", toJSON(portsOf(function, false))},
                      {"outputs", toJSON(portsOf(function, true))},
                      {"parameters", costs.total.parameters},
                      {"flops", costs.total.flops},
                      {"state", std::move(state)},
                      {"axes", std::move(axesArray)},
                      {"refused", std::move(refusedArray)}};
}

int twist::tools::inspectMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist inspect");
  cl::opt<std::string> model(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category));
  tools::JSONOption asJSON(category);
  cl::opt<bool> listWeights(
      "weights", cl::cat(category),
      cl::desc("In JSON also weights: hashes, and where axes are in them"));
  DimOption dims(category);
  StateOption state(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Shows a model's axes, what they hold, what can't be cut\n");

  ToolContext context;
  LoadOptions load;
  load.state.assign(state.begin(), state.end());
  load.dims = llvm::join(dims, ",");
  load.hashes = listWeights;
  FailureOr<OwningOpRef<ModuleOp>> module =
      loadModelWithAxes(model, &context, load);
  if (failed(module))
    return 1;
  auto function = *(**module).getOps<func::FuncOp>().begin();
  FailureOr<axes::AxisAnalysis> analysis =
      axes::AxisAnalysis::compute(function);
  if (failed(analysis))
    return 1;
  axes::AxisCosts costs = analysis->costs();
  if (asJSON) {
    json::Object object = toJSON(function, *analysis, costs);
    if (listWeights) {
      auto listed = weightsOf(**module, function, *analysis);
      if (failed(listed))
        return 1;
      object["weights"] = std::move(*listed);
      Ticket stamp;
      axes::stampModel(**module, stamp);
      object["structure_sha256"] = stamp.structureSHA256;
    }
    tools::printJSON(std::move(object));
    return 0;
  }
  printPorts("inputs", portsOf(function, false));
  printPorts("outputs", portsOf(function, true));
  for (auto [input, output] : analysis->statePairs())
    llvm::outs() << "state " << portOf(function, false, input).name << " -> "
                 << portOf(function, true, output).name << "\n";
  printAxes(*analysis, costs);
  printRefused(*analysis);
  return 0;
}

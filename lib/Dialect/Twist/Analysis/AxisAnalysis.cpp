//===- AxisAnalysis.cpp - The axes of a graph and where they lie ----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "AxisAnalysisImpl.h"

#include "twist/Dialect/Twist/Twist.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;
using Node = AxisGraph::Node;

AxisAnalysis::AxisAnalysis(std::unique_ptr<Impl> impl)
    : impl(std::move(impl)) {}
AxisAnalysis::AxisAnalysis(AxisAnalysis &&) = default;
AxisAnalysis &AxisAnalysis::operator=(AxisAnalysis &&) = default;
AxisAnalysis::~AxisAnalysis() = default;

//===----------------------------------------------------------------------===//
// State options
//===----------------------------------------------------------------------===//

/// What `*` stands for if `name` fits `pattern`.
static std::optional<StringRef> match(StringRef pattern, StringRef name) {
  auto [prefix, suffix] = pattern.split('*');
  if (!pattern.contains('*'))
    return pattern == name ? std::optional<StringRef>("") : std::nullopt;
  if (name.size() < prefix.size() + suffix.size() ||
      !name.consume_front(prefix) || !name.consume_back(suffix))
    return std::nullopt;
  return name;
}

static LogicalResult
addStateOption(func::FuncOp function, StringRef option,
               SmallVectorImpl<std::pair<unsigned, unsigned>> &pairs) {
  auto [input, output] = option.split('=');
  auto name = [&](bool isResult, unsigned i) -> StringRef {
    auto attr = isResult
                    ? function.getResultAttrOfType<StringAttr>(i, "onnx.name")
                    : function.getArgAttrOfType<StringAttr>(i, "onnx.name");
    return attr ? attr.getValue() : "";
  };
  bool any = false;
  for (unsigned in = 0; in < function.getNumArguments(); ++in) {
    std::optional<StringRef> star = match(input, name(false, in));
    for (unsigned out = 0; star && out < function.getNumResults(); ++out) {
      if (match(output, name(true, out)) != star)
        continue;
      any = true;
      if (llvm::none_of(pairs, [&](auto pair) {
            return pair.first == in || pair.second == out;
          }))
        pairs.push_back({in, out});
    }
  }
  if (!any)
    return function.emitError()
           << "state '" << option << "' names no input and output of the model";
  return success();
}

//===----------------------------------------------------------------------===//
// Classes to axes
//===----------------------------------------------------------------------===//

void AxisAnalysis::Impl::addAxes(ArrayRef<const AtomClass *> found) {
  std::vector<std::string> kinds = kindsOf(graph, found);
  llvm::StringMap<int64_t> count;
  for (auto [i, info] : llvm::enumerate(found)) {
    Axis axis;
    axis.kind = kinds[i];
    axis.index = count[axis.kind]++;
    axis.symbol = axis.kind + "_" + std::to_string(axis.index);
    axis.units = info->size;
    for (const AxisGraph::Sink &sink : info->sinks)
      if (!llvm::is_contained(axis.sinks, AxisSink{sink.operand, sink.dim}))
        axis.sinks.push_back({sink.operand, sink.dim});
    axis.reads = info->reads;
    axisOf[info->atom] = axes.size();
    axes.push_back(std::move(axis));
  }
}

void AxisAnalysis::Impl::addRefused(ArrayRef<const AtomClass *> found) {
  for (const AtomClass *info : found) {
    RefusedClass entry;
    entry.size = info->size;
    entry.isSummedAway = info->hasDataSink;
    for (const AxisGraph::Barrier &barrier : info->barriers)
      if (llvm::none_of(entry.reasons, [&](auto &reason) {
            return reason.text == barrier.text && reason.op == barrier.op;
          }))
        entry.reasons.push_back({barrier.op, barrier.text});
    refused.push_back(std::move(entry));
  }
}

void AxisAnalysis::Impl::judge() {
  std::vector<AtomClass> classes = classesOf(graph);
  SmallVector<const AtomClass *> good, bad, both;
  for (const AtomClass &info : classes) {
    if (info.isAxis())
      good.push_back(&info);
    else if (info.isMade() && !info.barriers.empty())
      bad.push_back(&info);
  }
  addAxes(good);
  addRefused(bad);
  both = good;
  both.append(bad);
  std::vector<SmallVector<std::string>> names = namesOf(both);
  for (auto [i, axis] : llvm::enumerate(axes))
    axis.sources = names[i];
  for (auto [i, entry] : llvm::enumerate(refused))
    entry.sources = names[good.size() + i];
}

/// On a graph with gates the axes are those the gates name.
void AxisAnalysis::Impl::takeNamesOfGates() {
  auto module = graph.function->getParentOfType<ModuleOp>();
  for (auto gate : graph.function.getOps<GateOp>()) {
    auto symbol =
        module ? module.lookupSymbol<AxisOp>(gate.getAxis()) : nullptr;
    if (!symbol)
      continue;
    PlaceAttr first = cast<PlaceAttr>(gate.getPlaces()[0]);
    Place place{first.getOffset(), first.getOuter(), first.getUnits(),
                first.getInner()};
    for (View view : views[gate.getInput()])
      for (const AxisPlace &found :
           placesOf(gate.getInput(), view, gate.getDim())) {
        if (!(found.place == place))
          continue;
        Axis &axis = axes[found.axis];
        axis.symbol = symbol.getSymName();
        axis.kind = symbol.getKind();
        axis.index = symbol.getIndex();
        axis.sources.clear();
        for (Attribute source : symbol.getSources())
          axis.sources.push_back(cast<StringAttr>(source).str());
      }
  }
}

FailureOr<AxisAnalysis>
AxisAnalysis::compute(func::FuncOp function,
                      const AxisAnalysisOptions &options) {
  auto impl = std::make_unique<Impl>(function);
  for (const std::string &option : options.state)
    if (failed(addStateOption(function, option, impl->statePairs)))
      return failure();
  auto module = function->getParentOfType<ModuleOp>();
  if (auto kept =
          module ? module->getAttrOfType<ArrayAttr>(kStateAttr) : ArrayAttr())
    for (auto text : kept.getAsRange<StringAttr>())
      if (failed(addStateOption(function, text, impl->statePairs)))
        return failure();
  for (auto pair : findStatePairs(function))
    if (llvm::none_of(impl->statePairs, [&](auto other) {
          return pair.first == other.first || pair.second == other.second;
        }))
      impl->statePairs.push_back(pair);
  impl->graph.build(impl->statePairs);
  for (auto &[key, dims] : impl->graph.all())
    impl->views[key.first].push_back(key.second);
  impl->judge();
  impl->takeNamesOfGates();
  return AxisAnalysis(std::move(impl));
}

//===----------------------------------------------------------------------===//
// Answers
//===----------------------------------------------------------------------===//

ArrayRef<Axis> AxisAnalysis::axes() const { return impl->axes; }
ArrayRef<RefusedClass> AxisAnalysis::refused() const { return impl->refused; }
ArrayRef<std::pair<unsigned, unsigned>> AxisAnalysis::statePairs() const {
  return impl->statePairs;
}

SmallVector<AxisPlace> AxisAnalysis::Impl::placesOf(Value value, View view,
                                                    int64_t dim) const {
  SmallVector<AxisPlace> result;
  ArrayRef<Node> dims = graph.dims(value, view);
  if (dim >= (int64_t)dims.size() || axisOf.empty())
    return result;
  for (auto &[atom, place] : graph.trees.places(dims[dim]))
    if (auto it = axisOf.find(atom); it != axisOf.end())
      result.push_back({it->second, place});
  llvm::sort(result, [](const AxisPlace &a, const AxisPlace &b) {
    return std::tie(a.axis, a.place.offset) < std::tie(b.axis, b.place.offset);
  });
  return result;
}

SmallVector<AxisPlace> AxisAnalysis::placesOf(Value value, int64_t dim) const {
  auto it = impl->views.find(value);
  if (it == impl->views.end())
    return {};
  SmallVector<AxisPlace> first = impl->placesOf(value, it->second[0], dim);
  for (View view : ArrayRef(it->second).drop_front())
    if (impl->placesOf(value, view, dim) != first)
      return {};
  return first;
}

SmallVector<AxisPlace> AxisAnalysis::placesOf(OpOperand &operand,
                                              int64_t dim) const {
  return impl->placesOf(operand.get(), impl->graph.viewOf(operand, 0), dim);
}

void AxisAnalysis::printDimensions(llvm::raw_ostream &os) const {
  const AxisGraph &graph = impl->graph;
  func::FuncOp function = graph.function;
  llvm::MapVector<Node, unsigned> numbers;
  auto print = [&](StringRef title, unsigned number, ArrayRef<Node> dims) {
    for (auto [dim, root] : llvm::enumerate(dims))
      for (auto &[atom, place] : graph.trees.places(root)) {
        unsigned id = numbers.insert({atom, numbers.size()}).first->second;
        os << title << " " << number << " dim " << dim << ": class " << id
           << " offset " << place.offset << " outer " << place.outer
           << " units " << place.units << " inner " << place.inner << "\n";
      }
  };
  for (BlockArgument argument : function.getArguments())
    print("input", argument.getArgNumber(), graph.dims(argument, 0));
  Operation *end = function.getBody().front().getTerminator();
  for (OpOperand &result : end->getOpOperands())
    print("output", result.getOperandNumber(),
          graph.dims(result.get(), graph.viewOf(result, 0)));
  for (auto [atom, id] : numbers) {
    for (const AxisGraph::Sink &sink : graph.sinks)
      if (llvm::is_contained(graph.trees.atoms(sink.node), atom)) {
        os << "summed class " << id << "\n";
        break;
      }
    for (const AxisGraph::Barrier &barrier : graph.barriers)
      if (barrier.op != function && barrier.op != end &&
          llvm::is_contained(graph.trees.atoms(barrier.node), atom))
        os << "refused class " << id << ": " << barrier.text << "\n";
  }
}

//===- AxisLayers.cpp - Which layer of which stack an axis belongs to -----===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Data flow orders axes: one comes before another if what sums it away reaches
// what sums the other away. An encoder and a decoder that reads it in every
// layer are ordered so too, but for the decoder's first layers. So axes are put
// into *streams* first, by the dimension that their sinks add to:
//
//   encoder:  h0 → f0 → h1 → f1 ─┬──────┐      all add to the encoder's D
//   decoder:  h0 ────────────→ c0 → f0 → h1 …   all add to the decoder's D
//
// Two streams are apart if some pair of their axes is unordered (both h0 here);
// the stages of a convolutional net, each after all of the one before, are not.
//
//===----------------------------------------------------------------------===//

#include "AxisAnalysisImpl.h"

#include "mlir/IR/Visitors.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/EquivalenceClasses.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;
using Node = AxisGraph::Node;

namespace {
class LayerCounter {
public:
  LayerCounter(const AxisGraph &graph, ArrayRef<Axis> axes)
      : graph(graph), axes(axes), before(axes.size()) {}
  std::vector<AxisLayer> run();

private:
  void findOrder();
  void findStreams();
  void findApart();
  SmallVector<Node> addedTo(Operation *op) const;
  bool precedes(unsigned a, unsigned b) const {
    return before[b].test(a) && !apart.contains({stream[a], stream[b]});
  }

  const AxisGraph &graph;
  ArrayRef<Axis> axes;
  /// Axes by the place of what first sums them away.
  SmallVector<unsigned> order;
  SmallVector<llvm::BitVector> before; ///< before[b][a]: a comes before b
  SmallVector<unsigned> stream;        ///< one of its axes stands for it
  llvm::DenseSet<std::pair<unsigned, unsigned>> apart;
};
} // namespace

/// Fills `before`: the axes whose first sink reaches each axis's first sink.
void LayerCounter::findOrder() {
  llvm::DenseMap<Operation *, SmallVector<unsigned>> firstSinkOf;
  for (auto [number, axis] : llvm::enumerate(axes)) {
    Operation *first = nullptr;
    for (const AxisSink &sink : axis.sinks)
      if (Operation *op = sink.operand->getOwner();
          !first || graph.position.lookup(op) < graph.position.lookup(first))
        first = op;
    firstSinkOf[first].push_back(number);
  }
  llvm::DenseMap<Value, llvm::BitVector> reached;
  func::FuncOp function = graph.function;
  for (Operation &op : function.getBody().front()) {
    llvm::BitVector here(axes.size());
    // What a region reads flows into its op.
    op.walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (auto it = reached.find(operand); it != reached.end())
          here |= it->second;
    });
    llvm::BitVector out = here;
    if (auto it = firstSinkOf.find(&op); it != firstSinkOf.end())
      for (unsigned axis : it->second) {
        before[axis] = here;
        order.push_back(axis);
        out.set(axis);
      }
    if (out.any())
      for (Value result : op.getResults())
        reached[result] = out;
  }
}

/// The classes of the result that a weight of this op makes.
SmallVector<Node> LayerCounter::addedTo(Operation *op) const {
  llvm::SmallDenseSet<Node> made;
  for (OpOperand &operand : op->getOpOperands())
    if (!graph.dependsOnData(operand.get()))
      for (Node root : graph.dims(operand.get(), graph.viewOf(operand, 0)))
        for (Node atom : graph.trees.atoms(root))
          made.insert(atom);
  SmallVector<Node> result;
  for (Value value : op->getResults())
    for (Node root : graph.dims(value, 0))
      for (Node atom : graph.trees.atoms(root))
        if (made.contains(atom) && graph.trees.size(atom).constant())
          result.push_back(atom);
  return result;
}

/// Joins axes that add to one dimension. One that adds to none (queries times
/// keys) goes with the first axis behind it.
void LayerCounter::findStreams() {
  llvm::EquivalenceClasses<unsigned> streams;
  llvm::DenseMap<Node, unsigned> firstOf;
  for (unsigned axis : order) {
    streams.insert(axis);
    for (const AxisSink &sink : axes[axis].sinks)
      for (Node atom : addedTo(sink.operand->getOwner()))
        streams.unionSets(firstOf.try_emplace(atom, axis).first->second, axis);
  }
  for (auto [place, axis] : llvm::enumerate(order)) {
    bool adds = llvm::any_of(axes[axis].sinks, [&](const AxisSink &sink) {
      return !addedTo(sink.operand->getOwner()).empty();
    });
    if (adds)
      continue;
    for (unsigned later : ArrayRef(order).drop_front(place + 1))
      if (before[later].test(axis)) {
        streams.unionSets(axis, later);
        break;
      }
  }
  stream.resize(axes.size());
  for (unsigned axis : order)
    stream[axis] = streams.getLeaderValue(axis);
}

void LayerCounter::findApart() {
  for (unsigned a : order)
    for (unsigned b : order)
      if (stream[a] != stream[b] && !before[a].test(b) && !before[b].test(a))
        apart.insert({stream[a], stream[b]});
}

std::vector<AxisLayer> LayerCounter::run() {
  findOrder();
  findStreams();
  findApart();
  std::vector<AxisLayer> layers(axes.size());
  for (unsigned b : order)
    for (unsigned a : order)
      if (axes[a].kind == axes[b].kind && precedes(a, b))
        layers[b].before = std::max(layers[b].before, layers[a].before + 1);
  for (unsigned a : llvm::reverse(order))
    for (unsigned b : order)
      if (axes[a].kind == axes[b].kind && precedes(a, b))
        layers[a].after = std::max(layers[a].after, layers[b].after + 1);
  return layers;
}

std::vector<AxisLayer> AxisAnalysis::layers() const {
  return LayerCounter(impl->graph, impl->axes).run();
}

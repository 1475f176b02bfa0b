//===- AxisClasses.cpp - Classes of atoms, judged and named ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "AxisClasses.h"

#include "twist/Dialect/ONNX/FusedAttention.h"
#include "twist/Dialect/Twist/Twist.h"

#include <unordered_map>

using namespace mlir;
using namespace twist;
using namespace twist::axes;
using Node = AxisGraph::Node;

namespace {
/// Sorts every statement about nodes to the classes they turned out to hold.
class Collector {
public:
  explicit Collector(const AxisGraph &graph) : graph(graph) {}
  std::vector<AtomClass> run();

private:
  template <typename Statement, typename Function>
  void each(const std::vector<Statement> &statements, Function add) {
    for (const Statement &statement : statements)
      for (Node atom : atomsOf(statement.node))
        add(classes[atom], statement);
  }
  const SmallVector<Node> &atomsOf(Node node) {
    auto [it, isNew] = atoms.try_emplace(graph.trees.find(node));
    if (isNew)
      for (Node atom : graph.trees.atoms(node))
        if (std::optional<int64_t> size = graph.trees.size(atom).constant()) {
          it->second.push_back(atom);
          classes[atom].atom = atom;
          classes[atom].size = *size;
        }
    return it->second;
  }
  void addSources(const AxisGraph::Weight &weight);
  unsigned rankOf(const AxisGraph::Weight &weight, Node atom);
  bool feedsBack(const AxisGraph::Sink &sink, Node atom);
  void findLastUses();
  void barStatistics();

  const AxisGraph &graph;
  llvm::MapVector<Node, AtomClass> classes;
  std::unordered_map<Node, SmallVector<Node>> atoms;
  /// Position of the last op that uses a value with the atom.
  llvm::DenseMap<Node, unsigned> lastUse;
};
} // namespace

/// How the view's root uses the atom: a weight whose only such dimensions are
/// contracted does not make it.
unsigned Collector::rankOf(const AxisGraph::Weight &weight, Node atom) {
  OpOperand *root = graph.root(weight.view);
  if (!root)
    return 1;
  Operation *op = root->getOwner();
  auto it = graph.relations.find(op);
  if (it == graph.relations.end())
    return 1;
  ArrayRef<Node> dims = graph.dims(root->get(), weight.view);
  bool contracts = false, contracted = false, free = false;
  llvm::SmallDenseSet<int64_t> summed;
  for (const Relation &relation : it->second.list) {
    if (relation.kind != Relation::Contract &&
        relation.kind != Relation::Window)
      continue;
    contracts = true;
    for (ArrayRef<DimRef> refs :
         {ArrayRef(relation.from), ArrayRef(relation.to)})
      for (DimRef ref : refs)
        if (!ref.isResult && !ref.inner &&
            ref.number == root->getOperandNumber())
          summed.insert(ref.dim);
  }
  for (auto [dim, node] : llvm::enumerate(dims))
    if (llvm::is_contained(atomsOf(node), atom))
      (summed.contains(dim) ? contracted : free) = true;
  if (free)
    return contracts && !summed.empty() ? 0 : isa<onnx::GatherOp>(op) ? 0 : 1;
  return contracted ? 2 : 1;
}

void Collector::addSources(const AxisGraph::Weight &weight) {
  OpOperand *root = graph.root(weight.view);
  unsigned position = root ? graph.position.lookup(root->getOwner()) : ~0u;
  for (const DimensionTrees::Occurrence &occurrence :
       graph.trees.occurrences(weight.node)) {
    if (!graph.trees.size(occurrence.atom).constant())
      continue;
    atomsOf(weight.node);
    classes[occurrence.atom].sources.push_back({rankOf(weight, occurrence.atom),
                                                position, weight.value,
                                                weight.dim, occurrence.path});
  }
  std::optional<int64_t> size = graph.trees.size(weight.node).constant();
  for (auto &[atom, place] : graph.trees.places(weight.node)) {
    if (!size || !place.isStatic() || rankOf(weight, atom) > 0)
      continue;
    AtomClass &info = classes[atom];
    info.made +=
        double(place.outer * place.units * place.inner) / double(*size);
    info.lastMaker = std::max(info.lastMaker, position);
  }
}

void Collector::findLastUses() {
  for (auto &[key, roots] : graph.all()) {
    unsigned last = 0;
    for (Operation *user : key.first.getUsers())
      last = std::max(last, graph.position.lookup(user));
    for (Node root : roots)
      for (Node atom : atomsOf(root))
        lastUse[atom] = std::max(lastUse[atom], last);
  }
}

/// Whether a sum over the class comes back, unchanged by any weight's making,
/// to meet the class unit by unit: x · f(Σ x), a norm written out.
bool Collector::feedsBack(const AxisGraph::Sink &sink, Node atom) {
  SmallVector<Value> pending(sink.operand->getOwner()->getResults());
  llvm::DenseSet<Value> tainted(pending.begin(), pending.end());
  while (!pending.empty()) {
    Value value = pending.pop_back_val();
    for (OpOperand &use : value.getUses()) {
      Operation *op = use.getOwner();
      auto it = graph.relations.find(op);
      if (it == graph.relations.end() ||
          graph.position.lookup(op) > lastUse[atom])
        continue;
      for (const Relation &relation : it->second.list) {
        if (!it->second.elementwise || relation.kind != Relation::Same)
          continue;
        DimRef from = relation.from[0], to = relation.to[0];
        if (from.isResult || from.number == use.getOperandNumber())
          continue;
        OpOperand &other = op->getOpOperand(from.number);
        View view = graph.viewOf(other, 0);
        ArrayRef<Node> dims = graph.dims(other.get(), view);
        bool broadcast =
            llvm::none_of(it->second.list, [&](const Relation &own) {
              return own.from[0].number == use.getOperandNumber() &&
                     own.to[0].dim == to.dim;
            });
        if (broadcast && from.dim < (int64_t)dims.size() &&
            llvm::is_contained(atomsOf(dims[from.dim]), atom))
          return true;
      }
      for (Value result : op->getResults())
        if (tainted.insert(result).second)
          pending.push_back(result);
    }
  }
  return false;
}

void Collector::barStatistics() {
  for (const AxisGraph::Sink &sink : graph.sinks) {
    bool ofData = sink.other ? graph.dependsOnData(sink.operand->get()) &&
                                   graph.dependsOnData(sink.other->get())
                             : true;
    if (!ofData || sink.view != 0)
      continue;
    for (Node atom : SmallVector<Node>(atomsOf(sink.node)))
      if (classes[atom].barriers.empty() && feedsBack(sink, atom))
        classes[atom].barriers.push_back(
            {atom, sink.operand->getOwner(),
             "statistic: a sum over it scales it"});
  }
}

std::vector<AtomClass> Collector::run() {
  for (auto &[key, roots] : graph.all())
    for (Node root : roots)
      atomsOf(root);
  findLastUses();
  for (const AxisGraph::Weight &weight : graph.weights)
    addSources(weight);
  each(graph.sinks, [&](AtomClass &in, const AxisGraph::Sink &sink) {
    in.sinks.push_back(sink);
    if (!graph.trees.size(sink.node).constant())
      in.barriers.push_back(
          {sink.node, sink.operand->getOwner(),
           "it is summed away in a dimension of dynamic size"});
    in.firstSink =
        std::min(in.firstSink, graph.position.lookup(sink.operand->getOwner()));
    in.hasWeightSink |= sink.other && !graph.dependsOnData(sink.other->get());
    in.hasDataSink |= graph.dependsOnData(sink.operand->get()) ||
                      (sink.other && graph.dependsOnData(sink.other->get()));
  });
  each(graph.barriers, [&](AtomClass &in, const AxisGraph::Barrier &barrier) {
    in.barriers.push_back(barrier);
  });
  each(graph.roles, [&](AtomClass &in, const AxisGraph::Role &role) {
    (role.role == DimRole::Batch  ? in.isBatch
     : role.role == DimRole::Free ? in.isFree
                                  : in.isContracted) = true;
  });
  each(graph.reads, [&](AtomClass &in, const AxisGraph::Read &read) {
    if (!llvm::is_contained(in.reads, read.op))
      in.reads.push_back(read.op);
  });
  barStatistics();

  std::vector<AtomClass> all;
  for (auto &[atom, info] : classes) {
    llvm::sort(info.sources, [](const Source &a, const Source &b) {
      StringRef nameA = weightName(a.weight), nameB = weightName(b.weight);
      return std::tie(a.rank, a.position, nameA, a.dim, a.path) <
             std::tie(b.rank, b.position, nameB, b.dim, b.path);
    });
    all.push_back(std::move(info));
  }
  auto order = [](const AtomClass &info) {
    return info.sources.empty()
               ? std::tuple(3u, ~0u, StringRef(), int64_t(0), StringRef())
               : std::tuple(info.sources[0].rank, info.sources[0].position,
                            weightName(info.sources[0].weight),
                            info.sources[0].dim,
                            StringRef(info.sources[0].path));
  };
  llvm::sort(all, [&](const AtomClass &a, const AtomClass &b) {
    auto [rankA, positionA, nameA, dimA, pathA] = order(a);
    auto [rankB, positionB, nameB, dimB, pathB] = order(b);
    return std::tie(positionA, rankA, nameA, dimA, pathA, a.atom) <
           std::tie(positionB, rankB, nameB, dimB, pathB, b.atom);
  });
  return all;
}

std::vector<AtomClass> axes::classesOf(const AxisGraph &graph) {
  return Collector(graph).run();
}

//===----------------------------------------------------------------------===//
// Kinds
//===----------------------------------------------------------------------===//

/// For each batch class the batch classes it shares a dimension with.
static llvm::DenseMap<Node, llvm::SmallDenseSet<Node>>
batchSiblings(const AxisGraph &graph,
              const llvm::DenseMap<Node, const AtomClass *> &batch) {
  llvm::DenseMap<Node, llvm::SmallDenseSet<Node>> siblings;
  for (const AxisGraph::Weight &weight : graph.weights) {
    SmallVector<Node> here;
    for (Node atom : graph.trees.atoms(weight.node))
      if (batch.contains(atom))
        here.push_back(atom);
    for (Node a : here)
      for (Node b : here)
        if (a != b)
          siblings[a].insert(b);
  }
  return siblings;
}

// Of two batch dimensions in one weight dimension, the one that more of the
// weights is made for is the group of keys and values, the other the queries
// that share them. What is made again after it was summed away is a stream that
// layers add to.
static std::string kindOf(const AtomClass &info,
                          const llvm::DenseMap<Node, const AtomClass *> &batch,
                          ArrayRef<Node> siblings) {
  if (info.isBatch) {
    bool hasMore = false, hasFewer = false;
    for (Node sibling : siblings) {
      double other = batch.lookup(sibling)->made;
      hasMore |= info.made > other;
      hasFewer |= info.made < other;
    }
    return hasFewer ? "query_group" : hasMore ? "kv_group" : "head";
  }
  if (info.isContracted)
    return info.isFree && info.hasWeightSink ? "qkv" : "qk";
  if (info.isFree)
    return "v";
  return info.lastMaker > info.firstSink ? "channel" : "ffn";
}

std::vector<std::string> axes::kindsOf(const AxisGraph &graph,
                                       ArrayRef<const AtomClass *> axes) {
  llvm::DenseMap<Node, const AtomClass *> batch;
  for (const AtomClass *axis : axes)
    if (axis->isBatch)
      batch[axis->atom] = axis;
  auto siblings = batchSiblings(graph, batch);
  std::vector<std::string> kinds;
  for (const AtomClass *axis : axes) {
    SmallVector<Node> own;
    if (auto it = siblings.find(axis->atom); it != siblings.end())
      own.append(it->second.begin(), it->second.end());
    kinds.push_back(kindOf(*axis, batch, own));
  }
  return kinds;
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

StringRef axes::weightName(Value weight) {
  Operation *op = weight.getDefiningOp();
  auto meta = op ? op->getAttrOfType<DictionaryAttr>(onnx::kMetaAttr) : nullptr;
  auto name = meta ? meta.getAs<StringAttr>("name") : nullptr;
  return name ? name.getValue() : "";
}

std::string Source::text(StringRef weightName) const {
  std::string result = weightName.str() + ":" + std::to_string(dim);
  return path.empty() ? result : result + ":" + path;
}

std::vector<SmallVector<std::string>>
axes::namesOf(ArrayRef<const AtomClass *> classes) {
  llvm::StringMap<SmallVector<size_t>> users;
  std::vector<SmallVector<std::string>> names(classes.size());
  for (auto [i, info] : llvm::enumerate(classes))
    for (const Source &source : info->sources) {
      StringRef weight = weightName(source.weight);
      if (weight.empty())
        continue;
      std::string text = source.text(weight);
      if (llvm::is_contained(names[i], text))
        continue;
      names[i].push_back(text);
      users[text].push_back(i);
    }
  for (auto [i, list] : llvm::enumerate(names))
    for (std::string &text : list) {
      const SmallVector<size_t> &all = users[text];
      if (all.size() > 1)
        text += "@" + std::to_string(llvm::find(all, i) - all.begin());
    }
  return names;
}

//===----------------------------------------------------------------------===//
// State
//===----------------------------------------------------------------------===//

/// The argument that `value` extends: behind concatenations it comes first in,
/// and updates in place.
static BlockArgument extendedBy(Value value) {
  bool grown = false;
  while (Operation *op = value.getDefiningOp()) {
    if (auto concat = dyn_cast<onnx::ConcatOp>(op))
      value = concat.getInputs()[0], grown = true;
    else if (Value past = onnx::extendedState(cast<OpResult>(value)))
      value = past, grown = true;
    else if (auto scatter = dyn_cast<onnx::ScatterNDOp>(op))
      value = scatter.getData(), grown = true;
    else if (auto identity = dyn_cast<onnx::IdentityOp>(op))
      value = identity.getX();
    else if (auto gate = dyn_cast<GateOp>(op))
      value = gate.getInput();
    else
      return nullptr;
  }
  return grown ? cast<BlockArgument>(value) : nullptr;
}

SmallVector<std::pair<unsigned, unsigned>>
axes::findStatePairs(func::FuncOp function) {
  SmallVector<std::pair<unsigned, unsigned>> pairs;
  llvm::DenseSet<unsigned> taken;
  Operation *end = function.getBody().front().getTerminator();
  for (auto [number, result] : llvm::enumerate(end->getOperands()))
    if (BlockArgument argument = extendedBy(result))
      if (taken.insert(argument.getArgNumber()).second)
        pairs.push_back({argument.getArgNumber(), (unsigned)number});
  return pairs;
}

//===- AxisGraph.cpp - A function's dimensions, view by view --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "AxisGraph.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Weights/Weights.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;
using onnx::SizeExpr;
using Node = AxisGraph::Node;

/// Copies of an op that touches more segments than this are not followed.
static constexpr size_t kMaxRuns = 64;

AxisGraph::AxisGraph(func::FuncOp function, onnx::SymbolicShapes shapes)
    : function(function), shapes(std::move(shapes)) {}

void AxisGraph::build(ArrayRef<std::pair<unsigned, unsigned>> statePairs) {
  for (Operation &op : function.getBody().front()) {
    position[&op] = position.size();
    if (isa<func::ReturnOp>(op))
      continue;
    relations.try_emplace(&op, OpRelations::of(&op, this->shapes));
    classify(&op);
  }
  for (Operation &op : function.getBody().front()) {
    if (isa<func::ReturnOp>(op))
      continue;
    if (llvm::none_of(op.getResults(),
                      [&](Value result) { return isCopyable(result); }))
      worklist.push_back({&op, 0});
    barCaptured(&op);
    while (!worklist.empty()) {
      auto [next, view] = worklist.back();
      worklist.pop_back();
      relate(next, view);
    }
  }
  addBoundary(statePairs);
  while (!worklist.empty()) {
    auto [next, view] = worklist.back();
    worklist.pop_back();
    relate(next, view);
  }
  trees.settle();
  for (const DimensionTrees::Conflict &conflict : trees.conflicts())
    for (Node node : conflict.nodes)
      barriers.push_back({node, tags[conflict.tag],
                          "it brackets the dimension in another way"});
  barDynamicSegments();
}

//===----------------------------------------------------------------------===//
// What may be computed once per use
//===----------------------------------------------------------------------===//

/// Whether every dimension of the results comes from an operand that is
/// computed once.
bool AxisGraph::carriesAll(Operation *op, const OpRelations &relations) const {
  llvm::DenseSet<std::pair<unsigned, int64_t>> carried;
  for (const Relation &relation : relations.list) {
    for (auto &[ins, outs] : {std::pair(&relation.from, &relation.to),
                              std::pair(&relation.to, &relation.from)}) {
      if (relation.kind == Relation::Repeat)
        continue;
      bool once = llvm::any_of(*ins, [&](DimRef ref) {
        return !ref.isResult && !isCopyable(op->getOperand(ref.number));
      });
      for (DimRef ref : *outs)
        if (once && ref.isResult)
          carried.insert({ref.number, ref.dim});
    }
  }
  for (auto [number, result] : llvm::enumerate(op->getResults()))
    for (auto [dim, size] : llvm::enumerate(shapes.dimsOf(result)))
      if (!size.isConstant(1) && !carried.contains({number, (int64_t)dim}))
        return false;
  return true;
}

// A value may be computed once per use if it is made of weights and sizes
// alone, or if the op is cheap and a dimension is not carried by anything that
// is computed once: an Expand, a bias plus a mask, and what follows from those.
void AxisGraph::classify(Operation *op) {
  const OpRelations &said = relations[op];
  if (!isMemoryEffectFree(op) || op->getNumRegions() > 0)
    return;
  bool weightsOnly =
      said.readsSizesOnly || llvm::none_of(op->getOperands(), [&](Value value) {
        return dependsOnData(value);
      });
  bool cheap = !said.absorbs && !said.picks;
  if (!weightsOnly && (!cheap || carriesAll(op, said)))
    return;
  for (Value result : op->getResults()) {
    copyable.insert(result);
    if (weightsOnly)
      fromWeights.insert(result);
  }
}

View AxisGraph::viewOf(OpOperand &operand, View view) const {
  if (!isCopyable(operand.get()))
    return 0;
  return view ? view : viewByRoot.lookup(&operand);
}

//===----------------------------------------------------------------------===//
// Nodes
//===----------------------------------------------------------------------===//

ArrayRef<Node> AxisGraph::dims(Value value, View view) const {
  auto it = nodes.find({value, view});
  return it == nodes.end() ? ArrayRef<Node>() : ArrayRef(it->second);
}

ArrayRef<Node> AxisGraph::dimsOrMake(Value value, View view) {
  auto [it, isNew] = nodes.insert({{value, view}, {}});
  if (isNew) {
    for (const SizeExpr &size : shapes.dimsOf(value))
      it->second.push_back(trees.atom(size));
    Operation *maker = value.getDefiningOp();
    if (maker && view != 0)
      worklist.push_back({maker, view});
  }
  return it->second;
}

Node AxisGraph::nodeOf(DimRef ref, Operation *op, View view) {
  if (ref.inner) {
    auto [it, isNew] = innerNodes.try_emplace({op, view, ref.inner});
    if (isNew)
      it->second = trees.atom(relations[op].innerSizes[ref.inner - 1]);
    return it->second;
  }
  if (ref.isResult)
    return dimsOrMake(op->getResult(ref.number), view)[ref.dim];
  OpOperand &operand = operandOf(ref, op);
  View seen = view;
  if (!isCopyable(operand.get())) {
    seen = 0;
  } else if (view == 0) {
    auto [it, isNew] = viewByRoot.insert({&operand, roots.size()});
    if (isNew)
      roots.push_back(&operand);
    seen = it->second;
  }
  return dimsOrMake(operand.get(), seen)[ref.dim];
}

void AxisGraph::unify(Node a, Node b, Operation *op) {
  if (tags.back() != op)
    tags.push_back(op);
  trees.unify(a, b, tags.size() - 1);
}

/// A subgraph is not looked into: what it captures is left whole.
void AxisGraph::barCaptured(Operation *op) {
  for (Region &region : op->getRegions())
    region.walk([&](Operation *nested) {
      for (OpOperand &operand : nested->getOpOperands()) {
        if (operand.get().getParentRegion() != &function.getBody())
          continue;
        for (size_t dim = 0; dim < shapes.dimsOf(operand.get()).size(); ++dim)
          barriers.push_back(
              {nodeOf(operandDim(operand.getOperandNumber(), dim), nested, 0),
               op, "it is used inside a subgraph"});
      }
    });
}

//===----------------------------------------------------------------------===//
// Relations
//===----------------------------------------------------------------------===//

void AxisGraph::relate(Operation *op, View view) {
  if (!related.insert({op, view}).second)
    return;
  for (Value result : op->getResults())
    if (isa<TensorType>(result.getType()))
      (void)dimsOrMake(result, view);
  for (const Relation &relation : relations[op].list)
    relate(relation, op, view);
  addWeights(op, view);
}

void AxisGraph::relate(const Relation &relation, Operation *op, View view) {
  auto node = [&](DimRef ref) { return nodeOf(ref, op, view); };
  auto list = [&](ArrayRef<DimRef> refs) {
    SmallVector<Node> result;
    for (DimRef ref : refs)
      result.push_back(node(ref));
    return result;
  };
  switch (relation.kind) {
  case Relation::Same:
    return unify(node(relation.from[0]), node(relation.to[0]), op);
  case Relation::Contract:
    return addContraction(relation, op, view);
  case Relation::Reduce: {
    Node reduced = node(relation.from[0]);
    if (relation.reduction == ReduceKind::Sum)
      sinks.push_back({reduced, &operandOf(relation.from[0], op),
                       relation.from[0].dim, nullptr, view});
    else
      barriers.push_back(
          {reduced, op,
           (relation.reduction == ReduceKind::Statistic ? "statistic: " : "") +
               relation.text + " over it"});
    return;
  }
  case Relation::Window:
    for (ArrayRef<DimRef> refs :
         {ArrayRef(relation.from), ArrayRef(relation.to)})
      for (Node touched : list(refs))
        barriers.push_back({touched, op, "a window slides over it"});
    return;
  case Relation::Tree:
    return unify(trees.product(list(relation.from)),
                 trees.product(list(relation.to)), op);
  case Relation::Concat:
    return unify(node(relation.to[0]), trees.concat(list(relation.from)), op);
  case Relation::Slice:
    return unifySlice(node(relation.from[0]), node(relation.to[0]), relation,
                      op);
  case Relation::Gather:
    return unifyGather(node(relation.from[0]),
                       relation.to.empty() ? trees.atom(1)
                                           : node(relation.to[0]),
                       relation.indices, op);
  case Relation::Repeat: {
    if (relation.from.empty())
      return;
    Node in = node(relation.from[0]), out = node(relation.to[0]);
    std::optional<SizeExpr> times = trees.size(out).exactDiv(trees.size(in));
    if (times)
      return unify(out, trees.product({trees.atom(*times), in}), op);
    for (Node unknown : {in, out})
      barriers.push_back({unknown, op, "it is repeated at run time"});
    return;
  }
  case Relation::Read:
    reads.push_back({node(relation.from[0]), op});
    return;
  case Relation::Source:
    return;
  case Relation::Barrier:
    barriers.push_back({node(relation.from[0]), op, relation.text});
    return;
  }
}

/// whole = (before | part | after), or with a step p: whole = m·p where part is
/// one of the p, as far as it goes.
void AxisGraph::unifySlice(Node whole, Node part, const Relation &relation,
                           Operation *op) {
  std::optional<int64_t> size = trees.size(whole).constant(),
                         partSize = trees.size(part).constant();
  int64_t start = relation.start, step = relation.step;
  bool fits = size && partSize && *partSize > 0 &&
              (step == 1 ? start + *partSize <= *size
                         : *size % step == 0 && start < step &&
                               *partSize == *size / step);
  if (!fits) {
    for (Node node : {whole, part})
      barriers.push_back({node, op, "its segments don't fit the dimension"});
    return;
  }
  auto segments = [&](Node middle, int64_t middleSize, int64_t all) {
    SmallVector<Node> list;
    if (start > 0)
      list.push_back(trees.atom(start));
    list.push_back(middle);
    if (int64_t after = all - start - middleSize)
      list.push_back(trees.atom(after));
    return trees.concat(list);
  };
  if (step == 1)
    return unify(whole, segments(part, *partSize, *size), op);
  Node phase = trees.atom(step);
  unify(whole, trees.product({part, phase}), op);
  unify(phase, segments(trees.atom(1), 1, step), op);
}

/// Runs of ascending neighbours are segments; each index m times in a row is a
/// product with m copies.
void AxisGraph::unifyGather(Node whole, Node part, ArrayRef<int64_t> indices,
                            Operation *op) {
  int64_t size = trees.size(whole).constant().value_or(0);
  auto give = [&] {
    for (Node node : {whole, part})
      barriers.push_back({node, op, "it is picked apart by constant indices"});
  };
  if (size == 0 || indices.empty() ||
      llvm::any_of(indices, [&](int64_t i) { return i < 0 || i >= size; }))
    return give();
  int64_t count = indices.size();
  auto matches = [&](auto &&expected) {
    for (int64_t i = 0; i < count; ++i)
      if (indices[i] != expected(i))
        return false;
    return true;
  };
  if (count > size && count % size == 0) {
    int64_t times = count / size;
    if (matches([&](int64_t i) { return i / times; }))
      return unify(part, trees.product({whole, trees.atom(times)}), op);
    if (matches([&](int64_t i) { return i % size; }))
      return unify(part, trees.product({trees.atom(times), whole}), op);
  }
  if (count > 1 && size % count == 0 && indices[1] - indices[0] > 1) {
    Relation slice{Relation::Slice};
    slice.start = indices[0];
    slice.step = indices[1] - indices[0];
    if (slice.step * count == size &&
        matches([&](int64_t i) { return slice.start + i * slice.step; }))
      return unifySlice(whole, part, slice, op);
  }
  // What stands twice, but not all of it, is in groups of unequal size.
  if (llvm::SmallDenseSet<int64_t>(indices.begin(), indices.end()).size() !=
      indices.size())
    return give();
  // [start, end) of each run.
  SmallVector<std::pair<int64_t, int64_t>> runs;
  for (int64_t index : indices) {
    if (!runs.empty() && runs.back().second == index)
      ++runs.back().second;
    else
      runs.push_back({index, index + 1});
  }
  if (runs.size() > kMaxRuns)
    return give();
  SmallVector<int64_t> cuts = {0, size};
  for (auto [start, end] : runs)
    cuts.append({start, end});
  llvm::sort(cuts);
  cuts.erase(llvm::unique(cuts), cuts.end());
  SmallVector<Node> segments, picked;
  for (size_t i = 0; i + 1 < cuts.size(); ++i)
    segments.push_back(trees.atom(cuts[i + 1] - cuts[i]));
  for (auto [start, end] : runs)
    for (auto [i, segment] : llvm::enumerate(segments))
      if (cuts[i] >= start && cuts[i + 1] <= end)
        picked.push_back(segment);
  unify(whole, trees.concat(segments), op);
  unify(part, trees.concat(picked), op);
}

void AxisGraph::addContraction(const Relation &relation, Operation *op,
                               View view) {
  DimRef a = relation.from[0], b = relation.to[0];
  Node nodeA = nodeOf(a, op, view), nodeB = nodeOf(b, op, view);
  OpOperand &operandA = operandOf(a, op), &operandB = operandOf(b, op);
  unify(nodeA, nodeB, op);
  sinks.push_back({nodeA, &operandA, a.dim, &operandB, view});
  sinks.push_back({nodeB, &operandB, b.dim, &operandA, view});
  if (!dependsOnData(operandA.get()) || !dependsOnData(operandB.get()))
    return;
  roles.push_back({nodeA, DimRole::Plain, op});
  for (const Relation &other : relations[op].list)
    if (other.kind == Relation::Same && other.role != DimRole::Plain)
      roles.push_back({nodeOf(other.to[0], op, view), other.role, op});
}

/// A constant of floats is a weight, wherever it lies.
void AxisGraph::addWeights(Operation *op, View view) {
  if (!isa<weights::LoadOp, onnx::ConstantOp>(op))
    return;
  Value value = op->getResult(0);
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !isa<FloatType>(type.getElementType()))
    return;
  for (auto [dim, node] : llvm::enumerate(dims(value, view)))
    weights.push_back({node, value, (int64_t)dim, view});
}

//===----------------------------------------------------------------------===//
// Ends
//===----------------------------------------------------------------------===//

/// The function's own name for an argument or a result.
static std::string nameOf(func::FuncOp function, bool isResult, unsigned i) {
  auto name = isResult
                  ? function.getResultAttrOfType<StringAttr>(i, "onnx.name")
                  : function.getArgAttrOfType<StringAttr>(i, "onnx.name");
  return name ? "'" + name.getValue().str() + "'" : "#" + std::to_string(i);
}

// Inputs and outputs keep their sizes. In a state pair the static dimensions of
// both are cut together; those that grow are kept.
void AxisGraph::addBoundary(ArrayRef<std::pair<unsigned, unsigned>> pairs) {
  Block &body = function.getBody().front();
  Operation *end = body.getTerminator();
  auto resultDims = [&](unsigned number) {
    SmallVector<Node> result;
    for (size_t dim = 0; dim < shapes.dimsOf(end->getOperand(number)).size();
         ++dim)
      result.push_back(nodeOf(operandDim(number, dim), end, 0));
    return result;
  };
  auto bar = [&](Node node, bool isResult, unsigned number) {
    barriers.push_back(
        {node, isResult ? end : function.getOperation(),
         (isResult ? "it reaches the output " : "it comes with the input ") +
             nameOf(function, isResult, number)});
  };
  llvm::DenseMap<unsigned, unsigned> resultOf;
  llvm::DenseSet<unsigned> paired;
  for (auto [argument, result] : pairs) {
    resultOf[argument] = result;
    paired.insert(result);
  }
  for (BlockArgument argument : body.getArguments()) {
    if (!isa<TensorType>(argument.getType()))
      continue;
    unsigned number = argument.getArgNumber();
    SmallVector<Node> dims(dimsOrMake(argument, 0)), other;
    if (resultOf.contains(number))
      other = resultDims(resultOf[number]);
    for (auto [dim, node] : llvm::enumerate(dims)) {
      bool tied = other.size() == dims.size() && trees.size(node).constant() &&
                  trees.size(node) == trees.size(other[dim]);
      if (tied) {
        unify(node, other[dim], end);
        continue;
      }
      bar(node, false, number);
      if (dim < other.size())
        bar(other[dim], true, resultOf[number]);
    }
    for (size_t dim = dims.size(); dim < other.size(); ++dim)
      bar(other[dim], true, resultOf[number]);
  }
  for (unsigned number = 0; number < end->getNumOperands(); ++number)
    if (isa<TensorType>(end->getOperand(number).getType()) &&
        !paired.contains(number))
      for (Node node : resultDims(number))
        bar(node, true, number);
}

// In a dimension of dynamic size only the factors of a product can be cut: the
// new size has to be a fixed part of the old.
void AxisGraph::barDynamicSegments() {
  for (auto &[key, roots] : nodes)
    for (Node root : roots) {
      if (trees.size(root).constant())
        continue;
      Value value = key.first;
      for (const DimensionTrees::Occurrence &occurrence :
           trees.occurrences(root))
        if (occurrence.inConcat)
          barriers.push_back(
              {occurrence.atom,
               value.getDefiningOp() ? value.getDefiningOp()
                                     : function.getOperation(),
               "it is a segment of a dimension of dynamic size"});
    }
}

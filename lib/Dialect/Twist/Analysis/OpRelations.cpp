//===- OpRelations.cpp - What one op declares -----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "OpRelations.h"

#include "twist/Dialect/Twist/Twist.h"

#include <set>

using namespace mlir;
using namespace twist;
using namespace twist::axes;
using onnx::SizeExpr;
using onnx::SymbolicShapes;

namespace {
/// Writes declarations down.
class Recorder final : public Relations {
public:
  Recorder(Operation *op, const SymbolicShapes &shapes, OpRelations &out)
      : op(op), shapes(shapes), out(out) {}

  DimRef inner(DimRef of, int64_t size) override {
    out.innerSizes.push_back(size);
    of.inner = out.innerSizes.size();
    return of;
  }
  void same(DimRef from, DimRef to, DimRole role) override {
    add({Relation::Same, {from}, {to}, role});
  }
  void contract(DimRef a, DimRef b) override {
    add({Relation::Contract, {a}, {b}});
  }
  void reduce(ReduceKind kind, DimRef in, StringRef what) override {
    Relation relation{Relation::Reduce, {in}, {}};
    relation.reduction = kind;
    relation.text = what;
    add(std::move(relation));
  }
  void window(DimRef in, std::optional<DimRef> kernel, DimRef to) override {
    Relation relation{Relation::Window, {in}, {to}};
    if (kernel)
      relation.from.push_back(*kernel);
    add(std::move(relation));
  }
  void tree(ArrayRef<DimRef> in, ArrayRef<DimRef> to) override {
    Relation relation{Relation::Tree};
    relation.from.append(in.begin(), in.end());
    relation.to.append(to.begin(), to.end());
    add(std::move(relation));
  }
  void concat(ArrayRef<DimRef> parts, DimRef whole) override {
    Relation relation{Relation::Concat};
    relation.from.append(parts.begin(), parts.end());
    relation.to = {whole};
    add(std::move(relation));
  }
  void slice(DimRef whole, DimRef part, int64_t start, int64_t step) override {
    Relation relation{Relation::Slice, {whole}, {part}};
    relation.start = start;
    relation.step = step;
    add(std::move(relation));
  }
  void gather(DimRef whole, std::optional<DimRef> part,
              ArrayRef<int64_t> indices) override {
    Relation relation{Relation::Gather, {whole}, {}};
    if (part)
      relation.to.push_back(*part);
    relation.indices.append(indices.begin(), indices.end());
    add(std::move(relation));
  }
  void repeat(std::optional<DimRef> in, DimRef to) override {
    Relation relation{Relation::Repeat, {}, {to}};
    if (in)
      relation.from.push_back(*in);
    add(std::move(relation));
  }
  void source(DimRef to) override { add({Relation::Source, {}, {to}}); }
  void sizeOperand(unsigned number) override {
    out.sizeOperands.insert(number);
  }
  void read(DimRef in) override { add({Relation::Read, {in}, {}}); }
  void barrier(DimRef dim, StringRef why) override {
    Relation relation{Relation::Barrier, {dim}, {}};
    relation.text = why;
    add(std::move(relation));
  }
  void barrierAll(Operation *, StringRef why) override {
    for (auto [value, isResult, number] : values())
      for (int64_t dim = 0, e = rank(value); dim < e; ++dim)
        barrier({isResult, number, dim}, why);
  }

  /// A barrier on each dimension nobody spoke of.
  void close() {
    auto barrierUnlessSaid = [&](Value value, bool isResult, unsigned number) {
      for (int64_t dim = 0, e = rank(value); dim < e; ++dim)
        if (!said.contains({isResult, number, dim}))
          barrier({isResult, number, dim}, "it declares nothing of it");
    };
    for (auto [value, isResult, number] : values())
      if (isResult || !out.sizeOperands.contains(number))
        barrierUnlessSaid(value, isResult, number);
  }

private:
  SmallVector<std::tuple<Value, bool, unsigned>> values() {
    SmallVector<std::tuple<Value, bool, unsigned>> all;
    for (auto [i, value] : llvm::enumerate(op->getOperands()))
      all.push_back({value, false, i});
    for (auto [i, value] : llvm::enumerate(op->getResults()))
      all.push_back({value, true, i});
    return all;
  }
  int64_t rank(Value value) {
    return shapes.hasRank(value) ? shapes.dimsOf(value).size() : 0;
  }
  const SizeExpr *sizeOf(DimRef ref) {
    Value value =
        ref.isResult ? op->getResult(ref.number) : op->getOperand(ref.number);
    return ref.dim >= 0 && ref.dim < rank(value)
               ? &shapes.dimsOf(value)[ref.dim]
               : nullptr;
  }

  /// A relation with a dimension that is not there, as an operand of too small
  /// a rank gives, says nothing; what it was to relate stays whole.
  bool refuseMissing(const Relation &relation) {
    auto refs =
        llvm::to_vector(llvm::concat<const DimRef>(relation.from, relation.to));
    auto exists = [&](DimRef ref) { return ref.inner || sizeOf(ref); };
    if (llvm::all_of(refs, exists))
      return false;
    // An operand that is left out, such as a bias, relates to nothing.
    auto leftOut = [&](DimRef ref) {
      return !ref.isResult &&
             isa<NoneType>(op->getOperand(ref.number).getType());
    };
    if (llvm::any_of(refs, leftOut))
      return true;
    for (DimRef ref : refs)
      if (!ref.inner && sizeOf(ref) && relation.kind != Relation::Barrier)
        barrier(ref, "it is related to a dimension that is not there");
    return true;
  }

  /// Marks the dimension as spoken of; false if it relates to nothing.
  bool keep(DimRef ref) {
    if (ref.inner)
      return out.innerSizes[ref.inner - 1] != 1;
    said.insert({ref.isResult, ref.number, ref.dim});
    const SizeExpr *size = sizeOf(ref);
    return size && !size->isConstant(1);
  }

  void add(Relation relation) {
    if (refuseMissing(relation))
      return;
    // Lists keep their units: a segment or a factor of size 1 has its place.
    bool isList =
        relation.kind == Relation::Tree || relation.kind == Relation::Concat ||
        relation.kind == Relation::Slice || relation.kind == Relation::Gather ||
        relation.kind == Relation::Repeat || relation.kind == Relation::Window;
    bool anything = false, everything = true;
    for (auto *refs : {&relation.from, &relation.to})
      for (DimRef ref : *refs) {
        bool kept = keep(ref);
        anything |= kept;
        everything &= kept;
      }
    if (isList ? !anything : !everything)
      return;
    out.absorbs |= relation.kind == Relation::Contract ||
                   relation.kind == Relation::Reduce ||
                   relation.kind == Relation::Window;
    out.picks |=
        relation.kind == Relation::Barrier || relation.kind == Relation::Gather;
    out.elementwise &= relation.kind == Relation::Same;
    out.list.push_back(std::move(relation));
  }

  Operation *op;
  const SymbolicShapes &shapes;
  OpRelations &out;
  std::set<std::tuple<bool, unsigned, int64_t>> said;
};
} // namespace

/// Results that are a function of operands' sizes alone.
static bool readsSizesOnly(const OpRelations &relations, Operation *op) {
  bool reads = false;
  for (const Relation &relation : relations.list) {
    if (relation.kind == Relation::Read)
      reads = true;
    else if (llvm::any_of(relation.from,
                          [](DimRef ref) { return !ref.isResult; }))
      return false;
  }
  return reads;
}

OpRelations OpRelations::of(Operation *op, const SymbolicShapes &shapes) {
  OpRelations relations;
  Recorder recorder(op, shapes, relations);
  auto hasRank = [&](Value value) {
    return (shapes.hasRank(value) && isa<RankedTensorType>(value.getType())) ||
           isa<NoneType>(value.getType());
  };
  bool ranked = llvm::all_of(op->getResults(), hasRank) &&
                llvm::all_of(op->getOperands(), hasRank);
  if (op->getNumOperands() == 0) {
    for (Value result : op->getResults())
      for (int64_t dim = 0; ranked && isa<TensorType>(result.getType()) &&
                            dim < (int64_t)shapes.dimsOf(result).size();
           ++dim)
        recorder.source(
            resultDim(cast<OpResult>(result).getResultNumber(), dim));
  } else if (auto gate = dyn_cast<GateOp>(op)) {
    for (int64_t dim = 0, e = gate.getType().getRank(); dim < e; ++dim)
      recorder.same(operandDim(0, dim), resultDim(0, dim), DimRole::Plain);
  } else if (auto related = dyn_cast<DimensionRelationsOpInterface>(op);
             related && ranked) {
    related.declareRelations(recorder);
  } else {
    recorder.barrierAll(op, "it declares no relations");
  }
  recorder.close();
  relations.readsSizesOnly = ::readsSizesOnly(relations, op);
  return relations;
}

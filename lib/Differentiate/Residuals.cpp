//===- Residuals.cpp - What the backward part keeps -----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Differentiate/Residuals.h"

#include "twist/Dialect/NN/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace twist;

//===----------------------------------------------------------------------===//
// Costs
//===----------------------------------------------------------------------===//

static std::optional<int64_t> bytesOf(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return 0;
  if (!tensor.hasStaticShape())
    return std::nullopt;
  return tensor.getNumElements() *
         llvm::divideCeil(tensor.getElementTypeBitWidth(), 8);
}

/// Numbers, sizes, views, and tensors that hold one number.
static bool isFree(Operation *op) {
  if (op->hasTrait<OpTrait::ConstantLike>() ||
      isa<tensor::EmptyOp, tensor::DimOp, tensor::CastOp, tensor::ExpandShapeOp,
          tensor::CollapseShapeOp, linalg::FillOp>(op))
    return true;
  return isPure(op) && op->getNumRegions() == 0 &&
         llvm::none_of(op->getResultTypes(), llvm::IsaPred<TensorType>) &&
         llvm::none_of(op->getOperandTypes(), llvm::IsaPred<TensorType>);
}

static bool isProduct(linalg::LinalgOp op) {
  return op.getNumReductionLoops() == 1 && op.getNumDpsInputs() == 2 &&
         op->getNumResults() == 1;
}

/// Whether a product's result is larger than both operands together.
static bool isLargeProduct(linalg::LinalgOp op) {
  if (!isProduct(op))
    return false;
  auto result = bytesOf(op->getResult(0).getType());
  auto first = bytesOf(op.getDpsInputs()[0].getType());
  auto second = bytesOf(op.getDpsInputs()[1].getType());
  return result && first && second && *result > *first + *second;
}

static bool mayRecompute(Operation *op, Recompute recompute) {
  if (isFree(op))
    return true;
  if (recompute == Recompute::Nothing)
    return false;
  if (isa<nn::LayerNormOp, nn::RMSNormOp>(op))
    return true;
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (linalgOp && linalgOp.getNumReductionLoops() == 0)
    return true;
  if (recompute == Recompute::Elementwise)
    return false;
  return isa<linalg::SoftmaxOp>(op) || (linalgOp && isLargeProduct(linalgOp));
}

//===----------------------------------------------------------------------===//
// The plan
//===----------------------------------------------------------------------===//

static SmallVector<Value> readBy(Operation *op) {
  llvm::SetVector<Value> values(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), values);
  return values.takeVector();
}

namespace {
/// Decides for each value of the forward part that the backward part reads
/// whether it is kept or computed again.
class Planner {
public:
  Planner(const GradientParts &parts, Recompute recompute)
      : parts(parts), recompute(recompute) {
    for (Operation *op = parts.firstBackward; op; op = op->getNextNode())
      backward.insert(op);
    findNeeded();
    llvm::SetVector<Value> all(kept);
    for (Value value : all)
      consider(value);
  }

  /// Values of the forward part that are kept, in its order.
  llvm::SetVector<Value> kept;
  /// Values computed again though the backward part reads them.
  llvm::SetVector<Value> again;
  llvm::SmallPtrSet<Operation *, 32> backward;

  /// Whether `value` is made in the forward part.
  bool isForward(Value value) const {
    return value.getDefiningOp() && !backward.contains(value.getDefiningOp());
  }

private:
  const GradientParts &parts;
  Recompute recompute;

  void findNeeded();
  void addRoots(Value value, bool freeOnly, llvm::SetVector<Value> &roots);
  void consider(Value value);
};
} // namespace

/// What must be kept for `value` to be computed again, by free ops alone or by
/// any that may be; operands of the function are there anyway.
void Planner::addRoots(Value value, bool freeOnly,
                       llvm::SetVector<Value> &roots) {
  if (!isForward(value))
    return;
  Operation *op = value.getDefiningOp();
  bool goesOn = freeOnly ? isFree(op)
                         : !kept.contains(value) && mayRecompute(op, recompute);
  if (!goesOn) {
    roots.insert(value);
    return;
  }
  for (Value operand : readBy(op))
    addRoots(operand, freeOnly, roots);
}

void Planner::findNeeded() {
  for (Operation *op = parts.firstBackward; op; op = op->getNextNode()) {
    auto returned = dyn_cast<func::ReturnOp>(op);
    ValueRange operands = op->getOperands();
    if (returned) // The original results are not read.
      operands = operands.drop_front(parts.numOutputs);
    SmallVector<Value> values =
        returned ? SmallVector<Value>(operands) : readBy(op);
    for (Value value : values)
      addRoots(value, /*freeOnly=*/true, kept);
  }
  SmallVector<Value> order = kept.takeVector();
  llvm::sort(order, [](Value a, Value b) {
    Operation *x = a.getDefiningOp(), *y = b.getDefiningOp();
    if (x != y)
      return x->isBeforeInBlock(y);
    return cast<OpResult>(a).getResultNumber() <
           cast<OpResult>(b).getResultNumber();
  });
  kept.insert_range(order);
}

/// Computes `value` again if what that needs besides is smaller.
void Planner::consider(Value value) {
  Operation *op = value.getDefiningOp();
  if (isFree(op) || !mayRecompute(op, recompute))
    return;
  kept.remove(value);
  llvm::SetVector<Value> roots;
  addRoots(value, /*freeOnly=*/false, roots);
  std::optional<int64_t> bytes = bytesOf(value.getType());
  int64_t more = 0;
  bool known = true;
  for (Value root : roots) {
    if (kept.contains(root))
      continue;
    std::optional<int64_t> size = bytesOf(root.getType());
    known &= size.has_value();
    more += size.value_or(0);
  }
  bool pays = known && (bytes ? more < *bytes : more == 0);
  if (!pays) {
    kept.insert(value);
    return;
  }
  again.insert(value);
  kept.insert_range(roots);
}

//===----------------------------------------------------------------------===//
// The report
//===----------------------------------------------------------------------===//

int64_t ResidualReport::bytes() const {
  int64_t sum = 0;
  for (const Value &value : kept)
    sum += value.bytes.value_or(0);
  return sum;
}

void ResidualReport::print(llvm::raw_ostream &os) const {
  os << "keeps " << kept.size() << " values, " << bytes() << " bytes";
  int64_t unknown = llvm::count_if(kept, [](auto &v) { return !v.bytes; });
  if (unknown)
    os << " and " << unknown << " of sizes not known";
  if (opsAgain)
    os << "; computes " << opsAgain << " ops again (" << productsAgain
       << " multiply-adds) in place of " << bytesAgain << " bytes";
  os << "\n";
  for (const Value &value : kept) {
    os << "  ";
    if (value.bytes)
      os << *value.bytes;
    else
      os << "?";
    os << " bytes, " << value.type << " of " << value.loc << "\n";
  }
}

static int64_t multiplyAdds(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || !isProduct(linalgOp))
    return 0;
  int64_t count = 1;
  for (int64_t size : linalgOp.getStaticLoopRanges())
    count *= ShapedType::isDynamic(size) ? 0 : size;
  return count;
}

//===----------------------------------------------------------------------===//
// Doing it
//===----------------------------------------------------------------------===//

namespace {
/// Writes ops of the forward part again.
class Rewriter {
public:
  Rewriter(const Planner &plan, ResidualReport &report)
      : plan(plan), report(report) {
    for (Value value : plan.kept)
      if (auto type = dyn_cast<RankedTensorType>(value.getType()))
        report.kept.push_back({value.getLoc(), type, bytesOf(type)});
    for (Value value : plan.again)
      report.bytesAgain += bytesOf(value.getType()).value_or(0);
  }

  /// `value`, computed again at `b` from `known` values.
  Value get(OpBuilder &b, Value value) {
    if (Value found = known.lookupOrNull(value))
      return found;
    if (!plan.isForward(value))
      return value;
    Operation *op = value.getDefiningOp();
    for (Value operand : readBy(op))
      known.map(operand, get(b, operand));
    Operation *copy = b.clone(*op, known);
    if (!isFree(op)) {
      ++report.opsAgain;
      report.productsAgain += multiplyAdds(op);
    }
    return copy->getResult(cast<OpResult>(value).getResultNumber());
  }

  IRMapping known;

private:
  const Planner &plan;
  ResidualReport &report;
};
} // namespace

ResidualReport twist::planResiduals(const GradientParts &parts,
                                    Recompute recompute) {
  ResidualReport report;
  Planner plan(parts, recompute);
  Rewriter rewriter(plan, report);
  // Free ops stay shared: only what is computed again reads kept values anew.
  auto reachesAgain = [&](Value value) {
    SmallVector<Value> pending = {value};
    while (!pending.empty()) {
      Value next = pending.pop_back_val();
      if (plan.again.contains(next))
        return true;
      if (plan.isForward(next) && isFree(next.getDefiningOp()))
        pending.append(readBy(next.getDefiningOp()));
    }
    return false;
  };
  OpBuilder b(parts.firstBackward);
  auto known = [&](Value value) {
    if (isa<RankedTensorType>(value.getType()) &&
        !rewriter.known.contains(value))
      rewriter.known.map(value, nn::AgainOp::create(b, value.getLoc(), value));
  };
  if (!plan.again.empty()) {
    for (Value value : plan.kept)
      known(value);
    func::FuncOp function = parts.function;
    for (Value operand : function.getArguments())
      known(operand);
  }
  SmallVector<Operation *> ops;
  for (Operation *op = parts.firstBackward; !isa<func::ReturnOp>(op);
       op = op->getNextNode())
    ops.push_back(op);
  for (Operation *op : ops) {
    b.setInsertionPoint(op);
    for (Value value : readBy(op)) {
      if (!plan.isForward(value) || !reachesAgain(value))
        continue;
      Value copy = rewriter.get(b, value);
      value.replaceUsesWithIf(
          copy, [&](OpOperand &use) { return op->isAncestor(use.getOwner()); });
    }
  }
  return report;
}

/// The function without its backward part, which also gives `kept`.
static func::FuncOp makeForward(const GradientParts &parts, ValueRange kept,
                                StringRef name) {
  func::FuncOp function = parts.function;
  OpBuilder b(function);
  SmallVector<Type> inputs(
      function.getArgumentTypes().take_front(parts.numInputs));
  SmallVector<Type> outputs(
      function.getResultTypes().take_front(parts.numOutputs));
  llvm::append_range(outputs, TypeRange(kept));
  auto forward = func::FuncOp::create(b, function.getLoc(), name,
                                      b.getFunctionType(inputs, outputs));
  forward->setDiscardableAttrs(function->getDiscardableAttrDictionary());
  IRMapping map;
  Block *block = forward.addEntryBlock();
  map.map(function.getArguments().take_front(parts.numInputs),
          block->getArguments());
  b.setInsertionPointToEnd(block);
  for (Operation &op : function.front()) {
    if (&op == parts.firstBackward)
      break;
    b.clone(op, map);
  }
  SmallVector<Value> results;
  auto returned = function.front().getTerminator();
  for (Value value : returned->getOperands().take_front(parts.numOutputs))
    results.push_back(map.lookupOrDefault(value));
  for (Value value : kept)
    results.push_back(map.lookup(value));
  func::ReturnOp::create(b, returned->getLoc(), results);
  for (int64_t i = 0; i < parts.numInputs; ++i)
    forward.setArgAttrs(i, function.getArgAttrDict(i));
  for (int64_t i = 0; i < parts.numOutputs; ++i)
    forward.setResultAttrs(i, function.getResultAttrDict(i));
  return forward;
}

std::pair<func::FuncOp, func::FuncOp>
twist::splitGradient(const GradientParts &parts, Recompute recompute,
                     StringRef forwardName, StringRef backwardName,
                     ResidualReport &report) {
  func::FuncOp function = parts.function;
  Planner plan(parts, recompute);
  Rewriter rewriter(plan, report);
  func::FuncOp forward =
      makeForward(parts, plan.kept.getArrayRef(), forwardName);

  OpBuilder b(function);
  b.setInsertionPointAfter(function);
  unsigned inputs = parts.numInputs;
  auto cotangents = function.getArguments().drop_front(inputs);
  SmallVector<Type> types(function.getArgumentTypes().take_front(inputs));
  llvm::append_range(types, TypeRange(plan.kept.getArrayRef()));
  llvm::append_range(types, TypeRange(cotangents));
  auto results = function.getResultTypes().drop_front(parts.numOutputs);
  auto backward = func::FuncOp::create(b, function.getLoc(), backwardName,
                                       b.getFunctionType(types, results));
  backward->setDiscardableAttrs(function->getDiscardableAttrDictionary());
  Block *block = backward.addEntryBlock();
  auto arguments = block->getArguments();
  unsigned kept = plan.kept.size();
  rewriter.known.map(function.getArguments().take_front(inputs),
                     arguments.take_front(inputs));
  rewriter.known.map(ArrayRef(plan.kept.getArrayRef()),
                     arguments.slice(inputs, kept));
  rewriter.known.map(cotangents, arguments.drop_front(inputs + kept));
  b.setInsertionPointToEnd(block);
  for (Operation *op = parts.firstBackward; op; op = op->getNextNode()) {
    auto returned = dyn_cast<func::ReturnOp>(op);
    SmallVector<Value> read =
        returned ? SmallVector<Value>(
                       returned.getOperands().drop_front(parts.numOutputs))
                 : readBy(op);
    for (Value value : read)
      if (plan.isForward(value))
        rewriter.known.map(value, rewriter.get(b, value));
    if (!returned) {
      b.clone(*op, rewriter.known);
      continue;
    }
    for (Value &value : read)
      value = rewriter.known.lookupOrDefault(value);
    func::ReturnOp::create(b, op->getLoc(), read);
  }
  for (unsigned i = 0; i < inputs; ++i)
    backward.setArgAttrs(i, function.getArgAttrDict(i));
  for (unsigned i = inputs; i < function.getNumArguments(); ++i)
    backward.setArgAttrs(i + kept, function.getArgAttrDict(i));
  for (unsigned i = parts.numOutputs; i < function.getNumResults(); ++i)
    backward.setResultAttrs(i - parts.numOutputs,
                            function.getResultAttrDict(i));
  function.erase();
  return {forward, backward};
}

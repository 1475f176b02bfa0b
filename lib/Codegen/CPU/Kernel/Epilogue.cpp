//===- Epilogue.cpp - Elementwise fusion
//------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Contraction.h"

#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;
using namespace twist;
using namespace twist::cpu;

//===----------------------------------------------------------------------===//
// Elementwise ops with each other
//===----------------------------------------------------------------------===//

static bool hasOneUser(Value value, Operation *user) {
  return llvm::all_of(value.getUsers(),
                      [&](Operation *other) { return other == user; });
}

/// Bodies beyond this many ops gain nothing by being one; each fusion copies
/// them, so that a chain of thousands would take the square of its length.
static constexpr unsigned mostOps = 256;

/// A producer goes into its only user, if that does not compute it more often
/// than before at a price; one that changes what its init holds never more
/// often.
static bool shouldFuse(OpOperand *operand) {
  auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
  auto consumer = dyn_cast<linalg::GenericOp>(operand->getOwner());
  if (!producer || !consumer || !hasOneUser(operand->get(), consumer))
    return false;
  if (llvm::hasNItemsOrMore(*producer.getBody(), mostOps) ||
      llvm::hasNItemsOrMore(*consumer.getBody(), mostOps))
    return false;
  AffineMap map = consumer.getMatchingIndexingMap(operand);
  bool repeats = map.getNumResults() < map.getNumDims();
  bool readsInit =
      llvm::any_of(producer.getRegionOutputArgs(), [](BlockArgument argument) {
        return !argument.use_empty();
      });
  return !repeats || !(readsInit || isHeavy(*producer.getBody()));
}

/// A joined gemm result is read as the gemm made it, so that the reader can go
/// into its epilogue:
///   generic(collapse(gemm)) → collapse(generic(gemm))
static bool splitsGemm(OpOperand *operand) {
  auto collapse = operand->get().getDefiningOp<tensor::CollapseShapeOp>();
  return collapse && collapse.getSrc().getDefiningOp<GemmOp>() &&
         isa<linalg::GenericOp>(operand->getOwner());
}

/// Whether a tensor is a gemm's result, or elementwise ops and reshapes on one.
static bool isOfGemm(Value value, unsigned depth = 0) {
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<GemmOp>(op))
    return true;
  if (isa_and_nonnull<tensor::CollapseShapeOp>(op))
    return isOfGemm(op->getOperand(0), depth);
  auto generic = dyn_cast_or_null<linalg::GenericOp>(op);
  return generic && depth < 4 && generic.getNumReductionLoops() == 0 &&
         llvm::any_of(
             generic.getDpsInputs(),
             [&](Value input) { return isOfGemm(input, depth + 1); });
}

/// The columns of a gemm that are several dimensions for its readers are one
/// for them too:
///   generic(expand(gemm)) → expand(generic(gemm))
static bool joinsColumns(OpOperand *operand) {
  auto expand = operand->get().getDefiningOp<tensor::ExpandShapeOp>();
  return expand && isa<linalg::GenericOp>(operand->getOwner()) &&
         expand->hasOneUse() && isOfGemm(expand.getSrc());
}

/// Ops of a body that may be computed again.
static constexpr unsigned cheapOps = 8;

/// An elementwise op without calls of functions, which does not wait to become
/// an epilogue.
static bool isCheap(linalg::GenericOp op) {
  return op.hasPureTensorSemantics() && op->getNumResults() == 1 &&
         op.getNumReductionLoops() == 0 &&
         op.getIndexingMapsArray().back().isPermutation() &&
         op.getRegionOutputArgs()[0].use_empty() &&
         op.getBody()->getOperations().size() <= cheapOps + 1 &&
         isVectorizable(*op.getBody()) && !isHeavy(*op.getBody()) &&
         llvm::none_of(op.getDpsInputs(), [](Value input) {
           return isOfGemm(input) && input.hasOneUse();
         });
}

/// Whether `user` reads no more large tensors with `producer` inside.
static bool readsNoMore(linalg::GenericOp producer, Operation *user) {
  auto consumer = dyn_cast<linalg::GenericOp>(user);
  if (!consumer || !consumer.hasPureTensorSemantics() ||
      llvm::is_contained(consumer.getDpsInits(), producer.getResult(0)))
    return false;
  for (OpOperand *operand : consumer.getDpsInputOperands())
    if (operand->get() == producer.getResult(0) &&
        !consumer.getMatchingIndexingMap(operand).isProjectedPermutation())
      return false;
  SmallVector<Value> inputs = consumer.getDpsInputs();
  llvm::SmallPtrSet<Value, 4> added;
  for (OpOperand *operand : producer.getDpsInputOperands())
    if (producer.getRank(operand) == producer.getNumLoops() &&
        !llvm::is_contained(inputs, operand->get()))
      added.insert(operand->get());
  return added.size() <= 1;
}

/// Gives each user of a cheap op a copy of its own, if all will take it:
///   a = op(x); f(a), g(a) → f(op(x)), g(op(x))
static bool repeatCheapOps(Operation *root) {
  SmallVector<linalg::GenericOp> ops;
  root->walk([&](linalg::GenericOp op) { ops.push_back(op); });
  bool changed = false;
  for (linalg::GenericOp op : ops) {
    if (!isCheap(op))
      continue;
    llvm::SmallSetVector<Operation *, 4> users(op->user_begin(),
                                               op->user_end());
    if (users.size() < 2 || !llvm::all_of(users, [&](Operation *user) {
          return readsNoMore(op, user);
        }))
      continue;
    for (Operation *user : users) {
      OpBuilder b(user);
      user->replaceUsesOfWith(op.getResult(0), b.clone(*op)->getResult(0));
    }
    op.erase();
    changed = true;
  }
  return changed;
}

static LogicalResult fuseOnce(Operation *root) {
  RewritePatternSet patterns(root->getContext());
  linalg::populateElementwiseOpsFusionPatterns(patterns, shouldFuse);
  linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
  linalg::populateFoldReshapeOpsByExpansionPatterns(patterns, splitsGemm);
  linalg::populateFoldReshapeOpsByCollapsingPatterns(patterns, joinsColumns);
  tensor::EmptyOp::getCanonicalizationPatterns(patterns, root->getContext());
  tensor::CollapseShapeOp::getCanonicalizationPatterns(patterns,
                                                       root->getContext());
  tensor::ExpandShapeOp::getCanonicalizationPatterns(patterns,
                                                     root->getContext());
  return applyPatternsGreedily(root, std::move(patterns));
}

/// Rounds of repetition: each may make the next ops cheap to repeat.
static constexpr unsigned mostRounds = 3;

LogicalResult twist::cpu::fuseElementwise(Operation *root) {
  if (failed(fuseOnce(root)))
    return failure();
  for (unsigned round = 0; round < mostRounds && repeatCheapOps(root); ++round)
    if (failed(fuseOnce(root)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Before the contractions
//===----------------------------------------------------------------------===//

/// Whether `operand`, a joined tensor, reaches contractions through an
/// elementwise op only, which hides from them that their batch was joined.
static bool hidesJoinedBatch(OpOperand *operand) {
  auto collapse = operand->get().getDefiningOp<tensor::CollapseShapeOp>();
  auto map = dyn_cast<linalg::GenericOp>(operand->getOwner());
  if (!collapse || !map || map.getNumReductionLoops() ||
      map->getNumResults() != 1 ||
      !map.getMatchingIndexingMap(operand).isIdentity() ||
      !map.getIndexingMapsArray().back().isIdentity())
    return false;
  auto groups = collapse.getReassociationIndices();
  auto *joined = llvm::find_if(groups, [](auto &g) { return g.size() > 1; });
  if (joined == groups.end())
    return false;
  unsigned position = joined - groups.begin();
  auto isBatchOf = [&](OpOperand &use) {
    auto op = dyn_cast<linalg::LinalgOp>(use.getOwner());
    if (!op || !matchContraction(op))
      return false;
    unsigned d = op.getMatchingIndexingMap(&use).getDimPosition(position);
    return llvm::all_of(op.getIndexingMapsArray(), [&](AffineMap other) {
      return other.isFunctionOfDim(d);
    });
  };
  return !map->use_empty() && llvm::all_of(map->getUses(), isBatchOf);
}

LogicalResult twist::cpu::showJoinedBatches(Operation *root) {
  RewritePatternSet patterns(root->getContext());
  linalg::populateFoldReshapeOpsByExpansionPatterns(patterns, hidesJoinedBatch);
  return applyPatternsGreedily(root, std::move(patterns));
}

//===----------------------------------------------------------------------===//
// Into the epilogue of a gemm
//===----------------------------------------------------------------------===//

/// From the dimensions of the consumer, whose `map` reads the whole result of a
/// gemm, to the gemm's.
static SmallVector<AffineExpr> dimsOf(AffineMap map, AffineMap initMap) {
  SmallVector<AffineExpr> dims(map.getNumDims());
  for (auto [expr, target] :
       llvm::zip_equal(map.getResults(), initMap.getResults()))
    dims[cast<AffineDimExpr>(expr).getPosition()] = target;
  return dims;
}

static bool isLinear(AffineMap map) {
  return llvm::all_of(map.getResults(), [](AffineExpr expr) {
    return isa<AffineDimExpr, AffineConstantExpr>(expr);
  });
}

/// Whether `consumer` can be done on the gemm's accumulators.
static bool fitsEpilogue(GemmOp gemm, linalg::GenericOp consumer) {
  if (!consumer || !consumer.hasPureTensorSemantics() ||
      consumer.getNumReductionLoops() || consumer->getNumResults() != 1 ||
      !hasOneUser(gemm.getResult(0), consumer) ||
      !consumer.getRegionOutputArgs()[0].use_empty())
    return false;
  Block &body = *consumer.getBody();
  if (!isVectorizable(body) || !body.getOps<linalg::IndexOp>().empty() ||
      !body.getOps<memref::LoadOp>().empty())
    return false;
  AffineMap out = consumer.getIndexingMapsArray().back();
  if (!out.isPermutation())
    return false;
  for (OpOperand *operand : consumer.getDpsInputOperands()) {
    AffineMap map = consumer.getMatchingIndexingMap(operand);
    if (operand->get() == gemm.getResult(0) && !map.isPermutation())
      return false;
    if (!isLinear(map))
      return false;
  }
  // All reads of the result must be at one place, and columns stay last.
  AffineMap read;
  for (OpOperand *operand : consumer.getDpsInputOperands()) {
    if (operand->get() != gemm.getResult(0))
      continue;
    AffineMap map = consumer.getMatchingIndexingMap(operand);
    if (read && read != map)
      return false;
    read = map;
  }
  SmallVector<AffineExpr> dims = dimsOf(read, gemm.getInitMap());
  return out.getResults().back().replaceDims(dims) ==
         getAffineDimExpr(gemm.getColumnDim(), gemm.getContext());
}

/// The gemm again, at the builder, with other extras, init and maps; its
/// epilogue still misses the terminator. `sum` is what the old one yielded.
static GemmOp rebuild(OpBuilder &b, GemmOp gemm, ArrayRef<Value> extras,
                      Value init, ArrayRef<AffineMap> maps, IRMapping &map,
                      Value &sum) {
  auto result = GemmOp::create(
      b, gemm.getLoc(), TypeRange{init.getType()}, gemm.getLhs(), gemm.getRhs(),
      extras, gemm.getTaps(), init, b.getAffineMapArrayAttr(maps),
      gemm.getBatch(), gemm.getRows(), gemm.getPanelAttr(),
      gemm.getAccumulator(), gemm.getLhsUnsigned(), gemm.getRhsUnsigned(),
      gemm.getDepth(), gemm.getTriangleAttr());
  Block *block = b.createBlock(&result.getEpilogue());
  Block &old = gemm.getEpilogue().front();
  for (BlockArgument argument : old.getArguments())
    map.map(argument,
            block->addArgument(argument.getType(), argument.getLoc()));
  for (Operation &op : old.without_terminator())
    b.clone(op, map);
  sum = map.lookupOrDefault(old.getTerminator()->getOperand(0));
  return result;
}

static void fuse(GemmOp gemm, linalg::GenericOp consumer) {
  OpBuilder b(consumer);
  AffineMap read;
  for (OpOperand *operand : consumer.getDpsInputOperands())
    if (operand->get() == gemm.getResult(0))
      read = consumer.getMatchingIndexingMap(operand);
  SmallVector<AffineExpr> dims = dimsOf(read, gemm.getInitMap());
  auto translate = [&](AffineMap map) {
    return map.replaceDimsAndSymbols(dims, {}, gemm.getNumDims(), 0);
  };
  SmallVector<AffineMap> maps;
  for (unsigned i = 0, n = 2 + gemm.getExtras().size(); i < n; ++i)
    maps.push_back(gemm.getMap(i));
  SmallVector<Value> extras(gemm.getExtras());
  SmallVector<OpOperand *> added;
  for (OpOperand *operand : consumer.getDpsInputOperands()) {
    if (operand->get() == gemm.getResult(0))
      continue;
    added.push_back(operand);
    extras.push_back(operand->get());
    maps.push_back(translate(consumer.getMatchingIndexingMap(operand)));
  }
  if (gemm.getTaps())
    maps.push_back(gemm.getMap(gemm->getNumOperands() - 2));
  maps.push_back(translate(consumer.getIndexingMapsArray().back()));

  IRMapping map;
  Value sum;
  GemmOp fused =
      rebuild(b, gemm, extras, consumer.getDpsInits()[0], maps, map, sum);
  Block &block = fused.getEpilogue().front();
  for (OpOperand *operand : consumer.getDpsInputOperands())
    if (operand->get() == gemm.getResult(0))
      map.map(consumer.getMatchingBlockArgument(operand), sum);
  for (OpOperand *operand : added) {
    BlockArgument argument = consumer.getMatchingBlockArgument(operand);
    map.map(argument, block.addArgument(argument.getType(), consumer.getLoc()));
  }
  for (Operation &op : consumer.getBody()->without_terminator())
    b.clone(op, map);
  YieldOp::create(
      b, consumer.getLoc(),
      map.lookupOrDefault(consumer.getBody()->getTerminator()->getOperand(0)));
  consumer->replaceAllUsesWith(fused.getResults());
  consumer.erase();
  gemm.erase();
}

/// A transposition of the result that leaves columns last is a map.
static bool fuseTranspose(GemmOp gemm, linalg::TransposeOp transpose) {
  if (!transpose || !gemm.getResult(0).hasOneUse() ||
      transpose.getInit() == gemm.getResult(0))
    return false;
  ArrayRef<int64_t> permutation = transpose.getPermutation();
  if (permutation.back() != static_cast<int64_t>(permutation.size()) - 1)
    return false;
  OpBuilder b(transpose);
  SmallVector<AffineMap> maps;
  for (unsigned i = 0, n = 2 + gemm.getExtras().size(); i < n; ++i)
    maps.push_back(gemm.getMap(i));
  if (gemm.getTaps())
    maps.push_back(gemm.getMap(gemm->getNumOperands() - 2));
  SmallVector<AffineExpr> results;
  for (int64_t from : permutation)
    results.push_back(gemm.getInitMap().getResult(from));
  maps.push_back(
      AffineMap::get(gemm.getNumDims(), 0, results, gemm.getContext()));
  IRMapping map;
  Value sum;
  GemmOp fused = rebuild(b, gemm, llvm::to_vector(gemm.getExtras()),
                         transpose.getInit(), maps, map, sum);
  YieldOp::create(b, gemm.getLoc(), sum);
  transpose->replaceAllUsesWith(fused.getResults());
  transpose.erase();
  gemm.erase();
  return true;
}

unsigned twist::cpu::fuseEpilogues(Operation *root) {
  SmallVector<GemmOp> pending;
  root->walk([&](GemmOp gemm) { pending.push_back(gemm); });
  unsigned count = 0;
  while (!pending.empty()) {
    GemmOp gemm = pending.pop_back_val();
    if (gemm->getNumResults() == 0 || gemm.getResult(0).use_empty())
      continue;
    Operation *user = *gemm.getResult(0).user_begin();
    auto generic = dyn_cast<linalg::GenericOp>(user);
    Operation *next = user->getNextNode();
    if (generic && fitsEpilogue(gemm, generic))
      fuse(gemm, generic);
    else if (!fuseTranspose(gemm, dyn_cast<linalg::TransposeOp>(user)))
      continue;
    ++count;
    // The fused gemm stands where its user was; it may take the next one too.
    if (auto fused = dyn_cast_or_null<GemmOp>(next->getPrevNode()))
      pending.push_back(fused);
  }
  return count;
}

//===----------------------------------------------------------------------===//
// Over an operand
//===----------------------------------------------------------------------===//

/// Whether `value` is a tensor of its own that has one reader.
static bool isReadOnce(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !value.hasOneUse())
    return false;
  if (isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(op))
    return isReadOnce(op->getOperand(0));
  return isa<DestinationStyleOpInterface>(op) && !isa<linalg::FillOp>(op);
}

/// The first operand of an elementwise op that its result can take the place
/// of.
static OpOperand *findOverwritten(linalg::GenericOp op) {
  if (!op.hasPureTensorSemantics() || op.getNumReductionLoops() ||
      op->getNumResults() != 1 || !op.getRegionOutputArgs()[0].use_empty() ||
      !op.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>())
    return nullptr;
  AffineMap out = op.getIndexingMapsArray().back();
  for (OpOperand *operand : op.getDpsInputOperands())
    if (operand->get().getType() == op->getResult(0).getType() &&
        op.getMatchingIndexingMap(operand) == out && isReadOnce(operand->get()))
      return operand;
  return nullptr;
}

void twist::cpu::overwriteOperands(Operation *root) {
  SmallVector<linalg::GenericOp> ops;
  root->walk([&](linalg::GenericOp op) { ops.push_back(op); });
  for (linalg::GenericOp op : ops) {
    OpOperand *over = findOverwritten(op);
    if (!over)
      continue;
    unsigned number = over->getOperandNumber();
    SmallVector<Value> inputs = op.getDpsInputs();
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    Value init = inputs[number];
    inputs.erase(inputs.begin() + number);
    maps.erase(maps.begin() + number);
    OpBuilder b(op);
    auto written =
        linalg::GenericOp::create(b, op.getLoc(), init.getType(), inputs, init,
                                  maps, op.getIteratorTypesArray());
    written.getRegion().takeBody(op.getRegion());
    Block &body = *written.getBody();
    body.getArgument(number).replaceAllUsesWith(body.getArguments().back());
    body.eraseArgument(number);
    op.getResult(0).replaceAllUsesWith(written.getResult(0));
    op.erase();
  }
}

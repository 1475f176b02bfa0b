//===- FindCausal.cpp - Attention that looks back only --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// A causal mask makes a triangle of softmax's result zero. What is known of it
// goes along: forwards as zeros, to the products that read the result, or its
// gradient; backwards as elements that nobody reads, to the products that make
// scores and their cotangents.
//
//===----------------------------------------------------------------------===//

#include "ConstantGrid.h"

#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

namespace twist::nn {
#define GEN_PASS_DEF_NNFINDCAUSALPASS
#include "twist/Dialect/NN/Passes.h.inc"
} // namespace twist::nn

using namespace mlir;
using namespace twist;
using namespace twist::nn;

namespace {
/// Elements of a tensor, or iterations of a nest, whose index of dimension
/// `second` is above that of `first` + `offset`.
struct Triangle {
  int64_t first, second, offset;

  /// The same in other dimensions; nothing where `to` has no place for one.
  std::optional<Triangle>
  move(function_ref<std::optional<int64_t>(int64_t)> to) const {
    std::optional<int64_t> a = to(first), b = to(second);
    if (!a || !b)
      return std::nullopt;
    return Triangle{*a, *b, offset};
  }
};
} // namespace

//===----------------------------------------------------------------------===//
// Through reshapes and nests
//===----------------------------------------------------------------------===//

/// From dimensions of the narrower tensor of a reshape to those of the wider.
static std::optional<Triangle> expandDims(const Triangle &triangle,
                                          ArrayRef<ReassociationIndices> groups,
                                          ArrayRef<int64_t> wide) {
  return triangle.move([&](int64_t d) -> std::optional<int64_t> {
    return onlyDim(groups[d], wide);
  });
}

static std::optional<Triangle>
collapseDims(const Triangle &triangle, ArrayRef<ReassociationIndices> groups,
             ArrayRef<int64_t> wide) {
  return triangle.move([&](int64_t d) -> std::optional<int64_t> {
    for (auto [number, group] : llvm::enumerate(groups))
      if (llvm::is_contained(group, d) && onlyDim(group, wide) == d)
        return int64_t(number);
    return std::nullopt;
  });
}

/// From an operand's dimensions to the loops that its map names.
static std::optional<Triangle> toLoops(const Triangle &triangle,
                                       AffineMap map) {
  return triangle.move([&](int64_t d) -> std::optional<int64_t> {
    auto dim = dyn_cast<AffineDimExpr>(map.getResult(d));
    return dim ? std::optional<int64_t>(dim.getPosition()) : std::nullopt;
  });
}

static std::optional<Triangle> fromLoops(const Triangle &triangle,
                                         AffineMap map) {
  return triangle.move([&](int64_t d) -> std::optional<int64_t> {
    std::optional<unsigned> position =
        map.getResultPosition(getAffineDimExpr(d, map.getContext()));
    return position ? std::optional<int64_t>(*position) : std::nullopt;
  });
}

/// A nest on tensors without reductions, of one result.
static bool isElementwise(Operation *op) {
  auto nest = dyn_cast<linalg::LinalgOp>(op);
  return nest && nest.hasPureTensorSemantics() &&
         nest.getNumReductionLoops() == 0 && op->getNumResults() == 1 &&
         llvm::all_of(nest.getRegionOutputArgs(),
                      [](BlockArgument arg) { return arg.use_empty(); });
}

/// Where the elements of an operand go in the op's result, if the op only moves
/// them or treats each by itself; `back`: where those of the result come from.
static std::optional<Triangle> follow(OpOperand &operand, const Triangle &at,
                                      bool back) {
  Operation *op = operand.getOwner();
  if (isa<tensor::CastOp, AgainOp>(op))
    return at;
  auto reshape = [&](auto groups, ArrayRef<int64_t> wide, bool widens) {
    return widens ? expandDims(at, groups, wide)
                  : collapseDims(at, groups, wide);
  };
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    if (operand.getOperandNumber() != 0)
      return std::nullopt;
    return reshape(expand.getReassociationIndices(),
                   expand.getResultType().getShape(), !back);
  }
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return reshape(collapse.getReassociationIndices(),
                   collapse.getSrcType().getShape(), back);
  auto nest = dyn_cast<linalg::LinalgOp>(op);
  if (!nest || !isElementwise(op) || !nest.isDpsInput(&operand))
    return std::nullopt;
  AffineMap from = nest.getMatchingIndexingMap(&operand),
            to = nest.getMatchingIndexingMap(nest.getDpsInitOperand(0));
  if (back)
    std::swap(from, to);
  auto loops = toLoops(at, from);
  return loops && to.isProjectedPermutation() ? fromLoops(*loops, to)
                                              : std::nullopt;
}

/// Whether the body gives 0 where `argument` is 0, and all it computes is a
/// number.
static bool keepsZero(BlockArgument argument) {
  Block *body = argument.getOwner();
  llvm::DenseSet<Value> zeros = {argument};
  auto isZero = [&](Value value) {
    return zeros.contains(value) || matchPattern(value, m_AnyZeroFloat());
  };
  for (Operation &op : body->without_terminator()) {
    bool keeps = false;
    if (isa<arith::MulFOp>(op))
      keeps = isZero(op.getOperand(0)) || isZero(op.getOperand(1));
    else if (isa<arith::AddFOp, arith::SubFOp>(op))
      keeps = isZero(op.getOperand(0)) && isZero(op.getOperand(1));
    else if (isa<arith::DivFOp, arith::ExtFOp, arith::TruncFOp, arith::NegFOp>(
                 op))
      keeps = isZero(op.getOperand(0));
    else if (isa<arith::SelectOp>(op))
      keeps = isZero(op.getOperand(1)) && isZero(op.getOperand(2));
    if (keeps)
      zeros.insert(op.getResult(0));
  }
  return zeros.contains(body->getTerminator()->getOperand(0));
}

//===----------------------------------------------------------------------===//
// Marks
//===----------------------------------------------------------------------===//

static bool isContraction(Operation *op) {
  auto nest = dyn_cast_or_null<linalg::LinalgOp>(op);
  return nest && nest.hasPureTensorSemantics() &&
         nest.getNumReductionLoops() != 0 &&
         linalg::isaContractionOpInterface(nest);
}

static void mark(Operation *op, const std::optional<Triangle> &loops) {
  if (loops && !op->hasAttr(triangleAttr))
    op->setAttr(triangleAttr,
                Builder(op->getContext())
                    .getDenseI64ArrayAttr(
                        {loops->first, loops->second, loops->offset}));
}

/// Nobody reads these elements of `value` but `reader`, which does not look at
/// them.
static void markUnread(Value value, Operation *reader, const Triangle &at) {
  Operation *op = value.getDefiningOp();
  // Once: another place of the same reader may look at other elements.
  if (!op || !value.hasOneUse() || *value.user_begin() != reader)
    return;
  if (isContraction(op)) {
    auto nest = cast<linalg::LinalgOp>(op);
    return mark(op, toLoops(at, nest.getMatchingIndexingMap(
                                    nest.getDpsInitOperand(0))));
  }
  for (OpOperand &operand : op->getOpOperands())
    if (isa<RankedTensorType>(operand.get().getType()))
      if (auto from = follow(operand, at, /*back=*/true))
        markUnread(operand.get(), op, *from);
}

/// These elements of `value` are 0.
static void markZeros(Value value, const Triangle &at) {
  for (OpOperand &use : value.getUses()) {
    Operation *op = use.getOwner();
    if (isContraction(op)) {
      auto nest = cast<linalg::LinalgOp>(op);
      if (nest.isDpsInput(&use))
        mark(op, toLoops(at, nest.getMatchingIndexingMap(&use)));
      continue;
    }
    auto gradient = dyn_cast<SoftmaxGradientOp>(op);
    if (gradient && use.getOperandNumber() == 0) {
      auto type = cast<RankedTensorType>(value.getType());
      if (int64_t(gradient.getDimension()) != type.getRank() - 1 ||
          at.second != type.getRank() - 1 || at.first != type.getRank() - 2)
        continue;
      gradient.setCausal(at.offset);
      markUnread(gradient.getInit(), gradient, at);
      markZeros(gradient.getResult(), at);
      continue;
    }
    auto nest = dyn_cast<linalg::LinalgOp>(op);
    if (nest && (!nest.isDpsInput(&use) ||
                 !keepsZero(nest.getMatchingBlockArgument(&use))))
      continue;
    if (auto to = follow(use, at, /*back=*/false))
      markZeros(op->getResult(0), *to);
  }
}

//===----------------------------------------------------------------------===//
// Masks
//===----------------------------------------------------------------------===//

/// How far beyond its own number a row's last element lies that is no masked
/// one; nothing where all rows read all, or one reads none.
static std::optional<int64_t> findOffset(const Grid &grid, int64_t rows,
                                         int64_t columns) {
  if (grid.cells.empty())
    return std::nullopt;
  int64_t offset = 0;
  for (int64_t i = 0; i < rows; ++i) {
    std::optional<int64_t> last;
    for (int64_t j = columns - 1; j >= 0 && !last; --j)
      if (!(grid[i * columns + j] <= lowest))
        last = j;
    if (!last)
      return std::nullopt;
    offset = std::max(offset, *last - i);
  }
  return offset < columns - 1 ? std::optional<int64_t>(offset) : std::nullopt;
}

/// Whether something on the way from the scores to softmax's input does not
/// treat each of them by itself is seen by markUnread; here only what is masked
/// counts.
static std::optional<int64_t> findOffset(linalg::SoftmaxOp softmax,
                                         weights::SourceFiles &files) {
  auto type = dyn_cast<RankedTensorType>(softmax.getInput().getType());
  if (!type || type.getRank() < 2 ||
      int64_t(softmax.getDimension()) != type.getRank() - 1)
    return std::nullopt;
  int64_t rows = type.getDimSize(type.getRank() - 2),
          columns = type.getShape().back();
  // Beyond these sizes the numbers would take a GB.
  if (ShapedType::isDynamic(rows) || ShapedType::isDynamic(columns) ||
      rows * columns > (int64_t(1) << 25))
    return std::nullopt;
  Places at(type.getRank());
  for (int64_t d = 0; d + 2 < type.getRank(); ++d)
    if (type.getDimSize(d) == 1)
      at[d] = Place();
  at[type.getRank() - 2] = Place{0, 1, 0};
  at.back() = Place{0, 0, 1};
  ConstantGrid constants(files, rows, columns);
  std::optional<Grid> grid = constants.compute(softmax.getInput(), at);
  return grid ? findOffset(*grid, rows, columns) : std::nullopt;
}

namespace {
struct NNFindCausalPass : nn::impl::NNFindCausalPassBase<NNFindCausalPass> {
  using NNFindCausalPassBase::NNFindCausalPassBase;

  void runOnOperation() override {
    weights::SourceFiles files(getOperation(), baseDirectory);
    SmallVector<std::pair<linalg::SoftmaxOp, int64_t>> found;
    getOperation().walk([&](linalg::SoftmaxOp softmax) {
      if (std::optional<int64_t> offset = findOffset(softmax, files))
        found.emplace_back(softmax, *offset);
    });
    numCausal += found.size();
    for (auto [softmax, offset] : found) {
      IRRewriter b(softmax);
      auto causal = CausalSoftmaxOp::create(
          b, softmax.getLoc(), softmax->getResultTypes(), softmax.getInput(),
          softmax.getOutput(), b.getI64IntegerAttr(offset));
      b.replaceOp(softmax, causal->getResults());
      int64_t rank =
          cast<RankedTensorType>(causal.getInput().getType()).getRank();
      Triangle triangle{rank - 2, rank - 1, offset};
      markUnread(causal.getInput(), causal, triangle);
      markZeros(causal.getResult(), triangle);
    }
  }
};
} // namespace

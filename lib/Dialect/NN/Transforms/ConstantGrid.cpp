//===- ConstantGrid.cpp - Elements known when compiling -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "ConstantGrid.h"

#include "twist/Dialect/NN/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace twist;
using namespace twist::nn;

/// Integers beyond this are no doubles.
static constexpr double largestInteger = 9007199254740992.0; // 2^53

std::optional<int64_t> nn::onlyDim(ArrayRef<int64_t> group,
                                   ArrayRef<int64_t> shape) {
  std::optional<int64_t> found;
  for (int64_t d : group) {
    if (shape[d] == 1)
      continue;
    if (found)
      return std::nullopt;
    found = d;
  }
  return found ? found : group.front();
}

//===----------------------------------------------------------------------===//
// Scalars
//===----------------------------------------------------------------------===//

static constexpr double score = std::numeric_limits<double>::quiet_NaN();
static constexpr double maskedScore = -std::numeric_limits<double>::infinity();

static bool isNumber(double x) { return std::isfinite(x); }

/// A mask's -inf as a number, as it would be taken for a score else; false for
/// other infinities and NaN.
static bool asNumber(double &x) {
  if (x == maskedScore)
    x = std::numeric_limits<double>::lowest();
  return isNumber(x);
}

/// x + y; a score stays one, unless what is added makes it no more than that.
static double sum(double x, double y) {
  if (isNumber(x) && isNumber(y))
    return x + y;
  if (!isNumber(x))
    std::swap(x, y);
  // y is a score.
  if (x == maskedScore || (isNumber(x) && x <= lowest))
    return maskedScore;
  return y == maskedScore && isNumber(x) && x <= 0 ? y : score;
}

static double product(double x, double y) {
  if (isNumber(x) && isNumber(y))
    return x * y;
  if (!isNumber(x))
    std::swap(x, y);
  return y == maskedScore && isNumber(x) && x >= 1 ? y : score;
}

static std::optional<bool> compare(arith::CmpIPredicate predicate, double x,
                                   double y) {
  using P = arith::CmpIPredicate;
  bool isSigned = predicate <= P::sge;
  if (!isNumber(x) || !isNumber(y) || (!isSigned && (x < 0 || y < 0)))
    return std::nullopt;
  switch (predicate) {
  case P::eq:
    return x == y;
  case P::ne:
    return x != y;
  case P::slt:
  case P::ult:
    return x < y;
  case P::sle:
  case P::ule:
    return x <= y;
  case P::sgt:
  case P::ugt:
    return x > y;
  case P::sge:
  case P::uge:
    return x >= y;
  }
  llvm_unreachable("no such predicate");
}

static std::optional<bool> compare(arith::CmpFPredicate predicate, double x,
                                   double y) {
  using P = arith::CmpFPredicate;
  if (!isNumber(x) || !isNumber(y))
    return std::nullopt;
  switch (predicate) {
  case P::OEQ:
  case P::UEQ:
    return x == y;
  case P::ONE:
  case P::UNE:
    return x != y;
  case P::OLT:
  case P::ULT:
    return x < y;
  case P::OLE:
  case P::ULE:
    return x <= y;
  case P::OGT:
  case P::UGT:
    return x > y;
  case P::OGE:
  case P::UGE:
    return x >= y;
  default:
    return std::nullopt;
  }
}

/// What the op makes of numbers and scores; nothing where it is not known here.
static std::optional<double> evaluate(Operation *op, ArrayRef<double> x) {
  auto isBool = [](Value v) { return v.getType().isInteger(1); };
  auto logic = [&](auto combine) -> std::optional<double> {
    if (!isBool(op->getResult(0)) || !isNumber(x[0]) || !isNumber(x[1]))
      return std::nullopt;
    return combine(x[0] != 0, x[1] != 0);
  };
  using Result = std::optional<double>;
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case<arith::AddFOp, arith::AddIOp>(
          [&](auto) -> Result { return sum(x[0], x[1]); })
      .Case<arith::SubFOp, arith::SubIOp>([&](auto) -> Result {
        return isNumber(x[1]) ? sum(x[0], -x[1]) : score;
      })
      .Case<arith::MulFOp, arith::MulIOp>(
          [&](auto) -> Result { return product(x[0], x[1]); })
      .Case([&](arith::DivFOp) -> Result {
        return isNumber(x[1]) && x[1] != 0 ? product(x[0], 1 / x[1]) : score;
      })
      .Case([&](arith::NegFOp) -> Result {
        return isNumber(x[0]) ? -x[0] : score;
      })
      .Case<arith::ExtFOp, arith::TruncFOp, arith::ExtUIOp, arith::IndexCastOp,
            arith::UIToFPOp>([&](auto) -> Result {
        bool isBelow = isNumber(x[0]) && x[0] < 0 &&
                       isa<arith::ExtUIOp, arith::UIToFPOp>(op);
        return isBelow ? Result() : Result(x[0]);
      })
      .Case<arith::ExtSIOp, arith::SIToFPOp>([&](auto) -> Result {
        return isBool(op->getOperand(0)) ? -x[0] : x[0];
      })
      .Case([&](arith::TruncIOp) -> Result {
        return x[0] == 0 || x[0] == 1 ? Result(x[0]) : Result();
      })
      .Case([&](arith::CmpIOp cmp) -> Result {
        return compare(cmp.getPredicate(), x[0], x[1]);
      })
      .Case([&](arith::CmpFOp cmp) -> Result {
        return compare(cmp.getPredicate(), x[0], x[1]);
      })
      .Case([&](arith::AndIOp) {
        return logic([](bool a, bool b) { return a && b; });
      })
      .Case([&](arith::OrIOp) {
        return logic([](bool a, bool b) { return a || b; });
      })
      .Case([&](arith::XOrIOp) {
        return logic([](bool a, bool b) { return a != b; });
      })
      .Case([&](arith::SelectOp) -> Result {
        return isNumber(x[0]) ? Result(x[0] != 0 ? x[1] : x[2]) : Result();
      })
      .Default([](Operation *) -> Result { return std::nullopt; });
}

std::optional<Grid>
ConstantGrid::ofScalarOp(Operation *op,
                         ArrayRef<std::shared_ptr<const Grid>> operands) {
  bool isUniform = llvm::all_of(
      operands, [](const auto &grid) { return grid->cells.empty(); });
  bool isInteger = op->getResult(0).getType().isIntOrIndex();
  Grid result;
  if (!isUniform)
    result.cells.resize(rows * columns);
  SmallVector<double> x(operands.size()), before;
  std::optional<double> y;
  for (size_t n = 0, count = isUniform ? 1 : result.cells.size(); n < count;
       ++n) {
    for (auto [value, grid] : llvm::zip_equal(x, operands))
      value = (*grid)[n];
    // Neighbours in a mask are mostly equal.
    if (before.empty() ||
        std::memcmp(x.data(), before.data(), x.size() * sizeof(double))) {
      y = evaluate(op, x);
      before = x;
    }
    if (!y || (isInteger && isNumber(*y) && std::abs(*y) > largestInteger))
      return std::nullopt;
    (isUniform ? result.all : result.cells[n]) = *y;
  }
  return result;
}

std::optional<Grid> ConstantGrid::ofScalar(Value value) {
  FloatAttr real;
  IntegerAttr integer;
  Grid grid;
  if (matchPattern(value, m_Constant(&real)))
    grid.all = real.getValueAsDouble();
  else if (matchPattern(value, m_Constant(&integer)))
    grid.all = value.getType().isInteger(1)
                   ? double(integer.getValue().getBoolValue())
                   : double(integer.getValue().getSExtValue());
  else
    return std::nullopt;
  return asNumber(grid.all) ? std::optional<Grid>(grid) : std::nullopt;
}

std::optional<Grid> ConstantGrid::ofIndex(const std::optional<Place> &place) {
  if (!place)
    return std::nullopt;
  Grid grid;
  grid.all = double(place->start);
  if (place->row || place->column)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        grid.cells.push_back(
            double(place->start + place->row * i + place->column * j));
  return grid;
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

std::optional<Grid> ConstantGrid::ofElements(RankedTensorType type,
                                             ArrayRef<double> elements,
                                             const Places &at) {
  Grid grid;
  Place flat;
  int64_t step = 1;
  for (int64_t d = type.getRank() - 1; d >= 0; --d) {
    int64_t size = type.getDimSize(d);
    if (size != 1) {
      if (!at[d])
        return std::nullopt;
      flat.start += step * at[d]->start;
      flat.row += step * at[d]->row;
      flat.column += step * at[d]->column;
    }
    step *= size;
  }
  if (flat.row == 0 && flat.column == 0) {
    grid.all = elements[flat.start];
    return asNumber(grid.all) ? std::optional<Grid>(grid) : std::nullopt;
  }
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      double x = elements[flat.start + flat.row * i + flat.column * j];
      if (!asNumber(x))
        return std::nullopt;
      grid.cells.push_back(x);
    }
  return grid;
}

/// All elements of a constant; nothing for other ops and other types.
static std::optional<std::vector<double>>
readConstant(Value value, weights::SourceFiles &files) {
  auto type = cast<RankedTensorType>(value.getType());
  Type element = type.getElementType();
  if (!type.hasStaticShape() || !element.isIntOrFloat())
    return std::nullopt;
  std::vector<double> elements(type.getNumElements());
  if (auto load = value.getDefiningOp<weights::LoadOp>()) {
    auto bytes = MutableArrayRef(reinterpret_cast<char *>(elements.data()),
                                 elements.size() * sizeof(double));
    if (!weights::isConvertible(element, Float64Type::get(value.getContext())))
      return std::nullopt;
    if (failed(files.read(load.getView(), Float64Type::get(value.getContext()),
                          bytes, load.getLoc())))
      return std::nullopt;
    return elements;
  }
  DenseElementsAttr attribute;
  if (!matchPattern(value, m_Constant(&attribute)))
    return std::nullopt;
  if (isa<FloatType>(element)) {
    for (auto [x, y] :
         llvm::zip_equal(elements, attribute.getValues<APFloat>())) {
      APFloat wide = y;
      bool loses;
      wide.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses);
      x = wide.convertToDouble();
    }
    return elements;
  }
  for (auto [x, y] : llvm::zip_equal(elements, attribute.getValues<APInt>()))
    x = element.isInteger(1) ? double(y.getBoolValue())
                             : double(y.getSExtValue());
  return elements;
}

std::optional<Grid> ConstantGrid::ofConstant(Value value, const Places &at) {
  auto elements = readConstant(value, files);
  if (!elements)
    return std::nullopt;
  return ofElements(cast<RankedTensorType>(value.getType()), *elements, at);
}

/// Whether the body is a sum of products, a contraction's.
static bool isContraction(linalg::LinalgOp op) {
  return op.getNumReductionLoops() != 0 &&
         linalg::isaContractionOpInterface(op);
}

/// The places that `map` gives an operand, from those of the loops.
static std::optional<Places> placesOf(AffineMap map, const Places &loops) {
  Places places;
  for (AffineExpr expr : map.getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      places.push_back(loops[dim.getPosition()]);
    else if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      places.push_back(Place{constant.getValue(), 0, 0});
    else
      return std::nullopt;
  }
  return places;
}

std::optional<Grid> ConstantGrid::ofBody(Block &body, const Places &loops,
                                         Known &known) {
  // Values from outside the body are constants, or not known.
  auto find = [&](Value value) {
    std::shared_ptr<const Grid> &grid = known[value];
    if (!grid && !isa<BlockArgument>(value) &&
        !isa<ShapedType>(value.getType()))
      if (std::optional<Grid> scalar = ofScalar(value))
        grid = std::make_shared<Grid>(std::move(*scalar));
    return grid;
  };
  for (Operation &inner : body.without_terminator()) {
    SmallVector<std::shared_ptr<const Grid>> operands;
    for (Value operand : inner.getOperands()) {
      operands.push_back(find(operand));
      if (!operands.back())
        return std::nullopt;
    }
    std::optional<Grid> grid;
    if (auto index = dyn_cast<linalg::IndexOp>(inner))
      grid = ofIndex(loops[index.getDim()]);
    else if (inner.hasTrait<OpTrait::ConstantLike>())
      grid = ofScalar(inner.getResult(0));
    else if (inner.getNumResults() == 1)
      grid = ofScalarOp(&inner, operands);
    if (!grid)
      return std::nullopt;
    known[inner.getResult(0)] = std::make_shared<Grid>(std::move(*grid));
  }
  auto result = find(body.getTerminator()->getOperand(0));
  return result ? std::optional<Grid>(*result) : std::nullopt;
}

std::optional<Grid> ConstantGrid::ofGeneric(linalg::LinalgOp op,
                                            const Places &at) {
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  if (!op.hasPureTensorSemantics() || op.getNumReductionLoops() ||
      op->getNumResults() != 1 || !out.isPermutation())
    return std::nullopt;
  Places loops(at.size());
  for (auto [expr, place] : llvm::zip_equal(out.getResults(), at))
    loops[cast<AffineDimExpr>(expr).getPosition()] = place;
  Known known;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    BlockArgument argument = op.getMatchingBlockArgument(operand);
    if (argument.use_empty())
      continue;
    std::optional<Grid> grid;
    if (!isa<RankedTensorType>(operand->get().getType()))
      grid = ofScalar(operand->get());
    else if (auto places = placesOf(op.getMatchingIndexingMap(operand), loops))
      grid = compute(operand->get(), *places);
    if (!grid)
      return std::nullopt;
    known[argument] = std::make_shared<Grid>(std::move(*grid));
  }
  return ofBody(*op.getBlock(), loops, known);
}

std::optional<Grid> ConstantGrid::compute(Value value, const Places &at) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return std::nullopt;
  using Result = std::optional<Grid>;
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case<tensor::CastOp, AgainOp>(
          [&](auto same) { return compute(same->getOperand(0), at); })
      .Case([&](tensor::ExtractSliceOp slice) -> Result {
        llvm::SmallBitVector dropped = slice.getDroppedDims();
        Places places;
        size_t next = 0;
        for (int64_t d = 0; d < slice.getSourceType().getRank(); ++d) {
          int64_t offset = slice.getStaticOffsets()[d],
                  stride = slice.getStaticStrides()[d];
          std::optional<Place> place =
              dropped.test(d) ? std::optional<Place>(Place()) : at[next++];
          if (ShapedType::isDynamic(offset) || ShapedType::isDynamic(stride))
            return std::nullopt;
          if (place)
            place = Place{offset + stride * place->start, stride * place->row,
                          stride * place->column};
          places.push_back(place);
        }
        return compute(slice.getSource(), places);
      })
      .Case([&](tensor::ExpandShapeOp expand) -> Result {
        Places places;
        for (const ReassociationIndices &group :
             expand.getReassociationIndices()) {
          auto dim = onlyDim(group, expand.getResultType().getShape());
          places.push_back(dim ? at[*dim] : std::nullopt);
        }
        return compute(expand.getSrc(), places);
      })
      .Case([&](tensor::CollapseShapeOp collapse) -> Result {
        auto shape = collapse.getSrcType().getShape();
        Places places(shape.size());
        for (auto [d, group] :
             llvm::enumerate(collapse.getReassociationIndices())) {
          std::optional<int64_t> dim = onlyDim(group, shape);
          for (int64_t from : group)
            if (shape[from] == 1)
              places[from] = Place();
          if (dim)
            places[*dim] = at[d];
        }
        return compute(collapse.getSrc(), places);
      })
      .Case([&](linalg::LinalgOp generic) -> Result {
        if (!isContraction(generic))
          return ofGeneric(generic, at);
        if (scores && scores != op)
          return std::nullopt;
        scores = op;
        Grid grid;
        grid.all = score;
        return grid;
      })
      .Default([&](Operation *) { return ofConstant(value, at); });
}

//===- PrepareTraining.cpp - From an inference export to a training graph -===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Twist/Transforms/PrepareTraining.h"

#include "RemoveEmpty.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/SymbolicShapes.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"
#include "twist/Dialect/Twist/AxisAnalysis.h"
#include "twist/Dialect/Twist/Transforms/Passes.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/GlobPattern.h"

using namespace mlir;
using namespace twist;
using namespace twist::axes;

StringRef twist::axes::weightName(Operation *op) {
  if (auto meta = op->getAttrOfType<DictionaryAttr>(onnx::kMetaAttr))
    if (auto name = meta.getAs<StringAttr>("name"))
      return name.getValue();
  return "";
}

//===----------------------------------------------------------------------===//
// Parameters as attributes
//===----------------------------------------------------------------------===//

static WeightRole parseRole(StringRef name) {
  return llvm::StringSwitch<WeightRole>(name)
      .Case("weight", WeightRole::Weight)
      .Case("bias", WeightRole::Bias)
      .Case("scale", WeightRole::Scale)
      .Case("shift", WeightRole::Shift)
      .Case("embedding", WeightRole::Embedding)
      .Case("gain", WeightRole::Gain)
      .Default(WeightRole::Other);
}

std::optional<ParameterInfo> ParameterInfo::of(Operation *op) {
  auto attr = op->getAttrOfType<DictionaryAttr>(kParameterAttr);
  if (!attr)
    return std::nullopt;
  ParameterInfo info;
  info.name = attr.getAs<StringAttr>("name").str();
  info.role = parseRole(attr.getAs<StringAttr>("role").getValue());
  info.trainable = attr.getAs<BoolAttr>("trainable").getValue();
  info.decayed = attr.getAs<BoolAttr>("decayed").getValue();
  for (StringRef copy :
       attr.getAs<ArrayAttr>("copies").getAsValueRange<StringAttr>())
    info.copies.push_back(copy.str());
  return info;
}

void ParameterInfo::setOn(Operation *op) const {
  Builder b(op->getContext());
  SmallVector<StringRef> others(copies.begin(), copies.end());
  op->setAttr(kParameterAttr,
              b.getDictionaryAttr(
                  {b.getNamedAttr("name", b.getStringAttr(name)),
                   b.getNamedAttr("role", b.getStringAttr(roleName(role))),
                   b.getNamedAttr("trainable", b.getBoolAttr(trainable)),
                   b.getNamedAttr("decayed", b.getBoolAttr(decayed)),
                   b.getNamedAttr("copies", b.getStrArrayAttr(others))}));
}

void twist::axes::printParameters(ModuleOp module, raw_ostream &os) {
  llvm::StringSet<> seen;
  for (bool trainable : {true, false}) {
    os << (trainable ? "trained:\n" : "frozen:\n");
    module.walk([&](Operation *op) {
      std::optional<ParameterInfo> info = ParameterInfo::of(op);
      if (!info || info->trainable != trainable ||
          !seen.insert(info->name).second)
        return;
      auto type = cast<RankedTensorType>(op->getResult(0).getType());
      os << "  " << info->name << " [";
      llvm::interleaveComma(type.getShape(), os);
      os << "] " << roleName(info->role);
      if (info->decayed)
        os << ", decayed";
      for (const std::string &copy : info->copies)
        os << ", also " << copy;
      os << "\n";
    });
  }
}

//===----------------------------------------------------------------------===//
// The past
//===----------------------------------------------------------------------===//

namespace {
/// Takes the key-value cache and other state out of a graph: there is no past.
class PastRemover {
public:
  PastRemover(ModuleOp module, func::FuncOp function,
              const TrainingOptions &options)
      : module(module), function(function), options(options) {}
  LogicalResult run();

private:
  LogicalResult findPairs();
  LogicalResult bindPast();
  void dropResults();
  void dropEmptyParts();
  void takeSizesElsewhere();
  LogicalResult checkUses();

  std::string symbolOf(unsigned argument, unsigned dim);

  ModuleOp module;
  func::FuncOp function;
  const TrainingOptions &options;
  SmallVector<unsigned> pasts;
  llvm::BitVector presents;
};
} // namespace

LogicalResult PastRemover::findPairs() {
  AxisAnalysisOptions analysis;
  analysis.state.assign(options.state.begin(), options.state.end());
  FailureOr<AxisAnalysis> axes = AxisAnalysis::compute(function, analysis);
  if (failed(axes))
    return failure();
  presents.resize(function.getNumResults());
  for (auto [argument, result] : axes->statePairs()) {
    pasts.push_back(argument);
    presents.set(result);
  }
  return success();
}

std::string PastRemover::symbolOf(unsigned argument, unsigned dim) {
  if (auto dims = function.getArgAttrOfType<ArrayAttr>(argument, "onnx.dims"))
    if (auto name = dyn_cast<StringAttr>(dims[dim]); name && !name.empty())
      return name.str();
  auto name = function.getArgAttrOfType<StringAttr>(argument, "onnx.name");
  return ((name ? name.getValue() : StringRef()) + "." + Twine(dim)).str();
}

/// Open sizes that only the past has are 0.
LogicalResult PastRemover::bindPast() {
  llvm::StringSet<> elsewhere;
  llvm::StringMap<int64_t> sizes;
  for (BlockArgument argument : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type || llvm::is_contained(pasts, argument.getArgNumber()))
      continue;
    for (int64_t d = 0; d < type.getRank(); ++d)
      if (type.isDynamicDim(d))
        elsewhere.insert(symbolOf(argument.getArgNumber(), d));
  }
  for (unsigned past : pasts) {
    auto type =
        dyn_cast<RankedTensorType>(function.getArgument(past).getType());
    bool isOpen = false;
    for (int64_t d = 0; type && d < type.getRank(); ++d)
      if (std::string symbol = symbolOf(past, d);
          type.isDynamicDim(d) && !elsewhere.contains(symbol)) {
        sizes[symbol] = 0;
        isOpen = true;
      }
    if (!isOpen)
      return function.emitError("input '")
             << function.getArgAttrOfType<StringAttr>(past, "onnx.name")
                    .getValue()
             << "' holds state of a fixed length: training needs a model that "
                "can be without";
  }
  return onnx::bindDims(module, sizes, /*allowZero=*/true);
}

void PastRemover::dropResults() {
  Operation *end = function.getBody().front().getTerminator();
  end->eraseOperands(presents);
  (void)function.eraseResults(presents);
}

/// Concat(empty, x) is x.
void PastRemover::dropEmptyParts() {
  SmallVector<onnx::ConcatOp> concats;
  function.walk([&](onnx::ConcatOp op) { concats.push_back(op); });
  for (onnx::ConcatOp op : concats) {
    auto isEmpty = [&](Value part) {
      auto type = dyn_cast<RankedTensorType>(part.getType());
      if (!type)
        return false;
      int64_t axis = op.getAxis();
      return type.getDimSize(axis < 0 ? axis + type.getRank() : axis) == 0;
    };
    SmallVector<Value> parts;
    llvm::copy_if(op->getOperands(), std::back_inserter(parts),
                  [&](Value part) { return !isEmpty(part); });
    if (parts.empty() || parts.size() == op->getNumOperands())
      continue;
    if (parts.size() > 1) {
      op->setOperands(parts);
      continue;
    }
    op->getResult(0).replaceAllUsesWith(parts[0]);
    op.erase();
  }
}

/// Shape(past): its open sizes are those of another input of the same name.
void PastRemover::takeSizesElsewhere() {
  auto source = [&](StringRef symbol) -> std::pair<BlockArgument, int64_t> {
    for (BlockArgument argument : function.getArguments()) {
      auto type = dyn_cast<RankedTensorType>(argument.getType());
      if (!type || llvm::is_contained(pasts, argument.getArgNumber()))
        continue;
      for (int64_t d = 0; d < type.getRank(); ++d)
        if (type.isDynamicDim(d) &&
            symbolOf(argument.getArgNumber(), d) == symbol)
          return {argument, d};
    }
    return {};
  };
  for (unsigned past : pasts) {
    BlockArgument argument = function.getArgument(past);
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    for (Operation *user : llvm::make_early_inc_range(argument.getUsers())) {
      auto shape = dyn_cast<onnx::ShapeOp>(user);
      if (!shape || shape.getStart() || shape.getEnd())
        continue;
      OpBuilder b(shape);
      auto si64 = [&](int64_t value) {
        return b.getIntegerAttr(b.getIntegerType(64, /*isSigned=*/true), value);
      };
      auto one = RankedTensorType::get({1}, b.getI64Type());
      SmallVector<Value> parts;
      for (int64_t d = 0; d < type.getRank(); ++d) {
        if (!type.isDynamicDim(d)) {
          parts.push_back(onnx::ConstantOp::create(
              b, shape.getLoc(), one,
              DenseElementsAttr::get(one, type.getDimSize(d))));
          continue;
        }
        auto [other, dim] = source(symbolOf(past, d));
        if (!other)
          break;
        parts.push_back(onnx::ShapeOp::create(b, shape.getLoc(), one, other,
                                              si64(dim + 1), si64(dim)));
      }
      if (int64_t(parts.size()) != type.getRank() || parts.empty())
        continue;
      shape.replaceAllUsesWith(
          onnx::ConcatOp::create(b, shape.getLoc(), shape.getType(), parts, 0)
              .getResult());
      shape.erase();
    }
  }
}

LogicalResult PastRemover::checkUses() {
  for (unsigned past : pasts)
    for (Operation *user : function.getArgument(past).getUsers())
      return user->emitError(
                 "reads the past in a way that training cannot leave out "
                 "(input '")
             << function.getArgAttrOfType<StringAttr>(past, "onnx.name")
                    .getValue()
             << "')";
  return success();
}

LogicalResult PastRemover::run() {
  if (failed(findPairs()))
    return failure();
  if (pasts.empty())
    return success();
  dropResults();
  if (failed(bindPast()))
    return failure();
  dropEmptyParts();
  takeSizesElsewhere();
  eraseDead(function);
  if (failed(checkUses()))
    return failure();
  llvm::BitVector gone(function.getNumArguments());
  for (unsigned past : pasts)
    gone.set(past);
  (void)function.eraseArguments(gone);
  onnx::RefinementCounts counts;
  return onnx::refineShapes(function, counts);
}

//===----------------------------------------------------------------------===//
// What is trained
//===----------------------------------------------------------------------===//

/// A next token's loss needs logits at all positions.
static LogicalResult checkPositions(func::FuncOp function) {
  bool open = false;
  for (BlockArgument argument : function.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    open |= type && type.getRank() == 2 &&
            isa<IntegerType>(type.getElementType()) && type.getDimSize(1) != 1;
  }
  Operation *end = function.getBody().front().getTerminator();
  for (auto [i, type] : llvm::enumerate(function.getResultTypes())) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!open || !tensor || tensor.getRank() != 3 ||
        !isa<FloatType>(tensor.getElementType()) || tensor.getDimSize(1) != 1)
      continue;
    auto name = function.getResultAttrOfType<StringAttr>(i, "onnx.name");
    Operation *maker = end->getOperand(i).getDefiningOp();
    return (maker ? maker : end)->emitError("output '")
           << (name ? name.getValue() : "")
           << "' is of the last position alone: training needs a model that "
              "gives all positions";
  }
  return success();
}

static FailureOr<SmallVector<llvm::GlobPattern>>
parseGlobs(ArrayRef<std::string> texts, StringRef option, Operation *op) {
  SmallVector<llvm::GlobPattern> globs;
  for (StringRef text : texts) {
    llvm::Expected<llvm::GlobPattern> glob = llvm::GlobPattern::create(text);
    if (!glob)
      return op->emitError("--") << option << " '" << text
                                 << "': " << llvm::toString(glob.takeError());
    globs.push_back(std::move(*glob));
  }
  return globs;
}

namespace {
class Chooser {
public:
  Chooser(func::FuncOp function, const TrainingOptions &options)
      : function(function), options(options) {}
  LogicalResult run(const llvm::StringMap<SmallVector<std::string>> &copies);

private:
  /// Whether a glob matches; each that does is marked as used.
  bool matches(ArrayRef<llvm::GlobPattern> globs, llvm::BitVector &used,
               StringRef name);
  LogicalResult checkUsed(const llvm::BitVector &used, StringRef option,
                          ArrayRef<std::string> texts);

  func::FuncOp function;
  const TrainingOptions &options;
};
} // namespace

bool Chooser::matches(ArrayRef<llvm::GlobPattern> globs, llvm::BitVector &used,
                      StringRef name) {
  bool any = false;
  for (auto [i, glob] : llvm::enumerate(globs))
    if (glob.match(name)) {
      used.set(i);
      any = true;
    }
  return any;
}

LogicalResult Chooser::checkUsed(const llvm::BitVector &used, StringRef option,
                                 ArrayRef<std::string> texts) {
  for (auto [i, text] : llvm::enumerate(texts))
    if (!used.test(i))
      return function.emitError("--")
             << option << " '" << text << "' names no weight of the model";
  return success();
}

LogicalResult
Chooser::run(const llvm::StringMap<SmallVector<std::string>> &copies) {
  auto train = parseGlobs(options.train, "train", function);
  auto freeze = parseGlobs(options.freeze, "freeze", function);
  if (failed(train) || failed(freeze))
    return failure();
  llvm::BitVector trainUsed(train->size()), freezeUsed(freeze->size());
  bool any = false;
  for (auto [op, role] : findWeightRoles(function)) {
    StringRef name = weightName(op);
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    // Numbers of formulas.
    if (name.empty() ||
        (role == WeightRole::Other && type.getNumElements() <= 1 &&
         !matches(*train, trainUsed, name)))
      continue;
    ParameterInfo info;
    info.name = name.str();
    info.role = role;
    info.copies = copies.lookup(name);
    info.trainable = role != WeightRole::Other;
    if (matches(*train, trainUsed, name))
      info.trainable = true;
    if (matches(*freeze, freezeUsed, name))
      info.trainable = false;
    info.decayed = info.trainable && type.getRank() >= 2 &&
                   (role == WeightRole::Weight ||
                    role == WeightRole::Embedding || role == WeightRole::Other);
    info.setOn(op);
    any |= info.trainable;
  }
  if (failed(checkUsed(trainUsed, "train", options.train)) ||
      failed(checkUsed(freezeUsed, "freeze", options.freeze)))
    return failure();
  if (!any)
    return function.emitError("no weight is left to train");
  return success();
}

LogicalResult twist::axes::prepareTraining(ModuleOp module,
                                           const TrainingOptions &options) {
  auto function = module.lookupSymbol<func::FuncOp>("main");
  if (!function || !llvm::hasSingleElement(function.getBody()))
    return module.emitError("has no function @main of one block");
  unsigned decomposed = 0;
  onnx::RefinementCounts counts;
  if (failed(PastRemover(module, function, options).run()) ||
      failed(checkPositions(function)) ||
      failed(onnx::decomposeFused(function, decomposed)))
    return failure();
  weights::SourceFiles files(module, options.baseDirectory);
  llvm::StringMap<SmallVector<std::string>> copies;
  auto tied = [&](Operation *kept, StringRef gone) {
    copies[weightName(kept)].push_back(gone.str());
  };
  if (failed(tieCopies(function, files, tied)))
    return failure();
  Builder b(module.getContext());
  auto element = options.f64 ? FloatType(b.getF64Type()) : b.getF32Type();
  if (failed(onnx::setPrecision(function, element)) ||
      failed(onnx::refineShapes(function, counts)))
    return failure();
  return Chooser(function, options).run(copies);
}

namespace twist::axes {
#define GEN_PASS_DEF_TWISTPREPARETRAINING
#include "twist/Dialect/Twist/Transforms/Passes.h.inc"
} // namespace twist::axes

namespace {
struct PrepareTraining : axes::impl::TwistPrepareTrainingBase<PrepareTraining> {
  using TwistPrepareTrainingBase::TwistPrepareTrainingBase;

  void runOnOperation() override {
    TrainingOptions options;
    options.state.assign(state.begin(), state.end());
    options.train.assign(train.begin(), train.end());
    options.freeze.assign(freeze.begin(), freeze.end());
    options.f64 = f64;
    options.baseDirectory = baseDirectory;
    if (failed(prepareTraining(getOperation(), options)))
      return signalPassFailure();
    getOperation().walk([&](Operation *op) {
      if (std::optional<ParameterInfo> info = ParameterInfo::of(op))
        ++(info->trainable ? numTrained : numFrozen);
    });
    if (print)
      printParameters(getOperation(), llvm::outs());
  }
};
} // namespace

//===- ReplaceWeights.cpp - A model with a file's weights -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/ReplaceWeights.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/Transforms/PrepareTraining.h"
#include "twist/Prune/Correction.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/SHA256.h"

#include <map>

using namespace mlir;
using namespace twist;
using How = ReplacedWeight::How;

namespace {
struct Weight {
  Operation *op;
  std::string name;
  RankedTensorType type;
  WeightContent content;
};

struct FileTensor {
  std::string name;
  RankedTensorType type; ///< null where it holds no floats
  int64_t offset = 0;
  std::string origin; ///< hash
  bool used = false;
};

class Replacer {
public:
  Replacer(ModuleOp module, StringRef path, const ReplaceOptions &options)
      : module(module), path(path), options(options),
        loc(FileLineColLoc::get(module.getContext(), path, 0, 0)),
        files(module) {}
  FailureOr<std::vector<ReplacedWeight>> run();

private:
  LogicalResult readTensors();
  LogicalResult readOrigin(FileTensor &tensor);
  LogicalResult readWeights();
  LogicalResult matchNames();
  void matchContent();
  void matchCopies();
  LogicalResult checkAll() const;
  void replace();

  void take(size_t weight, size_t tensor, bool transposed, How how) {
    matches[weight] = {tensor, transposed, how};
    tensors[tensor].used = true;
  }
  struct Match {
    size_t tensor;
    bool transposed;
    How how;
  };

  ModuleOp module;
  StringRef path;
  ReplaceOptions options;
  Location loc;
  weights::SourceFiles files;
  std::vector<Weight> all;
  std::vector<FileTensor> tensors;
  std::map<size_t, Match> matches; ///< by weight
};
} // namespace

static std::string hashOf(ArrayRef<char> bytes) {
  return llvm::toHex(
      llvm::SHA256::hash(ArrayRef(
          reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size())),
      /*LowerCase=*/true);
}

static std::vector<char> transposed(ArrayRef<char> bytes, int64_t rows,
                                    int64_t columns) {
  std::vector<char> result(bytes.size());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      std::memcpy(&result[4 * (j * rows + i)], &bytes[4 * (i * columns + j)],
                  4);
  return result;
}

bool twist::isFloatWeight(Operation *op) {
  if (!isa<weights::LoadOp, onnx::ConstantOp>(op) ||
      axes::weightName(op).empty())
    return false;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  return type && isa<FloatType>(type.getElementType()) && type.getRank() > 0;
}

FailureOr<WeightContent> twist::readContent(Operation *op,
                                            weights::SourceFiles &files) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  auto f32 = Float32Type::get(op->getContext());
  std::vector<char> values(4 * size_t(type.getNumElements()));
  if (auto load = dyn_cast<weights::LoadOp>(op)) {
    if (failed(files.read(load.getView(), f32, values, op->getLoc())))
      return failure();
    files.release(load.getView());
  } else {
    ElementsAttr value = cast<onnx::ConstantOp>(op).getValue();
    FailureOr<std::vector<char>> stored =
        weights::toStored(value, op->getLoc());
    auto view = weights::ViewAttr::get(
        op->getContext(), FlatSymbolRefAttr::get(op->getContext(), "constant"),
        0, type, ArrayAttr(), DenseI64ArrayAttr());
    if (failed(stored) ||
        failed(weights::readView(view, *stored, f32, values, op->getLoc())))
      return failure();
  }
  WeightContent content;
  content.hash = hashOf(values);
  if (type.getRank() == 2)
    content.transposed =
        hashOf(transposed(values, type.getDimSize(0), type.getDimSize(1)));
  content.isConstant = true;
  for (size_t i = 4; i < values.size() && content.isConstant; i += 4)
    content.isConstant = std::memcmp(&values[i], values.data(), 4) == 0;
  return content;
}

//===----------------------------------------------------------------------===//
// What there is
//===----------------------------------------------------------------------===//

static Type floatType(MLIRContext *context, StringRef name) {
  Builder b(context);
  return llvm::StringSwitch<Type>(name)
      .Case("F64", b.getF64Type())
      .Case("F32", b.getF32Type())
      .Case("F16", b.getF16Type())
      .Case("BF16", b.getBF16Type())
      .Default(Type());
}

LogicalResult Replacer::readTensors() {
  std::string origins;
  auto found = prune::readSafetensors(path, "", "twist_origins", &origins);
  if (!found)
    return emitError(UnknownLoc::get(module.getContext()))
           << llvm::toString(found.takeError());
  llvm::json::Object known;
  if (!origins.empty()) {
    auto parsed = llvm::json::parse(origins);
    if (!parsed || !parsed->getAsObject()) {
      llvm::consumeError(parsed.takeError());
      return emitError(loc) << "its metadata 'twist_origins' are no JSON "
                               "object";
    }
    known = std::move(*parsed->getAsObject());
  }
  for (const auto &entry : *found) {
    FileTensor &tensor = tensors.emplace_back();
    tensor.name = entry.first().str();
    tensor.offset = int64_t(entry.second.offset);
    if (Type type = floatType(module.getContext(), entry.second.type))
      tensor.type = RankedTensorType::get(entry.second.shape, type);
    if (tensor.type && weights::storedBytes(tensor.type.getElementType(),
                                            tensor.type.getNumElements()) !=
                           int64_t(entry.second.bytes))
      return emitError(loc) << "tensor '" << tensor.name
                            << "' has not as many bytes as its shape says";
    if (auto origin = known.getString(tensor.name))
      tensor.origin = origin->str();
  }
  llvm::sort(tensors, [](const FileTensor &a, const FileTensor &b) {
    return a.name < b.name;
  });
  return success();
}

/// Where the metadata say nothing: of what it holds.
LogicalResult Replacer::readOrigin(FileTensor &tensor) {
  if (!tensor.origin.empty() || !tensor.type)
    return success();
  auto file = weights::MappedFile::open(path);
  if (!file)
    return emitError(loc) << llvm::toString(file.takeError());
  auto view = weights::ViewAttr::get(
      module.getContext(), FlatSymbolRefAttr::get(module.getContext(), "file"),
      tensor.offset, tensor.type, ArrayAttr(), DenseI64ArrayAttr());
  ArrayRef<char> stored = (*file)->bytes().slice(
      size_t(tensor.offset),
      size_t(weights::storedBytes(tensor.type.getElementType(),
                                  tensor.type.getNumElements())));
  std::vector<char> values(4 * size_t(tensor.type.getNumElements()));
  if (failed(weights::readView(view, stored, Float32Type::get(loc.getContext()),
                               values, loc)))
    return failure();
  tensor.origin = hashOf(values);
  return success();
}

LogicalResult Replacer::readWeights() {
  WalkResult result = module.walk([&](Operation *op) {
    if (!isFloatWeight(op))
      return WalkResult::advance();
    FailureOr<WeightContent> content = readContent(op, files);
    if (failed(content))
      return WalkResult::interrupt();
    all.push_back({op, axes::weightName(op).str(),
                   cast<RankedTensorType>(op->getResult(0).getType()),
                   std::move(*content)});
    return WalkResult::advance();
  });
  if (result.wasInterrupted())
    return failure();
  if (all.empty())
    return emitError(module.getLoc()) << "the model has no floating-point "
                                         "weights";
  return success();
}

//===----------------------------------------------------------------------===//
// What becomes what
//===----------------------------------------------------------------------===//

static bool isTurned(RankedTensorType a, RankedTensorType b) {
  return a.getRank() == 2 && b.getRank() == 2 &&
         a.getDimSize(0) == b.getDimSize(1) &&
         a.getDimSize(1) == b.getDimSize(0);
}

static bool isEnd(StringRef whole, StringRef end) {
  return whole.consume_back(end) && whole.ends_with(".");
}

/// The same name, else the only one of which one ends with the other.
static std::optional<size_t> findName(StringRef name,
                                      ArrayRef<FileTensor> tensors) {
  std::optional<size_t> found;
  for (auto [t, tensor] : llvm::enumerate(tensors))
    if (tensor.name == name)
      return t;
  for (auto [t, tensor] : llvm::enumerate(tensors))
    if (isEnd(tensor.name, name) || isEnd(name, tensor.name)) {
      if (found)
        return std::nullopt;
      found = t;
    }
  return found;
}

LogicalResult Replacer::matchNames() {
  for (auto [w, weight] : llvm::enumerate(all)) {
    std::optional<size_t> t = findName(weight.name, tensors);
    if (!t)
      continue;
    const FileTensor &tensor = tensors[*t];
    bool same = tensor.type && tensor.type.getShape() == weight.type.getShape();
    bool turned = tensor.type && isTurned(tensor.type, weight.type);
    if (!same && !turned) {
      InFlightDiagnostic error = emitError(loc)
                                 << "tensor '" << tensor.name << "' ";
      if (tensor.type)
        error << "is [" << tensor.type.getShape() << "]";
      else
        error << "holds no floating-point numbers";
      return error << ", weight '" << weight.name << "' ["
                   << weight.type.getShape() << "]";
    }
    // Of a square matrix only what it was says which way round it is.
    bool byHash = same && turned &&
                  weight.content.hash != weight.content.transposed &&
                  tensor.origin == weight.content.transposed;
    take(w, *t, !same || byHash, How::Name);
  }
  return success();
}

void Replacer::matchContent() {
  for (auto [w, weight] : llvm::enumerate(all)) {
    if (matches.count(w))
      continue;
    std::optional<size_t> found;
    size_t count = 0;
    for (auto [t, tensor] : llvm::enumerate(tensors)) {
      if (!tensor.type ||
          tensor.type.getNumElements() != weight.type.getNumElements())
        continue;
      bool same = tensor.type.getShape() == weight.type.getShape() &&
                  tensor.origin == weight.content.hash;
      bool turned = isTurned(tensor.type, weight.type) &&
                    tensor.origin == weight.content.transposed;
      if ((!same && !turned) || (weight.content.isConstant && tensor.used))
        continue;
      found = t;
      ++count;
    }
    if (count == 1)
      take(w, *found, tensors[*found].origin != weight.content.hash,
           How::Content);
  }
}

void Replacer::matchCopies() {
  for (auto [w, weight] : llvm::enumerate(all)) {
    if (matches.count(w) || weight.content.isConstant)
      continue;
    for (auto [other, match] : matches) {
      bool same = all[other].type.getShape() == weight.type.getShape() &&
                  all[other].content.hash == weight.content.hash;
      bool turned = isTurned(all[other].type, weight.type) &&
                    all[other].content.hash == weight.content.transposed;
      if (!same && !turned)
        continue;
      take(w, match.tensor, match.transposed != !same, How::Copy);
      break;
    }
  }
}

static std::string listed(const std::vector<std::string> &names) {
  constexpr size_t kShown = 6;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i)
    text += (i ? ", '" : "'") + names[i] + "'";
  if (names.size() > kShown)
    text += " and " + std::to_string(names.size() - kShown) + " more";
  return text;
}

LogicalResult Replacer::checkAll() const {
  std::vector<std::string> missing, rest;
  for (auto [w, weight] : llvm::enumerate(all))
    if (!matches.count(w))
      missing.push_back(weight.name);
  for (const FileTensor &tensor : tensors)
    if (!tensor.used)
      rest.push_back(tensor.name);
  if (!missing.empty() && !options.keepMissing) {
    InFlightDiagnostic error = emitError(loc)
                               << "no tensor, or more than one, for "
                               << listed(missing);
    if (!rest.empty())
      error << "; not used: " << listed(rest);
    return error << " (--keep-missing leaves such weights as they are)";
  }
  if (!rest.empty() && !options.ignoreRest)
    return emitError(loc) << "no weight for " << listed(rest)
                          << " (--ignore-rest leaves them out)";
  if (matches.empty())
    return emitError(loc) << "nothing in it is a weight of the model";
  return success();
}

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

void Replacer::replace() {
  std::string name = "replaced";
  for (int i = 0; module.lookupSymbol(name); ++i)
    name = "replaced" + std::to_string(i);
  OpBuilder b(module.getContext());
  b.setInsertionPointToStart(module.getBody());
  weights::SourceOp::create(b, loc, name, path, nullptr);
  auto symbol = FlatSymbolRefAttr::get(module.getContext(), name);
  for (auto &[w, match] : matches) {
    const FileTensor &tensor = tensors[match.tensor];
    auto view = weights::ViewAttr::get(
        module.getContext(), symbol, tensor.offset, tensor.type, ArrayAttr(),
        match.transposed ? b.getDenseI64ArrayAttr({1, 0})
                         : DenseI64ArrayAttr());
    Operation *op = all[w].op;
    b.setInsertionPoint(op);
    auto load = weights::LoadOp::create(b, op->getLoc(), all[w].type, view);
    load->setDiscardableAttrs(op->getDiscardableAttrDictionary());
    op->getResult(0).replaceAllUsesWith(load);
    op->erase();
  }
}

FailureOr<std::vector<ReplacedWeight>> Replacer::run() {
  if (failed(readTensors()) || failed(readWeights()))
    return failure();
  for (FileTensor &tensor : tensors)
    if (failed(readOrigin(tensor)))
      return failure();
  if (failed(matchNames()))
    return failure();
  matchContent();
  matchCopies();
  if (failed(checkAll()))
    return failure();
  std::vector<ReplacedWeight> report;
  for (auto &[w, match] : matches)
    report.push_back(
        {match.how, all[w].name, tensors[match.tensor].name, match.transposed});
  replace();
  return report;
}

FailureOr<std::vector<ReplacedWeight>>
twist::replaceWeights(ModuleOp module, StringRef path,
                      const ReplaceOptions &options) {
  return Replacer(module, path, options).run();
}

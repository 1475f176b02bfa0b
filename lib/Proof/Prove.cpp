//===- Prove.cpp - Runs the models and states what holds ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Proof/Proof.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/OwningOpRef.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace twist;
using namespace twist::proof;

using Tensors = std::vector<HostTensor>;

static const axes::CutInterface *findCut(ArrayRef<axes::CutInterface> interface,
                                         bool isResult, StringRef name) {
  for (const axes::CutInterface &cut : interface)
    if (cut.isResult == isResult && cut.name == name)
      return &cut;
  return nullptr;
}

/// What the sliced model is given, or gives, of the dense one's tensors.
static FailureOr<Tensors> selectAll(ArrayRef<HostTensor> tensors, bool isResult,
                                    ArrayRef<axes::CutInterface> interface,
                                    Location loc) {
  Tensors result;
  for (const HostTensor &tensor : tensors) {
    const axes::CutInterface *cut = findCut(interface, isResult, tensor.name);
    if (cut && cut->gone)
      continue;
    if (!cut) {
      result.push_back(tensor);
      continue;
    }
    FailureOr<HostTensor> left = select(tensor, *cut, loc);
    if (failed(left))
      return failure();
    result.push_back(std::move(*left));
  }
  return result;
}

/// Inputs of a program in f64.
static FailureOr<Tensors> inDouble(ArrayRef<HostTensor> inputs, Location loc) {
  Tensors doubles;
  for (const HostTensor &input : inputs) {
    if (!isa<FloatType>(input.elementType)) {
      doubles.push_back(input);
      continue;
    }
    FailureOr<HostTensor> converted =
        convert(input, Float64Type::get(input.elementType.getContext()), loc);
    if (failed(converted))
      return failure();
    doubles.push_back(std::move(*converted));
  }
  return doubles;
}

/// Inputs and masks; masks of kinds that are not wanted are ones.
static Tensors withMasks(ArrayRef<HostTensor> inputs, const ProofModels &models,
                         ArrayRef<StringRef> wanted) {
  Tensors all = inputs.vec();
  for (const auto &[kind, mask] : models.masks) {
    all.push_back(mask);
    if (!llvm::is_contained(wanted, StringRef(kind)))
      llvm::fill(all.back().bytes, 1);
  }
  return all;
}

std::vector<std::pair<std::string, HostTensor>>
twist::proof::liftMasks(ModuleOp module) {
  std::vector<std::pair<std::string, HostTensor>> masks;
  auto function = module.lookupSymbol<func::FuncOp>("main");
  SmallVector<onnx::ConstantOp> constants;
  function.walk([&](onnx::ConstantOp op) {
    if (op->hasAttr(axes::kMaskAttr))
      constants.push_back(op);
  });
  Builder builder(module.getContext());
  for (onnx::ConstantOp op : constants) {
    auto type = cast<RankedTensorType>(op.getType());
    HostTensor mask{"mask", type.getElementType(),
                    SmallVector<int64_t>(type.getShape())};
    for (bool bit : cast<DenseElementsAttr>(op.getValue()).getValues<bool>())
      mask.bytes.push_back(bit);
    mask.name += std::to_string(masks.size());
    unsigned index = function.getNumArguments();
    auto attributes = builder.getDictionaryAttr(builder.getNamedAttr(
        "onnx.name", builder.getStringAttr("twist." + mask.name)));
    if (failed(function.insertArgument(index, type, attributes, op.getLoc())))
      continue;
    masks.emplace_back(op->getAttrOfType<StringAttr>(axes::kMaskAttr).str(),
                       std::move(mask));
    op.getOutput().replaceAllUsesWith(function.getArgument(index));
    op.erase();
  }
  return masks;
}

static bool isOfFloats(Value value) {
  return isa<FloatType>(getElementTypeOrSelf(value.getType()));
}

/// Returns, behind the results, the floats that those without floats are made
/// of, such as what an ArgMax takes. False: there are none.
static bool returnDeciders(func::FuncOp function) {
  Operation *end = function.getBody().front().getTerminator();
  llvm::SetVector<Value> values;
  for (Value result : end->getOperands())
    if (!isOfFloats(result))
      values.insert(result);
  SmallVector<Value> deciders;
  for (size_t i = 0; i < values.size(); ++i) { // grows
    Operation *op = values[i].getDefiningOp();
    bool isConstant = !op || op->getNumOperands() == 0;
    if (isOfFloats(values[i])) {
      if (!isConstant && isa<RankedTensorType>(values[i].getType()))
        deciders.push_back(values[i]);
    } else if (op && !isa<onnx::ShapeOp, onnx::SizeOp>(op)) {
      values.insert_range(op->getOperands());
    }
  }
  Builder builder(function.getContext());
  for (Value decider : deciders) {
    unsigned number = function.getNumResults();
    auto name = builder.getStringAttr("twist.decider" + Twine(number));
    auto attributes =
        builder.getDictionaryAttr(builder.getNamedAttr("onnx.name", name));
    if (succeeded(function.insertResult(number, decider.getType(), attributes)))
      end->insertOperands(number, decider);
  }
  return !deciders.empty();
}

namespace {

/// The runs of one proof, and what is said of them.
class Prover {
public:
  Prover(const ProofModels &models, const Engine &engine)
      : models(models), engine(engine), loc(ModuleOp(models.masked).getLoc()) {}

  FailureOr<std::vector<Verdict>> prove(const InputOptions &options);

private:
  LogicalResult proveMask(ArrayRef<HostTensor> inputs);
  /// A second look, for outputs that a small change leaves as they are.
  LogicalResult actsOnDeciders(ArrayRef<HostTensor> inputs, Verdict &acts);
  LogicalResult proveEqual(ArrayRef<HostTensor> inputs);
  /// Runs a model in f64, or nudged where the engine has none.
  FailureOr<Tensors> runOther(ModuleOp module, ArrayRef<HostTensor> inputs);
  /// What is left of outputs after the cut: state keeps what removed units had.
  FailureOr<Tensors> left(FailureOr<Tensors> outputs);

  const ProofModels &models;
  const Engine &engine;
  Location loc;
  Tensors masked; ///< outputs in f32, as far as the cut leaves them
  std::vector<Verdict> verdicts;
};

} // namespace

FailureOr<Tensors> Prover::left(FailureOr<Tensors> outputs) {
  if (failed(outputs))
    return failure();
  return selectAll(*outputs, /*isResult=*/true, models.interface, loc);
}

LogicalResult Prover::proveMask(ArrayRef<HostTensor> inputs) {
  FailureOr<Program> program = engine.compile(models.masked, Numbers::Own);
  if (failed(program))
    return failure();
  FailureOr<Tensors> gated =
      left((*program)(withMasks(inputs, models, {"gate"})));
  FailureOr<Tensors> poisoned =
      left((*program)(withMasks(inputs, models, {"gate", "poison"})));
  FailureOr<Tensors> dense = left((*program)(withMasks(inputs, models, {})));
  if (failed(gated) || failed(poisoned) || failed(dense))
    return failure();
  for (auto [a, b] : llvm::zip_equal(*gated, *poisoned))
    verdicts.push_back(comparePoisoned(a, b));
  if (!models.masks.empty()) { // else a ticket that keeps everything
    Verdict acts = compareDense(*dense, *gated);
    if (!acts.holds && failed(actsOnDeciders(inputs, acts)))
      return failure();
    verdicts.push_back(std::move(acts));
  }
  masked = std::move(*gated);
  return success();
}

LogicalResult Prover::actsOnDeciders(ArrayRef<HostTensor> inputs,
                                     Verdict &acts) {
  OwningOpRef<ModuleOp> module = ModuleOp(models.masked).clone();
  if (!returnDeciders(module->lookupSymbol<func::FuncOp>("main")))
    return success();
  FailureOr<Program> program = engine.compile(*module, Numbers::Own);
  if (failed(program))
    return failure();
  FailureOr<Tensors> gated = (*program)(withMasks(inputs, models, {"gate"}));
  FailureOr<Tensors> dense = (*program)(withMasks(inputs, models, {}));
  if (failed(gated) || failed(dense))
    return failure();
  acts.holds = compareDense(*dense, *gated).holds;
  if (acts.holds)
    acts.why = "no output changes here, but floats that they are decided by";
  return success();
}

FailureOr<Tensors> Prover::runOther(ModuleOp module,
                                    ArrayRef<HostTensor> inputs) {
  FailureOr<Program> program = engine.compile(
      module, engine.hasDouble ? Numbers::Double : Numbers::Nudged);
  FailureOr<Tensors> given =
      engine.hasDouble ? inDouble(inputs, loc) : inputs.vec();
  if (failed(program) || failed(given))
    return failure();
  return (*program)(*given);
}

LogicalResult Prover::proveEqual(ArrayRef<HostTensor> inputs) {
  FailureOr<Tensors> fewer =
      selectAll(inputs, /*isResult=*/false, models.interface, loc);
  if (failed(fewer))
    return failure();
  FailureOr<Program> small = engine.compile(models.sliced, Numbers::Own);
  FailureOr<Tensors> s =
      failed(small) ? FailureOr<Tensors>(failure()) : (*small)(*fewer);
  // Both once more, by which their own errors are told.
  FailureOr<Tensors> sOther = runOther(models.sliced, *fewer);
  FailureOr<Tensors> mOther =
      left(runOther(models.masked, withMasks(inputs, models, {"gate"})));
  if (failed(s) || failed(sOther) || failed(mOther))
    return failure();
  if (s->size() != masked.size() || sOther->size() != mOther->size())
    return emitError(loc) << "the sliced model has " << s->size()
                          << " outputs, the masked one " << masked.size();
  for (size_t i = 0; i < s->size(); ++i) {
    if (engine.hasDouble) {
      FailureOr<Verdict> exact = compareDouble((*sOther)[i], (*mOther)[i], loc);
      if (failed(exact))
        return failure();
      verdicts.push_back(std::move(*exact));
    }
    FailureOr<Verdict> single =
        compareSingle((*s)[i], masked[i], (*sOther)[i], (*mOther)[i], loc);
    if (failed(single))
      return failure();
    verdicts.push_back(std::move(*single));
  }
  return success();
}

FailureOr<std::vector<Verdict>> Prover::prove(const InputOptions &options) {
  FailureOr<Tensors> inputs = randomInputs(models.masked, options);
  if (failed(inputs))
    return failure();
  inputs->resize(inputs->size() - models.masks.size());
  if (failed(proveMask(*inputs)) || failed(proveEqual(*inputs)))
    return failure();
  return std::move(verdicts);
}

FailureOr<std::vector<Verdict>> twist::proof::prove(const ProofModels &models,
                                                    const InputOptions &options,
                                                    const Engine &engine) {
  return Prover(models, engine).prove(options);
}

LogicalResult twist::proof::require(ArrayRef<Verdict> verdicts, Location loc) {
  for (const Verdict &verdict : verdicts)
    if (!verdict.holds)
      return emitError(loc)
             << "the proof '" << verdict.proof << "' fails"
             << (verdict.output.empty() ? "" : " for output '")
             << verdict.output << (verdict.output.empty() ? "" : "'") << ": "
             << verdict.why;
  return success();
}

void twist::proof::print(ArrayRef<Verdict> verdicts, llvm::raw_ostream &os) {
  for (const Verdict &verdict : verdicts) {
    os << "  " << (verdict.holds ? "holds " : "FAILS ")
       << llvm::format("%-10s", verdict.proof.c_str());
    if (verdict.allowed > 0)
      os << llvm::format(" difference %.1e, allowed %.1e, largest %.2g",
                         verdict.difference, verdict.allowed, verdict.largest);
    if (!verdict.output.empty())
      os << "  " << verdict.output;
    if (!verdict.why.empty())
      os << ": " << verdict.why;
    os << "\n";
  }
}

//===- Prove.cpp - Runs the models and states what holds ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Proof/Proof.h"

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

/// The same model and inputs in f64.
static FailureOr<Tensors>
runDouble(ModuleOp module, ArrayRef<HostTensor> inputs, const Runner &run) {
  Type f64 = Float64Type::get(module.getContext());
  Tensors doubles;
  for (const HostTensor &input : inputs) {
    if (!isa<FloatType>(input.elementType)) {
      doubles.push_back(input);
      continue;
    }
    FailureOr<HostTensor> converted = convert(input, f64, module.getLoc());
    if (failed(converted))
      return failure();
    doubles.push_back(std::move(*converted));
  }
  return run(module, /*asDouble=*/true, doubles);
}

static LogicalResult sameNumber(ModuleOp module, ArrayRef<HostTensor> a,
                                ArrayRef<HostTensor> b) {
  if (a.size() != b.size())
    return module.emitError()
           << "has " << a.size() << " outputs, expected " << b.size();
  return success();
}

FailureOr<std::vector<Verdict>> twist::proof::prove(const ProofModels &models,
                                                    const InputOptions &options,
                                                    const Runner &run) {
  Location loc = ModuleOp(models.masked).getLoc();
  FailureOr<Tensors> inputs = randomInputs(models.masked, options);
  if (failed(inputs))
    return failure();
  FailureOr<Tensors> fewer =
      selectAll(*inputs, /*isResult=*/false, models.interface, loc);
  if (failed(fewer))
    return failure();

  std::vector<Verdict> verdicts;
  FailureOr<Tensors> masked = run(models.masked, false, *inputs);
  FailureOr<Tensors> poisoned = run(models.poisoned, false, *inputs);
  FailureOr<Tensors> dense = run(models.dense, false, *inputs);
  if (failed(masked) || failed(poisoned) || failed(dense) ||
      failed(sameNumber(models.poisoned, *poisoned, *masked)) ||
      failed(sameNumber(models.dense, *dense, *masked)))
    return failure();
  FailureOr<Tensors> expected =
      selectAll(*masked, /*isResult=*/true, models.interface, loc);
  FailureOr<Tensors> poisonedLeft =
      selectAll(*poisoned, /*isResult=*/true, models.interface, loc);
  if (failed(expected) || failed(poisonedLeft))
    return failure();
  // State keeps what removed units had, so poison shows there: what is left of
  // it counts.
  for (auto [a, b] : llvm::zip_equal(*expected, *poisonedLeft))
    verdicts.push_back(comparePoisoned(a, b));
  verdicts.push_back(compareDense(*dense, *masked));

  FailureOr<Tensors> sliced = run(models.sliced, false, *fewer);
  FailureOr<Tensors> sliced64 = runDouble(models.sliced, *fewer, run);
  FailureOr<Tensors> masked64 = runDouble(models.masked, *inputs, run);
  if (failed(sliced) || failed(sliced64) || failed(masked64))
    return failure();
  FailureOr<Tensors> expected64 =
      selectAll(*masked64, /*isResult=*/true, models.interface, loc);
  if (failed(expected64) ||
      failed(sameNumber(models.sliced, *sliced, *expected)) ||
      failed(sameNumber(models.sliced, *sliced64, *expected64)))
    return failure();
  for (auto [s, m] : llvm::zip_equal(*sliced64, *expected64)) {
    FailureOr<Verdict> verdict = compareDouble(s, m, loc);
    if (failed(verdict))
      return failure();
    verdicts.push_back(std::move(*verdict));
  }
  for (size_t i = 0; i < sliced->size(); ++i) {
    FailureOr<Verdict> verdict = compareSingle(
        (*sliced)[i], (*expected)[i], (*sliced64)[i], (*expected64)[i], loc);
    if (failed(verdict))
      return failure();
    verdicts.push_back(std::move(*verdict));
  }
  return verdicts;
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

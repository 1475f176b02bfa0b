//===- Compile.cpp - From a model to the files of a program ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Compile.h"

#include "Installed.h"

#include "twist/Codegen/CPU/Program/Passes.h"
#include "twist/Conversion/ONNXToLinalg/ONNXToLinalg.h"
#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"
#include "twist/Dialect/Weights/Reader.h"
#include "twist/Pipeline/CPU.h"
#include "twist/Pipeline/Pipelines.h"
#include "twist/Target/Object/Card.h"
#include "twist/Target/Object/Object.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace twist;

//===----------------------------------------------------------------------===//
// Passes
//===----------------------------------------------------------------------===//

static bool holdsONNX(ModuleOp module) {
  return module
      .walk([](Operation *op) {
        return isa_and_nonnull<onnx::ONNXDialect>(op->getDialect())
                   ? WalkResult::interrupt()
                   : WalkResult::advance();
      })
      .wasInterrupted();
}

/// Keeps the model's element types where conversion makes bool i8 and uint8 i8.
static void recordElementTypes(ModuleOp module) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main)
    return;
  Builder b(module.getContext());
  auto name = [&](Type type) -> StringAttr {
    auto integer = dyn_cast<IntegerType>(getElementTypeOrSelf(type));
    if (!integer)
      return nullptr;
    if (integer.getWidth() == 1)
      return b.getStringAttr("bool");
    return b.getStringAttr((integer.isUnsigned() ? "u" : "i") +
                           Twine(integer.getWidth()));
  };
  for (auto [index, type] : llvm::enumerate(main.getArgumentTypes()))
    if (StringAttr attr = name(type))
      main.setArgAttr(index, "onnx.type", attr);
  for (auto [index, type] : llvm::enumerate(main.getResultTypes()))
    if (StringAttr attr = name(type))
      main.setResultAttr(index, "onnx.type", attr);
}

static void addPreflight(OpPassManager &pm) {
  pm.addPass(onnx::createONNXDecomposeFused());
  pm.addPass(onnx::createPreflightPass(onnx::Purpose::Compile, hasLowering));
}

LogicalResult twist::checkCompilable(ModuleOp module) {
  OwningOpRef<ModuleOp> copy = module.clone();
  PassManager pm(module.getContext());
  addPreflight(pm);
  return pm.run(*copy);
}

static void addModelPasses(OpPassManager &pm, const CompileOptions &options) {
  if (!options.dims.empty()) {
    onnx::ONNXBindDimsOptions bind;
    for (const auto &[name, size] : options.dims)
      bind.dims +=
          (bind.dims.empty() ? "" : ",") + name + "=" + std::to_string(size);
    pm.addPass(onnx::createONNXBindDims(bind));
    populateTypingPasses(pm);
  }
  if (!options.precision.empty()) {
    onnx::ONNXSetPrecisionOptions precision;
    precision.precision = options.precision;
    pm.addPass(onnx::createONNXSetPrecision(precision));
  }
  addPreflight(pm);
  pm.addPass(createConvertONNXToLinalgPass());
  // arith, func, linalg, math, nn, scf, tensor, weights
}

LogicalResult twist::lowerToLinalg(ModuleOp module) {
  recordElementTypes(module);
  PassManager pm(module.getContext());
  addPreflight(pm);
  pm.addPass(createConvertONNXToLinalgPass());
  return pm.run(module);
}

static LogicalResult runPasses(ModuleOp module, const CompileOptions &options,
                               const object::Target &target) {
  PassManager pm(module.getContext());
  // A quarter of the time of lowering; the tests do it each time.
  pm.enableVerifier(options.verifyPasses || std::getenv("TWIST_VERIFY_PASSES"));
  if (!options.reproducer.empty())
    pm.enableCrashReproducerGeneration(options.reproducer);
  if (holdsONNX(module)) {
    recordElementTypes(module);
    addModelPasses(pm, options);
  }
  CPUPipelineOptions pipeline;
  pipeline.vectorBits = target.vectorBits;
  pipeline.bf16Conversions = target.bf16Conversions;
  pipeline.bf16Dots = target.bf16Dots;
  pipeline.baseDirectory = options.baseDirectory;
  pipeline.loops = options.loops;
  populateCPUPasses(pm, pipeline);
  return success(succeeded(pm.run(module)) && succeeded(verify(module)));
}

/// "f32", or "f64, f32": the floating-point types that a program computes in.
static std::string describePrecision(ModuleOp module,
                                     const CompileOptions &options) {
  if (!options.precision.empty())
    return options.precision;
  SmallVector<Type> types;
  module.walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      if (Type element = getElementTypeOrSelf(type);
          isa<FloatType>(element) && !llvm::is_contained(types, element))
        types.push_back(element);
  });
  llvm::sort(types, [](Type a, Type b) {
    // Both 16-bit types: by name.
    return std::pair(-int(a.getIntOrFloatBitWidth()), isa<Float16Type>(a)) <
           std::pair(-int(b.getIntOrFloatBitWidth()), isa<Float16Type>(b));
  });
  std::string text;
  llvm::raw_string_ostream os(text);
  llvm::interleaveComma(types, os);
  return text;
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

namespace {
/// The files of an artefact, of which none replaces an older one before all are
/// written.
class Artefact {
public:
  Artefact(const CompileOptions &options, Location loc)
      : options(options), loc(loc) {}

  /// A new file OUTPUT`suffix`; null after an error.
  object::OutputFile *add(const Twine &suffix, bool isExecutable = false) {
    FailureOr<object::OutputFile> file = object::OutputFile::create(
        (options.output + suffix).str(), loc, isExecutable);
    if (failed(file))
      return nullptr;
    files.push_back(std::make_unique<object::OutputFile>(std::move(*file)));
    return files.back().get();
  }
  LogicalResult addText(const Twine &suffix,
                        llvm::function_ref<void(llvm::raw_ostream &)> print) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    print(stream);
    object::OutputFile *file = add(suffix);
    return success(file && succeeded(file->write(text)));
  }
  LogicalResult addCard(llvm::json::Object made) {
    card = std::move(made);
    return addText(".card.json", [&](llvm::raw_ostream &os) {
      os << llvm::formatv("{0:2}\n",
                          llvm::json::Value(llvm::json::Object(card)));
    });
  }
  FailureOr<CompiledFiles> keep() {
    CompiledFiles kept;
    for (auto &file : files) {
      if (failed(file->keep()))
        return failure();
      kept.paths.push_back(file->getPath().str());
    }
    kept.card = std::move(card);
    return kept;
  }

private:
  const CompileOptions &options;
  Location loc;
  std::vector<std::unique_ptr<object::OutputFile>> files;
  llvm::json::Object card;
};
} // namespace

/// The code's file: the object itself, or what it is linked into.
static LogicalResult addCode(Artefact &artefact, ArrayRef<char> code,
                             const CompileOptions &options, Location loc) {
  if (options.emit == EmitKind::Object) {
    object::OutputFile *file = artefact.add(".o");
    return success(file && succeeded(file->write(code)));
  }
  bool isExecutable = options.emit == EmitKind::Executable;
  object::OutputFile *output =
      artefact.add(isExecutable ? "" : ".so", isExecutable);
  if (!output)
    return failure();
  if (!isExecutable)
    return object::linkSharedObject(code, *output, loc);
  FailureOr<std::string> runtime =
      findInstalled("lib/libTwistRuntimeStatic.a", loc);
  if (failed(runtime))
    return failure();
  return object::linkExecutable(code, *runtime, *output, loc);
}

static FailureOr<object::WeightsFile>
addWeights(Artefact &artefact, ModuleOp module, const CompileOptions &options) {
  auto bytes =
      module->getAttrOfType<IntegerAttr>(cpu::program::weightsBytesAttr);
  if (!bytes || bytes.getInt() == 0 || options.emit == EmitKind::LLVM)
    return object::WeightsFile();
  weights::SourceFiles sources(module, options.baseDirectory);
  object::OutputFile *file = artefact.add(".weights");
  if (!file)
    return failure();
  return object::writeWeights(module, sources, *file);
}

/// Weights, code, card; `module` is in LLVM dialect.
static LogicalResult addProgram(Artefact &artefact, ModuleOp module,
                                const CompileOptions &options,
                                const object::Target &target) {
  auto progress = [&](StringRef stage) {
    if (options.progress)
      options.progress(stage);
  };
  Location loc = module.getLoc();
  progress("weights");
  FailureOr<object::WeightsFile> weights =
      addWeights(artefact, module, options);
  if (failed(weights))
    return failure();
  progress("machine code");
  llvm::LLVMContext context;
  FailureOr<std::unique_ptr<llvm::Module>> llvmModule =
      object::translateProgram(module, *weights, target, context);
  if (failed(llvmModule))
    return failure();
  if (options.emit == EmitKind::LLVM)
    return artefact.addText(".ll", [&](llvm::raw_ostream &os) {
      (*llvmModule)->print(os, nullptr);
    });
  SmallVector<char> code;
  if (failed(object::emitObject(**llvmModule, target, code, loc)))
    return failure();
  progress("linking");
  if (failed(addCode(artefact, code, options, loc)))
    return failure();
  return artefact.addCard(
      object::makeCard(module, *weights, target, options.card));
}

FailureOr<CompiledFiles> twist::compileToFiles(ModuleOp module,
                                               const CompileOptions &given) {
  CompileOptions options = given;
  options.card["precision"] = describePrecision(module, given);
  FailureOr<object::Target> target =
      object::createTarget(options.cpu, module.getLoc());
  if (failed(target))
    return failure();
  if (options.progress)
    options.progress("lowering");
  OwningOpRef<ModuleOp> copy = module.clone();
  if (failed(runPasses(*copy, options, *target)))
    return failure();
  Artefact artefact(options, module.getLoc());
  LogicalResult added =
      options.emit == EmitKind::MLIR
          ? artefact.addText(".mlir",
                             [&](llvm::raw_ostream &os) { copy->print(os); })
          : addProgram(artefact, *copy, options, *target);
  if (failed(added))
    return failure();
  return artefact.keep();
}

//===- Compile.cpp - From a model to the files of a program -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Compile.h"

#include "twist/Conversion/ONNXToLinalg/ONNXToLinalg.h"
#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"
#include "twist/Dialect/Weights/Reader.h"
#include "twist/Pipeline/CPU.h"
#include "twist/Pipeline/Pipelines.h"
#include "twist/Target/Object/Card.h"
#include "twist/Target/Object/Object.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

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

static void addModelPasses(OpPassManager &pm, const CompileOptions &options) {
  if (!options.dims.empty()) {
    onnx::ONNXBindDimsOptions bind;
    for (const auto &[name, size] : options.dims)
      bind.dims += (bind.dims.empty() ? "" : ",") + name + "=" +
                   std::to_string(size);
    pm.addPass(onnx::createONNXBindDims(bind));
    populateTypingPasses(pm);
  }
  if (!options.precision.empty()) {
    onnx::ONNXSetPrecisionOptions precision;
    precision.precision = options.precision;
    pm.addPass(onnx::createONNXSetPrecision(precision));
  }
  pm.addPass(onnx::createPreflightPass(onnx::Purpose::Compile, hasLowering));
  pm.addPass(createConvertONNXToLinalgPass());
  // arith, func, linalg, math, nn, scf, tensor, weights
}

static LogicalResult runPasses(ModuleOp module, const CompileOptions &options,
                               const object::Target &target) {
  PassManager pm(module.getContext());
  if (!options.reproducer.empty())
    pm.enableCrashReproducerGeneration(options.reproducer);
  if (holdsONNX(module)) {
    recordElementTypes(module);
    addModelPasses(pm, options);
  }
  CPUPipelineOptions pipeline;
  pipeline.vectorBits = target.vectorBits;
  pipeline.loops = options.loops;
  populateCPUPasses(pm, pipeline);
  return pm.run(module);
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

static LogicalResult writeText(StringRef path, Location loc,
                               llvm::function_ref<void(llvm::raw_ostream &)>
                                   print) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  print(stream);
  FailureOr<object::OutputFile> file = object::OutputFile::create(path, loc);
  if (failed(file) || failed(file->write(text)) || failed(file->keep()))
    return failure();
  return success();
}

/// The archive that executables are linked with: beside this program, as built
/// or as installed.
static FailureOr<std::string> findRuntime(Location loc) {
  std::string self = llvm::sys::fs::getMainExecutable(nullptr, nullptr);
  SmallString<128> path(llvm::sys::path::parent_path(
      llvm::sys::path::parent_path(self)));
  llvm::sys::path::append(path, "lib", "libTwistRuntimeStatic.a");
  if (llvm::sys::fs::exists(path))
    return path.str().str();
  return emitError(loc) << "cannot find the runtime's archive '" << path << "'";
}

static LogicalResult linkArtefact(ArrayRef<char> code,
                                  const CompileOptions &options, Location loc) {
  FailureOr<object::OutputFile> file =
      object::OutputFile::create(options.output + ".o", loc);
  if (failed(file) || failed(file->write(code)))
    return failure();
  switch (options.emit) {
  case EmitKind::Object:
    return file->keep();
  case EmitKind::Executable: {
    FailureOr<std::string> runtime = findRuntime(loc);
    if (failed(runtime))
      return failure();
    return object::linkExecutable(file->temporaryPath(), *runtime,
                                  options.output, loc);
  }
  default:
    return object::linkSharedObject(file->temporaryPath(),
                                    options.output + ".so", loc);
  }
}

/// Weights, code, card; `module` is in LLVM dialect.
static LogicalResult emitArtefact(ModuleOp module, const CompileOptions &options,
                                  const object::Target &target) {
  auto progress = [&](StringRef stage) {
    if (options.progress)
      options.progress(stage);
  };
  Location loc = module.getLoc();
  if (options.emit == EmitKind::MLIR)
    return writeText(options.output + ".mlir", loc,
                     [&](llvm::raw_ostream &os) { module.print(os); });
  object::WeightsFile weights;
  if (options.emit != EmitKind::LLVM) {
    progress("weights");
    weights::SourceFiles sources(module, options.baseDirectory);
    FailureOr<object::WeightsFile> written = object::writeWeights(
        module, sources, options.output + ".weights");
    if (failed(written))
      return failure();
    weights = *written;
  }
  progress("machine code");
  llvm::LLVMContext context;
  FailureOr<std::unique_ptr<llvm::Module>> llvmModule =
      object::translateProgram(module, weights, target, context);
  if (failed(llvmModule))
    return failure();
  if (options.emit == EmitKind::LLVM)
    return writeText(options.output + ".ll", loc, [&](llvm::raw_ostream &os) {
      (*llvmModule)->print(os, nullptr);
    });
  SmallVector<char> code;
  if (failed(object::emitObject(**llvmModule, target, code, loc)))
    return failure();
  progress("linking");
  if (failed(linkArtefact(code, options, loc)))
    return failure();
  return writeText(options.output + ".card.json", loc,
                   [&](llvm::raw_ostream &os) {
                     object::printCard(os, module, weights, target,
                                       options.card);
                   });
}

LogicalResult twist::compileToFiles(ModuleOp module,
                                    const CompileOptions &options) {
  FailureOr<object::Target> target =
      object::createTarget(options.cpu, module.getLoc());
  if (failed(target))
    return failure();
  if (options.progress)
    options.progress("lowering");
  OwningOpRef<ModuleOp> copy = module.clone();
  if (failed(runPasses(*copy, options, *target)))
    return failure();
  return emitArtefact(*copy, options, *target);
}

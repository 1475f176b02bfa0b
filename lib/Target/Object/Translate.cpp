//===- Translate.cpp - LLVM IR with the program's table -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/Program/Passes.h"
#include "twist/Runtime/Program.h"
#include "twist/Target/Object/Object.h"

#include "mlir/IR/OwningOpRef.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/Passes/PassBuilder.h"

using namespace mlir;
using namespace twist;
using namespace twist::object;

//===----------------------------------------------------------------------===//
// The table
//===----------------------------------------------------------------------===//

namespace {
/// Builds twist_program_table (Runtime/Program.h) as constants of a module.
class TableBuilder {
public:
  explicit TableBuilder(llvm::Module &module)
      : module(module), context(module.getContext()),
        pointer(llvm::PointerType::get(context, 0)) {}

  void build(ModuleOp source, const WeightsFile &weights,
             const object::Target &target);

private:
  llvm::Constant *i32(uint64_t value) {
    return llvm::ConstantInt::get(llvm::Type::getInt32Ty(context), value);
  }
  llvm::Constant *i64(uint64_t value) {
    return llvm::ConstantInt::get(llvm::Type::getInt64Ty(context), value);
  }
  llvm::Constant *global(llvm::Constant *value);
  llvm::Constant *string(StringRef value);
  llvm::Constant *strings(ArrayAttr values);
  llvm::Constant *array(ArrayRef<llvm::Constant *> values);
  llvm::Constant *tensorInfo(DictionaryAttr tensor);
  llvm::Constant *tensorInfos(ArrayAttr tensors);

  llvm::Module &module;
  llvm::LLVMContext &context;
  llvm::Type *pointer;
};
} // namespace

llvm::Constant *TableBuilder::global(llvm::Constant *value) {
  return new llvm::GlobalVariable(module, value->getType(), /*isConstant=*/true,
                                  llvm::GlobalValue::PrivateLinkage, value);
}

llvm::Constant *TableBuilder::string(StringRef value) {
  return global(llvm::ConstantDataArray::getString(context, value));
}

/// A constant array; null if it would be empty.
llvm::Constant *TableBuilder::array(ArrayRef<llvm::Constant *> values) {
  if (values.empty())
    return llvm::Constant::getNullValue(pointer);
  return global(llvm::ConstantArray::get(
      llvm::ArrayType::get(values.front()->getType(), values.size()), values));
}

llvm::Constant *TableBuilder::strings(ArrayAttr values) {
  SmallVector<llvm::Constant *> elements;
  for (Attribute value : values)
    elements.push_back(string(cast<StringAttr>(value).getValue()));
  return array(elements);
}

static uint64_t typeCode(StringRef name) {
  for (int code = TWIST_F64; code <= TWIST_BOOL; ++code)
    if (name == twist_type_name(static_cast<twist_type>(code)))
      return code;
  return 0;
}

llvm::Constant *TableBuilder::tensorInfo(DictionaryAttr tensor) {
  SmallVector<llvm::Constant *> dims;
  for (int64_t size : tensor.getAs<DenseI64ArrayAttr>("dims").asArrayRef())
    dims.push_back(i64(size));
  return llvm::ConstantStruct::getAnon(
      {string(tensor.getAs<StringAttr>("name")),
       i32(typeCode(tensor.getAs<StringAttr>("type"))), i32(dims.size()),
       array(dims), strings(tensor.getAs<ArrayAttr>("symbols")),
       i64(tensor.contains("updated"))});
}

llvm::Constant *TableBuilder::tensorInfos(ArrayAttr tensors) {
  SmallVector<llvm::Constant *> infos;
  for (Attribute tensor : tensors)
    infos.push_back(tensorInfo(cast<DictionaryAttr>(tensor)));
  return array(infos);
}

void TableBuilder::build(ModuleOp source, const WeightsFile &weights,
                         const object::Target &target) {
  auto interface =
      source->getAttrOfType<DictionaryAttr>(cpu::program::interfaceAttr);
  auto inputs = interface.getAs<ArrayAttr>("inputs");
  auto outputs = interface.getAs<ArrayAttr>("outputs");
  auto sites = source->getAttrOfType<ArrayAttr>(cpu::program::sitesAttr);
  auto checks = source->getAttrOfType<ArrayAttr>(cpu::program::checksAttr);
  auto entry = [&](StringRef name) { return module.getFunction(name); };
  llvm::Constant *table = llvm::ConstantStruct::getAnon(
      {i64(TWIST_PROGRAM_MAGIC), i32(TWIST_ABI_VERSION),
       i32(sizeof(twist_program_table)), string(target.cpu),
       string(target.requiredFeatures), i64(weights.bytes),
       llvm::ConstantDataArray::get(context, ArrayRef(weights.sha256)),
       i64(inputs.size()), i64(outputs.size()), i64(sites.size()),
       tensorInfos(inputs), tensorInfos(outputs), strings(sites),
       entry(cpu::program::runEntry), entry(cpu::program::outputDimsEntry),
       entry(cpu::program::arenaBytesEntry), i64(checks.size()),
       strings(checks)});
  new llvm::GlobalVariable(module, table->getType(), /*isConstant=*/true,
                           llvm::GlobalValue::ExternalLinkage, table,
                           TWIST_PROGRAM_SYMBOL);
}

//===----------------------------------------------------------------------===//
// Optimisation
//===----------------------------------------------------------------------===//

/// What kernels need of LLVM: they come as the vectors they are to be, so that
/// its O2, in which loops are looked at many times over, gives the same speed
/// for twice the time. Windows of pools count on full unrolling and on
/// vector-combine; loops that no kernel covers on the vectoriser. By default,
/// instcombine written as text aborts where one iteration was not enough.
static constexpr StringLiteral pipeline =
    "function<eager-inv>(sroa,early-cse<memssa>,simplifycfg),"
    "cgscc(inline),globaldce,"
    "function<eager-inv>(sroa,early-cse<memssa>,"
    "instcombine<no-verify-fixpoint>,simplifycfg,"
    "loop-mssa(loop-rotate,licm),loop(indvars,loop-unroll-full),"
    "early-cse<memssa>,loop-vectorize,vector-combine,"
    "instcombine<no-verify-fixpoint>,simplifycfg)";

static void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager cgscc;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(cgscc);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, cgscc, modules);
  llvm::ModulePassManager passes;
  llvm::cantFail(builder.parsePassPipeline(passes, pipeline));
  passes.run(module, modules);
}

FailureOr<std::unique_ptr<llvm::Module>>
twist::object::translateProgram(ModuleOp module, const WeightsFile &weights,
                                const Target &target,
                                llvm::LLVMContext &context) {
  DialectRegistry registry;
  registerAllToLLVMIRTranslations(registry);
  module.getContext()->appendDialectRegistry(registry);
  // Sources, axes and the like have done their work: LLVM knows no such
  // symbols.
  OwningOpRef<ModuleOp> code = module.clone();
  for (Operation &op : llvm::make_early_inc_range(*code->getBody()))
    if (!isa<LLVM::LLVMDialect>(op.getDialect()))
      op.erase();
  std::unique_ptr<llvm::Module> result =
      translateModuleToLLVMIR(*code, context, "program");
  if (!result)
    return module.emitError("cannot translate the program to LLVM IR");
  result->setTargetTriple(target.machine->getTargetTriple());
  result->setDataLayout(target.machine->createDataLayout());
  for (llvm::Function &function : *result)
    if (!function.isDeclaration())
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  TableBuilder(*result).build(module, weights, target);
  optimise(*result, *target.machine);
  return result;
}

//===- Target.cpp - Processors, optimisation, machine code ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Target/Object/Object.h"

#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;
using namespace twist::object;

static constexpr llvm::StringLiteral triple = "x86_64-unknown-linux-gnu";

/// The instruction sets that the runtime can tell (lib/Runtime/Cpu.c).
static constexpr llvm::StringLiteral checkable[] = {"sse3",
                                                    "ssse3",
                                                    "sse4.1",
                                                    "sse4.2",
                                                    "popcnt",
                                                    "movbe",
                                                    "avx",
                                                    "fma",
                                                    "f16c",
                                                    "avx2",
                                                    "bmi",
                                                    "bmi2",
                                                    "lzcnt",
                                                    "fma4",
                                                    "xop",
                                                    "tbm",
                                                    "avx512f",
                                                    "avx512dq",
                                                    "avx512ifma",
                                                    "avx512cd",
                                                    "avx512bw",
                                                    "avx512vl",
                                                    "avx512vbmi",
                                                    "avx512vbmi2",
                                                    "avx512vnni",
                                                    "avx512bitalg",
                                                    "avx512vpopcntdq",
                                                    "avx512vp2intersect",
                                                    "gfni",
                                                    "avx512fp16",
                                                    "amx-bf16",
                                                    "amx-tile",
                                                    "amx-int8",
                                                    "avxvnni",
                                                    "avx512bf16",
                                                    "amx-fp16",
                                                    "avxifma",
                                                    "avxvnniint8",
                                                    "avxneconvert"};

/// Name and features of this machine: a virtual one may lack some of its
/// name's.
static void resolveNative(Target &target) {
  target.cpu = llvm::sys::getHostCPUName().str();
  SmallVector<std::string> features;
  for (const auto &feature : llvm::sys::getHostCPUFeatures())
    features.push_back((feature.second ? "+" : "-") + feature.first().str());
  llvm::sort(features);
  target.features = llvm::join(features, ",");
}

static bool has(const llvm::MCSubtargetInfo &info, StringRef feature) {
  return info.checkFeatures(("+" + feature).str());
}

FailureOr<Target> twist::object::createTarget(StringRef cpu, Location loc) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  Target target;
  target.cpu = cpu.str();
  if (cpu == "native")
    resolveNative(target);
  std::string error;
  llvm::Triple parsed(triple);
  const llvm::Target *llvmTarget =
      llvm::TargetRegistry::lookupTarget(parsed, error);
  if (!llvmTarget)
    return emitError(loc) << error;
  std::unique_ptr<llvm::MCSubtargetInfo> info(
      llvmTarget->createMCSubtargetInfo(parsed, "x86-64", ""));
  if (!info || !info->isCPUStringValid(target.cpu))
    return emitError(loc) << "unknown processor '" << cpu << "'";
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  target.machine.reset(llvmTarget->createTargetMachine(
      parsed, target.cpu, target.features, options, llvm::Reloc::PIC_,
      std::nullopt, llvm::CodeGenOptLevel::Default));
  const llvm::MCSubtargetInfo &subtarget =
      *target.machine->getMCSubtargetInfo();
  if (!has(subtarget, "avx2") || !has(subtarget, "fma"))
    return emitError(loc) << "processor '" << target.cpu
                          << "' has no AVX2 and FMA: programs need them";
  SmallVector<StringRef> required;
  for (StringRef feature : checkable)
    if (has(subtarget, feature))
      required.push_back(feature);
  target.requiredFeatures = llvm::join(required, ",");
  target.vectorBits = has(subtarget, "avx512f") ? 512 : 256;
  target.bf16Conversions = has(subtarget, "avx512bf16");
  // Intel's cores take longer for a product of pairs than for three in f32.
  target.bf16Dots =
      target.bf16Conversions && StringRef(target.cpu).starts_with("znver");
  return FailureOr<Target>(std::move(target));
}

StringRef Target::describeBF16() const {
  if (bf16Dots)
    return "multiplied in pairs by the processor";
  if (bf16Conversions)
    return "multiplied in f32, rounded by the processor";
  return "emulated: multiplied in f32, rounded by integer arithmetic";
}

LogicalResult twist::object::emitObject(llvm::Module &module,
                                        const Target &target,
                                        SmallVectorImpl<char> &object,
                                        Location loc) {
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager codegen;
  if (target.machine->addPassesToEmitFile(codegen, stream, nullptr,
                                          llvm::CodeGenFileType::ObjectFile))
    return emitError(loc) << "no object files for '" << target.cpu << "'";
  codegen.run(module);
  return success();
}

//===- Verify.cpp - The proofs, on compiled programs ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Verify.h"

#include "twist/Dialect/Weights/Weights.h"
#include "twist/Pipeline/Compile.h"

#include "mlir/IR/OwningOpRef.h"

using namespace mlir;
using namespace twist;

namespace {
/// A type of the runtime and MLIR's.
struct TypePair {
  twist_type runtime;
  Type type;
};
} // namespace

static SmallVector<TypePair> typePairs(MLIRContext *context) {
  Builder b(context);
  auto integer = [&](unsigned width, bool isUnsigned) -> Type {
    return IntegerType::get(context, width,
                            isUnsigned ? IntegerType::Unsigned
                                       : IntegerType::Signless);
  };
  return {{TWIST_F64, b.getF64Type()},     {TWIST_F32, b.getF32Type()},
          {TWIST_F16, b.getF16Type()},     {TWIST_BF16, b.getBF16Type()},
          {TWIST_I64, integer(64, false)}, {TWIST_I32, integer(32, false)},
          {TWIST_I16, integer(16, false)}, {TWIST_I8, integer(8, false)},
          {TWIST_U64, integer(64, true)},  {TWIST_U32, integer(32, true)},
          {TWIST_U16, integer(16, true)},  {TWIST_U8, integer(8, true)},
          {TWIST_BOOL, integer(1, false)}};
}

static FailureOr<std::vector<proof::HostTensor>>
runNative(const CompiledProgram &program, ArrayRef<proof::HostTensor> inputs,
          Location loc) {
  SmallVector<TypePair> types = typePairs(loc.getContext());
  std::vector<HostTensor> given;
  for (const proof::HostTensor &input : inputs) {
    auto *pair = llvm::find_if(
        types, [&](TypePair p) { return p.type == input.elementType; });
    if (pair == types.end())
      return emitError(loc)
             << "input '" << input.name << "' has no type of the runtime";
    given.push_back({pair->runtime, input.shape, input.bytes});
  }
  FailureOr<std::vector<HostTensor>> outputs = program.run(given, loc);
  if (failed(outputs))
    return failure();
  std::vector<proof::HostTensor> results;
  for (auto [i, output] : llvm::enumerate(*outputs)) {
    auto *pair = llvm::find_if(
        types, [&](TypePair p) { return p.runtime == output.type; });
    results.push_back({twist_program_output(program.get(), i)->name, pair->type,
                       output.dims, std::move(output.data)});
  }
  return results;
}

static FailureOr<proof::Program> compileNative(ModuleOp module, bool asDouble) {
  CompileOptions options;
  options.precision = asDouble ? "f64" : "";
  FailureOr<CompiledProgram> compiled = compileInProcess(module, options);
  if (failed(compiled))
    return failure();
  auto program = std::make_shared<CompiledProgram>(std::move(*compiled));
  return proof::Program(
      [program, loc = module.getLoc()](ArrayRef<proof::HostTensor> inputs) {
        return runNative(*program, inputs, loc);
      });
}

proof::Compiler twist::nativeCompiler() { return compileNative; }

FailureOr<std::vector<proof::Verdict>> twist::proveSlice(
    ModuleOp gated, ModuleOp sliced, const axes::SliceOptions &options,
    const axes::SliceReport &report, const proof::InputOptions &inputs,
    const proof::Compiler &compile) {
  // Tensors of inputs and outputs are read through views.
  gated.getContext()->getOrLoadDialect<weights::WeightsDialect>();
  OwningOpRef<ModuleOp> masked = gated.clone();
  axes::GateCounts gates;
  int64_t elements = 0;
  if (failed(axes::poison(*masked, options, elements, /*tagMasks=*/true)) ||
      failed(axes::lowerGates(*masked, gates, /*tagMasks=*/true)))
    return failure();
  auto masks = proof::liftMasks(*masked);
  return proof::prove({*masked, masks, sliced, report.interface}, inputs,
                      compile);
}

//===- NativeEngine.cpp - Proofs on compiled programs ---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Engines.h"

#include "twist/Pipeline/Compile.h"

using namespace mlir;
using namespace twist;

SmallVector<TypePair> twist::typePairs(MLIRContext *context) {
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

std::optional<twist_type> twist::runtimeType(Type elementType) {
  for (TypePair pair : typePairs(elementType.getContext()))
    if (pair.type == elementType)
      return pair.runtime;
  return std::nullopt;
}

FailureOr<twist_type> twist::runtimeType(const proof::HostTensor &tensor,
                                         Location loc) {
  if (std::optional<twist_type> type = runtimeType(tensor.elementType))
    return *type;
  return emitError(loc) << "input '" << tensor.name << "' is "
                        << tensor.elementType
                        << ", which no engine of proofs takes";
}

static FailureOr<std::vector<proof::HostTensor>>
runNative(const CompiledProgram &program, ArrayRef<proof::HostTensor> inputs,
          Location loc) {
  std::vector<HostTensor> given;
  for (const proof::HostTensor &input : inputs) {
    FailureOr<twist_type> type = runtimeType(input, loc);
    if (failed(type))
      return failure();
    given.push_back({*type, input.shape, input.bytes});
  }
  FailureOr<std::vector<HostTensor>> outputs = program.run(given, loc);
  if (failed(outputs))
    return failure();
  SmallVector<TypePair> types = typePairs(loc.getContext());
  std::vector<proof::HostTensor> results;
  for (auto [i, output] : llvm::enumerate(*outputs)) {
    auto *pair = llvm::find_if(
        types, [&](TypePair p) { return p.runtime == output.type; });
    results.push_back({twist_program_output(program.get(), i)->name, pair->type,
                       output.dims, std::move(output.data)});
  }
  return results;
}

static FailureOr<proof::Program> compileNative(ModuleOp module,
                                               proof::Numbers numbers) {
  assert(numbers != proof::Numbers::Nudged && "it has f64");
  CompileOptions options;
  options.precision = numbers == proof::Numbers::Double ? "f64" : "";
  FailureOr<CompiledProgram> compiled = compileInProcess(module, options);
  if (failed(compiled))
    return failure();
  auto program = std::make_shared<CompiledProgram>(std::move(*compiled));
  return proof::Program(
      [program, loc = module.getLoc()](ArrayRef<proof::HostTensor> inputs) {
        return runNative(*program, inputs, loc);
      });
}

proof::Engine twist::nativeEngine() {
  return {"compiled programs", /*hasDouble=*/true, compileNative};
}

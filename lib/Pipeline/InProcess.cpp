//===- InProcess.cpp - Programs compiled and run at once ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Compile.h"

#include "twist/Prune/Feed.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;
using namespace twist;

CompiledProgram::CompiledProgram(CompiledProgram &&other)
    : folder(std::exchange(other.folder, "")),
      program(std::exchange(other.program, nullptr)) {}

CompiledProgram::~CompiledProgram() {
  twist_program_close(program);
  if (!folder.empty())
    llvm::sys::fs::remove_directories(folder);
}

std::string CompiledProgram::hash() const {
  llvm::SHA256 hash;
  for (StringRef suffix : {".so", ".weights"}) {
    SmallString<128> path(folder);
    llvm::sys::path::append(path, "program" + suffix);
    auto file = llvm::MemoryBuffer::getFile(path);
    if (!file && suffix == ".so")
      return "";
    if (file)
      hash.update((*file)->getBuffer());
  }
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

FailureOr<CompiledProgram> twist::compileInProcess(ModuleOp module,
                                                   CompileOptions options) {
  CompiledProgram result;
  SmallString<128> folder;
  if (llvm::sys::fs::createUniqueDirectory("twist", folder))
    return module.emitError("cannot create a temporary folder");
  result.folder = folder.str().str();
  llvm::sys::path::append(folder, "program");
  options.output = folder.str().str();
  options.emit = EmitKind::SharedObject;
  if (failed(compileToFiles(module, options)))
    return failure();
  twist_error error;
  if (twist_program_load(options.output.c_str(), 0, &result.program, &error))
    return module.emitError(error.message);
  return FailureOr<CompiledProgram>(std::move(result));
}

static LogicalResult checkInputs(const twist_program *program,
                                 ArrayRef<HostTensor> inputs, Location loc) {
  if (inputs.size() != twist_program_input_count(program))
    return emitError(loc) << "the program takes "
                          << twist_program_input_count(program)
                          << " inputs, given are " << inputs.size();
  for (auto [index, input] : llvm::enumerate(inputs)) {
    const twist_tensor_info *info = twist_program_input(program, index);
    if (input.type != info->type ||
        input.dims.size() != static_cast<size_t>(info->rank))
      return emitError(loc)
             << "input '" << info->name << "' takes "
             << twist_type_name(static_cast<twist_type>(info->type)) << " and "
             << info->rank << " dimensions, given is "
             << twist_type_name(input.type) << " and " << input.dims.size();
  }
  return success();
}

FailureOr<std::vector<HostTensor>>
CompiledProgram::run(ArrayRef<HostTensor> inputs, Location loc,
                     int threads) const {
  if (failed(checkInputs(program, inputs, loc)))
    return failure();
  llvm::Expected<prune::Runner> runner =
      prune::Runner::create(program, threads);
  if (!runner)
    return emitError(loc) << toString(runner.takeError());
  if (auto outputs = runner->run(inputs); !outputs)
    return emitError(loc) << toString(outputs.takeError());
  return runner->takeOutputs();
}

FailureOr<std::vector<std::vector<double>>>
twist::evaluateNatively(ModuleOp module) {
  CompileOptions options;
  options.precision = "f64";
  FailureOr<CompiledProgram> program = compileInProcess(module, options);
  if (failed(program))
    return failure();
  FailureOr<std::vector<HostTensor>> outputs =
      program->run({}, module.getLoc(), /*threads=*/1);
  if (failed(outputs))
    return failure();
  std::vector<std::vector<double>> values;
  for (const HostTensor &output : *outputs) {
    if (output.type != TWIST_F64)
      return module.emitError("a constant to evaluate is not computed in f64");
    values.emplace_back(output.data.size() / sizeof(double));
    std::memcpy(values.back().data(), output.data.data(), output.data.size());
  }
  return values;
}

//===- Step.cpp - Training steps, compiled and run ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/Step.h"

#include "StepModel.h"
#include "StepProgram.h"

#include "twist/Pipeline/Compile.h"
#include "twist/Pipeline/InitAll.h"
#include "twist/Support/OutputFile.h"
#include "twist/Target/Object/Object.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"

#include <mutex>

using namespace mlir;
using namespace twist;
using namespace twist::step;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;

static StringRef entryName(train::StepEntry entry) {
  switch (entry) {
  case train::EntryStep:
    return "step";
  case train::EntryForward:
    return "forward";
  case train::EntryEvaluate:
    return "evaluate";
  case train::EntryGradients:
    return "gradients";
  case train::EntryBackward:
    return "backward";
  case train::EntryUpdate:
    return "update";
  }
  llvm_unreachable("no such entry");
}

namespace {

//===----------------------------------------------------------------------===//
// Errors
//===----------------------------------------------------------------------===//

/// What is reported while it lives, as one text.
class Errors {
public:
  explicit Errors(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
            add(diagnostic);
          return success();
        }) {}

  Error take() {
    return createStringError(text.empty() ? "the step cannot be compiled"
                                          : text);
  }

private:
  void add(Diagnostic &diagnostic) {
    if (!text.empty())
      text += "\n";
    auto file = dyn_cast<FileLineColLoc>(diagnostic.getLocation());
    if (file && !file.getFilename().empty())
      text += file.getFilename().str() + ": ";
    if (auto name = dyn_cast<NameLoc>(diagnostic.getLocation()))
      text += "node '" + name.getName().str() + "': ";
    text += diagnostic.str();
  }

  std::string text;
  ScopedDiagnosticHandler handler;
};

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

/// A loaded program and what its buffers are.
struct Program {
  train::StepEntry entry;
  CompiledProgram program;
  SmallVector<Binding> inputs, outputs;
};

class Step : public train::CompiledStep {
public:
  const train::StepRequest &request() const override { return wanted; }
  ArrayRef<int64_t> parameterDims(unsigned i) const override { return dims[i]; }
  ArrayRef<train::StateTensor> state() const override { return stateTensors; }
  ArrayRef<train::Tensor> inputs() const override { return inputTensors; }
  ArrayRef<train::Tensor> outputs() const override { return outputTensors; }
  StringRef hash() const override { return programHash; }
  Kept kept() const override { return keptBytes; }
  uint64_t workingBytes() const override { return bytes; }
  Expected<std::unique_ptr<train::StepSession>>
  createSession(int threads) const override;

  const Program *find(train::StepEntry entry) const {
    for (const Program &program : programs)
      if (program.entry == entry)
        return &program;
    return nullptr;
  }
  void finish();

  train::StepRequest wanted;
  std::vector<std::vector<int64_t>> dims;
  std::vector<train::StateTensor> stateTensors;
  std::vector<train::Tensor> inputTensors, outputTensors;
  bool f64 = false;
  Kept keptBytes;
  std::vector<Program> programs;

private:
  std::string programHash;
  uint64_t bytes = 0;
};

SmallVector<const int64_t *> inputDims(const twist_program *program) {
  SmallVector<const int64_t *> dims;
  for (size_t i = 0; i < twist_program_input_count(program); ++i)
    dims.push_back(twist_program_input(program, i)->dims);
  return dims;
}

/// Sums up over the programs. A session runs one after the other, each with
/// memory of its own.
void Step::finish() {
  llvm::SHA256 hash;
  for (const Program &program : programs) {
    hash.update(program.program.hash());
    const twist_program *p = program.program.get();
    uint64_t arena = 0;
    twist_error error;
    if (!twist_program_arena_bytes(p, inputDims(p).data(), &arena, &error))
      bytes += arena;
  }
  programHash = llvm::toHex(hash.final(), /*LowerCase=*/true);
}

//===----------------------------------------------------------------------===//
// Sessions
//===----------------------------------------------------------------------===//

class Session : public train::StepSession {
public:
  Session(const Step &step, int threads) : step_(step), threads(threads) {}
  ~Session() override {
    for (auto &[program, session] : sessions)
      twist_session_close(session);
  }

  Expected<train::StepResult> step(const train::StepBuffers &buffers,
                                   const train::StepScalars &scalars) override {
    return run(train::EntryStep, buffers, scalars);
  }
  Error forward(const train::StepBuffers &buffers,
                const train::StepScalars &scalars) override {
    return run(train::EntryForward, buffers, scalars).takeError();
  }
  Expected<train::StepResult>
  evaluate(const train::StepBuffers &buffers,
           const train::StepScalars &scalars) override {
    return run(train::EntryEvaluate, buffers, scalars);
  }
  Expected<train::StepResult> gradients(const train::StepBuffers &buffers,
                                        const train::StepScalars &scalars,
                                        bool add) override {
    return run(train::EntryGradients, buffers, scalars, add);
  }
  Error backward(const train::StepBuffers &buffers,
                 const train::StepScalars &scalars, bool add) override {
    return run(train::EntryBackward, buffers, scalars, add).takeError();
  }
  Expected<train::StepResult>
  update(const train::StepBuffers &buffers,
         const train::StepScalars &scalars) override {
    return run(train::EntryUpdate, buffers, scalars);
  }
  Error startProfile() override;
  std::vector<ProfileRow> profile() const override;

private:
  Expected<train::StepResult> run(train::StepEntry entry,
                                  const train::StepBuffers &buffers,
                                  const train::StepScalars &scalars,
                                  bool add = false);
  Expected<twist_session *> sessionOf(const Program &program);
  void setScalars(const train::StepScalars &scalars, bool add);
  /// Null where the caller gave none.
  void *bufferOf(const Binding &binding, const train::StepBuffers &buffers);
  Expected<SmallVector<twist_buffer>> bind(ArrayRef<Binding> bindings,
                                           bool outputs,
                                           const twist_program *program,
                                           const train::StepBuffers &buffers);
  double number(const void *value) const {
    return step_.f64 ? *static_cast<const double *>(value)
                     : *static_cast<const float *>(value);
  }

  const Step &step_;
  int threads;
  SmallVector<std::pair<const Program *, twist_session *>> sessions;
  bool profiling = false;
  /// Memory of rank-0 inputs and outputs: doubles or floats in 8 bytes.
  std::array<double, NumScalars> numbers{};
  double loss = 0, norm = 0;
  int32_t adds = 0;
  RandomValues random;
  /// Where gradients of inputs that are not wanted go.
  std::vector<std::vector<char>> unwanted;
};

} // namespace

Expected<twist_session *> Session::sessionOf(const Program &program) {
  for (auto &[known, session] : sessions)
    if (known == &program)
      return session;
  twist_error error;
  twist_session *session;
  if (twist_session_create(program.program.get(), threads, &session, &error))
    return createStringError(error.message);
  sessions.push_back({&program, session});
  if (profiling && twist_session_profile(session, 1, &error))
    return createStringError(error.message);
  return session;
}

void Session::setScalars(const train::StepScalars &scalars, bool add) {
  std::array<double, NumScalars> values = scalarValues(scalars);
  for (auto [to, value] : llvm::zip_equal(numbers, values)) {
    if (step_.f64)
      to = value;
    else
      *reinterpret_cast<float *>(&to) = float(value);
  }
  adds = add;
  random = randomValues(scalars);
  if (!step_.f64)
    *reinterpret_cast<float *>(&random.scale) = float(random.scale);
}

template <typename T>
static void *at(const std::vector<T> &buffers, unsigned index) {
  return index < buffers.size()
             ? const_cast<void *>(static_cast<const void *>(buffers[index]))
             : nullptr;
}

void *Session::bufferOf(const Binding &binding,
                        const train::StepBuffers &buffers) {
  switch (binding.kind) {
  case Binding::Input:
    return at(buffers.inputs, binding.index);
  case Binding::Parameter:
    return at(buffers.parameters, binding.index);
  case Binding::State:
    return at(buffers.state, binding.index);
  case Binding::Gradient:
    return at(buffers.gradients, binding.index);
  case Binding::ScalarValue:
    return &numbers[binding.index];
  case Binding::RandomInteger:
    return &random.integers[binding.index];
  case Binding::RandomScale:
    return &random.scale;
  case Binding::Add:
    return &adds;
  case Binding::Cotangent:
    return at(buffers.cotangents, binding.index);
  case Binding::Loss:
    return &loss;
  case Binding::Norm:
    return &norm;
  case Binding::Output:
    return at(buffers.outputs, binding.index);
  case Binding::InputGradient:
    return at(buffers.inputGradients, binding.index);
  }
  llvm_unreachable("no such binding");
}

Expected<SmallVector<twist_buffer>>
Session::bind(ArrayRef<Binding> bindings, bool outputs,
              const twist_program *program, const train::StepBuffers &buffers) {
  SmallVector<twist_buffer> result;
  for (auto [i, binding] : llvm::enumerate(bindings)) {
    const twist_tensor_info *info = outputs ? twist_program_output(program, i)
                                            : twist_program_input(program, i);
    uint64_t bytes = twist_type_size(twist_type(info->type));
    for (int32_t d = 0; d < info->rank; ++d)
      bytes *= uint64_t(info->dims[d]);
    void *data = bufferOf(binding, buffers);
    if (!data && binding.kind == Binding::InputGradient) {
      unwanted.emplace_back(bytes);
      data = unwanted.back().data();
    }
    if (!data)
      return createStringError("the step needs a buffer for '" +
                               Twine(info->name) + "'");
    result.push_back({data, bytes, info->dims});
  }
  return result;
}

Expected<train::StepResult> Session::run(train::StepEntry entry,
                                         const train::StepBuffers &buffers,
                                         const train::StepScalars &scalars,
                                         bool add) {
  const Program *program = step_.find(entry);
  if (!program)
    return createStringError("the step was compiled without its entry '" +
                             entryName(entry) + "'");
  Expected<twist_session *> session = sessionOf(*program);
  if (!session)
    return session.takeError();
  if (!(scalars.dropout >= 0 && scalars.dropout < 1))
    return createStringError("dropout is " + std::to_string(scalars.dropout) +
                             ", not in [0, 1)");
  setScalars(scalars, add);
  unwanted.clear();
  const twist_program *p = program->program.get();
  auto inputs = bind(program->inputs, /*outputs=*/false, p, buffers);
  if (!inputs)
    return inputs.takeError();
  auto outputs = bind(program->outputs, /*outputs=*/true, p, buffers);
  if (!outputs)
    return outputs.takeError();
  loss = norm = 0;
  twist_error error;
  if (twist_session_run(*session, inputs->data(), outputs->data(), &error))
    return createStringError(error.message);
  return train::StepResult{number(&loss), number(&norm)};
}

Error Session::startProfile() {
  profiling = true;
  twist_error error;
  for (auto &[program, session] : sessions)
    if (twist_session_profile(session, 1, &error))
      return createStringError(error.message);
  return Error::success();
}

std::vector<train::StepSession::ProfileRow> Session::profile() const {
  std::vector<ProfileRow> rows;
  for (auto &[program, session] : sessions)
    for (size_t i = 0; i < twist_session_profile_count(session); ++i) {
      twist_profile_entry entry = twist_session_profile_entry(session, i);
      rows.push_back({entry.site, entry.seconds, entry.calls});
    }
  return rows;
}

Expected<std::unique_ptr<train::StepSession>>
Step::createSession(int threads) const {
  return std::make_unique<Session>(*this, threads);
}

//===----------------------------------------------------------------------===//
// The compiler
//===----------------------------------------------------------------------===//

namespace {
class Compiler : public train::StepCompiler {
public:
  static Expected<std::unique_ptr<train::StepCompiler>>
  create(StringRef path, const StepCompilerOptions &options);

  const train::ModelLayout &layout() const override { return model->layout(); }
  Error readParameter(unsigned i, void *values) const override;
  Expected<std::shared_ptr<const train::CompiledStep>>
  compile(const train::StepRequest &request) override;
  Error writeModel(StringRef path, ArrayRef<const void *> parameters) override;

private:
  explicit Compiler(const StepCompilerOptions &options) : options(options) {}
  FailureOr<std::shared_ptr<Step>> build(const train::StepRequest &request);
  LogicalResult addProgram(Step &step, ModuleOp lowered,
                           train::StepEntry entry);
  std::string keyOf(const train::StepRequest &request) const;

  StepCompilerOptions options;
  std::unique_ptr<MLIRContext> context;
  std::optional<StepModel> model;
  std::map<std::string, std::shared_ptr<const train::CompiledStep>> known;
};
} // namespace

Expected<std::unique_ptr<train::StepCompiler>>
Compiler::create(StringRef path, const StepCompilerOptions &options) {
  static std::once_flag registered;
  std::call_once(registered, registerAllPasses);
  std::unique_ptr<Compiler> compiler(new Compiler(options));
  DialectRegistry registry;
  registerAllDialects(registry);
  compiler->context = std::make_unique<MLIRContext>(registry);
  Errors errors(compiler->context.get());
  FailureOr<StepModel> model =
      StepModel::load(path, compiler->context.get(), options);
  if (failed(model))
    return errors.take();
  compiler->model = std::move(*model);
  return compiler;
}

Error Compiler::readParameter(unsigned i, void *values) const {
  const train::Parameter &parameter = layout().parameters[i];
  Errors errors(context.get());
  size_t bytes = size_t(parameter.size()) * twist_type_size(parameter.type);
  if (failed(
          model->read(i, MutableArrayRef(static_cast<char *>(values), bytes))))
    return errors.take();
  return Error::success();
}

/// Everything that decides the programs.
std::string Compiler::keyOf(const train::StepRequest &request) const {
  std::string key;
  llvm::raw_string_ostream os(key);
  for (int64_t units : request.units)
    os << units << " ";
  os << "; " << request.batch << " " << request.sequence;
  for (const auto &[name, size] : request.sizes)
    os << " " << name << "=" << size;
  os << "; " << int(request.loss.kind) << " " << request.loss.output << " "
     << request.loss.ignoreIndex << " " << request.loss.labelSmoothing << "; "
     << int(request.optimiser) << " " << int(request.precision) << " "
     << request.entries;
  return key;
}

static LogicalResult emitModule(ModuleOp module, StringRef folder,
                                train::StepEntry entry) {
  SmallString<128> path(folder);
  llvm::sys::path::append(path, entryName(entry) + ".mlir");
  std::error_code code = llvm::sys::fs::create_directories(folder);
  if (code)
    return module.emitError(folder) << ": cannot be made: " << code.message();
  std::string text;
  llvm::raw_string_ostream(text) << *module;
  if (llvm::Error error = writeFile(path, text))
    return module.emitError() << llvm::toString(std::move(error));
  return success();
}

LogicalResult Compiler::addProgram(Step &step, ModuleOp lowered,
                                   train::StepEntry entry) {
  FailureOr<EntryModule> built =
      buildEntry(lowered, layout(), step.wanted, entry, options.recompute);
  if (failed(built))
    return failure();
  if (!step.keptBytes.bytes)
    step.keptBytes = built->kept;
  if (!options.emitMLIR.empty() &&
      failed(emitModule(*built->module, options.emitMLIR, entry)))
    return failure();
  CompileOptions compile;
  compile.cpu = options.cpu;
  compile.progress = options.progress;
  FailureOr<CompiledProgram> program =
      compileInProcess(*built->module, compile);
  if (failed(program))
    return failure();
  if (step.inputTensors.size() < layout().inputs.size() + built->targets.size())
    llvm::append_range(step.inputTensors, built->targets);
  step.programs.push_back({entry, std::move(*program), std::move(built->inputs),
                           std::move(built->outputs)});
  return success();
}

/// Sizes of the step's graph in place of the model's symbols.
static std::vector<train::Tensor> withSizes(ArrayRef<train::Tensor> tensors,
                                            TypeRange types) {
  std::vector<train::Tensor> result(tensors);
  for (auto [tensor, type] : llvm::zip(result, types)) {
    auto shape = cast<RankedTensorType>(type).getShape();
    tensor.dims.assign(shape.begin(), shape.end());
    tensor.symbols.assign(shape.size(), "");
  }
  return result;
}

FailureOr<std::shared_ptr<Step>>
Compiler::build(const train::StepRequest &request) {
  auto progress = [&](StringRef stage) {
    if (options.progress)
      options.progress(stage);
  };
  progress("cutting");
  FailureOr<OwningOpRef<ModuleOp>> graph = model->specialise(request);
  if (failed(graph))
    return failure();
  auto step = std::make_shared<Step>();
  step->wanted = request;
  auto main = (*graph)->lookupSymbol<func::FuncOp>("main");
  step->inputTensors = withSizes(layout().inputs, main.getArgumentTypes());
  step->outputTensors = withSizes(layout().outputs, main.getResultTypes());
  for (unsigned i = 0; i < layout().parameters.size(); ++i)
    step->dims.push_back(
        cast<RankedTensorType>(
            main.getArgumentTypes()[layout().inputs.size() + i])
            .getShape()
            .vec());
  step->stateTensors = describeState(layout(), step->dims, request.optimiser);
  step->f64 = options.f64;
  progress("lowering");
  if (failed(lowerToLinalg(**graph)))
    return failure();
  for (unsigned bit = 1; bit <= train::EntryUpdate; bit <<= 1)
    if (request.entries & bit)
      if (failed(addProgram(*step, **graph, train::StepEntry(bit))))
        return failure();
  step->finish();
  return step;
}

Expected<std::shared_ptr<const train::CompiledStep>>
Compiler::compile(const train::StepRequest &request) {
  std::shared_ptr<const train::CompiledStep> &step = known[keyOf(request)];
  if (step)
    return step;
  if (request.batch < 1 || request.sequence < 1)
    return createStringError("a step's batch and sequence are positive");
  if (request.precision == train::StepPrecision::BF16 && options.f64)
    return createStringError("products of bf16 need parameters of f32");
  Errors errors(context.get());
  FailureOr<std::shared_ptr<Step>> built = build(request);
  if (failed(built))
    return errors.take();
  step = std::move(*built);
  return step;
}

Error Compiler::writeModel(StringRef path, ArrayRef<const void *> parameters) {
  Errors errors(context.get());
  if (parameters.size() != layout().parameters.size())
    return createStringError(
        "writing a model takes " + Twine(layout().parameters.size()) +
        " parameters, given are " + Twine(parameters.size()));
  if (failed(model->write(path, parameters)))
    return errors.take();
  return Error::success();
}

Expected<std::unique_ptr<train::StepCompiler>>
twist::makeStepCompiler(StringRef modelPath,
                        const StepCompilerOptions &options) {
  return Compiler::create(modelPath, options);
}

Expected<std::string> twist::describeBF16(StringRef cpu) {
  MLIRContext context;
  Errors errors(&context);
  FailureOr<object::Target> target =
      object::createTarget(cpu, UnknownLoc::get(&context));
  if (failed(target))
    return errors.take();
  return target->describeBF16().str();
}

//===- Step.cpp - twist step ----------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Measure.h"
#include "StepData.h"
#include "StepOptions.h"

#include "twist/Runtime/Tools.h"
#include "twist/Train/StepMemory.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"

#include <iostream>
#include <sys/resource.h>

using namespace twist;
using namespace twist::tools;
using namespace twist::train;
namespace cl = llvm::cl;
using llvm::createStringError;

namespace {
struct Arguments {
  cl::OptionCategory category{"Options of twist step"};
  template <typename T> using Option = ValueOption<T>;
  cl::opt<std::string> model{cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category)};
  Option<std::string> data{category, "data",
                           "Token ids, FILE.npy; random ones if not given", ""};
  cl::list<std::string> inputs{
      "input", cl::value_desc("NAME=FILE.npy"), cl::cat(category),
      cl::desc("An input, or the loss's labels or target, at every step; all "
               "are given so, or none (token ids then)")};
  DimOption sizes{category};
  Option<std::string> loss{
      category, "loss",
      "cross-entropy, mean-square, cosine, or own (the output itself)",
      "cross-entropy"};
  Option<std::string> output{category, "output",
                             "The output that has the loss (default: the "
                             "logits, or the first of floats)",
                             ""};
  Option<int64_t> batch{category, "batch", "Sequences a step", 1};
  Option<int64_t> sequence{category, "context", "Tokens a sequence", 32};
  Option<int64_t> steps{category, "steps", "Steps to run", 10};
  Option<int64_t> accumulate{category, "accumulate",
                             "Batches whose gradients make one update", 1};
  OptimiserOption optimiser{category};
  Option<double> rate{category, "learning-rate", "Learning rate", 1e-3};
  Option<double> decay{category, "weight-decay", "Weight decay", 0};
  Option<double> momentum{category, "momentum", "Of sgd", 0.9};
  Option<double> clip{category, "clip", "Largest global norm; 0: any", 0};
  Option<double> smoothing{category, "label-smoothing", "In [0, 1)", 0};
  Option<double> kappa{category, "kappa", "Kept fraction of each axis's units",
                       1};
  Option<std::string> recompute{
      category, "recompute",
      "What may be computed again rather than kept: nothing, elementwise, "
      "attention",
      "nothing"};
  PrecisionOption precision{category};
  cl::list<int> threads{
      "threads", cl::CommaSeparated, cl::cat(category),
      cl::desc("Threads, 0: all (default); several: one run from the start for "
               "each")};
  Option<std::string> cpu{category, "mcpu", "Processor to compile for",
                          "native"};
  Option<std::string> write{category, "write",
                            "Folder for parameters after the steps, .npy", ""};
  Option<std::string> emit{category, "emit-mlir",
                           "Folder for the step before code generation", ""};
  Option<bool> profile{category, "profile", "Time of each kernel", false};
  Option<bool> interactive{
      category, "interactive",
      "One step per line of standard input, answered by a line of JSON", false};
  JSONOption json{category};
  Option<bool> layout{category, "layout", "Print the parameters and stop",
                      false};
  TrainedArguments trained{category};
  ListOption kinds{category, "axes", "Kinds of axes to cut"};
};
} // namespace

static void printLayout(const ModelLayout &layout) {
  for (const Axis &axis : layout.axes)
    llvm::outs() << "axis " << axis.kind << " " << axis.index << ": "
                 << axis.units << " units, " << axis.name << "\n";
  for (const Parameter &parameter : layout.parameters) {
    llvm::outs() << (parameter.trainable ? "trained " : "frozen ")
                 << parameter.name << " [";
    llvm::interleaveComma(parameter.dims, llvm::outs());
    llvm::outs() << "]";
    for (auto [d, places] : llvm::enumerate(parameter.places))
      for (const AxisPlace &at : places)
        llvm::outs() << " " << d << ":" << layout.axes[at.axis].name << "@"
                     << at.place.offset << "+" << at.place.outer << "x"
                     << at.place.units << "x" << at.place.inner;
    llvm::outs() << (parameter.decayed ? " decayed\n" : "\n");
  }
}

static llvm::Error writeParameters(llvm::StringRef folder,
                                   const ModelLayout &layout,
                                   const CompiledStep &step,
                                   const StepBuffers &buffers) {
  if (std::error_code code = llvm::sys::fs::create_directories(folder))
    return createStringError(code, "cannot make folder '" + folder + "'");
  for (auto [i, parameter] : llvm::enumerate(layout.parameters)) {
    twist_array array = {};
    array.type = parameter.type;
    array.rank = int32_t(parameter.dims.size());
    array.bytes = twist_type_size(parameter.type);
    for (auto [d, size] : llvm::enumerate(step.parameterDims(i))) {
      array.dims[d] = size;
      array.bytes *= uint64_t(size);
    }
    array.data = buffers.parameters[i];
    llvm::SmallString<128> path(folder);
    std::string name = parameter.name;
    std::replace(name.begin(), name.end(), '/', '_');
    llvm::sys::path::append(path, name + ".npy");
    twist_error error;
    if (twist_npy_write(path.c_str(), &array, &error))
      return createStringError(error.message);
  }
  return llvm::Error::success();
}

namespace {
/// The run of the command, behind its arguments.
class Runner {
public:
  explicit Runner(const Arguments &arguments) : arguments(arguments) {}
  llvm::Error run();

private:
  llvm::Error makeStep();
  llvm::Expected<StepRequest> makeRequest();
  llvm::Error readTokens();
  llvm::Error prepare(int threads);
  llvm::Error train();
  llvm::Error answer();
  llvm::Expected<double> oneStep(int64_t number);
  void report();
  std::string hashOfMemory() const;
  void fillInputs(int64_t batch);

  const Arguments &arguments;
  std::unique_ptr<StepCompiler> compiler;
  std::shared_ptr<const CompiledStep> step;
  Masks masks;
  std::optional<Tokens> tokens;
  std::optional<StepMemory> memory;
  std::unique_ptr<StepSession> session;
  std::vector<double> losses, seconds;
  llvm::json::Array runs; ///< for --json: one for each number of threads
  std::string bf16;       ///< how it is computed in; empty: it is not
  double compileSeconds = 0, compileProcessorSeconds = 0;
};
} // namespace

static double now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

static double processorSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval &t) {
    return double(t.tv_sec) + 1e-6 * double(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

llvm::Expected<StepRequest> Runner::makeRequest() {
  StepRequest request;
  masks = wholeMasks(compiler->layout());
  for (auto &mask : masks)
    mask.resize(std::max<size_t>(
        1, size_t(arguments.kappa * double(mask.size()) + 0.5)));
  request.units = widths(masks);
  request.batch = arguments.batch;
  request.sequence = arguments.sequence;
  std::vector<std::pair<std::string, int64_t>> sizes;
  if (!arguments.sizes.parse(sizes))
    return createStringError("no step is made");
  request.sizes.insert(sizes.begin(), sizes.end());
  request.loss.labelSmoothing = arguments.smoothing;
  request.loss.output = arguments.output;
  auto loss = llvm::StringSwitch<std::optional<LossKind>>(arguments.loss)
                  .Case("cross-entropy", LossKind::CrossEntropy)
                  .Case("mean-square", LossKind::MeanSquare)
                  .Case("cosine", LossKind::Cosine)
                  .Case("own", LossKind::Own)
                  .Default(std::nullopt);
  if (!loss)
    return createStringError("--loss is cross-entropy, mean-square, cosine or "
                             "own, not '" +
                             arguments.loss + "'");
  request.loss.kind = *loss;
  request.optimiser = arguments.optimiser;
  auto precision = arguments.precision.parse();
  if (!precision)
    return precision.takeError();
  request.precision = *precision;
  request.entries =
      arguments.accumulate > 1 ? EntryGradients | EntryUpdate : EntryStep;
  return request;
}

llvm::Error Runner::readTokens() {
  const ModelLayout &layout = compiler->layout();
  bool hasIds = llvm::any_of(layout.inputs, [](const Tensor &input) {
    return input.role == InputRole::Ids;
  });
  if (layout.logits < 0 || !hasIds)
    return createStringError("'" + arguments.model +
                             "' is no language model: it has no token ids or "
                             "no logits; give its inputs by --input");
  if (arguments.loss != "cross-entropy")
    return createStringError("a loss other than cross-entropy needs its inputs "
                             "by --input");
  auto read = Tokens::create(arguments.data, layout.vocabulary);
  if (!read)
    return read.takeError();
  tokens = std::move(*read);
  return llvm::Error::success();
}

llvm::Error Runner::makeStep() {
  StepCompilerOptions options = arguments.trained.options();
  options.kinds.assign(arguments.kinds.begin(), arguments.kinds.end());
  options.emitMLIR = arguments.emit;
  auto recompute = parseRecompute(arguments.recompute);
  if (!recompute)
    return createStringError("--recompute is nothing, elementwise or "
                             "attention, not '" +
                             arguments.recompute + "'");
  options.recompute = *recompute;
  options.f64 = arguments.precision.isF64();
  options.cpu = arguments.cpu;
  auto made = makeStepCompiler(arguments.model, options);
  if (!made)
    return made.takeError();
  compiler = std::move(*made);
  if (arguments.layout)
    return llvm::Error::success();
  auto request = makeRequest();
  if (!request)
    return request.takeError();
  if (arguments.inputs.empty())
    if (llvm::Error error = readTokens())
      return error;
  double start = now(), processor = processorSeconds();
  auto compiled = compiler->compile(*request);
  if (!compiled)
    return compiled.takeError();
  step = *compiled;
  if (request->precision == StepPrecision::BF16) {
    auto how = describeBF16(arguments.cpu);
    if (!how)
      return how.takeError();
    bf16 = std::move(*how);
  }
  compileSeconds = now() - start;
  compileProcessorSeconds = processorSeconds() - processor;
  return llvm::Error::success();
}

/// Those of --input are there from the start.
void Runner::fillInputs(int64_t batch) {
  if (!tokens)
    return;
  int64_t rows = arguments.batch, length = arguments.sequence;
  int64_t *ids = nullptr, *labels = nullptr;
  for (auto [input, data] :
       llvm::zip_equal(step->inputs(), memory->buffers.inputs)) {
    auto *values = static_cast<int64_t *>(const_cast<void *>(data));
    if (input.role == InputRole::Ids)
      ids = values;
    else if (input.role == InputRole::Labels)
      labels = values;
    else if (input.type == TWIST_I64)
      for (int64_t i = 0; i < input.size(); ++i)
        values[i] = input.role == InputRole::Ones        ? 1
                    : input.role == InputRole::Positions ? i % input.dims.back()
                                                         : 0;
  }
  if (ids && labels)
    tokens->fill(batch, rows, length, ids, labels);
}

llvm::Expected<double> Runner::oneStep(int64_t number) {
  StepScalars scalars;
  scalars.learningRate = arguments.rate;
  scalars.weightDecay = arguments.decay;
  scalars.momentum = arguments.momentum;
  scalars.clipNorm = arguments.clip;
  int64_t parts = std::max<int64_t>(1, arguments.accumulate);
  if (parts == 1) {
    fillInputs(number);
    auto result = session->step(memory->buffers, scalars);
    return result ? llvm::Expected<double>(result->loss) : result.takeError();
  }
  double loss = 0;
  scalars.gradientScale = 1.0 / double(parts);
  for (int64_t part = 0; part < parts; ++part) {
    fillInputs(number * parts + part);
    auto result =
        session->gradients(memory->buffers, scalars, /*add=*/part > 0);
    if (!result)
      return result.takeError();
    loss += result->loss / double(parts);
  }
  auto result = session->update(memory->buffers, scalars);
  return result ? llvm::Expected<double>(loss) : result.takeError();
}

llvm::Error Runner::prepare(int threads) {
  losses.clear();
  seconds.clear();
  session.reset();
  memory.emplace(compiler->layout(), *step);
  if (llvm::Error error = memory->readParameters(*compiler, masks))
    return error;
  if (!tokens)
    if (llvm::Error error = readInputs(arguments.inputs, step->inputs(),
                                       memory->buffers.inputs))
      return error;
  auto made = step->createSession(threads);
  if (!made)
    return made.takeError();
  session = std::move(*made);
  return llvm::Error::success();
}

/// For benchmarks that let several engines step in turn.
llvm::Error Runner::answer() {
  std::string line;
  for (int64_t i = 0; std::getline(std::cin, line); ++i) {
    double start = now(), processor = processorSeconds();
    auto loss = oneStep(i);
    if (!loss)
      return loss.takeError();
    llvm::outs() << llvm::formatv(
        "{0}\n", llvm::json::Value(llvm::json::Object{
                     {"loss", *loss},
                     {"seconds", now() - start},
                     {"cpu", processorSeconds() - processor},
                     {"memory", int64_t(memory->bytes + step->workingBytes())},
                     {"compile_seconds", compileSeconds}}));
    llvm::outs().flush();
  }
  return llvm::Error::success();
}

llvm::Error Runner::train() {
  for (int64_t i = 0; i < arguments.steps; ++i) {
    // The first one touches all memory.
    if (i == 1 && arguments.profile)
      if (llvm::Error error = session->startProfile())
        return error;
    double start = now();
    auto loss = oneStep(i);
    if (!loss)
      return loss.takeError();
    losses.push_back(*loss);
    seconds.push_back(now() - start);
  }
  return llvm::Error::success();
}

/// SHA-256 of parameters and the optimiser's state.
std::string Runner::hashOfMemory() const {
  llvm::SHA256 hash;
  auto add = [&](const void *data, llvm::ArrayRef<int64_t> dims,
                 twist_type type) {
    size_t bytes = twist_type_size(type);
    for (int64_t size : dims)
      bytes *= size_t(size);
    hash.update(llvm::StringRef(static_cast<const char *>(data), bytes));
  };
  for (auto [i, parameter] : llvm::enumerate(compiler->layout().parameters))
    add(memory->buffers.parameters[i], step->parameterDims(i), parameter.type);
  for (auto [i, state] : llvm::enumerate(step->state()))
    add(memory->buffers.state[i], state.dims, state.type);
  return llvm::toHex(hash.final(), /*LowerCase=*/true);
}

void Runner::report() {
  int64_t tokensAStep = arguments.batch * arguments.sequence *
                        std::max<int64_t>(1, arguments.accumulate);
  std::vector<double> sorted(seconds.begin() + (seconds.size() > 1),
                             seconds.end());
  llvm::sort(sorted);
  double median = sorted.empty() ? 0 : sorted[sorted.size() / 2];
  double least = sorted.empty() ? 0 : sorted.front();
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  if (arguments.json) {
    llvm::json::Array curve, times;
    for (double loss : losses)
      curve.push_back(loss);
    for (double time : seconds)
      times.push_back(time);
    runs.push_back(llvm::json::Object{
        {"losses", std::move(curve)},
        {"seconds", std::move(times)},
        {"tokens_per_step", tokensAStep},
        {"compile_seconds", compileSeconds},
        {"compile_processor_seconds", compileProcessorSeconds},
        {"kept_bytes", int64_t(step->kept().bytes)},
        {"working_bytes", int64_t(step->workingBytes())},
        {"buffer_bytes", int64_t(memory->bytes)},
        {"peak_bytes", int64_t(usage.ru_maxrss) * 1024},
        {"bf16", bf16},
        {"hash", step->hash()},
        {"sha256", hashOfMemory()}});
  } else {
    for (auto [i, loss] : llvm::enumerate(losses))
      llvm::outs() << llvm::format("step %4d  loss %.15g  %.1f ms\n", int(i),
                                   loss, seconds[i] * 1e3);
    llvm::outs() << llvm::format(
        "compiled in %.1f s (%.1f of the processor); %.1f ms a step (least "
        "%.1f), %.0f tokens/s; %.1f MB in buffers, %.1f MB working memory\n",
        compileSeconds, compileProcessorSeconds, median * 1e3, least * 1e3,
        median > 0 ? double(tokensAStep) / median : 0.,
        double(memory->bytes) / 1e6, double(step->workingBytes()) / 1e6);
    if (!bf16.empty())
      llvm::outs() << "products of bf16 are " << bf16 << "\n";
    CompiledStep::Kept kept = step->kept();
    llvm::outs() << llvm::format("forward keeps %.1f MB for backward",
                                 double(kept.bytes) / 1e6);
    if (kept.opsAgain)
      llvm::outs() << llvm::format("; %.1f MB are not: %llu ops are computed "
                                   "again",
                                   double(kept.bytesAgain) / 1e6,
                                   (unsigned long long)kept.opsAgain);
    llvm::outs() << "\n";
  }
  if (!arguments.profile)
    return;
  std::vector<StepSession::ProfileRow> rows = session->profile();
  llvm::sort(rows, [](auto &a, auto &b) { return a.seconds > b.seconds; });
  double total = 0;
  for (auto &row : rows)
    total += row.seconds;
  for (auto &row : rows)
    if (row.calls)
      llvm::errs() << llvm::format(
          "%5.1f%% %9.3f ms  %s\n", 100 * row.seconds / total,
          1e3 * row.seconds / double(arguments.steps - 1), row.site.c_str());
}

llvm::Error Runner::run() {
  if (llvm::Error error = makeStep())
    return error;
  if (arguments.layout) {
    printLayout(compiler->layout());
    return llvm::Error::success();
  }
  std::vector<int> threads(arguments.threads.begin(), arguments.threads.end());
  if (threads.empty())
    threads.push_back(0);
  for (int count : threads) {
    if (llvm::Error error = prepare(count))
      return error;
    if (arguments.interactive)
      return answer();
    if (llvm::Error error = train())
      return error;
    report();
  }
  if (arguments.json)
    printJSON(std::move(runs));
  if (!arguments.write.empty())
    return writeParameters(arguments.write, compiler->layout(), *step,
                           memory->buffers);
  return llvm::Error::success();
}

int twist::tools::stepMain(int argc, char **argv) {
  Arguments arguments;
  cl::HideUnrelatedOptions(arguments.category);
  cl::ParseCommandLineOptions(
      argc, argv,
      "Compiles a language model's training step and runs it on token ids\n");
  llvm::Error error = Runner(arguments).run();
  return error ? fail(std::move(error)) : 0;
}

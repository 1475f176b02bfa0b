//===- Compile.cpp - twist compile ----------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"

#include "twist/Pipeline/Compile.h"
#include "twist/Pipeline/Load.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

#include <chrono>

using namespace mlir;
namespace cl = llvm::cl;

namespace {
/// Prints each stage with the time it took, and keeps both.
class Progress {
public:
  explicit Progress(bool quiet) : quiet(quiet) {}
  ~Progress() { finish(); }

  llvm::json::Array stages; ///< {"stage", "seconds"}
  double seconds = 0;       ///< of all

  void begin(StringRef next) {
    finish();
    stage = next.str();
    start = std::chrono::steady_clock::now();
    if (!quiet)
      llvm::errs() << stage << " ... ";
  }
  /// Lets a diagnostic start on a line of its own.
  void breakLine() {
    if (!stage.empty() && !quiet)
      llvm::errs() << "\n";
    stage.clear();
  }
  void finish() {
    std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - start;
    if (stage.empty())
      return;
    if (!quiet)
      llvm::errs() << llvm::format("%.2f s\n", took.count());
    seconds += took.count();
    stages.push_back(
        llvm::json::Object{{"stage", stage}, {"seconds", took.count()}});
    stage.clear();
  }

private:
  bool quiet;
  std::string stage;
  std::chrono::steady_clock::time_point start;
};
} // namespace

//===----------------------------------------------------------------------===//
// What was made
//===----------------------------------------------------------------------===//

static int64_t bytesOf(StringRef path) {
  uint64_t bytes = 0;
  llvm::sys::fs::file_size(path, bytes);
  return int64_t(bytes);
}

static void printTable(const twist::CompiledFiles &made, double seconds) {
  size_t width = StringRef("file").size();
  for (StringRef path : made.paths)
    width = std::max(width, path.size());
  llvm::outs() << llvm::left_justify("file", width) << "           bytes\n";
  for (StringRef path : made.paths)
    llvm::outs() << llvm::left_justify(path, width)
                 << llvm::right_justify(twist::tools::grouped(bytesOf(path)),
                                        16)
                 << "\n";
  if (auto parameters = made.card.getInteger("parameters"))
    llvm::outs() << twist::tools::grouped(*parameters) << " parameters, "
                 << made.card.getString("precision").value_or("") << ", for "
                 << made.card.getObject("target")->getString("cpu").value_or("")
                 << ", ";
  if (made.card.getString("precision").value_or("").contains("bf16"))
    llvm::outs() << "bf16 "
                 << made.card.getObject("target")->getString("bf16").value_or(
                        "")
                 << ", ";
  llvm::outs() << llvm::format("made in %.2f s\n", seconds);
}

/// The card, and what else the table shows.
static llvm::json::Object describe(const twist::CompiledFiles &made,
                                   Progress &progress) {
  llvm::json::Object all(made.card);
  llvm::json::Array files;
  for (StringRef path : made.paths)
    files.push_back(
        llvm::json::Object{{"file", path}, {"bytes", bytesOf(path)}});
  all["files"] = std::move(files);
  all["seconds"] = progress.seconds;
  all["stages"] = std::move(progress.stages);
  return all;
}

int twist::tools::compileMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist compile");
  cl::opt<std::string> input(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx"), cl::cat(category));
  cl::opt<std::string> output(
      "o", cl::Required, cl::value_desc("NAME"),
      cl::desc("Write NAME.so, NAME.weights, NAME.card.json"),
      cl::cat(category));
  cl::opt<std::string> ticket("ticket", cl::value_desc("T.json"),
                              cl::desc("Slice by this ticket first"),
                              cl::cat(category));
  cl::opt<bool> anyWeights("any-weights",
                           cl::desc("Take a ticket made for other weights"),
                           cl::cat(category));
  cl::opt<bool> verify("verify",
                       cl::desc("Prove that the sliced model equals the masked "
                                "one; the card says how well"),
                       cl::cat(category));
  StateOption state(category);
  DimOption dims(category);
  cl::opt<std::string> precision(
      "precision", cl::value_desc("f64|f32|f16|bf16"),
      cl::desc("Type of all floating-point tensors (default: the model's)"),
      cl::cat(category));
  cl::opt<std::string> cpu("mcpu", cl::value_desc("CPU"), cl::init("native"),
                           cl::desc("Processor to compile for"),
                           cl::cat(category));
  cl::opt<EmitKind> emit(
      "emit", cl::desc("What to write"), cl::init(EmitKind::SharedObject),
      cl::values(clEnumValN(EmitKind::SharedObject, "so", "a shared object"),
                 clEnumValN(EmitKind::Executable, "exe",
                            "an executable with the options of twist run"),
                 clEnumValN(EmitKind::Object, "obj", "an object file"),
                 clEnumValN(EmitKind::LLVM, "llvm", "optimised LLVM IR"),
                 clEnumValN(EmitKind::MLIR, "mlir", "LLVM dialect")),
      cl::cat(category));
  cl::opt<bool> loops("loops",
                      cl::desc("Scalar loops in place of vectorised kernels"),
                      cl::cat(category));
  cl::opt<std::string> reproducer(
      "reproducer", cl::value_desc("FILE.mlir"),
      cl::desc("Where a failing pass leaves its input"), cl::cat(category));
  cl::opt<bool> quiet("quiet", cl::desc("No progress and no table"),
                      cl::cat(category));
  JSONOption json(category);
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Makes a native program of a model\n");

  CompileOptions options;
  options.cpu = cpu;
  options.precision = precision;
  options.loops = loops;
  options.emit = emit;
  // The artefact's name, also where its code's is given.
  StringRef name = output;
  if (emit == EmitKind::SharedObject)
    name.consume_back(".so");
  options.output = name.str();
  options.reproducer = reproducer;
  if (verify && ticket.empty()) {
    llvm::errs() << "error: --verify needs a ticket\n";
    return 1;
  }
  if (!precision.empty() &&
      !llvm::is_contained({"f64", "f32", "f16", "bf16"}, precision)) {
    llvm::errs() << "error: --precision is f64, f32, f16 or bf16, not '"
                 << precision << "'\n";
    return 1;
  }
  if (!dims.parse(options.dims))
    return 1;
  Progress progress(quiet);
  options.progress = [&](StringRef stage) { progress.begin(stage); };

  ToolContext context;
  context.getDiagEngine().registerHandler([&](Diagnostic &) {
    progress.breakLine();
    return failure(); // printing is for the handler before this one
  });
  progress.begin("reading");
  ModelOptions model;
  model.ticket = ticket;
  model.anyWeights = anyWeights;
  model.state.assign(state.begin(), state.end());
  model.verify = verify;
  model.dims = options.dims;
  FailureOr<OwningOpRef<ModuleOp>> module =
      loadForCompilation(input, &context, model, options.card);
  if (failed(module))
    return 1;
  FailureOr<CompiledFiles> made = compileToFiles(**module, options);
  if (failed(made))
    return 1;
  progress.finish();
  if (json)
    printJSON(describe(*made, progress));
  else if (!quiet)
    printTable(*made, progress.seconds);
  return 0;
}

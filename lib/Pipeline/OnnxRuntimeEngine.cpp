//===- OnnxRuntimeEngine.cpp - Proofs where ops have no lowering ----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// A model becomes an ONNX file in a temporary folder; each run is a process of
// run_onnx.py, which reads and writes NumPy's files there.
//
//===----------------------------------------------------------------------===//

#include "Engines.h"
#include "Installed.h"

#include "twist/Runtime/Tools.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"

using namespace mlir;
using namespace twist;

namespace {

/// A folder that goes with its last user.
class TemporaryFolder {
public:
  TemporaryFolder() = default;
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  ~TemporaryFolder() {
    if (!path.empty())
      llvm::sys::fs::remove_directories(path);
  }
  LogicalResult create(Location loc) {
    if (llvm::sys::fs::createUniqueDirectory("twist-proof", path))
      return emitError(loc) << "cannot create a temporary folder";
    return success();
  }
  std::string file(const Twine &name) const {
    return (path + "/" + name).str();
  }

private:
  SmallString<128> path;
};

/// A Python interpreter and the script that runs models.
struct Python {
  std::string interpreter, script;

  /// Runs the script; what it prints, or what went wrong.
  llvm::Expected<std::string> run(ArrayRef<std::string> arguments) const;
};

/// What one model's runs need.
struct Runs {
  Python python;
  TemporaryFolder folder;
  SmallVector<Type> elementTypes; ///< of the results
  SmallVector<std::string> names; ///< of the results
  bool nudged = false;
};

} // namespace

llvm::Expected<std::string> Python::run(ArrayRef<std::string> arguments) const {
  SmallString<128> out, err;
  if (llvm::sys::fs::createTemporaryFile("twist-proof", "out", out) ||
      llvm::sys::fs::createTemporaryFile("twist-proof", "err", err))
    return llvm::createStringError("cannot create a temporary file");
  SmallVector<StringRef> line{interpreter, script};
  llvm::append_range(line, arguments);
  std::string problem;
  std::optional<StringRef> redirects[] = {StringRef(), out.str(), err.str()};
  int code = llvm::sys::ExecuteAndWait(interpreter, line, std::nullopt,
                                       redirects, 0, 0, &problem);
  auto read = [](StringRef path) {
    auto text = llvm::MemoryBuffer::getFile(path);
    llvm::sys::fs::remove(path);
    return text ? (*text)->getBuffer().trim().str() : std::string();
  };
  std::string printed = read(out), messages = read(err);
  if (code == 0)
    return printed;
  if (messages.empty())
    messages = problem.empty() ? "it ended with " + std::to_string(code)
                               : std::move(problem);
  return llvm::createStringError(messages);
}

/// TWIST_PYTHON, or python3 on PATH.
static llvm::Expected<std::string> findInterpreter() {
  if (std::optional<std::string> named =
          llvm::sys::Process::GetEnv("TWIST_PYTHON")) {
    if (llvm::sys::fs::can_execute(*named))
      return *named;
    return llvm::createStringError("TWIST_PYTHON, '" + *named +
                                   "', cannot be executed");
  }
  if (auto found = llvm::sys::findProgramByName("python3"))
    return *found;
  return llvm::createStringError(
      "there is no python3 on PATH, and TWIST_PYTHON "
      "names none");
}

static LogicalResult writeInput(const Runs &runs, size_t index,
                                const proof::HostTensor &tensor, Location loc) {
  FailureOr<twist_type> type = runtimeType(tensor, loc);
  if (failed(type))
    return failure();
  twist_array array = {};
  array.type = *type;
  array.rank = static_cast<int32_t>(tensor.shape.size());
  llvm::copy(tensor.shape, array.dims);
  array.bytes = tensor.bytes.size();
  array.data = const_cast<char *>(tensor.bytes.data());
  twist_error error;
  std::string path = runs.folder.file("in" + Twine(index) + ".npy");
  if (twist_npy_write(path.c_str(), &array, &error))
    return emitError(loc) << error.message;
  return success();
}

static FailureOr<proof::HostTensor> readOutput(const Runs &runs, size_t index,
                                               Location loc) {
  twist_array array;
  twist_error error;
  std::string path = runs.folder.file("out" + Twine(index) + ".npy");
  if (twist_npy_read(path.c_str(), &array, &error))
    return emitError(loc) << error.message;
  proof::HostTensor tensor{
      runs.names[index], runs.elementTypes[index],
      SmallVector<int64_t>(ArrayRef(array.dims, array.rank)),
      std::vector<char>(static_cast<char *>(array.data),
                        static_cast<char *>(array.data) + array.bytes)};
  twist_array_free(&array);
  return tensor;
}

static FailureOr<std::vector<proof::HostTensor>>
runModel(const Runs &runs, ArrayRef<proof::HostTensor> inputs, Location loc) {
  for (auto [index, input] : llvm::enumerate(inputs))
    if (failed(writeInput(runs, index, input, loc)))
      return failure();
  SmallVector<std::string> arguments{runs.folder.file("model.onnx"),
                                     runs.folder.file("")};
  if (runs.nudged)
    arguments.push_back("--nudge");
  llvm::Expected<std::string> ran = runs.python.run(arguments);
  if (!ran)
    return emitError(loc) << "onnxruntime cannot run the model: "
                          << toString(ran.takeError());
  std::vector<proof::HostTensor> outputs;
  for (size_t index = 0; index < runs.names.size(); ++index) {
    FailureOr<proof::HostTensor> output = readOutput(runs, index, loc);
    if (failed(output))
      return failure();
    outputs.push_back(std::move(*output));
  }
  return outputs;
}

static FailureOr<proof::Program> prepare(const Python &python, ModuleOp module,
                                         proof::Numbers numbers) {
  assert(numbers != proof::Numbers::Double && "it has none");
  auto runs = std::make_shared<Runs>();
  runs->python = python;
  runs->nudged = numbers == proof::Numbers::Nudged;
  Location loc = module.getLoc();
  if (failed(runs->folder.create(loc)) ||
      failed(exportONNX(module, runs->folder.file("model.onnx"))))
    return failure();
  auto function = module.lookupSymbol<func::FuncOp>("main");
  for (auto [index, type] : llvm::enumerate(function.getResultTypes())) {
    auto name = function.getResultAttrOfType<StringAttr>(index, "onnx.name");
    runs->names.push_back(name ? name.str() : std::string());
    runs->elementTypes.push_back(getElementTypeOrSelf(type));
  }
  return proof::Program([runs, loc](ArrayRef<proof::HostTensor> inputs) {
    return runModel(*runs, inputs, loc);
  });
}

FailureOr<proof::Engine> twist::onnxruntimeEngine(Location loc, StringRef why,
                                                  StringRef node) {
  llvm::Expected<std::string> interpreter = findInterpreter();
  auto fail = [&](llvm::Error error) {
    return emitError(loc)
           << why << ", so a proof needs a Python with onnxruntime and onnx "
           << "(pip install onnxruntime onnx): " << toString(std::move(error));
  };
  if (!interpreter)
    return fail(interpreter.takeError());
  FailureOr<std::string> script = findInstalled("share/twist/run_onnx.py", loc);
  if (failed(script))
    return failure();
  Python python{*interpreter, *script};
  llvm::Expected<std::string> version = python.run({"--version"});
  if (!version)
    return fail(version.takeError());
  std::string name = "onnxruntime " + *version + ", nothing in f64: ";
  name += node.empty() ? why.str() : ("node '" + node + "': " + why).str();
  return proof::Engine{name, /*hasDouble=*/false,
                       [python](ModuleOp module, proof::Numbers numbers) {
                         return prepare(python, module, numbers);
                       }};
}

//===- twist-translate.cpp - ONNX to MLIR and back
//--------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/InitAll.h"
#include "twist/Target/ONNX/ONNXFile.h"
#include "twist/Target/Object/Object.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"

#include <csignal>

using namespace mlir;
using namespace twist;
namespace cl = llvm::cl;

static FailureOr<OwningOpRef<ModuleOp>> readModule(StringRef path,
                                                   MLIRContext *context) {
  if (path.ends_with(".onnx"))
    return importONNX(path, context);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(path, context);
  if (!module)
    return failure();
  return module;
}

static LogicalResult writeModule(ModuleOp module, StringRef path,
                                 const ExportONNXOptions &options) {
  if (path.ends_with(".onnx"))
    return exportONNX(module, path, options);
  if (path == "-") {
    module.print(llvm::outs());
    llvm::outs() << "\n";
    return success();
  }
  std::string text;
  llvm::raw_string_ostream os(text);
  module.print(os);
  os << "\n";
  FailureOr<object::OutputFile> file =
      object::OutputFile::create(path, module.getLoc());
  return success(succeeded(file) && succeeded(file->write(text)) &&
                 succeeded(file->keep()));
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  // A limit on file sizes is an error like a full disk, not the end.
  std::signal(SIGXFSZ, SIG_IGN);
  cl::opt<std::string> input(cl::Positional, cl::Required,
                             cl::desc("MODEL.onnx|MODEL.mlir"));
  cl::opt<std::string> output("o", cl::desc("what to write, by extension"),
                              cl::value_desc("file.onnx|file.mlir"),
                              cl::init("-"));
  cl::opt<ExternalData> external(
      "external-data", cl::desc("where the weights of an ONNX file go"),
      cl::init(ExternalData::Auto),
      cl::values(clEnumValN(ExternalData::Auto, "auto",
                            "in the file, beside it beyond 2 GB (default)"),
                 clEnumValN(ExternalData::Always, "always", "beside it"),
                 clEnumValN(ExternalData::Never, "never", "in the file")));
  cl::opt<uint64_t> limit("inline-limit", cl::Hidden,
                          cl::desc("bytes of the largest ONNX file"),
                          cl::init(ExportONNXOptions().inlineLimit));
  cl::ParseCommandLineOptions(argc, argv, "Translates ONNX to MLIR and back\n");

  DialectRegistry registry;
  registerAllDialects(registry);
  MLIRContext context(registry);
  FailureOr<OwningOpRef<ModuleOp>> module = readModule(input, &context);
  if (failed(module) || failed(verify(**module)))
    return 1;
  ExportONNXOptions options;
  options.external = external;
  options.inlineLimit = limit;
  return failed(writeModule(**module, output, options));
}

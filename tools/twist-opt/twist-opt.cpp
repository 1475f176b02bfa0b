//===- twist-opt.cpp - Runs passes on IR ------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/InitAll.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;

namespace twist::test {
void registerTestGradientRules();
} // namespace twist::test

/// Runs the driver on an ONNX model, which it gets as bytecode: with the nodes'
/// names as locations.
static LogicalResult runOnONNX(StringRef input, StringRef output,
                               DialectRegistry &registry) {
  llvm::SmallVector<char, 0> bytes;
  {
    MLIRContext context(registry);
    FailureOr<OwningOpRef<ModuleOp>> module = twist::importONNX(input, &context);
    if (failed(module))
      return failure();
    llvm::raw_svector_ostream os(bytes);
    if (failed(writeBytecodeToFile(**module, os)))
      return failure();
  }
  std::string error;
  std::unique_ptr<llvm::ToolOutputFile> file = openOutputFile(output, &error);
  if (!file) {
    llvm::errs() << error << "\n";
    return failure();
  }
  auto buffer = std::make_unique<llvm::SmallVectorMemoryBuffer>(
      std::move(bytes), input, /*RequiresNullTerminator=*/false);
  if (failed(MlirOptMain(file->os(), std::move(buffer), registry,
                         MlirOptMainConfig::createFromCLOptions())))
    return failure();
  file->keep();
  return success();
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  DialectRegistry registry;
  twist::registerAllDialects(registry);
  twist::registerAllPasses();
  twist::test::registerTestGradientRules();
  auto [input, output] = registerAndParseCLIOptions(
      argc, argv, "TwIST optimiser driver\n", registry);
  if (StringRef(input).ends_with(".onnx"))
    return asMainReturnCode(runOnONNX(input, output, registry));
  return asMainReturnCode(MlirOptMain(argc, argv, input, output, registry));
}

//===- HostileFilesTest.cpp - Damaged models ------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Weights/Reader.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

#include <random>

using namespace mlir;
using namespace twist;

namespace {

/// A model with weights, a branch, attributes of several kinds, a function.
constexpr const char *kModel = R"(
module attributes {onnx.model = {
    ir_version = 9 : si64, functions = [{name = "f", domain = "d",
      node = [{op_type = "Neg", input = ["a"], output = ["b"]}]}],
    graph = {name = "g"}}} {
  func.func @main(%x: tensor<?x4xf32> {onnx.name = "x", onnx.dims = ["n", ""]},
                  %c: tensor<i1> {onnx.name = "c", onnx.dims = []})
      -> (tensor<?x4xf32> {onnx.name = "y", onnx.dims = ["n", ""]}) {
    %w = onnx.Constant {onnx.meta = {name = "w"}, value = dense<1.5> : tensor<20x20xf32>} : tensor<20x20xf32>
    %i = onnx.Constant {onnx.meta = {name = "i"}, value = dense<[1, 2]> : tensor<2xi64>} : tensor<2xi64>
    %y = "onnx.node"(%c) ({
      %a = "onnx.node"(%x, %w) {op_type = "MatMul"} : (tensor<?x4xf32>, tensor<20x20xf32>) -> tensor<?x4xf32>
      onnx.yield %a : tensor<?x4xf32>
    }, {
      onnx.yield %x : tensor<?x4xf32>
    }) {op_type = "If", region_names = ["then_branch", "else_branch"],
        node_attributes = {f = 1.0 : f32, s = "text", t = dense<[1, 2]> : tensor<2xi8>}}
      : (tensor<i1>) -> tensor<?x4xf32>
    return %y : tensor<?x4xf32>
  }
})";

class HostileFiles : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("hostile", directory));
    context.loadDialect<func::FuncDialect, onnx::ONNXDialect,
                        weights::WeightsDialect>();
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(kModel, &context);
    ASSERT_TRUE(module);
    path = (directory + "/model.onnx").str();
    ASSERT_TRUE(succeeded(exportONNX(*module, path)));
    bytes = (*llvm::MemoryBuffer::getFile(path))->getBuffer().str();
  }
  void TearDown() override { llvm::sys::fs::remove_directories(directory); }

  /// Imports a file of these bytes; what it complains of goes to `message`.
  bool import(StringRef content) {
    {
      std::error_code error;
      llvm::raw_fd_ostream os(path, error);
      os << content;
    }
    MLIRContext fresh;
    message.clear();
    ScopedDiagnosticHandler handler(
        &fresh, [&](Diagnostic &diagnostic) { message = diagnostic.str(); });
    FailureOr<OwningOpRef<ModuleOp>> module = importONNX(path, &fresh);
    if (failed(module))
      return false;
    // What is accepted is a valid module.
    EXPECT_TRUE(succeeded(verify(**module)));
    return true;
  }

  MLIRContext context;
  SmallString<128> directory;
  std::string path, bytes, message;
};

} // namespace

TEST_F(HostileFiles, WholeModelIsRead) { EXPECT_TRUE(import(bytes)); }

TEST_F(HostileFiles, EveryTruncationIsAnError) {
  // The writer puts the fields with tensors last, so that nothing is whole
  // before the end but the model without its graph or functions.
  for (size_t size = 0; size < bytes.size(); ++size) {
    bool read = import(StringRef(bytes).take_front(size));
    if (!read) {
      EXPECT_FALSE(message.empty()) << "cut at " << size;
      continue;
    }
    // A cut between two fields of the model leaves a smaller model.
    EXPECT_GT(size, bytes.find("then_branch")) << "cut at " << size;
  }
}

TEST_F(HostileFiles, DamagedBytesDoNotCrash) {
  std::mt19937 random(11);
  unsigned readAgain = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string damaged = bytes;
    for (unsigned n = 0, count = 1 + random() % 3; n < count; ++n) {
      // Most of the file is the data of one tensor: aim at the rest.
      size_t at = random() % damaged.size();
      if (random() % 2)
        at = random() % 400;
      damaged[at % damaged.size()] = static_cast<char>(random());
    }
    readAgain += import(damaged);
  }
  EXPECT_GT(readAgain, 0u);
  EXPECT_LT(readAgain, 1000u);
}

//===- InputsTest.cpp - Random inputs fit what a model does with them -----===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Weights/Weights.h"
#include "twist/Proof/Proof.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace twist;
using namespace twist::proof;

namespace {
struct InputsTest : testing::Test {
  MLIRContext context;
  InputsTest() {
    context.loadDialect<func::FuncDialect, onnx::ONNXDialect,
                        weights::WeightsDialect>();
  }
};
} // namespace

static constexpr llvm::StringLiteral model = R"(
  weights.source @m from "m"
  func.func @main(%ids: tensor<?x?xi64> {onnx.name = "ids", onnx.dims = ["batch", "seq"]},
                  %mask: tensor<?x?xi64> {onnx.name = "mask", onnx.dims = ["batch", "past + seq"]},
                  %past: tensor<?x4x?x8xf32> {onnx.name = "past", onnx.dims = ["batch", "", "past", ""]})
      -> tensor<?x?x8xf32> {
    %w = weights.load <@m at 0 as tensor<11x8xf32>> : tensor<11x8xf32>
    %i = onnx.Cast %ids {to = 6 : si64} : (tensor<?x?xi64>) -> tensor<?x?xi32>
    %e = onnx.Gather %w, %i : (tensor<11x8xf32>, tensor<?x?xi32>) -> tensor<?x?x8xf32>
    return %e : tensor<?x?x8xf32>
  })";

TEST_F(InputsTest, IdsAreRowsAndMasksHaveZeros) {
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(model, &context);
  ASSERT_TRUE(module);
  InputOptions options;
  options.dims["past"] = 3;
  auto inputs = randomInputs(*module, options);
  ASSERT_TRUE(succeeded(inputs));
  Location loc = module->getLoc();
  EXPECT_EQ((*inputs)[0].shape, (SmallVector<int64_t>{2, 7}));
  EXPECT_EQ((*inputs)[1].shape, (SmallVector<int64_t>{2, 10}));
  EXPECT_EQ((*inputs)[2].shape, (SmallVector<int64_t>{2, 4, 3, 8}));
  std::vector<double> ids = *toDoubles((*inputs)[0], loc);
  for (double id : ids)
    EXPECT_TRUE(id >= 0 && id < 11);
  EXPECT_GT(*std::max_element(ids.begin(), ids.end()), 5);
  std::vector<double> mask = *toDoubles((*inputs)[1], loc);
  EXPECT_EQ(std::count(mask.begin(), mask.begin() + 10, 1.0), 10);
  EXPECT_EQ(mask[10], 1);
  EXPECT_EQ(mask[19], 0);

  // One seed, one result; another, another.
  auto again = randomInputs(*module, options);
  EXPECT_EQ((*inputs)[2].bytes, (*again)[2].bytes);
  options.seed = 1;
  EXPECT_NE((*inputs)[2].bytes, (*randomInputs(*module, options))[2].bytes);
}

//===- VerifyTest.cpp - Proofs fail where they must -----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Block.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Pipeline/Compile.h"
#include "twist/Pipeline/InitAll.h"
#include "twist/Pipeline/Model.h"
#include "twist/Pipeline/Verify.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace twist;

// Unit 1 of three removed.
static const std::string cut =
    "twist.subnetwork @s {ffn_0 = array<i64: 0, 2>}" + block.str();

namespace {
struct VerifyTest : testing::Test {
  DialectRegistry registry;
  std::unique_ptr<MLIRContext> context;
  OwningOpRef<ModuleOp> gated, sliced;
  axes::SliceReport report;
  proof::Engine engine = nativeEngine();

  VerifyTest() {
    registerAllDialects(registry);
    static bool registered = (registerAllPasses(), true);
    (void)registered;
    context = std::make_unique<MLIRContext>(registry);
  }

  void load(StringRef text) {
    gated = parseSourceString<ModuleOp>(text, context.get());
    ASSERT_TRUE(gated);
    PassManager pm(context.get());
    ASSERT_TRUE(succeeded(parsePassPipeline("twist-discover-axes", pm)));
    ASSERT_TRUE(succeeded(pm.run(*gated)));
    sliced = gated->clone();
    ASSERT_TRUE(succeeded(sliceModel(*sliced, {}, report)));
  }

  /// The statements that do not hold.
  std::vector<std::string> failures() {
    auto verdicts = proveSlice(*gated, *sliced, {}, report, {}, engine);
    std::vector<std::string> names;
    if (failed(verdicts))
      return {"not run"};
    for (const proof::Verdict &verdict : *verdicts)
      if (!verdict.holds)
        names.push_back(verdict.proof);
    return names;
  }

  onnx::ConstantOp constant(ModuleOp module, StringRef name) {
    onnx::ConstantOp found;
    module.walk([&](onnx::ConstantOp op) {
      auto meta = op->getAttrOfType<DictionaryAttr>(onnx::kMetaAttr);
      if (meta && meta.getAs<StringAttr>("name") &&
          meta.getAs<StringAttr>("name").getValue() == name)
        found = op;
    });
    return found;
  }
};
} // namespace

TEST_F(VerifyTest, Holds) {
  load(cut);
  EXPECT_EQ(failures(), std::vector<std::string>());
}

TEST_F(VerifyTest, WrongIndexOfABias) {
  load(cut);
  auto bias = constant(*sliced, "b");
  ASSERT_TRUE(bias);
  bias.setValueAttr(DenseElementsAttr::get(
      cast<RankedTensorType>(bias.getType()), ArrayRef<float>{0.5f, 1.0f}));
  EXPECT_EQ(failures(), (std::vector<std::string>{"equal f64", "equal f32"}));
}

TEST_F(VerifyTest, OnnxRuntime) {
  if (!std::getenv("TWIST_PYTHON"))
    GTEST_SKIP() << "TWIST_PYTHON names no Python with onnxruntime";
  load(cut);
  auto foreign = onnxruntimeEngine(gated->getLoc(), "a test", "n");
  ASSERT_TRUE(succeeded(foreign));
  EXPECT_FALSE(foreign->hasDouble);
  EXPECT_NE(foreign->name.find(", nothing in f64: node 'n': a test"),
            std::string::npos);
  engine = *foreign;
  EXPECT_EQ(failures(), std::vector<std::string>());
  auto bias = constant(*sliced, "b");
  bias.setValueAttr(DenseElementsAttr::get(
      cast<RankedTensorType>(bias.getType()), ArrayRef<float>{0.5f, 1.0f}));
  EXPECT_EQ(failures(), std::vector<std::string>{"equal f32"});
  gated->walk([&](axes::GateOp gate) {
    if (gate.getInput() == constant(*gated, "d").getOutput())
      gate.getOutput().replaceAllUsesWith(gate.getInput());
  });
  EXPECT_EQ(failures(), (std::vector<std::string>{"poison", "equal f32"}));
}

TEST_F(VerifyTest, WeightWithoutGate) {
  load(cut);
  // 0 times NaN: without the gate on the weight's rows poison shows.
  gated->walk([&](axes::GateOp gate) {
    if (gate.getInput() == constant(*gated, "d").getOutput())
      gate.getOutput().replaceAllUsesWith(gate.getInput());
  });
  EXPECT_EQ(failures(), std::vector<std::string>{"poison"});
}

TEST_F(VerifyTest, MaskThatDoesNothing) {
  std::string text = cut;
  text.replace(text.find("[2.0, 3.0]"), 10, "[0.0, 0.0]");
  load(text);
  EXPECT_EQ(failures(), std::vector<std::string>{"acts"});
}

TEST_F(VerifyTest, ProgramsSayWhatTheyTake) {
  load(cut);
  std::string message;
  ScopedDiagnosticHandler handler(context.get(), [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  auto program = compileInProcess(*sliced, {});
  ASSERT_TRUE(succeeded(program)) << message;
  Location loc = sliced->getLoc();
  EXPECT_TRUE(failed(program->run({}, loc)));
  EXPECT_EQ(message, "the program takes 1 inputs, given are 0");
  HostTensor flat{TWIST_F64, {4}, std::vector<char>(32)};
  EXPECT_TRUE(failed(program->run({flat}, loc)));
  EXPECT_EQ(message,
            "input 'x' takes f32 and 2 dimensions, given is f64 and 1");

  auto integers = parseSourceString<ModuleOp>(R"(
    func.func @main() -> tensor<2xi64> {
      %0 = onnx.Constant {value = dense<1> : tensor<2xi64>} : tensor<2xi64>
      return %0 : tensor<2xi64>
    })",
                                              context.get());
  EXPECT_TRUE(failed(evaluateNatively(*integers)));
  EXPECT_EQ(message, "a constant to evaluate is not computed in f64");
  auto narrow = parseSourceString<ModuleOp>(R"(
    func.func @main(%x: tensor<2xi4> {onnx.name = "x"}) -> tensor<2xi4> {
      return %x : tensor<2xi4>
    })",
                                            context.get());
  EXPECT_TRUE(failed(proof::randomInputs(*narrow, {})));
  EXPECT_EQ(message,
            "input 'x' has no random values of its type 'tensor<2xi4>'");
}

TEST_F(VerifyTest, UnknownDimension) {
  load(cut);
  proof::InputOptions inputs;
  inputs.dims["batch"] = 3;
  std::string message;
  ScopedDiagnosticHandler handler(context.get(), [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  EXPECT_TRUE(failed(proof::randomInputs(*gated, inputs)));
  EXPECT_EQ(message, "no input has a dimension 'batch'");
}

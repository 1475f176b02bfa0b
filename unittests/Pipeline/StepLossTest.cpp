//===- StepLossTest.cpp - Losses of a compiled step, and its plan ---------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepTest.h"

using namespace twist;
using namespace twist::test;

TEST_F(StepTest, CrossEntropyIsAMeanOfCountedRows) {
  StepCompilerOptions options;
  options.f64 = true;
  open(options);
  StepRequest wanted = request(EntryGradients, LossKind::CrossEntropy);
  wanted.loss.ignoreIndex = 7;
  wanted.loss.labelSmoothing = 0.2;
  auto step = compile(wanted);
  ASSERT_TRUE(step);
  StepMemory memory(compiler->layout(), *step);
  llvm::cantFail(
      memory.readParameters(*compiler, wholeMasks(compiler->layout())));
  const StepBuffers &at = memory.buffers;
  for (int i = 0; i < batch * 2; ++i)
    f64(at.inputs[0])[i] = 0.3 * i - 1;
  auto *labels = static_cast<int64_t *>(const_cast<void *>(at.inputs[1]));
  const int64_t some[batch] = {1, 7, 0, 1};
  auto byFormula = [&](const ByHand &hand) {
    std::vector<double> y = hand.outputs();
    double sum = 0;
    for (int row = 0; row < batch; ++row) {
      if (some[row] == 7)
        continue;
      double a = y[row * 2], b = y[row * 2 + 1];
      double normaliser = std::log(std::exp(a) + std::exp(b));
      sum += normaliser - 0.8 * y[row * 2 + some[row]] - 0.1 * (a + b);
    }
    return sum / 3;
  };
  std::copy(some, some + batch, labels);
  auto session = llvm::cantFail(step->createSession(1));
  ByHand hand = byHand(memory, find("u"), find("b"), find("d"), 3);
  EXPECT_NEAR(llvm::cantFail(session->gradients(at, {}, false)).loss,
              byFormula(hand), 1e-14);
  for (int i = 0; i < 6; ++i) {
    ByHand up = hand, down = hand;
    up.u[i] += 1e-5;
    down.u[i] -= 1e-5;
    EXPECT_NEAR(f64(at.gradients[find("u")])[i],
                (byFormula(up) - byFormula(down)) / 2e-5, 1e-9);
  }
  // Nothing counts: no loss and no gradient, and no quotient by 0.
  std::fill(labels, labels + batch, 7);
  EXPECT_EQ(llvm::cantFail(session->gradients(at, {}, false)).loss, 0);
  EXPECT_EQ(values(at.gradients[find("u")], 6), std::vector<double>(6, 0.));
  // A label that is no class shows.
  labels[2] = 2;
  EXPECT_TRUE(
      std::isnan(llvm::cantFail(session->gradients(at, {}, false)).loss));
}

TEST_F(StepTest, ComputesAgainTheSameBytes) {
  std::vector<std::vector<double>> found;
  std::vector<CompiledStep::Kept> kept;
  for (Recompute recompute : {Recompute::Nothing, Recompute::Elementwise}) {
    StepCompilerOptions options;
    options.f64 = true;
    options.recompute = recompute;
    open(options);
    auto step = compile(request(EntryStep));
    ASSERT_TRUE(step);
    kept.push_back(step->kept());
    StepMemory memory(compiler->layout(), *step);
    llvm::cantFail(
        memory.readParameters(*compiler, wholeMasks(compiler->layout())));
    fillData(memory);
    auto session = llvm::cantFail(step->createSession(1));
    llvm::cantFail(session->step(memory.buffers, {}));
    found.push_back(values(memory.buffers.parameters[find("u")], 6));
  }
  EXPECT_EQ(found[0], found[1]);
  EXPECT_GT(kept[0].bytes, kept[1].bytes);
  EXPECT_EQ(kept[0].opsAgain, 0u);
  EXPECT_GT(kept[1].opsAgain, 0u);
}

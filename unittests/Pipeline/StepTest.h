//===- StepTest.h - Steps of a small model ----------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_UNITTESTS_PIPELINE_STEPTEST_H
#define TWIST_UNITTESTS_PIPELINE_STEPTEST_H

#include "Block.h"

#include "twist/Pipeline/InitAll.h"
#include "twist/Pipeline/Step.h"
#include "twist/Target/ONNX/ONNXFile.h"
#include "twist/Train/StepMemory.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "gtest/gtest.h"

#include <cmath>

namespace twist::test {
using namespace twist::train;

inline constexpr int64_t batch = 4;

/// The block by hand: gain[unit] scales what a hidden unit passes on.
struct ByHand {
  std::vector<double> u, b, d, x;
  double gain = 1;
  int64_t units() const { return int64_t(b.size()); }

  std::vector<double> outputs() const {
    std::vector<double> y(batch * 2);
    for (int64_t row = 0; row < batch; ++row)
      for (int64_t unit = 0; unit < units(); ++unit) {
        double h =
            b[unit] + x[row * 2] * u[unit] + x[row * 2 + 1] * u[units() + unit];
        double a = gain / (1 + std::exp(-h));
        y[row * 2] += a * d[unit * 2];
        y[row * 2 + 1] += a * d[unit * 2 + 1];
      }
    return y;
  }
};

struct StepTest : testing::Test {
  llvm::SmallString<128> folder;
  std::unique_ptr<StepCompiler> compiler;

  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("step", folder));
  }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  std::string path(llvm::StringRef name) {
    llvm::SmallString<128> path(folder);
    llvm::sys::path::append(path, name);
    return path.str().str();
  }
  std::string writeBlock(llvm::StringRef text = block) {
    mlir::DialectRegistry registry;
    registerAllDialects(registry);
    mlir::MLIRContext context(registry);
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module && succeeded(exportONNX(*module, path("block.onnx"))));
    return path("block.onnx");
  }
  void open(const StepCompilerOptions &options, std::string model = "") {
    auto made = makeStepCompiler(model.empty() ? writeBlock() : model, options);
    ASSERT_TRUE(bool(made)) << toString(made.takeError());
    compiler = std::move(*made);
  }
  std::shared_ptr<const CompiledStep> compile(const StepRequest &request) {
    auto step = compiler->compile(request);
    if (!step) {
      ADD_FAILURE() << toString(step.takeError());
      return nullptr;
    }
    return *step;
  }
  std::string errorOf(const StepRequest &request) {
    auto step = compiler->compile(request);
    return step ? "" : toString(step.takeError());
  }
  int find(llvm::StringRef name) {
    for (auto [i, parameter] : llvm::enumerate(compiler->layout().parameters))
      if (parameter.name == name)
        return int(i);
    return -1;
  }
};

inline double *f64(const void *data) {
  return static_cast<double *>(const_cast<void *>(data));
}
inline std::vector<double> values(const void *data, size_t count) {
  return std::vector<double>(f64(data), f64(data) + count);
}

inline StepRequest request(unsigned entries,
                           LossKind loss = LossKind::MeanSquare) {
  StepRequest request;
  request.batch = batch;
  request.loss.kind = loss;
  request.entries = entries;
  return request;
}

inline void expectNear(const std::vector<double> &found,
                       const std::vector<double> &expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], tolerance) << i;
}

inline void fillData(StepMemory &memory) {
  for (int i = 0; i < batch * 2; ++i) {
    f64(memory.buffers.inputs[0])[i] = 0.3 * i - 1;
    if (memory.buffers.inputs.size() > 1)
      f64(memory.buffers.inputs[1])[i] = 1 - 0.4 * i;
  }
}

inline ByHand byHand(const StepMemory &memory, int u, int b, int d,
                     int64_t units) {
  const StepBuffers &at = memory.buffers;
  return {values(at.parameters[u], 2 * units), values(at.parameters[b], units),
          values(at.parameters[d], 2 * units), values(at.inputs[0], 2 * batch)};
}

inline void expectError(const std::string &found, llvm::StringRef part) {
  EXPECT_NE(found.find(part), std::string::npos) << found;
}

inline double meanSquare(const std::vector<double> &y, const double *target) {
  double sum = 0;
  for (size_t i = 0; i < y.size(); ++i)
    sum += (y[i] - target[i]) * (y[i] - target[i]);
  return sum / double(y.size());
}
} // namespace twist::test

#endif // TWIST_UNITTESTS_PIPELINE_STEPTEST_H

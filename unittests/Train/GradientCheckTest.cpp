//===- GradientCheckTest.cpp - Right, wrong, at a kink --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/GradientCheck.h"

#include "gtest/gtest.h"

#include <cmath>

using namespace twist::train;

namespace {
/// y[i] = exp(w[i]) + |w[3] + 1e-7| where i = 3, times x; with a factor on the
/// gradient of w.
struct Model : StepCompiler, CompiledStep {
  double factor = 1;
  ModelLayout about;
  StepRequest asked;
  std::vector<Tensor> in, out;
  std::vector<double> w = {0.5, -1, 2, 0};

  Model() {
    Parameter parameter;
    parameter.name = "w";
    parameter.type = TWIST_F64;
    parameter.dims = {4};
    parameter.places.resize(1);
    about.parameters = {parameter};
    Tensor x;
    x.name = "x";
    x.type = TWIST_F64;
    x.dims = {1};
    in = {x};
    x.name = "y";
    x.dims = {4};
    out = {x};
  }

  static double kink(double w) { return std::abs(w + 1e-7); }
  double y(const double *w, double x, int i) const {
    return (i == 3 ? kink(w[3]) : std::exp(w[i])) * x;
  }

  const ModelLayout &layout() const override { return about; }
  llvm::Error readParameter(unsigned, void *values) const override {
    std::copy(w.begin(), w.end(), static_cast<double *>(values));
    return llvm::Error::success();
  }
  llvm::Expected<std::shared_ptr<const CompiledStep>>
  compile(const StepRequest &request) override {
    asked = request;
    return std::shared_ptr<const CompiledStep>(
        std::shared_ptr<const CompiledStep>(), this);
  }
  llvm::Error writeModel(llvm::StringRef,
                         llvm::ArrayRef<const void *>) override {
    return llvm::Error::success();
  }

  const StepRequest &request() const override { return asked; }
  llvm::ArrayRef<int64_t> parameterDims(unsigned) const override {
    return about.parameters[0].dims;
  }
  llvm::ArrayRef<StateTensor> state() const override { return {}; }
  llvm::ArrayRef<Tensor> inputs() const override { return in; }
  llvm::ArrayRef<Tensor> outputs() const override { return out; }
  llvm::StringRef hash() const override { return ""; }
  uint64_t workingBytes() const override { return 0; }
  llvm::Expected<std::unique_ptr<StepSession>>
  createSession(int threads) const override;
};

struct Session : StepSession {
  const Model &model;
  explicit Session(const Model &model) : model(model) {}

  llvm::Error forward(const StepBuffers &b, const StepScalars &) override {
    auto *w = static_cast<double *>(b.parameters[0]);
    double x = *static_cast<const double *>(b.inputs[0]);
    for (int i = 0; i < 4; ++i)
      static_cast<double *>(b.outputs[0])[i] = model.y(w, x, i);
    return llvm::Error::success();
  }
  llvm::Error backward(const StepBuffers &b, const StepScalars &,
                       bool) override {
    auto *w = static_cast<double *>(b.parameters[0]);
    auto *g = static_cast<const double *>(b.cotangents[0]);
    double x = *static_cast<const double *>(b.inputs[0]);
    double &ofX = *static_cast<double *>(b.inputGradients[0]);
    ofX = 0;
    for (int i = 0; i < 4; ++i) {
      double slope = i == 3 ? 1 : std::exp(w[i]);
      static_cast<double *>(b.gradients[0])[i] =
          model.factor * slope * x * g[i];
      ofX += model.y(w, 1, i) * g[i];
    }
    return llvm::Error::success();
  }
  llvm::Expected<StepResult> none() {
    return llvm::createStringError("not compiled");
  }
  llvm::Expected<StepResult> step(const StepBuffers &,
                                  const StepScalars &) override {
    return none();
  }
  llvm::Expected<StepResult> evaluate(const StepBuffers &,
                                      const StepScalars &) override {
    return none();
  }
  llvm::Expected<StepResult> gradients(const StepBuffers &, const StepScalars &,
                                       bool) override {
    return none();
  }
  llvm::Expected<StepResult> update(const StepBuffers &,
                                    const StepScalars &) override {
    return none();
  }
  llvm::Error startProfile() override { return llvm::Error::success(); }
  std::vector<ProfileRow> profile() const override { return {}; }
};

llvm::Expected<std::unique_ptr<StepSession>> Model::createSession(int) const {
  return std::make_unique<Session>(*this);
}

std::vector<GradientCheckRow> check(Model &model) {
  auto rows = checkGradients(model, GradientCheckOptions());
  EXPECT_TRUE(bool(rows));
  return rows ? *rows : std::vector<GradientCheckRow>();
}
} // namespace

TEST(GradientCheck, TellsKinksFromSlopes) {
  Model model;
  auto rows = check(model);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].name, "w");
  ASSERT_EQ(rows[0].samples.size(), 4u);
  EXPECT_EQ(rows[0].kinks(), 1u);
  EXPECT_TRUE(rows[0].samples[3].kink);
  EXPECT_LT(rows[0].worst()->error, 1e-5);
  EXPECT_TRUE(rows[1].isInput);
  EXPECT_LT(rows[1].worst()->error, 1e-5);
}

TEST(GradientCheck, SeesWrongGradients) {
  for (double factor : {-1.0, 1.001, 0.0}) {
    Model model;
    model.factor = factor;
    auto rows = check(model);
    ASSERT_EQ(rows.size(), 2u);
    for (int i = 0; i < 3; ++i) {
      EXPECT_FALSE(rows[0].samples[i].kink) << factor;
      EXPECT_GT(rows[0].samples[i].error, 1e-4) << factor;
    }
  }
}

TEST(GradientCheck, SeesNaN) {
  Model model;
  model.factor = std::nan("");
  auto rows = check(model);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_FALSE(rows[0].worst()->error <= 1e-5);
}

TEST(GradientCheck, RefusesF32) {
  Model model;
  model.about.parameters[0].type = TWIST_F32;
  auto rows = checkGradients(model, GradientCheckOptions());
  ASSERT_FALSE(bool(rows));
  EXPECT_EQ(llvm::toString(rows.takeError()), "parameter 'w' is not f64");
}

//===- StepTest.cpp - What a compiled step computes -----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepTest.h"

#include "twist/Support/Philox.h"

#include <csignal>
#include <sys/resource.h>

using namespace twist;
using namespace twist::test;

TEST_F(StepTest, EntriesComputeWhatFormulasSay) {
  StepCompilerOptions options;
  options.f64 = true;
  open(options);
  int u = find("u"), b = find("b"), d = find("d");
  ASSERT_TRUE(u >= 0 && b >= 0 && d >= 0);
  ASSERT_EQ(compiler->layout().axes.size(), 1u);
  StepRequest wanted = request(EntryForward | EntryEvaluate | EntryGradients |
                               EntryBackward | EntryUpdate | EntryStep);
  wanted.optimiser = OptimiserKind::SGD;
  // Two of three units: slices {0, 2}.
  wanted.units = {2};
  auto step = compile(wanted);
  ASSERT_TRUE(step);
  EXPECT_EQ(compile(wanted), step);
  EXPECT_EQ(step->hash().size(), 64u);
  StepMemory memory(compiler->layout(), *step);
  llvm::cantFail(memory.readParameters(*compiler, {{0, 2}}));
  fillData(memory);
  const StepBuffers &at = memory.buffers;
  EXPECT_EQ(values(at.parameters[u], 4),
            (std::vector<double>{1.5, 0.25, 0.75, -2}));
  auto session = llvm::cantFail(step->createSession(2));

  StepScalars scalars;
  scalars.weightDecay = 0.1;
  llvm::cantFail(session->forward(at, scalars));
  ByHand hand = byHand(memory, u, b, d, 2);
  expectNear(values(at.outputs[0], batch * 2), hand.outputs(), 1e-15);

  const double *target = f64(at.inputs[1]);
  double loss = meanSquare(hand.outputs(), target);
  EXPECT_NEAR(llvm::cantFail(session->evaluate(at, scalars)).loss, loss, 1e-14);

  // Gradients against central differences; added once more they double.
  auto result = llvm::cantFail(session->gradients(at, scalars, false));
  EXPECT_NEAR(result.loss, loss, 1e-14);
  std::vector<double> gradient = values(at.gradients[u], 4);
  for (int i = 0; i < 4; ++i) {
    ByHand up = hand, down = hand;
    up.u[i] += 1e-5;
    down.u[i] -= 1e-5;
    double expected = (meanSquare(up.outputs(), target) -
                       meanSquare(down.outputs(), target)) /
                      2e-5;
    EXPECT_NEAR(gradient[i], expected, 1e-9);
  }
  llvm::cantFail(session->gradients(at, scalars, true));
  for (int i = 0; i < 4; ++i)
    EXPECT_NEAR(f64(at.gradients[u])[i], 2 * gradient[i], 1e-14);

  // Cotangents of outputs: gradients of inputs too.
  for (int i = 0; i < batch * 2; ++i)
    f64(at.cotangents[0])[i] = 0.5 + i;
  llvm::cantFail(session->backward(at, scalars, false));
  for (int i : {0, 5}) {
    ByHand up = hand, down = hand;
    up.x[i] += 1e-5;
    down.x[i] -= 1e-5;
    std::vector<double> y1 = up.outputs(), y0 = down.outputs();
    double expected = 0;
    for (int j = 0; j < batch * 2; ++j)
      expected += (0.5 + j) * (y1[j] - y0[j]) / 2e-5;
    EXPECT_NEAR(f64(at.inputGradients[0])[i], expected, 1e-7);
  }

  // One step is gradients and an update: momentum, decay of matrices.
  llvm::cantFail(session->gradients(at, scalars, false));
  double squares = 0;
  for (auto [i, size] : {std::pair{u, 4}, {b, 2}, {d, 4}})
    for (double g : values(at.gradients[i], size))
      squares += g * g;
  for (size_t i = 0; i < step->state().size(); ++i)
    f64(at.state[i])[0] = 0.25;
  scalars.clipNorm = std::sqrt(squares) / 2;
  auto updated = llvm::cantFail(session->update(at, scalars));
  EXPECT_NEAR(updated.gradientNorm, std::sqrt(squares), 1e-14);
  double g = gradient[0] / 2 + 0.1 * 1.5;
  EXPECT_NEAR(f64(at.parameters[u])[0], 1.5 - 1e-3 * (0.9 * 0.25 + g), 1e-14);
  std::vector<double> after = values(at.parameters[d], 4);
  llvm::cantFail(memory.readParameters(*compiler, {{0, 2}}));
  for (auto [i, state] : llvm::enumerate(step->state())) {
    std::fill_n(f64(at.state[i]),
                state.dims[0] * (state.dims.size() > 1 ? state.dims[1] : 1),
                0.);
    f64(at.state[i])[0] = 0.25;
  }
  EXPECT_NEAR(llvm::cantFail(session->step(at, scalars)).loss, loss, 1e-14);
  expectNear(values(at.parameters[d], 4), after, 1e-15);
}

TEST_F(StepTest, AdamCountsEachUnitsUpdates) {
  StepCompilerOptions options;
  options.f64 = true;
  options.freeze = {"d"};
  open(options);
  auto step = compile(request(EntryUpdate));
  ASSERT_TRUE(step);
  StepMemory memory(compiler->layout(), *step);
  llvm::cantFail(
      memory.readParameters(*compiler, wholeMasks(compiler->layout())));
  const StepBuffers &at = memory.buffers;
  int u = find("u"), d = find("d");
  // An axis runs through d: the step reads it, and does not train it.
  ASSERT_GE(d, 0);
  EXPECT_EQ(at.gradients[d], nullptr);
  for (auto [i, state] : llvm::enumerate(step->state())) {
    EXPECT_NE(int(state.parameter), d);
    if (state.name != "steps" || int(state.parameter) != u)
      continue;
    EXPECT_EQ(state.dims, (std::vector<int64_t>{1, 3}));
    static_cast<int32_t *>(at.state[i])[1] = 9;
  }
  for (int i = 0; i < 6; ++i)
    f64(at.gradients[u])[i] = 0.1 * (i + 1);
  StepScalars scalars;
  scalars.weightDecay = 0.5;
  auto session = llvm::cantFail(step->createSession(1));
  llvm::cantFail(session->update(at, scalars));
  double dense[] = {1.5, -0.5, 0.25, 0.75, 1.25, -2.0};
  for (int i = 0; i < 6; ++i) {
    double g = 0.1 * (i + 1), t = i % 3 == 1 ? 10 : 1;
    double m = 0.1 * g / (1 - std::pow(0.9, t));
    double v = 0.001 * g * g / (1 - std::pow(0.999, t));
    double expected =
        dense[i] - 1e-3 * (m / (std::sqrt(v) + 1e-8) + 0.5 * dense[i]);
    EXPECT_NEAR(f64(at.parameters[u])[i], expected, 1e-14) << i;
  }
  // Biases are of the group that does not decay: without a gradient they stay.
  int b = find("b");
  EXPECT_TRUE(compiler->layout().parameters[u].decayed);
  EXPECT_FALSE(compiler->layout().parameters[b].decayed);
  EXPECT_EQ(values(at.parameters[b], 3), (std::vector<double>{0.5, 1, -1.5}));
}

TEST_F(StepTest, GainsAreTrainedAndFolded) {
  StepCompilerOptions options;
  options.f64 = true;
  options.gains = GainKind::Learned;
  open(options);
  const ModelLayout &layout = compiler->layout();
  int gain = find("gain:" + layout.axes[0].name);
  ASSERT_GE(gain, 0);
  EXPECT_EQ(layout.parameters[gain].scales,
            (std::vector<unsigned>{unsigned(find("d"))}));
  auto step = compile(request(EntryForward | EntryGradients, LossKind::Cosine));
  ASSERT_TRUE(step);
  StepMemory memory(layout, *step);
  llvm::cantFail(memory.readParameters(*compiler, wholeMasks(layout)));
  fillData(memory);
  const StepBuffers &at = memory.buffers;
  EXPECT_EQ(f64(at.parameters[gain])[0], 1);
  f64(at.parameters[gain])[0] = 0.75;
  auto session = llvm::cantFail(step->createSession(1));
  llvm::cantFail(session->forward(at, {}));
  ByHand hand = byHand(memory, find("u"), find("b"), find("d"), 3);
  hand.gain = 0.75;
  std::vector<double> y = hand.outputs();
  expectNear(values(at.outputs[0], batch * 2), y, 1e-15);

  // The cosine does not see the gain, which scales all of the output.
  auto result = llvm::cantFail(session->gradients(at, {}, false));
  double expected = 0;
  for (int row = 0; row < batch; ++row) {
    const double *a = &y[row * 2], *b = f64(at.inputs[1]) + row * 2;
    expected += 1 - (a[0] * b[0] + a[1] * b[1]) /
                        (std::hypot(a[0], a[1]) * std::hypot(b[0], b[1]));
  }
  EXPECT_NEAR(result.loss, expected / batch, 1e-14);
  EXPECT_NEAR(f64(at.gradients[gain])[0], 0, 1e-14);

  std::vector<const void *> trained(at.parameters.begin(), at.parameters.end());
  f64(at.parameters[find("b")])[2] = 4;
  llvm::Error error = compiler->writeModel(path("new.onnx"), trained);
  ASSERT_FALSE(bool(error)) << toString(std::move(error));
  StepCompilerOptions plain;
  plain.f64 = true;
  open(plain, path("new.onnx"));
  std::vector<double> d(6), b(3);
  llvm::cantFail(compiler->readParameter(find("d"), d.data()));
  llvm::cantFail(compiler->readParameter(find("b"), b.data()));
  EXPECT_EQ(d, (std::vector<double>{0.375, -0.75, 1.5, 2.25, -1.125, 0.1875}));
  EXPECT_EQ(b[2], 4);
}

TEST_F(StepTest, ReportsWhatIsWrong) {
  open({});
  StepRequest wanted = request(EntryEvaluate);
  wanted.units = {0};
  expectError(errorOf(wanted), "axis 'u:1' keeps 0 of 3 units: a step keeps at "
                               "least one");
  wanted.units = {4};
  expectError(errorOf(wanted), "keeps 4 of 3 units");
  wanted.units = {1, 1};
  expectError(errorOf(wanted), "the step names 2 widths, the model has 1 axes");
  wanted.units = {};
  wanted.batch = 0;
  expectError(errorOf(wanted), "a step's batch and sequence are positive");
  wanted.batch = batch;
  wanted.loss.output = "z";
  expectError(errorOf(wanted), "the model has no output 'z' to take a loss of");
  wanted.loss.output = "";
  wanted.loss.kind = LossKind::Own;
  expectError(errorOf(wanted), "output 'y' has 8 elements: a loss has one");
  wanted.loss.kind = LossKind::External;
  EXPECT_NE(
      errorOf(wanted).find("a step without a loss has no entry that needs "
                           "one"),
      std::string::npos);
  wanted.loss.kind = LossKind::CrossEntropy;
  wanted.loss.labelSmoothing = 1;
  expectError(errorOf(wanted), "not in [0, 1)");

  auto step = compile(request(EntryEvaluate));
  ASSERT_TRUE(step);
  auto session = llvm::cantFail(step->createSession(1));
  auto missing = session->evaluate({}, {});
  ASSERT_FALSE(bool(missing));
  EXPECT_EQ(toString(missing.takeError()), "the step needs a buffer for 'x'");
  EXPECT_EQ(toString(session->forward({}, {})),
            "the step was compiled without its entry 'forward'");

  auto none = makeStepCompiler(path("none.onnx"), {});
  ASSERT_FALSE(bool(none));
  EXPECT_NE(toString(none.takeError()).find("none.onnx"), std::string::npos);
  StepCompilerOptions options;
  options.train = {"nothing"};
  auto glob = makeStepCompiler(path("block.onnx"), options);
  ASSERT_FALSE(bool(glob));
  expectError(toString(glob.takeError()),
              "--train 'nothing' names no weight of the model");
}

// Beside y its sizes, as integers and as floats.
static std::string withSizes() {
  std::string text = block.str();
  auto replace = [&](llvm::StringRef from, llvm::StringRef to) {
    text.replace(text.find(from.str()), from.size(), to.str());
  };
  replace("(tensor<?x2xf32> {onnx.name = \"y\", onnx.dims = [\"n\", \"\"]})",
          "(tensor<?x2xf32> {onnx.name = \"y\", onnx.dims = [\"n\", \"\"]}, "
          "tensor<2xi64> {onnx.name = \"i\"}, "
          "tensor<2xf32> {onnx.name = \"f\"})");
  replace("return %y : tensor<?x2xf32>", R"(
    %i = onnx.Shape %y : (tensor<?x2xf32>) -> tensor<2xi64>
    %f = onnx.Cast %i {to = 1 : si64} : (tensor<2xi64>) -> tensor<2xf32>
    return %y, %i, %f : tensor<?x2xf32>, tensor<2xi64>, tensor<2xf32>)");
  return text;
}

TEST_F(StepTest, ReportsOutputsWithoutALoss) {
  open({}, writeBlock(withSizes()));
  StepRequest wanted = request(EntryEvaluate);
  wanted.loss.output = "i";
  expectError(errorOf(wanted),
              "output 'i' is no tensor of floats: it has no loss");
  wanted.loss.output = "f";
  wanted.loss.kind = LossKind::CrossEntropy;
  expectError(errorOf(wanted), "output 'f' has no dimension of classes");
}

TEST_F(StepTest, ReportsWhatCannotBeWritten) {
  // Another product reads the rows that the gain scales.
  std::string text = block.str();
  size_t end = text.find("return");
  text.replace(end, std::string::npos, R"(
    %t = onnx.MatMul %hb, %d : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
    %z = onnx.Add %y, %t : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<?x2xf32>
    return %z : tensor<?x2xf32>
  })");
  StepCompilerOptions options;
  options.f64 = true;
  options.gains = GainKind::Learned;
  open(options, writeBlock(text));
  std::vector<double> ones(6, 1);
  std::vector<const void *> parameters(compiler->layout().parameters.size(),
                                       ones.data());
  expectError(toString(compiler->writeModel(path("new.onnx"), {})),
              "writing a model takes 4 parameters, given are 0");
  expectError(toString(compiler->writeModel(path("none/new.onnx"), parameters)),
              "cannot write beside '");
  double half = 0.5;
  parameters[find("gain:" + compiler->layout().axes[0].name)] = &half;
  expectError(toString(compiler->writeModel(path("new.onnx"), parameters)),
              "cannot be folded: a weight that it scales is read by other ops "
              "too");
  parameters.assign(parameters.size(), ones.data());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  rlimit small = {16, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::string full =
      toString(compiler->writeModel(path("new.onnx"), parameters));
  setrlimit(RLIMIT_FSIZE, &limit);
  expectError(full, "cannot write the weights: ");
  EXPECT_FALSE(llvm::sys::fs::exists(path("new.onnx")));
}

TEST_F(StepTest, DropsByCounter) {
  StepCompilerOptions options;
  options.f64 = true;
  options.dropout = true;
  options.gains = GainKind::Constant; // both act at the gates
  open(options);
  EXPECT_FALSE(compiler->layout()
                   .parameters[find("gain:" + compiler->layout().axes[0].name)]
                   .trainable);
  auto step = compile(request(EntryForward | EntryGradients));
  ASSERT_TRUE(step);
  StepMemory memory(compiler->layout(), *step);
  llvm::cantFail(
      memory.readParameters(*compiler, wholeMasks(compiler->layout())));
  fillData(memory);
  const StepBuffers &at = memory.buffers;
  auto session = llvm::cantFail(step->createSession(2));
  ByHand hand = byHand(memory, find("u"), find("b"), find("d"), 3);
  const double *target = f64(at.inputs[1]);
  StepScalars scalars;
  scalars.dropout = 0.4;
  scalars.seed = 0x123456789abcdefull;
  for (uint64_t counter : {uint64_t(0), uint64_t(7) << 32 | 3}) {
    scalars.counter = counter;
    std::vector<double> factors;
    for (uint32_t n = 0; n < batch * 3; ++n) {
      uint32_t word =
          philox4x32({n, 0, uint32_t(counter), uint32_t(counter >> 32)},
                     {uint32_t(scalars.seed), uint32_t(scalars.seed >> 32)})[0];
      factors.push_back(word < 0.4 * 0x1p32 ? 0 : 1 / 0.6);
    }
    EXPECT_GT(llvm::count(factors, 0.), 0);
    EXPECT_LT(llvm::count(factors, 0.), batch * 3);
    std::vector<double> y(batch * 2), d(6), passed(batch * 3);
    for (int row = 0; row < batch; ++row)
      for (int unit = 0; unit < 3; ++unit) {
        double h = hand.b[unit] + hand.x[row * 2] * hand.u[unit] +
                   hand.x[row * 2 + 1] * hand.u[3 + unit];
        double a = factors[row * 3 + unit] / (1 + std::exp(-h));
        passed[row * 3 + unit] = a;
        for (int i = 0; i < 2; ++i)
          y[row * 2 + i] += a * hand.d[unit * 2 + i];
      }
    auto result = llvm::cantFail(session->gradients(at, scalars, false));
    EXPECT_NEAR(result.loss, meanSquare(y, target), 1e-13);
    for (int row = 0; row < batch; ++row)
      for (int unit = 0; unit < 3; ++unit)
        for (int i = 0; i < 2; ++i)
          d[unit * 2 + i] += passed[row * 3 + unit] * 2 *
                             (y[row * 2 + i] - target[row * 2 + i]) / 8;
    expectNear(values(at.gradients[find("d")], 6), d, 1e-13);
  }
  // Without training nothing is dropped.
  llvm::cantFail(session->forward(at, scalars));
  expectNear(values(at.outputs[0], batch * 2), hand.outputs(), 1e-15);
  scalars.dropout = 1;
  EXPECT_EQ(toString(session->gradients(at, scalars, false).takeError()),
            "dropout is 1.000000, not in [0, 1)");
}

TEST_F(StepTest, ProductsOfBF16) {
  open({});
  StepRequest wanted = request(EntryForward);
  wanted.precision = StepPrecision::BF16;
  auto step = compile(wanted);
  ASSERT_TRUE(step);
  StepMemory memory(compiler->layout(), *step);
  llvm::cantFail(
      memory.readParameters(*compiler, wholeMasks(compiler->layout())));
  auto f32 = [](const void *data) {
    return static_cast<float *>(const_cast<void *>(data));
  };
  // To the nearest, ties to even.
  auto round = [](float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000;
    std::memcpy(&value, &bits, 4);
    return value;
  };
  const StepBuffers &at = memory.buffers;
  float *x = f32(at.inputs[0]), *u = f32(at.parameters[find("u")]),
        *b = f32(at.parameters[find("b")]), *d = f32(at.parameters[find("d")]);
  for (int i = 0; i < batch * 2; ++i)
    x[i] = 0.317f * float(i) - 1.003f;
  u[0] = 1.50937f;
  auto session = llvm::cantFail(step->createSession(1));
  llvm::cantFail(session->forward(at, {}));
  double exact = 0;
  for (int row = 0; row < batch; ++row) {
    float y[2] = {0, 0};
    double whole = 0;
    for (int unit = 0; unit < 3; ++unit) {
      float h = b[unit] + round(x[row * 2]) * round(u[unit]) +
                round(x[row * 2 + 1]) * round(u[3 + unit]);
      float a = round(1 / (1 + std::exp(-h)));
      whole += d[unit * 2] /
               (1 + std::exp(-double(b[unit]) - double(x[row * 2]) * u[unit] -
                             double(x[row * 2 + 1]) * u[3 + unit]));
      for (int i = 0; i < 2; ++i)
        y[i] += a * round(d[unit * 2 + i]);
    }
    EXPECT_NEAR(f32(at.outputs[0])[row * 2], y[0], 4e-6);
    EXPECT_NEAR(f32(at.outputs[0])[row * 2 + 1], y[1], 4e-6);
    exact = std::max(exact, std::abs(f32(at.outputs[0])[row * 2] - whole));
  }
  // It is bf16 indeed.
  EXPECT_GT(exact, 1e-4);
  StepCompilerOptions wide;
  wide.f64 = true;
  open(wide);
  expectError(errorOf(wanted), "products of bf16 need parameters of f32");
}

//===- TrainerTest.cpp - Rounds, and what they equal ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Trainer.h"
#include "twist/Train/Evaluate.h"

#include "TestStep.h"
#include "ThreadTransport.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

#include <csignal>
#include <cstring>
#include <sys/resource.h>

using namespace twist;
using namespace twist::train;

namespace {
struct TrainerTest : testing::Test {
  llvm::SmallString<128> folder;
  TestModel model;
  TrainOptions options;
  DataOptions dataOptions;

  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("train", folder));
    std::string path = (folder + "/text").str(), text;
    for (int i = 0; i < 4000; ++i)
      text.push_back(char((i * i + i / 3) % 16));
    std::error_code code;
    llvm::raw_fd_ostream(path, code) << text;
    dataOptions.files = {path};
    dataOptions.tokenizer = "bytes";
    model.vocabulary = 256;
    options.assignment.workers = 4;
    options.assignment.seed = 11;
    options.rounds = 6;
    options.localSteps = 5;
    options.batch = 2;
    options.context = 16;
    options.scalars.learningRate = 0.01;
    options.scalars.clipNorm = 1;
  }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  Data openData() {
    dataOptions.batch = options.batch;
    dataOptions.context = options.context;
    dataOptions.workers = options.assignment.workers;
    dataOptions.seed = options.assignment.seed;
    dataOptions.vocabulary = model.vocabulary;
    return llvm::cantFail(Data::open(dataOptions));
  }

  static std::string bytesOf(Trainer &trainer) {
    std::string bytes;
    for (const AlignedBytes &tensor : llvm::cantFail(trainer.parameters()))
      bytes.append(tensor.data(), tensor.size());
    return bytes;
  }

  /// The parameters after all rounds, in `processes` processes; the mean losses
  /// go to `losses`.
  std::string train(int processes = 1) {
    std::string result;
    inProcesses(processes, [&](Transport &transport) {
      Data data = openData();
      std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
      auto trainer =
          llvm::cantFail(Trainer::create(*compiler, data, transport, options));
      std::vector<double> seen;
      while (trainer->round() < options.rounds)
        seen.push_back(llvm::cantFail(trainer->runRound()).meanLoss());
      std::string bytes = bytesOf(*trainer);
      if (transport.rank() == 0) {
        result = bytes;
        losses = seen;
      }
    });
    return result;
  }
  std::vector<double> losses;

  std::string errorOf() {
    Data data = openData();
    std::unique_ptr<Transport> transport = makeLocalTransport();
    std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
    auto trainer = Trainer::create(*compiler, data, *transport, options);
    if (!trainer)
      return llvm::toString(trainer.takeError());
    while ((*trainer)->round() < options.rounds)
      if (auto report = (*trainer)->runRound(); !report)
        return llvm::toString(report.takeError());
    return "";
  }
  void expectError(const char *part) {
    std::string message = errorOf();
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
};
} // namespace

/// One worker, everything kept, state carried: the loop over steps.
TEST_F(TrainerTest, OneWholeWorkerIsDense) {
  options.assignment.workers = 1;
  options.assignment.kappas = {{"", {}, 1}};
  std::string twisted = train();
  Data data = openData();
  std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
  StepRequest request;
  request.units = {model.hidden};
  request.batch = options.batch;
  request.sequence = options.context;
  auto step = llvm::cantFail(compiler->compile(request));
  auto session = llvm::cantFail(step->createSession(1));
  StepBuffers buffers;
  std::vector<AlignedBytes> memory;
  memory.reserve(100);
  for (unsigned i = 0; i < compiler->layout().parameters.size(); ++i) {
    memory.emplace_back(compiler->layout().parameters[i].size() * 4);
    llvm::cantFail(compiler->readParameter(i, memory.back().data()));
    buffers.parameters.push_back(memory.back().data());
  }
  for (const StateTensor &state : step->state()) {
    int64_t size = 4;
    for (int64_t dim : state.dims)
      size *= dim;
    memory.emplace_back(size);
    buffers.state.push_back(memory.back().data());
  }
  std::vector<int64_t> ids(32), labels(32);
  buffers.inputs = {ids.data(), labels.data()};
  Schedule schedule = options.schedule;
  schedule.steps = 30;
  for (int64_t s = 0; s < 30; ++s) {
    llvm::cantFail(data.batch(0, s, ids, labels));
    StepScalars scalars = options.scalars;
    scalars.learningRate *= schedule.factor(s);
    llvm::cantFail(session->step(buffers, scalars));
  }
  std::string dense;
  for (unsigned i = 0; i < compiler->layout().parameters.size(); ++i)
    dense.append(memory[i].data(), memory[i].size());
  EXPECT_EQ(twisted, dense);
  options.mode = Mode::Dense;
  EXPECT_EQ(train(), dense);
}

/// Several whole workers: local SGD, in the mode of its own the same.
TEST_F(TrainerTest, WholeWorkersAreLocalSGD) {
  options.assignment.kappas = {{"", {}, 1}};
  std::string twisted = train();
  options.mode = Mode::Dense;
  options.assignment.kappas.clear();
  EXPECT_EQ(train(), twisted);
}

TEST_F(TrainerTest, SameBytesInAllProcessesAndThreads) {
  for (StateMode state : {StateMode::Carry, StateMode::Local, StateMode::Reset})
    for (bool nesterov : {false, true}) {
      options.state = state;
      options.outer.nesterov = nesterov;
      model.gain = nesterov;
      options.concurrent = 1;
      std::string expected = train();
      for (int processes : {2, 3, 4})
        EXPECT_EQ(train(processes), expected);
      options.concurrent = 3;
      EXPECT_EQ(train(), expected);
    }
}

TEST_F(TrainerTest, AveragedGradients) {
  options.mode = Mode::Parallel;
  std::string expected = train();
  for (int processes : {2, 4})
    EXPECT_EQ(train(processes), expected);
  options.concurrent = 3;
  EXPECT_EQ(train(), expected);
  // One worker's mean is its gradient: what the fused step does, but for the
  // rounding of gradients to f32.
  options.assignment.workers = 1;
  std::string parallel = train();
  options.mode = Mode::Dense;
  std::string dense = train();
  auto *a = reinterpret_cast<const float *>(parallel.data());
  auto *b = reinterpret_cast<const float *>(dense.data());
  for (size_t i = 0; i < dense.size() / sizeof(float); ++i)
    EXPECT_NEAR(a[i], b[i], 1e-4);
  options.mode = Mode::Parallel;
  options.rounds = 40;
  options.assignment.workers = 4;
  train();
  EXPECT_LT(losses.back(), losses.front() - 1.5);
}

TEST_F(TrainerTest, Learns) {
  options.rounds = 40;
  for (Dealing dealing : {Dealing::Balanced, Dealing::Random, Dealing::Rolling})
    for (StateMode state : {StateMode::Carry, StateMode::Local}) {
      options.assignment.dealing = dealing;
      options.state = state;
      train();
      EXPECT_LT(losses.back(), losses.front() - 1.5);
    }
  options.assignment.anyKappa = {0.25, 0.5, 1};
  model.gain = true;
  train();
  EXPECT_LT(losses.back(), losses.front() - 1.5);
}

TEST_F(TrainerTest, Baselines) {
  options.mode = Mode::Fixed;
  options.fixed = {{1, 2, 5}};
  std::string fixed = train();
  // What the mask leaves out stays as it was.
  std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
  std::vector<float> w1(model.dim * model.hidden), now(w1.size());
  llvm::cantFail(compiler->readParameter(1, w1.data()));
  std::memcpy(now.data(), fixed.data() + model.vocabulary * model.dim * 4,
              now.size() * 4);
  for (size_t i = 0; i < w1.size(); ++i) {
    size_t unit = i % model.hidden;
    EXPECT_EQ(now[i] != w1[i], unit == 1 || unit == 2 || unit == 5);
  }
  options.mode = Mode::Subnet;
  options.assignment.workers = 1;
  options.rounds = 40;
  train();
  EXPECT_LT(losses.back(), losses.front() - 1);
}

/// What a slice costs is the loss of a worker that holds it.
TEST_F(TrainerTest, EvaluatesSlices) {
  options.mode = Mode::Fixed;
  options.fixed = {{1, 2, 5}};
  options.assignment.workers = 1;
  options.rounds = options.localSteps = 1;
  dataOptions.limit = options.batch; // the same windows here and there
  train();
  dataOptions.inOrder = true;
  Data data = openData();
  std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
  std::vector<AlignedBytes> parameters;
  for (auto [i, parameter] : llvm::enumerate(compiler->layout().parameters)) {
    parameters.emplace_back(parameter.size() * sizeof(float));
    llvm::cantFail(
        compiler->readParameter(unsigned(i), parameters.back().data()));
  }
  Evaluator evaluator(*compiler, data, options.loss, options.precision,
                      /*threads=*/1);
  Score score = llvm::cantFail(evaluator.run(parameters, options.fixed));
  EXPECT_NEAR(score.loss, losses[0], 1e-12);
  EXPECT_EQ(score.labels, options.batch * options.context);
  EXPECT_EQ(score.parameters, 256 * 6 + 3 * (6 + 1 + 256));
  Spread spread = spreadOf({1, 2, 6});
  EXPECT_DOUBLE_EQ(spread.mean, 3);
  EXPECT_DOUBLE_EQ(spread.deviation, std::sqrt(7.0));
  EXPECT_EQ(spread.least, 1);
  EXPECT_EQ(spread.most, 6);
}

TEST_F(TrainerTest, NothingToJudgeBy) {
  dataOptions.objective = Objective::MaskedToken;
  dataOptions.maskToken = 1;
  dataOptions.maskShare = 1e-12;
  dataOptions.inOrder = true;
  options.assignment.workers = 1;
  Data data = openData();
  std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
  std::vector<AlignedBytes> parameters;
  for (const Parameter &parameter : compiler->layout().parameters)
    parameters.emplace_back(parameter.size() * sizeof(float));
  Evaluator evaluator(*compiler, data, options.loss, options.precision,
                      /*threads=*/1);
  auto score = evaluator.run(parameters, wholeMasks(compiler->layout()));
  ASSERT_FALSE(bool(score));
  EXPECT_EQ(llvm::toString(score.takeError()),
            "the data have no label to judge by");
}

TEST_F(TrainerTest, ResumedIsUninterrupted) {
  std::string path = (folder + "/a.safetensors").str();
  for (StateMode state :
       {StateMode::Carry, StateMode::Local, StateMode::Reset}) {
    options.state = state;
    options.outer.nesterov = state != StateMode::Carry;
    std::string expected = train();
    for (auto [before, after] : {std::pair(1, 1), {3, 2}, {1, 4}}) {
      inProcesses(before, [&](Transport &transport) {
        Data data = openData();
        std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
        auto trainer = llvm::cantFail(
            Trainer::create(*compiler, data, transport, options));
        for (int i = 0; i < 2; ++i)
          llvm::cantFail(trainer->runRound());
        llvm::cantFail(trainer->save(path));
      });
      std::string resumed;
      inProcesses(after, [&](Transport &transport) {
        Data data = openData();
        std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
        auto trainer = llvm::cantFail(
            Trainer::create(*compiler, data, transport, options));
        llvm::cantFail(trainer->resume(path, false));
        EXPECT_EQ(trainer->round(), 2);
        while (trainer->round() < options.rounds)
          llvm::cantFail(trainer->runRound());
        std::string bytes = bytesOf(*trainer);
        if (transport.rank() == 0)
          resumed = bytes;
      });
      EXPECT_EQ(resumed, expected);
    }
  }
}

/// A fork has the parameters and moments of what it started from: going on with
/// the same rate is going on.
TEST_F(TrainerTest, StartsFromAnother) {
  std::string path = (folder + "/a.safetensors").str();
  options.schedule.kind = Schedule::Kind::Constant;
  options.mode = Mode::Dense;
  options.assignment.workers = 1;
  std::unique_ptr<Transport> transport = makeLocalTransport();
  auto make = [&](const Data &data, StepCompiler &compiler) {
    return llvm::cantFail(Trainer::create(compiler, data, *transport, options));
  };
  Data data = openData();
  std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
  auto first = make(data, *compiler);
  for (int i = 0; i < 3; ++i)
    llvm::cantFail(first->runRound());
  llvm::cantFail(first->save(path));
  options.mode = Mode::Twist;
  options.assignment.kappas = {{"", {}, 1}};
  options.rounds = 3;
  auto fork = make(data, *compiler);
  llvm::cantFail(fork->startFrom(path));
  EXPECT_EQ(bytesOf(*fork), bytesOf(*first));
  EXPECT_EQ(fork->round(), 0);
  // Another model's is refused.
  model.hidden = 10;
  std::unique_ptr<StepCompiler> other = makeTestCompiler(model);
  EXPECT_NE(llvm::toString(make(data, *other)->startFrom(path))
                .find("is a checkpoint of another model"),
            std::string::npos);
}

TEST_F(TrainerTest, WrongCheckpointsAreRefused) {
  std::string path = (folder + "/a.safetensors").str();
  std::unique_ptr<Transport> transport = makeLocalTransport();
  auto make = [&](const Data &data, StepCompiler &compiler) {
    return llvm::cantFail(Trainer::create(compiler, data, *transport, options));
  };
  auto refused = [&](const char *part) {
    Data data = openData();
    std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
    llvm::Error error = make(data, *compiler)->resume(path, false);
    std::string message = llvm::toString(std::move(error));
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  refused("cannot be read");
  Data data = openData();
  std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
  auto trainer = make(data, *compiler);
  llvm::cantFail(trainer->runRound());
  llvm::cantFail(trainer->save(path));
  options.scalars.learningRate = 0.02;
  refused("'learning_rate' was 0.01 and is 0.02");
  options.scalars.learningRate = 0.01;
  options.localSteps = 6;
  refused("was made with other options: 'local_steps'");
  options.localSteps = 5;
  model.hidden = 10;
  refused("is a checkpoint of another model");
  model.hidden = 8;
  dataOptions.files.push_back(dataOptions.files[0]);
  refused("was made with other data");
  dataOptions.files.pop_back();
  // A byte of the data, the end of the file, something else altogether.
  auto change = [&](auto fn) {
    std::string bytes = (*llvm::MemoryBuffer::getFile(path))->getBuffer().str();
    std::string changed = bytes;
    fn(changed);
    std::error_code code;
    llvm::raw_fd_ostream(path, code) << changed;
    return bytes;
  };
  std::string good = change([](std::string &b) { b[b.size() - 9] ^= 1; });
  refused("is damaged");
  change([&](std::string &b) { b = good.substr(0, good.size() - 100); });
  refused("is malformed");
  change([&](std::string &b) { b = "{}"; });
  refused("is no safetensors file");
  change([&](std::string &b) {
    b = good;
    b.replace(b.find("step of"), 4, "path");
  });
  refused("was made by another program");
  change([&](std::string &b) {
    b = good;
    b.replace(b.find("checkpoint 1"), 12, "checkpoint 2");
  });
  refused("is no checkpoint of twist train");
  change([&](std::string &b) {
    b = good;
    b[b.find("round\\\":1") + 8] = '9';
  });
  refused("has no valid round");
}

TEST_F(TrainerTest, AFullDiskLosesNothing) {
  std::string path = (folder + "/a.safetensors").str();
  std::unique_ptr<Transport> transport = makeLocalTransport();
  Data data = openData();
  std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
  auto make = [&] {
    return llvm::cantFail(
        Trainer::create(*compiler, data, *transport, options));
  };
  auto trainer = make();
  llvm::cantFail(trainer->runRound());
  llvm::cantFail(trainer->save(path));
  llvm::cantFail(trainer->runRound());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old, small;
  getrlimit(RLIMIT_FSIZE, &old);
  small = old;
  small.rlim_cur = 10000;
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message = llvm::toString(trainer->save(path));
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_NE(message.find("cannot be written: File too large"),
            std::string::npos)
      << message;
  EXPECT_FALSE(llvm::sys::fs::exists(path + ".twist-tmp"));
  auto again = make();
  llvm::cantFail(again->resume(path, false));
  EXPECT_EQ(again->round(), 1);
}

TEST_F(TrainerTest, NotANumberStopsAndSaysWhere) {
  model.breaksAt = 46; // step 11 of worker 2: round 2
  expectError("round 2, worker 2, step 11: not a number: the loss is nan");
  expectError("the first tensor that is not finite is 'parameter/w2'");
  model.breaksAt = -1;
  options.scalars.learningRate = 1e4;
  options.scalars.clipNorm = 0;
  expectError("training diverges");
}

TEST_F(TrainerTest, ErrorsBeforeWork) {
  auto with = [&](auto change, const char *part) {
    TrainOptions saved = options;
    change();
    expectError(part);
    options = saved;
  };
  with([&] { options.rounds = 0; }, "rounds and local steps are 1 at least");
  with([&] { options.pinFirst = -1; }, "pinned layers are 0 at least");
  with(
      [&] {
        options.pinFirst = 2;
        options.pinLast = 2;
      },
      "2 first and 2 last layers are pinned: of the model's 1 axes none");
  with([&] { options.assignment.kappas = {{"", {}, 0.1}}; },
       "take kappa >= 0.2500 or 8 workers");
  with([&] { options.scalars.learningRate = 0; },
       "the learning rate has to be above 0");
  with([&] { options.mode = Mode::Subnet; }, "the mode subnet has one worker");
  with(
      [&] {
        options.mode = Mode::Parallel;
        options.state = StateMode::Reset;
      },
      "the mode parallel has one state");
  with([&] { options.mode = Mode::Fixed; }, "the mode fixed needs a ticket");
  with(
      [&] {
        options.mode = Mode::Fixed;
        options.fixed = {{}};
      },
      "keeps no unit of axis 'w1:1'");
  with([&] { options.concurrent = 0; }, "are 1 at least");
  with([&] { options.group = 3; }, "groups of 3 do not divide the 8 units");
  with(
      [&] {
        options.mode = Mode::Subnet;
        options.assignment.workers = 1;
        options.outer.nesterov = true;
      },
      "needs every unit to be held");
  auto withModel = [&](auto change, const char *part) {
    TestModel saved = model;
    change();
    expectError(part);
    model = saved;
  };
  withModel([&] { model.input = InputRole::Features; },
            "input 'ids' takes floats: training feeds tokens, masks and "
            "positions");
  withModel([&] { model.input = InputRole::Ones; },
            "the model has no input of token ids [batch, sequence]");
  withModel([&] { model.hasAxis = false; }, "the model has no axis to deal");
  withModel([&] { model.isTrained = false; },
            "no parameter of the model is trained");
  inProcesses(5, [&](Transport &transport) {
    Data data = openData();
    std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
    auto trainer = Trainer::create(*compiler, data, transport, options);
    EXPECT_NE(llvm::toString(trainer.takeError()).find("5 processes for 4"),
              std::string::npos);
  });
  EXPECT_EQ(
      llvm::toString(parseMode("x").takeError()),
      "the mode 'x' is not known; twist, subnet, fixed, dense and parallel "
      "are");
  EXPECT_EQ(llvm::toString(parseStateMode("x").takeError()),
            "the optimiser state 'x' is not known; carry, local and reset are");
}

TEST_F(TrainerTest, BytesMoved) {
  Data data = openData();
  std::unique_ptr<Transport> transport = makeLocalTransport();
  std::unique_ptr<StepCompiler> compiler = makeTestCompiler(model);
  auto trainer =
      llvm::cantFail(Trainer::create(*compiler, data, *transport, options));
  RoundReport report = llvm::cantFail(trainer->runRound());
  // 256·6 shared, (6·8 + 8 + 8·256) / 2 of each worker's.
  int64_t whole = 256 * 6 + 6 * 8 + 8 + 8 * 256, slice = whole - 2104 / 2;
  EXPECT_NEAR(report.kept[0], double(slice) / double(whole), 1e-12);
  EXPECT_EQ(trainer->localSGDBytes(), uint64_t(2 * 3 * whole * 4));
  EXPECT_EQ(trainer->allReduceBytes(), uint64_t(5 * 2 * 3 * whole * 4));
  // Moments travel: three times the slice, and counts. Of a tensor cut by rows
  // a worker owns more or less of what it holds.
  EXPECT_NEAR(double(report.down.betweenWorkers) / double(9 * slice * 4), 1,
              0.2);
  EXPECT_EQ(report.down.betweenWorkers, report.up.betweenWorkers);
  EXPECT_EQ(report.down.betweenProcesses, 0u);
}

//===- WidthsTest.cpp - Models of what widths lose ------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Widths.h"

#include "LinearPredictor.h"

#include "gtest/gtest.h"

#include <functional>

using namespace llvm;
using namespace twist;
using namespace twist::dfl;

/// The least sum of losses of all combinations within the budget.
static double bruteForce(ArrayRef<std::vector<int64_t>> costs,
                         ArrayRef<double> losses, int64_t budget) {
  if (costs.empty())
    return budget < 0 ? INFINITY : 0;
  double best = INFINITY;
  for (size_t i = 0; i < costs[0].size(); ++i)
    best = std::min(best,
                    losses[i] + bruteForce(costs.drop_front(),
                                           losses.drop_front(costs[0].size()),
                                           budget - costs[0][i]));
  return best;
}

TEST(Widths, ExactAgainstAllCombinations) {
  for (uint32_t round = 0; round < 2000; ++round) {
    Draws draws(round, 0, 0, DrawData);
    std::vector<std::vector<int64_t>> costs(1 + draws.below(5));
    int64_t least = 0, size = 0;
    for (std::vector<int64_t> &axis : costs) {
      axis.resize(1 + draws.below(4));
      for (int64_t &cost : axis)
        cost = int64_t(draws.below(20));
      least += *min_element(axis);
      size += int64_t(axis.size());
    }
    int64_t budget = least + int64_t(draws.below(40));
    auto problem = makeWidthChoice(costs, budget);
    ASSERT_TRUE(bool(problem));
    std::vector<double> losses(size); // of any sign
    for (double &loss : losses)
      loss = draws.normal();
    auto solution = solve(**problem, losses);
    ASSERT_TRUE(bool(solution));
    EXPECT_NEAR(solution->value, bruteForce(costs, losses, budget), 1e-12);
    int64_t spent = 0;
    const double *at = solution->decision.data();
    for (const std::vector<int64_t> &axis : costs) {
      double ones = 0;
      for (int64_t cost : axis) {
        spent += *at != 0 ? cost : 0;
        ones += *at++;
      }
      EXPECT_EQ(ones, 1);
    }
    EXPECT_LE(spent, budget);
  }
}

TEST(Widths, Refuses) {
  auto made = makeWidthChoice({{3, 5}, {4, 9}}, 6);
  EXPECT_EQ(toString(made.takeError()),
            "the widths cost at least 7, the budget is 6");
  made = makeWidthChoice({{3}, {}}, 6);
  EXPECT_EQ(toString(made.takeError()), "an axis has no widths to choose from");
}

/// Axes whose loss is linear in two of three features.
static prune::WidthValues valuesOf(uint32_t seed) {
  Draws draws(seed, 1, 0, DrawData);
  prune::WidthValues values;
  values.model = "m";
  values.kappa = 0.5;
  values.uniform = 2;
  values.features = {"a", "b", "c"};
  for (int axis = 0; axis < 6; ++axis) {
    prune::WidthAxis &at = values.axes.emplace_back();
    at.units = 4;
    at.uniform = 2;
    double slope = draws.uniform(), bend = draws.uniform();
    for (int64_t width = 1; width <= 4; ++width) {
      double gone = 1 - double(width) / 4;
      at.widths.push_back(width);
      at.costs.push_back(width * (1 + axis % 2));
      at.features.push_back(
          {slope * gone, bend * gone * gone, draws.uniform() * gone});
      at.increases.push_back(3 * slope * gone + bend * gone * gone);
    }
    values.allowed += at.costs[1];
  }
  return values;
}

TEST(Widths, LearnsWhatIsLinear) {
  Parallel parallel(1);
  std::vector<WidthTask> tasks;
  for (uint32_t seed = 0; seed < 6; ++seed) {
    auto task = makeWidthTask(valuesOf(seed), parallel);
    ASSERT_TRUE(bool(task));
    EXPECT_GE(task->evenRegret, 0);
    tasks.push_back(std::move(*task));
  }
  ArrayRef<WidthTask> all(tasks);
  for (StringRef method : {"mse", "spo+"}) {
    LinearPredictor predictor(3, 1);
    ASSERT_FALSE(bool(predictor.initialise(1)));
    TrainOptions options;
    options.epochs = 600;
    options.learningRate = 0.02;
    double loss = 0;
    Error error = trainWidths(all.take_front(4), predictor, method, {}, options,
                              parallel, [&](int64_t, double l) { loss = l; });
    ASSERT_FALSE(bool(error));
    double regret = 0, even = 0;
    for (const WidthTask &task : all.drop_front(4)) {
      auto found = widthRegret(task, predictor);
      ASSERT_TRUE(bool(found));
      regret += *found;
      even += task.evenRegret;
    }
    EXPECT_LT(regret, 0.1 * even) << method.str();
    if (method == "mse") {
      EXPECT_LT(loss, 1e-4);
      EXPECT_NEAR(predictor.parameters()[0], 1.5, 0.05); // over uniform = 2
    }
  }
}

TEST(Widths, RefusesAnotherModel) {
  Parallel parallel(1);
  auto task = makeWidthTask(valuesOf(0), parallel);
  ASSERT_TRUE(bool(task));
  LinearPredictor predictor(2, 1);
  TrainOptions options;
  auto ignore = [](int64_t, double) {};
  EXPECT_EQ(toString(trainWidths({}, predictor, "mse", {}, options, parallel,
                                 ignore)),
            "there are no tasks to train on");
  options.epochs = -1;
  EXPECT_EQ(toString(trainWidths(*task, predictor, "mse", {}, options, parallel,
                                 ignore)),
            "epochs are at least 0, and the learning rate is positive");
  options.epochs = 1;
  EXPECT_EQ(toString(trainWidths(*task, predictor, "mse", {}, options, parallel,
                                 [](int64_t, double) {})),
            "m, kappa 0.5: widths have 3 features and one loss, the model "
            "takes 2 and gives 1");
}

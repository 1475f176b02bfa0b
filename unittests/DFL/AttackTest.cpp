//===- AttackTest.cpp - Attacks on a linear predictor ---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "LinearPredictor.h"

#include "twist/DFL/Knapsack.h"
#include "twist/DFL/Metrics.h"
#include "twist/DFL/Train.h"

#include "gtest/gtest.h"

#include <limits>

using namespace twist::dfl;
using Vector = std::vector<double>;

namespace {

/// Instances of 6 items with 3 features each, a predictor of one cost an item.
struct Scene {
  Scene() : predictor(3, 1), pool(6) {
    problem = llvm::cantFail(makeKnapsack({3, 5, 7, 3, 5, 7}, 12));
    Dataset data;
    data.instances = 20;
    data.rows = data.items = 6;
    data.features = 3;
    Draws draws(5, 0, 0, DrawData);
    for (int64_t i = 0; i < 20 * 6; ++i) {
      double cost = 8 + draws.normal();
      for (int64_t f = 0; f < 3; ++f) {
        data.x.push_back(draws.normal());
        cost += double(f + 1) * data.x.back();
      }
      data.c.push_back(cost);
    }
    instances = llvm::cantFail(solveInstances(*problem, data, alone));
    predictor.setParameters({0.5, -2, 1.5, 7});
    pool.add(instances.optima);
    own = llvm::cantFail(makeMethod("spo+", {}, *problem));
  }
  Victim victim() { return {*problem, predictor, *own, pool, 20}; }
  AttackResult run(const AttackOptions &options) {
    return llvm::cantFail(attack(victim(), instances, options, alone));
  }
  Vector predict(const Vector &x) {
    Vector c(instances.data.c.size());
    llvm::cantFail(predictor.forward(20 * 6, x.data(), c.data()));
    return c;
  }
  /// dL/dc of the mean squared error.
  Vector costGradient(llvm::StringRef name) {
    auto method = llvm::cantFail(makeMethod(name, {}, *problem));
    Vector c = predict(instances.data.x), g(c.size());
    MethodBatch batch{
        20, 20, c.data(), instances.gains.data(), instances.optima.data(),
        0,  0,  0};
    llvm::cantFail(differentiateAll(*method, *problem, pool, batch, g.data(),
                                    nullptr, alone));
    return g;
  }

  Parallel alone;
  std::unique_ptr<Problem> problem;
  LinearPredictor predictor;
  Instances instances;
  Pool pool;
  std::unique_ptr<Method> own;
};

AttackOptions options(AttackLoss loss, AttackMethod method, double epsilon) {
  AttackOptions result;
  result.loss = loss;
  result.method = method;
  result.epsilon = epsilon;
  return result;
}

/// c'_i = c_i + eps |w|_1 sign(dL/dc_i); a zero gradient leaves the item alone.
TEST(Attack, FGSMOnALinearModelHasAClosedForm) {
  Scene scene;
  for (auto [loss, name] : {std::pair(AttackLoss::MSE, "mse"),
                            {AttackLoss::SPOPlus, "spo+"},
                            {AttackLoss::Own, "spo+"},
                            {AttackLoss::NotOptimal, "not_opt"}}) {
    auto result = scene.run(options(loss, AttackMethod::FGSM, 0.25));
    Vector before = scene.predict(scene.instances.data.x),
           after = scene.predict(result.x), g = scene.costGradient(name);
    int64_t zeros = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      double sign = (g[i] > 0) - (g[i] < 0);
      zeros += sign == 0;
      EXPECT_NEAR(after[i] - before[i], 0.25 * 4 * sign, 1e-12) << name;
      if (sign == 0)
        for (size_t f = 0; f < 3; ++f)
          EXPECT_EQ(result.x[i * 3 + f], scene.instances.data.x[i * 3 + f]);
    }
    EXPECT_EQ(result.zeroGradients, double(zeros) / double(before.size()));
  }
}

TEST(Attack, ZeroIsTheIdentityAndNormsAreKept) {
  Scene scene;
  for (auto method : {AttackMethod::FGSM, AttackMethod::PGD, AttackMethod::APGD,
                      AttackMethod::Random})
    for (auto norm : {AttackNorm::Inf, AttackNorm::Two}) {
      AttackOptions attack = options(AttackLoss::MSE, method, 0);
      attack.norm = norm;
      attack.restarts = 2;
      EXPECT_EQ(scene.run(attack).x, scene.instances.data.x);
      attack.epsilon = 0.3;
      auto moved =
          displacement(scene.run(attack).x, scene.instances.data.x, 18);
      double measured = norm == AttackNorm::Inf ? moved.inf : moved.two;
      EXPECT_LE(measured, 0.3 + 1e-12);
      EXPECT_GT(measured, 0.2);
    }
}

TEST(Attack, MaskAndBoxAreKept) {
  Scene scene;
  for (auto method : {AttackMethod::FGSM, AttackMethod::PGD, AttackMethod::APGD,
                      AttackMethod::Random}) {
    AttackOptions attack = options(AttackLoss::MSE, method, 0.5);
    attack.mask = {true, false, true};
    attack.lower = {-1, -9, -1};
    attack.upper = {1, 9, 1};
    attack.restarts = 2;
    Vector x = scene.run(attack).x;
    const Vector &from = scene.instances.data.x;
    for (size_t k = 0; k < x.size(); ++k) {
      if (k % 3 == 1)
        EXPECT_EQ(x[k], from[k]);
      else if (x[k] != from[k])
        EXPECT_TRUE(std::abs(x[k]) <= 1 || std::abs(x[k]) < std::abs(from[k]));
    }
  }
}

double loss(Scene &scene, const Vector &x) {
  Vector c = scene.predict(x), g(c.size()), losses(20);
  MethodBatch batch{20,
                    20,
                    c.data(),
                    scene.instances.gains.data(),
                    scene.instances.optima.data(),
                    0,
                    0,
                    0};
  llvm::cantFail(differentiateAll(*scene.own, *scene.problem, scene.pool, batch,
                                  g.data(), losses.data(), scene.alone));
  double sum = 0;
  for (double value : losses)
    sum += value;
  return sum;
}

TEST(Attack, StrongerAttacksReachLargerLosses) {
  Scene scene;
  auto reached = [&](AttackMethod method, AttackNorm norm) {
    AttackOptions attack = options(AttackLoss::SPOPlus, method, 0.4);
    attack.norm = norm;
    attack.steps = 40;
    attack.restarts = 3;
    return loss(scene, scene.run(attack).x);
  };
  for (auto norm : {AttackNorm::Inf, AttackNorm::Two}) {
    double clean = loss(scene, scene.instances.data.x);
    double random = reached(AttackMethod::Random, norm);
    double once = reached(AttackMethod::FGSM, norm);
    double steps = reached(AttackMethod::PGD, norm);
    double automatic = reached(AttackMethod::APGD, norm);
    EXPECT_GT(random, clean);
    EXPECT_GT(once, random);
    EXPECT_GE(steps, once * 0.999);
    EXPECT_GE(automatic, once * 0.999);
  }
}

TEST(Attack, TargetedLossFalls) {
  Scene scene;
  AttackOptions attack = options(AttackLoss::MSE, AttackMethod::PGD, 1);
  attack.targeted = true;
  Vector before = scene.predict(scene.instances.data.x),
         after = scene.predict(scene.run(attack).x), target;
  for (size_t i = 0; i < before.size(); ++i)
    target.push_back(scene.instances.data.c[(i + 6) % before.size()]);
  EXPECT_LT(meanDistance(after, target, 6), meanDistance(before, target, 6));
}

TEST(Attack, AdversarialTrainingLowersRegretUnderAttack) {
  Scene scene;
  auto mse = llvm::cantFail(makeMethod("mse", {}, *scene.problem));
  auto attacked = [&](bool adversary) {
    llvm::cantFail(scene.predictor.initialise(3));
    TrainOptions training;
    training.epochs = 60;
    training.batch = 10;
    training.learningRate = 0.1;
    AttackOptions attack = options(AttackLoss::MSE, AttackMethod::FGSM, 0.5);
    if (adversary)
      training.adversary = attack;
    llvm::cantFail(train(*scene.problem, scene.predictor, *mse, scene.instances,
                         nullptr, training, scene.alone, nullptr));
    Vector c = scene.predict(scene.run(attack).x);
    return meanDistance(c, scene.instances.data.c, 6);
  };
  EXPECT_LT(attacked(true), attacked(false));
}

TEST(Attack, SaysWhatIsWrong) {
  AttackOptions attack = options(AttackLoss::Random, AttackMethod::PGD, 0.1);
  auto error = [&] { return llvm::toString(checkAttack(attack, 3)); };
  EXPECT_EQ(error(), "attack 'pgd' follows a gradient: it means nothing with "
                     "loss 'random'");
  attack.method = AttackMethod::FGSM;
  EXPECT_EQ(error(), "");
  attack.targeted = true;
  EXPECT_EQ(error(), "a targeted attack needs a loss, not 'random'");
  attack.targeted = false;
  attack.epsilon = -0.1;
  EXPECT_EQ(error(), "eps of an attack is at least 0, not -0.1");
  attack.epsilon = std::nan("");
  EXPECT_EQ(error(), "eps of an attack is at least 0, not nan");
  attack.epsilon = 1;
  attack.mask = {true};
  EXPECT_EQ(error(), "mask and box of an attack are of other than 3 features");
  attack.mask = {};
  attack.lower = {0, 1, 0};
  attack.upper = {1, 0, 1};
  EXPECT_EQ(error(), "the box of an attack is empty at feature 1");
  attack.steps = 0;
  EXPECT_EQ(error(), "an attack has at least one step and one restart, and its "
                     "steps have a size of at least 0");
  EXPECT_EQ(llvm::toString(parseAttackLoss("spo").takeError()),
            "there is no loss of attacks 'spo'; there are mse, own, spo_plus, "
            "not_opt, random");
}

TEST(Train, DataOfAnotherProblemAreAnError) {
  Scene scene;
  auto wider = llvm::cantFail(makeKnapsack({1, 2, 3}, 3));
  EXPECT_EQ(
      llvm::toString(solveInstances(*wider, scene.instances.data, scene.alone)
                         .takeError()),
      "instances have 6 costs, a knapsack of 3 items, capacity 3 has 3");
  auto mse = llvm::cantFail(makeMethod("mse", {}, *scene.problem));
  auto error = [&](Predictor &predictor, const TrainOptions &options) {
    return llvm::toString(train(*scene.problem, predictor, *mse,
                                scene.instances, nullptr, options, scene.alone,
                                nullptr));
  };
  LinearPredictor narrow(2, 1);
  EXPECT_EQ(error(narrow, {}),
            "the model takes 2 features and gives 1 costs, the data have 3 "
            "features and 1 costs a row");
  TrainOptions options;
  options.learningRate = 0;
  EXPECT_EQ(error(scene.predictor, options), "the learning rate is positive");
  options.epochs = -1;
  EXPECT_EQ(error(scene.predictor, options),
            "epochs are at least 0, and a batch has at least one instance");
}

TEST(Train, CurvesAreTheSameForAnyNumberOfThreads) {
  Scene scene;
  std::vector<std::vector<double>> parameters;
  for (int threads : {1, 3}) {
    Parallel parallel(threads);
    llvm::cantFail(scene.predictor.initialise(1));
    TrainOptions options;
    options.epochs = 3;
    options.batch = 8;
    options.growth = 1;
    options.shuffle = true;
    auto map = llvm::cantFail(makeMethod("map", {}, *scene.problem));
    llvm::cantFail(train(*scene.problem, scene.predictor, *map, scene.instances,
                         &scene.instances, options, parallel, nullptr));
    parameters.push_back(scene.predictor.parameters());
  }
  EXPECT_EQ(parameters[0], parameters[1]);
}

TEST(Metrics, RanksAndDistributions) {
  EXPECT_NEAR(rankCorrelation({1, 2, 3, 4}, {1, 4, 9, 16}), 1, 1e-15);
  EXPECT_NEAR(rankCorrelation({1, 2, 3, 4}, {8, 7, 6, 5}), -1, 1e-15);
  // Ranks 0 1.5 1.5 3 against 0 1 2 3.
  EXPECT_NEAR(rankCorrelation({1, 2, 2, 3}, {1, 2, 3, 4}),
              4.5 / std::sqrt(4.5 * 5), 1e-15);
  EXPECT_TRUE(std::isnan(rankCorrelation({1, 1}, {1, 2})));
  auto points = complementaryDistribution({3, 1, 1, 2});
  ASSERT_EQ(points.size(), 3u);
  EXPECT_EQ(points[0], std::pair(1.0, 0.5));
  EXPECT_EQ(points[2], std::pair(3.0, 0.0));
}

TEST(Metrics, AnOptimumWorthNothingIsNamed) {
  Scene scene;
  Dataset data = scene.instances.data;
  std::fill(data.c.begin() + 6, data.c.begin() + 12, -1.0);
  auto instances =
      llvm::cantFail(solveInstances(*scene.problem, data, scene.alone));
  EXPECT_EQ(
      llvm::toString(
          judge(*scene.problem, instances, data.c, scene.alone).takeError()),
      "instance 1: the optimum is worth 0, so that regret relative to it "
      "means nothing");
}
} // namespace

//===- MethodTest.cpp - Gradients of all methods --------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Method.h"

#include "twist/DFL/Knapsack.h"
#include "twist/DFL/Portfolio.h"
#include "twist/DFL/Random.h"

#include "gtest/gtest.h"

using namespace twist::dfl;
using Vector = std::vector<double>;

namespace {

/// A small knapsack, a batch of instances and a pool of optima.
struct Scene {
  explicit Scene(int64_t count = 3, uint64_t seed = 7)
      : problem(llvm::cantFail(makeKnapsack({3, 5, 7, 3, 5, 7, 2, 4}, 15))),
        count(count), n(problem->size()), predicted(count * n),
        labels(count * n), optima(count * n), pool(n) {
    Draws draws(seed, 0, 0, DrawData);
    for (double &y : labels)
      y = 5 + 3 * draws.normal();
    for (size_t i = 0; i < labels.size(); ++i)
      predicted[i] = labels[i] + 2 * draws.normal();
    solve(labels, optima);
    pool.add(optima);
    Vector more(predicted.size());
    solve(predicted, more);
    pool.add(more);
  }
  void solve(const Vector &gains, Vector &decisions) const {
    llvm::cantFail(problem->maximise(int64_t(gains.size()) / n, gains.data(),
                                     decisions.data()));
  }
  MethodBatch batch() const {
    return {count,         double(count), predicted.data(), labels.data(),
            optima.data(), /*seed=*/11,   /*step=*/2,       0};
  }
  /// Sum of losses over the batch; the gradient in `gradient`.
  double evaluate(const Method &method, Vector &gradient) const {
    gradient.assign(predicted.size(), 0.0);
    Vector losses(count);
    Parallel alone;
    llvm::cantFail(differentiateAll(method, *problem, pool, batch(),
                                    gradient.data(), losses.data(), alone));
    double sum = 0;
    for (double loss : losses)
      sum += loss;
    return sum;
  }

  std::unique_ptr<Problem> problem;
  int64_t count, n;
  Vector predicted, labels, optima;
  Pool pool;
};

std::unique_ptr<Method> method(llvm::StringRef name,
                               const MethodParameters &parameters,
                               const Scene &scene) {
  return llvm::cantFail(makeMethod(name, parameters, *scene.problem));
}

/// Losses are smooth but at isolated points: the gradient is that of central
/// differences of the loss, up to `factor`.
void expectDifferences(llvm::StringRef name, const MethodParameters &parameters,
                       double factor) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    Scene scene(3, seed);
    auto tested = method(name, parameters, scene);
    Vector gradient, unused;
    scene.evaluate(*tested, gradient);
    for (size_t i = 0; i < gradient.size(); ++i) {
      double h = 1e-5, at = scene.predicted[i];
      scene.predicted[i] = at + h;
      double up = scene.evaluate(*tested, unused);
      scene.predicted[i] = at - h;
      double down = scene.evaluate(*tested, unused);
      scene.predicted[i] = at;
      double slope = factor * (up - down) / (2 * h);
      EXPECT_NEAR(gradient[i], slope, 1e-5 * (1 + std::abs(slope)))
          << name.str() << ", seed " << seed << ", item " << i;
    }
  }
}

TEST(Method, GradientsAreThoseOfDifferences) {
  double mean = 1.0 / 3; // where formulas divide by the batch's 3 instances
  expectDifferences("mse", {}, mean);
  expectDifferences("spo+", {}, 1);
  expectDifferences("fy", {{"sigma", 2}, {"samples", 3}}, mean);
  expectDifferences("qptl", {{"mu", 0.3}}, mean);
  expectDifferences("listwise", {{"tau", 5}}, mean);
  expectDifferences("pairwise", {{"margin", 4}}, mean);
  expectDifferences("pairwise-diff", {}, mean);
  expectDifferences("map", {}, mean);
  expectDifferences("not_opt", {}, 1);
}

/// One instance of two items of weight 1 and 2, capacity 2: item 1 alone (gain
/// 5 of 3, 5) is best; the prediction 4, 1 takes item 0.
struct Hand : Scene {
  Hand() : Scene(1) {
    problem = llvm::cantFail(makeKnapsack({1, 2}, 2));
    n = 2;
    predicted = {4, 1};
    labels = {3, 5};
    optima = {0, 1};
    pool = Pool(2);
    pool.add({0.0, 1.0});
    pool.add({1.0, 0.0});
  }
  Vector gradient(llvm::StringRef name, const MethodParameters &parameters) {
    Vector g;
    evaluate(*method(name, parameters, *this), g);
    return g;
  }
};

TEST(Method, HandComputedCases) {
  Hand hand;
  // v*(2yh - y) = v*(5, -3) = (1, 0).
  EXPECT_EQ(hand.gradient("spo+", {}), Vector({1, -1}));
  // v*(yh + 2y) = v*(10, 11) = (0, 1): item 1 should be predicted higher.
  EXPECT_EQ(hand.gradient("dbb", {{"lambda", 2}}), Vector({0.5, -0.5}));
  // v*(yh + .5y) = v*(5.5, 3.5) = v*(yh): masked.
  EXPECT_EQ(hand.gradient("dbb", {{"lambda", 0.5}}), Vector({0, 0}));
  // So little noise that it is DBB without the division.
  EXPECT_EQ(hand.gradient("imle", {{"beta", 2}, {"temperature", 1e-9}}),
            Vector({1, -1}));
  EXPECT_EQ(hand.gradient("fy", {{"sigma", 1e-9}}), Vector({1, -1}));
  EXPECT_EQ(hand.gradient("map", {}), Vector({1, -1}));
  // Best is (0, 1); one pair; yh·(best - v) = 1 - 4 = -3 < margin.
  EXPECT_EQ(hand.gradient("pairwise", {{"margin", 1}}), Vector({1, -1}));
  // (best - v)·(yh - y) = (-1, 1)·(1, -4) = -5, squared.
  EXPECT_EQ(hand.gradient("pairwise-diff", {}), Vector({10, -10}));
  // p_yh = softmax(1, 4), p_y = softmax(5, 3) over ((0,1), (1,0)); |S| = 2.
  Vector g = hand.gradient("listwise", {{"tau", 1}});
  double first = 1 / (1 + std::exp(3.0)) - 1 / (1 + std::exp(-2.0));
  EXPECT_NEAR(g[1], first / 2, 1e-15);
  EXPECT_NEAR(g[0], -first / 2, 1e-15);
}

/// Descending along any method's gradient makes the optimum's items look better
/// and others worse: a sign mistaken under maximisation shows here.
TEST(Method, SignUnderMaximisation) {
  for (const MethodInfo &info : allMethods()) {
    Hand hand;
    MethodParameters strong;
    if (info.name == "dbb")
      strong = {{"lambda", 2}};
    if (info.name == "imle")
      strong = {{"beta", 2}, {"temperature", 1e-9}};
    if (info.name == "qptl")
      strong = {{"mu", 2}};
    Vector g = hand.gradient(info.name, strong);
    EXPECT_GT(g[0], g[1]) << info.name;
    if (info.name == "qptl" || info.name == "hsd")
      continue; // of relaxed optima that are not yet full, all are to grow
    EXPECT_GT(g[0], 0) << info.name;
    EXPECT_LT(g[1], 0) << info.name;
  }
}

TEST(Method, APoolOfOneIsNoError) {
  for (llvm::StringRef name :
       {"listwise", "pairwise", "pairwise-diff", "map"}) {
    Hand hand;
    hand.pool = Pool(2);
    hand.pool.add({0.0, 1.0});
    EXPECT_EQ(hand.gradient(name, {}), Vector({0, 0})) << name.str();
  }
}

TEST(Method, AnEmptyPoolIsAnError) {
  Scene scene;
  Pool empty(scene.n);
  Vector gradient(scene.predicted.size());
  Parallel alone;
  EXPECT_EQ(llvm::toString(differentiateAll(
                *method("map", {}, scene), *scene.problem, empty, scene.batch(),
                gradient.data(), nullptr, alone)),
            "the pool of solutions is empty");
}

/// The listwise gradient sums over the pool: two decisions twice as often are
/// the same pool, for duplicates are dropped; another decision changes it.
TEST(Method, PoolDropsDuplicates) {
  Pool pool(2);
  pool.add({0.0, 1.0, 1.0, 0.0, 0.0, 1.0, -0.0, 1.0});
  EXPECT_EQ(pool.size(), 2);
  EXPECT_EQ(pool.decision(1)[0], 1);
}

TEST(Method, TiesAreBrokenAlways) {
  auto problem = llvm::cantFail(makeKnapsack({1, 1, 1, 1}, 2));
  Vector gains(4, 1.0), first(4), again(4);
  ASSERT_FALSE(bool(problem->maximise(1, gains.data(), first.data())));
  EXPECT_EQ(first, Vector({1, 1, 0, 0}));
  // Items worth nothing stay out.
  gains = {0, 1, 0, -1};
  ASSERT_FALSE(bool(problem->maximise(1, gains.data(), again.data())));
  EXPECT_EQ(again, Vector({0, 1, 0, 0}));
}

/// Nor do they depend on what is remembered: noise, and the side of labels.
TEST(Method, SameForAnyNumberOfThreads) {
  Scene scene(200);
  for (const MethodInfo &info : allMethods()) {
    auto tested = method(info.name, {}, scene);
    Vector one(scene.predicted.size()), three(one.size()), again(one.size());
    Parallel alone(1), together(3);
    ASSERT_FALSE(
        bool(differentiateAll(*tested, *scene.problem, scene.pool,
                              scene.batch(), one.data(), nullptr, alone)));
    ASSERT_FALSE(bool(differentiateAll(
        *method(info.name, {}, scene), *scene.problem, scene.pool,
        scene.batch(), three.data(), nullptr, together)));
    EXPECT_EQ(one, three) << info.name;
    MethodBatch batch = scene.batch();
    auto sides = tested->labelSides(*scene.problem, scene.pool, batch);
    EXPECT_EQ(sides.empty(), !tested->needsPool()) << info.name;
    batch.sides = sides;
    ASSERT_FALSE(bool(differentiateAll(*tested, *scene.problem, scene.pool,
                                       batch, again.data(), nullptr, alone)));
    EXPECT_EQ(one, again) << info.name;
  }
}

/// Means and variances of 200,000 draws, within five standard errors.
TEST(Draws, HaveTheirMoments) {
  auto moments = [](auto draw, double mean, double variance) {
    Draws draws(1, 2, 3, DrawNoise);
    double n = 200000, sum = 0, squares = 0;
    for (int i = 0; i < n; ++i) {
      double value = draw(draws) - mean;
      sum += value;
      squares += value * value;
    }
    EXPECT_NEAR(sum / n, 0, 5 * std::sqrt(variance / n));
    EXPECT_NEAR(squares / n / variance, 1, 0.1);
  };
  moments([](Draws &d) { return d.uniform(); }, 0.5, 1.0 / 12);
  moments([](Draws &d) { return d.normal(); }, 0, 1);
  moments([](Draws &d) { return d.gumbel(); }, 0.5772156649, 1.6449340668);
  moments([](Draws &d) { return d.gamma(0.2); }, 0.2, 0.2);
  moments([](Draws &d) { return double(d.below(10)); }, 4.5, 8.25);
}

TEST(Method, SaysWhatIsWrong) {
  Scene scene;
  auto error = [&](llvm::StringRef name, const MethodParameters &parameters) {
    return llvm::toString(
        makeMethod(name, parameters, *scene.problem).takeError());
  };
  EXPECT_EQ(
      error("spo", {}),
      "there is no method 'spo'; there are mse, spo+, dbb, imle, fy, hsd, "
      "qptl, listwise, pairwise, pairwise-diff, map");
  EXPECT_EQ(error("dbb", {{"mu", 1}}),
            "method 'dbb' has no hyper-parameter 'mu'");
  EXPECT_EQ(error("dbb", {{"lambda", 0}}),
            "hyper-parameter 'lambda' of method 'dbb' is positive, not 0");
  auto flat = llvm::cantFail(makePortfolio({1}, 1, 2));
  EXPECT_EQ(
      llvm::toString(makeMethod("qptl", {}, *flat).takeError()),
      "method 'qptl' differentiates a linear relaxation, which a portfolio "
      "of 1 assets, risk 2 does not have");
  scene.predicted[9] = std::nan("");
  Vector gradient(scene.predicted.size());
  Parallel alone;
  EXPECT_EQ(llvm::toString(differentiateAll(
                *method("mse", {}, scene), *scene.problem, scene.pool,
                scene.batch(), gradient.data(), nullptr, alone)),
            "prediction of instance 1, item 1 is nan");
}
} // namespace

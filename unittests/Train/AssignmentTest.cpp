//===- AssignmentTest.cpp - Who holds what, round by round ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Assignment.h"

#include "llvm/ADT/STLExtras.h"
#include "gtest/gtest.h"

#include <map>
#include <set>

using namespace twist::train;

static DealtAxis heads(int64_t units, int64_t layer = 0) {
  return {"h" + std::to_string(layer) + ".q:0", "head", layer, units};
}

static Assignment make(std::vector<DealtAxis> axes, AssignmentOptions options) {
  auto made = Assignment::create(std::move(axes), options);
  if (made)
    return std::move(*made);
  ADD_FAILURE() << llvm::toString(made.takeError());
  return llvm::cantFail(Assignment::create({}, {}));
}

static std::string errorOf(std::vector<DealtAxis> axes,
                           const AssignmentOptions &options) {
  auto made = Assignment::create(std::move(axes), options);
  return made ? "" : llvm::toString(made.takeError());
}

static AssignmentOptions with(double kappa, int64_t workers,
                              Dealing dealing = Dealing::Balanced) {
  AssignmentOptions options;
  options.dealing = dealing;
  options.workers = workers;
  options.kappas = {{"", {}, kappa}};
  return options;
}

static std::vector<int64_t> holders(const std::vector<Mask> &masks,
                                    int64_t groups) {
  std::vector<int64_t> count(groups);
  for (const Mask &mask : masks)
    for (int64_t unit : mask)
      ++count[unit];
  return count;
}

TEST(Assignment, EveryUnitIsHeldAndNoneTwice) {
  for (Dealing dealing : {Dealing::Balanced, Dealing::Random, Dealing::Rolling})
    for (int64_t groups : {1, 4, 7, 12, 16})
      for (int64_t workers : {1, 2, 3, 4, 7})
        for (double kappa : {0.26, 0.5, 0.75, 1.0}) {
          auto made = Assignment::create({heads(groups)},
                                         with(kappa, workers, dealing));
          if (!made) { // too few to hold all
            llvm::consumeError(made.takeError());
            continue;
          }
          for (int64_t round = 0; round < 20; ++round) {
            std::vector<Mask> masks = made->deal(0, round);
            ASSERT_EQ(int64_t(masks.size()), workers);
            for (const Mask &mask : masks) {
              ASSERT_EQ(int64_t(mask.size()), made->kept(0, 0, round));
              std::set<int64_t> distinct(mask.begin(), mask.end());
              ASSERT_EQ(distinct.size(), mask.size());
              ASSERT_TRUE(llvm::is_sorted(mask));
              ASSERT_GE(mask.front(), 0);
              ASSERT_LT(mask.back(), groups);
            }
            std::vector<int64_t> count = holders(masks, groups);
            int64_t least = *llvm::min_element(count);
            ASSERT_GE(least, 1);
            if (dealing != Dealing::Random)
              ASSERT_LE(*llvm::max_element(count) - least, 1)
                  << groups << " " << workers << " " << kappa;
          }
        }
}

/// χ² of equal frequencies over subsets stays below the 0.999 quantile.
static void expectUniform(Dealing dealing, int64_t groups, double kappa,
                          int64_t workers, size_t subsets, double quantile) {
  Assignment assignment = make({heads(groups)}, with(kappa, workers, dealing));
  constexpr int64_t kRounds = 12000;
  for (int64_t worker = 0; worker < workers; ++worker) {
    std::map<Mask, int64_t> seen;
    for (int64_t round = 0; round < kRounds; ++round)
      ++seen[assignment.deal(0, round)[worker]];
    ASSERT_EQ(seen.size(), subsets);
    double expected = double(kRounds) / double(subsets), square = 0;
    for (const auto &[mask, count] : seen)
      square += (count - expected) * (count - expected) / expected;
    EXPECT_LT(square, quantile) << "worker " << worker;
  }
}

TEST(Assignment, EachWorkersMaskIsUniform) {
  // 5 choose 3 = 10 subsets, 9 degrees of freedom; with 4 workers there are
  // seams, and repeats to swap.
  expectUniform(Dealing::Balanced, 5, 0.6, 4, 10, 27.9);
  expectUniform(Dealing::Balanced, 4, 0.5, 3, 6, 20.5);
  expectUniform(Dealing::Random, 5, 0.6, 4, 10, 27.9);
}

TEST(Assignment, LayersFamiliesRoundsAndSeedsDiffer) {
  std::vector<DealtAxis> axes = {
      heads(12), heads(12, 1), {"up0", "ffn", 0, 768, 64}};
  Assignment assignment = make(axes, with(0.5, 4));
  EXPECT_EQ(assignment.deal(2, 0)[0].size(), 6u); // groups of 64
  EXPECT_NE(assignment.deal(0, 0), assignment.deal(1, 0));
  EXPECT_NE(assignment.deal(0, 0), assignment.deal(2, 0));
  EXPECT_NE(assignment.deal(0, 0), assignment.deal(0, 1));
  EXPECT_EQ(assignment.deal(0, 5), make(axes, with(0.5, 4)).deal(0, 5));
  AssignmentOptions other = with(0.5, 4);
  other.seed = 1;
  EXPECT_NE(assignment.deal(0, 0), make(axes, other).deal(0, 0));
}

/// Masks that a Python program with generator and dealing of its own makes too:
/// a seed means the same in years.
TEST(Assignment, KnownMasks) {
  AssignmentOptions options = with(0.6, 3);
  options.seed = 7;
  EXPECT_EQ(
      make({heads(8)}, options).deal(0, 3),
      (std::vector<Mask>{{0, 2, 3, 4, 6}, {0, 1, 2, 5, 7}, {1, 3, 4, 5, 7}}));
}

TEST(Assignment, KappaOfKindsLayersAndPins) {
  AssignmentOptions options;
  options.workers = 4;
  options.kappas =
      llvm::cantFail(parseKappas("0.5,head=0.75,head.1=1,ffn=0.25"));
  DealtAxis pinned = heads(8, 2);
  pinned.pinned = true;
  Assignment assignment =
      make({heads(8), heads(8, 1), pinned, {"f", "ffn", 0, 16}}, options);
  EXPECT_EQ(assignment.kept(0, 0, 0), 6);
  EXPECT_EQ(assignment.kept(1, 0, 0), 8);
  EXPECT_EQ(assignment.kept(2, 0, 0), 8);
  EXPECT_EQ(assignment.kept(3, 0, 0), 4);
}

TEST(Assignment, SeveralKappasAtOnce) {
  AssignmentOptions options;
  options.workers = 4;
  options.anyKappa = {0.25, 0.5, 1};
  Assignment assignment = make({heads(8)}, options);
  std::set<int64_t> drawn;
  for (int64_t round = 0; round < 40; ++round) {
    std::vector<Mask> masks = assignment.deal(0, round);
    EXPECT_EQ(masks[(4 - round % 4) % 4].size(), 8u);
    EXPECT_EQ(masks[(5 - round % 4) % 4].size(), 2u);
    drawn.insert(masks[(6 - round % 4) % 4].size());
    EXPECT_GE(*llvm::min_element(holders(masks, 8)), 1);
  }
  EXPECT_EQ(drawn, (std::set<int64_t>{2, 4, 8}));
}

TEST(Assignment, Annealing) {
  AssignmentOptions options;
  options.anneal = llvm::cantFail(parseAnneal("0:0.875,20:0.75,50:0.5"));
  Assignment assignment = make({heads(8)}, options);
  EXPECT_EQ(assignment.kept(0, 0, 0), 7);
  EXPECT_EQ(assignment.kept(0, 0, 19), 7);
  EXPECT_EQ(assignment.kept(0, 3, 20), 6);
  EXPECT_EQ(assignment.kept(0, 0, 1000), 4);
}

TEST(Assignment, RefusesWhatWouldNotDo) {
  auto expect = [](const std::string &message, const char *part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(errorOf({heads(12)}, with(0.25, 3)),
         "axis 'h0.q:0' (head of layer 0) has 12 groups, but 3 workers of 3 "
         "each hold at most 9: take kappa >= 0.3333 or 4 workers");
  expect(errorOf({heads(12)}, with(0, 3)),
         "kappa is 0.00, it has to be above 0");
  expect(errorOf({heads(12)}, with(1.5, 3)), "at most 1");
  expect(errorOf({heads(12)}, with(0.5, 0)), "one worker at least");
  AssignmentOptions other = with(0.5, 4);
  other.kappas.push_back({"ffn", {}, 0.5});
  expect(errorOf({heads(12)}, other), "the model has no axis ffn");
  other.kappas = {{"head", 3, 0.5}};
  expect(errorOf({heads(12)}, other), "the model has no axis head.3");
  other.kappas = {{"", 3, 0.5}};
  expect(errorOf({heads(12)}, other),
         "kappa: the model has no axis of any kind.3");
  other.kappas = {{"head", {}, 0.5}};
  other.anneal = {{0, 0.5}};
  expect(errorOf({heads(12)}, other), "one of its own for 'head'");
  other.kappas.clear();
  other.anneal = {{4, 0.5}, {4, 0.25}};
  expect(errorOf({heads(12)}, other),
         "annealing: rounds have to ascend, but 4 follows 4");
  other.anneal = {{0, 0.5}};
  other.anyKappa = {0.5, 1};
  expect(errorOf({heads(12)}, other), "can't be annealed");
  other.anneal.clear();
  other.anyKappa = {0.5};
  expect(errorOf({heads(12)}, other), "take two at least");
  other.anyKappa = {0.1, 0.2};
  expect(errorOf({heads(12)}, other), "has 12 groups");
  expect(errorOf({{"f", "ffn", 0, 100, 64}}, with(0.5, 4)),
         "groups of 64 do not divide the 100 units of axis 'f'");
  for (const char *text : {"", "x", "head=", "=0.5", "head.x=0.5", "head.-1=1"})
    expect(llvm::toString(parseKappas(text).takeError()), "KIND.LAYER=NUMBER");
  for (const char *text : {"", "0.5", "x:1", "-1:0.5", "3:"})
    expect(llvm::toString(parseAnneal(text).takeError()), "is not ROUND:KAPPA");
}

//===- LinearProgramTest.cpp - Our solvers against HiGHS ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "WithHighs.h"

#include "twist/DFL/Knapsack.h"
#include "twist/DFL/Random.h"
#include "twist/DFL/Relaxation.h"
#include "twist/DFL/ShortestPath.h"

using namespace twist::dfl;
using Vector = std::vector<double>;

namespace {

using LinearProgram = WithHighs;

std::string sum(const Vector &factors) {
  std::string text;
  for (size_t i = 0; i < factors.size(); ++i)
    if (factors[i] != 0)
      text += (factors[i] < 0 ? " - " : " + ") +
              std::to_string(std::abs(factors[i])) + " x" + std::to_string(i);
  return text;
}

/// Times what is usual: TWIST_TRIALS of the long tests, or 1.
uint32_t trials(uint32_t usual) {
  const char *times = std::getenv("TWIST_TRIALS");
  return usual * (times ? uint32_t(std::atoi(times)) : 1);
}

/// The same value for all of `count` instances, of any sign.
void expectAlike(const Problem &a, const Problem &b, int64_t count,
                 Draws &draws) {
  int64_t n = a.size();
  Vector gains(n * count), ours(n * count), theirs(n * count);
  for (double &g : gains)
    g = draws.normal() + 0.5;
  Parallel parallel(2);
  ASSERT_FALSE(bool(maximiseAll(a, gains, ours, parallel)));
  ASSERT_FALSE(bool(maximiseAll(b, gains, theirs, parallel)));
  for (int64_t i = 0; i < count; ++i)
    EXPECT_NEAR(dot(&gains[i * n], &ours[i * n], n),
                dot(&gains[i * n], &theirs[i * n], n), 1e-6);
}

TEST_F(LinearProgram, KnapsacksAreSolvedAlike) {
  for (uint32_t trial = 0; trial < trials(40); ++trial) {
    Draws draws(6, trial, 0, DrawData);
    int64_t n = 4 + int64_t(draws.below(9)), m = 1 + trial % 2;
    Vector weights(n * m), capacities(m);
    for (double &w : weights)
      w = 1 + double(draws.below(20));
    for (double &c : capacities)
      c = 20 + double(draws.below(60));
    std::string text =
                    "maximize\n obj:" + sum(Vector(n, 1.0)) + "\nsubject to\n",
                names;
    for (int64_t k = 0; k < m; ++k)
      text +=
          sum(Vector(weights.begin() + k * n, weights.begin() + (k + 1) * n)) +
          " <= " + std::to_string(capacities[k]) + "\n";
    for (int64_t i = 0; i < n; ++i)
      names += " x" + std::to_string(i);
    auto program = read(text + "binary\n" + names + "\nend\n");
    EXPECT_EQ(program->sense(), Sense::Maximise);
    auto problem =
        llvm::cantFail(m == 1 ? makeKnapsack(weights, capacities[0])
                              : makeMultiKnapsack(weights, capacities));
    expectAlike(*problem, *program, 50, draws);
  }
}

/// Flow over the grid's edges: in row r those to the right, then those down.
std::string flow(int64_t rows, int64_t columns) {
  int64_t stride = 2 * columns - 1, n = rows * (columns - 1);
  n += (rows - 1) * columns;
  std::string text =
      "minimize\n obj:" + sum(Vector(size_t(n), 1.0)) + "\nsubject to\n";
  for (int64_t node = 0; node + 1 < rows * columns; ++node) {
    int64_t r = node / columns, c = node % columns;
    Vector edges(size_t(n), 0.0);
    if (c + 1 < columns)
      edges[r * stride + c] = 1;
    if (c > 0)
      edges[r * stride + c - 1] = -1;
    if (r + 1 < rows)
      edges[r * stride + columns - 1 + c] = 1;
    if (r > 0)
      edges[(r - 1) * stride + columns - 1 + c] = -1;
    text += sum(edges) + (node ? " = 0\n" : " = 1\n");
  }
  text += "bounds\n";
  for (int64_t e = 0; e < n; ++e)
    text += " x" + std::to_string(e) + " <= 1\n";
  return text + "end\n";
}

TEST_F(LinearProgram, PathsAreSolvedAlike) {
  for (uint32_t trial = 0; trial < trials(30); ++trial) {
    Draws draws(8, trial, 0, DrawData);
    int64_t rows = 2 + int64_t(draws.below(4)),
            columns = 2 + int64_t(draws.below(4));
    auto program = read(flow(rows, columns));
    auto grid = llvm::cantFail(makeShortestPath(rows, columns));
    ASSERT_EQ(program->size(), grid->size());
    expectAlike(*grid, *program, 50, draws);
  }
}

/// The linear relaxation too: HSD's optimum is that of the simplex method.
TEST_F(LinearProgram, RelaxationsAreSolvedAlike) {
  Draws draws(7, 0, 0, DrawData);
  Vector weights = {3, 5, 7, 2, 6, 4}, x(6), y(6);
  std::string bounds;
  for (int i = 0; i < 6; ++i)
    bounds += " x" + std::to_string(i) + " <= 1\n";
  auto program =
      read("maximize\n obj:" + sum(Vector(6, 1.0)) + "\nsubject to\n" +
           sum(weights) + " <= 11\nbounds\n" + bounds + "end\n");
  auto relaxation = makeKnapsackRelaxation(weights, 11);
  for (uint32_t trial = 0; trial < trials(200); ++trial) {
    Vector gains(6);
    for (double &g : gains)
      g = draws.normal() + 0.5;
    ASSERT_FALSE(bool(program->maximise(1, gains.data(), x.data())));
    ASSERT_FALSE(bool(relaxation->selfDual(gains.data(), {1e-9, 1e-8}, y.data(),
                                           nullptr, nullptr)));
    for (size_t i = 0; i < 6; ++i)
      EXPECT_NEAR(x[i], y[i], 2e-3);
  }
}

TEST_F(LinearProgram, SaysWhichInstanceHasNoOptimum) {
  auto message = [](llvm::Error error) {
    std::string text = llvm::toString(std::move(error));
    return text.substr(0, text.find(" of a ")) + text.substr(text.rfind(':'));
  };
  auto open = read("maximize\n obj: x0 + x1\nsubject to\n x0 - x1 <= 1\nend\n");
  Vector gains = {-1, -1, 1, 1}, x(4);
  EXPECT_EQ(message(open->maximise(2, gains.data(), x.data())),
            "instance 1: is unbounded");
  // The number is that in the whole, whatever part it was solved in.
  Vector many(2 * 40, -1.0), decisions(many.size());
  many[2 * 37] = 1;
  many[2 * 37 + 1] = 2;
  Parallel parallel(2);
  EXPECT_EQ(message(maximiseAll(*open, many, decisions, parallel)),
            "instance 37: is unbounded");
  auto none = read("minimize\n obj: x0\nsubject to\n x0 >= 2\n x0 <= 1\nend\n");
  EXPECT_EQ(message(none->maximise(1, gains.data(), x.data())),
            "instance 0: is infeasible");
  EXPECT_EQ(llvm::toString(makeLinearProgram("/nowhere.mps").takeError()),
            "'/nowhere.mps': no such file");
  std::error_code code;
  llvm::raw_fd_ostream(path, code) << "no programme at all";
  std::string text = llvm::toString(makeLinearProgram(path).takeError());
  EXPECT_NE(text.find("is no programme that HiGHS reads"), std::string::npos);
  llvm::raw_fd_ostream(path, code)
      << "minimize\n obj: x0 + [ 2 x0 ^ 2 ] / 2\nsubject to\n x0 >= 2\nend\n";
  text = llvm::toString(makeLinearProgram(path).takeError());
  EXPECT_NE(text.find("has a quadratic objective; costs are linear"),
            std::string::npos);
}
} // namespace

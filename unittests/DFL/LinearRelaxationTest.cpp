//===- LinearRelaxationTest.cpp - Relaxations of programmes in files ------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Random programmes with columns and rows of every kind, read from .mps files,
// with the simplex method of HiGHS as the judge.
//
//===----------------------------------------------------------------------===//

#include "FixedResiduals.h"
#include "WithHighs.h"

#include "twist/DFL/Knapsack.h"
#include "twist/DFL/Method.h"
#include "twist/DFL/Random.h"

#include <cmath>
#include <limits>

using namespace twist::dfl;
using Vector = std::vector<double>;

namespace {
constexpr double kNone = std::numeric_limits<double>::infinity();
constexpr int64_t kColumns = 7;

/// A programme that has the point `inside`, and whose columns are all held by
/// bounds or by rows.
struct Programme {
  LinearConstraints constraints;
  Vector inside;
  bool maximise;

  explicit Programme(uint32_t trial);
  void addRow(const Vector &entries, double lower, double upper);
  std::string mps(bool whole) const;
};

void Programme::addRow(const Vector &entries, double lower, double upper) {
  LinearConstraints &c = constraints;
  for (int64_t j = 0; j < kColumns; ++j)
    if (entries[j] != 0) {
      c.indices.push_back(j);
      c.values.push_back(entries[j]);
    }
  c.starts.push_back(int64_t(c.values.size()));
  c.rowLower.push_back(lower);
  c.rowUpper.push_back(upper);
}

Programme::Programme(uint32_t trial) : maximise(trial % 2) {
  Draws draws(8, trial, 0, DrawData);
  LinearConstraints &c = constraints;
  c.starts.push_back(0);
  // x >= 0; two bounds; only an upper one; free; fixed; 0 to 1; x >= 0.
  c.lower = {0, -2 - draws.uniform(), -kNone, -kNone, 1.5, 0, 0};
  c.upper = {kNone, 1, 3 + draws.uniform(), kNone, 1.5, 1, kNone};
  for (int64_t j = 0; j < kColumns; ++j) {
    double low = std::max(c.lower[j], -4.0), high = std::min(c.upper[j], 4.0);
    inside.push_back(low + (high - low) * (0.2 + 0.6 * draws.uniform()));
  }
  auto drawRow = [&](Vector &entries) {
    double at = 0;
    for (int64_t j = 0; j < kColumns; ++j)
      at += (entries[j] = draws.normal()) * inside[j];
    return at;
  };
  Vector entries(kColumns), equation(kColumns);
  double at = drawRow(entries);
  addRow(entries, -kNone, at + draws.uniform());
  at = drawRow(entries);
  addRow(entries, at - draws.uniform(), kNone);
  at = drawRow(entries);
  addRow(entries, at - 1, at + 2);
  at = drawRow(equation);
  addRow(equation, at, at);
  // What follows from it, and a row with nothing to say.
  for (double &entry : equation)
    entry *= -2;
  addRow(equation, -2 * at, -2 * at);
  addRow(entries, -kNone, kNone);
  // All that is not bounded on both sides stays within |x| <= 8 or so.
  at = 0;
  for (int64_t j = 0; j < kColumns; ++j) {
    bool below = std::isfinite(c.lower[j]), above = std::isfinite(c.upper[j]);
    entries[j] = below && above ? 0 : above ? -1 : 1;
    at += entries[j] * inside[j];
  }
  entries[3] = 0;
  addRow(entries, -kNone, at + 5);
  Vector alone(kColumns, 0.0);
  alone[3] = 1;
  addRow(alone, inside[3] - 3, inside[3] + 4);
}

std::string Programme::mps(bool whole) const {
  const LinearConstraints &c = constraints;
  auto number = [](double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.17g", value);
    return std::string(text);
  };
  std::string text = std::string("NAME p\n") +
                     (maximise ? "OBJSENSE\n    MAX\n" : "") +
                     "ROWS\n N cost\n",
              right = "RHS\n", ranges = "RANGES\n", bounds = "BOUNDS\n";
  size_t rows = c.rowLower.size();
  for (size_t k = 0; k < rows; ++k) {
    double low = c.rowLower[k], high = c.rowUpper[k];
    const char *kind = low == high           ? "E"
                       : std::isfinite(low)  ? "G"
                       : std::isfinite(high) ? "L"
                                             : "N";
    std::string name = " r" + std::to_string(k);
    text += std::string(" ") + kind + name + "\n";
    if (*kind != 'N')
      right += " rhs" + name + " " + number(*kind == 'L' ? high : low) + "\n";
    if (*kind == 'G' && std::isfinite(high))
      ranges += " rng" + name + " " + number(high - low) + "\n";
  }
  text += "COLUMNS\n";
  if (whole)
    text += " M 'MARKER' 'INTORG'\n";
  for (int64_t j = 0; j < kColumns; ++j) {
    std::string name = " x" + std::to_string(j);
    text += name + " cost 1\n";
    for (size_t k = 0; k < rows; ++k)
      for (int64_t e = c.starts[k]; e < c.starts[k + 1]; ++e)
        if (c.indices[e] == j)
          text += name + " r" + std::to_string(k) + " " + number(c.values[e]) +
                  "\n";
    double low = c.lower[j], high = c.upper[j];
    if (low == high) {
      bounds += " FX b" + name + " " + number(low) + "\n";
      continue;
    }
    bounds += (std::isfinite(low) ? " LO b" + name + " " + number(low)
                                  : " MI b" + name) +
              "\n";
    bounds += (std::isfinite(high) ? " UP b" + name + " " + number(high)
                                   : " PL b" + name) +
              "\n";
  }
  if (whole)
    text += " M 'MARKER' 'INTEND'\n";
  return text + right + ranges + bounds + "ENDATA\n";
}

Vector drawGains(uint32_t trial) {
  Draws draws(9, trial, 0, DrawData);
  Vector gains(kColumns);
  for (double &gain : gains)
    gain = draws.normal();
  return gains;
}

class LinearRelaxationTest : public WithHighs {
protected:
  LinearRelaxationTest() { suffix = "mps"; }
};

/// Both relaxations near the vertex that the simplex method ends at.
TEST_F(LinearRelaxationTest, OptimaAreThoseOfTheSimplexMethod) {
  for (uint32_t trial = 0; trial < 60; ++trial) {
    Programme programme(trial);
    auto problem = read(programme.mps(/*whole=*/false));
    ASSERT_EQ(problem->sense(),
              programme.maximise ? Sense::Maximise : Sense::Minimise);
    const Relaxation *relaxation = llvm::cantFail(problem->relaxation());
    Vector gains = drawGains(trial), v(kColumns), hsd(kColumns), qp(kColumns);
    ASSERT_FALSE(bool(problem->maximise(1, gains.data(), v.data())));
    ASSERT_FALSE(bool(relaxation->selfDual(gains.data(), {1e-10, 1e-8},
                                           hsd.data(), nullptr, nullptr)));
    ASSERT_FALSE(bool(relaxation->quadratic(gains.data(), 1e-4, qp.data(),
                                            nullptr, nullptr)));
    for (int64_t j = 0; j < kColumns; ++j) {
      EXPECT_NEAR(hsd[j], v[j], 1e-3) << "trial " << trial << ", column " << j;
      EXPECT_NEAR(qp[j], v[j], 1e-4) << "trial " << trial << ", column " << j;
    }
  }
}

/// x is the optimum of g·x - mu |x|² where no v of the programme has more of
/// the slope there, g - 2 mu x: which is again for the simplex method to say.
/// Whole columns are relaxed.
TEST_F(LinearRelaxationTest, NothingIsBetterThanTheQuadraticOptimum) {
  for (uint32_t trial = 0; trial < 40; ++trial) {
    Programme programme(trial);
    auto whole = read(programme.mps(/*whole=*/true));
    // Made before the file is another's.
    const Relaxation *relaxation = llvm::cantFail(whole->relaxation());
    auto problem = read(programme.mps(/*whole=*/false));
    double mu = trial % 2 ? 0.1 : 0.5;
    Vector gains = drawGains(trial), x(kColumns), v(kColumns);
    ASSERT_FALSE(bool(
        relaxation->quadratic(gains.data(), mu, x.data(), nullptr, nullptr)));
    Vector slope = gains;
    for (int64_t j = 0; j < kColumns; ++j)
      slope[j] -= 2 * mu * x[j];
    ASSERT_FALSE(bool(problem->maximise(1, slope.data(), v.data())));
    EXPECT_NEAR(dot(slope.data(), x.data(), kColumns),
                dot(slope.data(), v.data(), kColumns), 1e-6)
        << "trial " << trial;
  }
}

/// Among them one on which a whole second-order correction goes in circles.
TEST(LinearRelaxation, QuadraticDerivativeIsThatOfDifferences) {
  for (uint32_t trial = 0; trial < 40; ++trial) {
    Programme programme(trial);
    auto relaxation =
        llvm::cantFail(makeLinearRelaxation(programme.constraints));
    Vector gains = drawGains(trial), cotangent = drawGains(1000 + trial),
           x(kColumns), back(kColumns), up(kColumns), down(kColumns);
    ASSERT_FALSE(bool(relaxation->quadratic(gains.data(), 0.3, x.data(),
                                            cotangent.data(), back.data())));
    for (int64_t j = 0; j < kColumns; ++j) {
      double h = 1e-5, at = gains[j];
      auto solve = [&](double gain, Vector &result) {
        gains[j] = gain;
        ASSERT_FALSE(bool(relaxation->quadratic(
            gains.data(), 0.3, result.data(), nullptr, nullptr)));
      };
      solve(at + h, up);
      solve(at - h, down);
      gains[j] = at;
      double slope = (dot(cotangent.data(), up.data(), kColumns) -
                      dot(cotangent.data(), down.data(), kColumns)) /
                     (2 * h);
      EXPECT_NEAR(back[j], slope, 1e-4 * (1 + std::abs(slope)))
          << "trial " << trial << ", column " << j;
    }
  }
}

/// Two interior point methods of different makes end, and at the same value.
TEST(LinearRelaxation, BothMethodsAgreeOnManyProgrammes) {
  for (uint32_t trial = 0; trial < 1500; ++trial) {
    Programme programme(10000 + trial);
    auto relaxation =
        llvm::cantFail(makeLinearRelaxation(programme.constraints));
    Vector gains = drawGains(10000 + trial), hsd(kColumns), qp(kColumns);
    ASSERT_FALSE(bool(relaxation->selfDual(gains.data(), {1e-9, 1e-8},
                                           hsd.data(), nullptr, nullptr)))
        << "trial " << trial;
    ASSERT_FALSE(bool(
        relaxation->quadratic(gains.data(), 1e-5, qp.data(), nullptr, nullptr)))
        << "trial " << trial;
    EXPECT_NEAR(dot(gains.data(), hsd.data(), kColumns),
                dot(gains.data(), qp.data(), kColumns), 2e-3)
        << "trial " << trial;
  }
}

/// What columns are in standard form, written down by hand: the second half of
/// the free one stands behind it, the fixed one is not there.
TEST(LinearRelaxation, SelfDualDerivativeIsThatOfDifferences) {
  constexpr double kSigns[] = {1, 1, -1, 1, -1, 1, 1};
  constexpr int64_t kOf[] = {0, 1, 2, 3, 3, 5, 6};
  for (uint32_t trial = 0; trial < 4; ++trial) {
    Programme programme(trial);
    auto relaxation =
        llvm::cantFail(makeLinearRelaxation(programme.constraints));
    const NormalSystem &system = relaxation->system();
    ASSERT_EQ(system.variables(), 7);
    Vector gains = drawGains(trial), cotangent = drawGains(1000 + trial),
           x(kColumns), back(kColumns);
    // No damping would do: the system has full rank.
    ASSERT_FALSE(
        bool(relaxation->selfDual(gains.data(), {0.05, 1e-300}, x.data(),
                                  cotangent.data(), back.data())));
    auto standard = [&](const Vector &byColumn) {
      Vector result(7);
      for (int64_t i = 0; i < 7; ++i)
        result[i] = kSigns[i] * byColumn[kOf[i]];
      return result;
    };
    SelfDual method(system, standard(gains).data());
    ASSERT_FALSE(bool(method.solve(0.05)));
    EXPECT_NEAR(x[2], programme.constraints.upper[2] - method.value(2), 1e-12);
    EXPECT_NEAR(x[3], method.value(3) - method.value(4), 1e-12);
    EXPECT_EQ(x[4], 1.5);
    EXPECT_EQ(back[4], 0);
    FixedResiduals around(system, method, standard(gains));
    Vector in = standard(cotangent);
    for (int64_t j = 0; j < kColumns; ++j) {
      Vector up = gains, down = gains;
      double h = 1e-5;
      up[j] += h;
      down[j] -= h;
      Vector high = around.solve(standard(up)),
             low = around.solve(standard(down));
      double slope =
          (dot(in.data(), high.data(), 7) - dot(in.data(), low.data(), 7)) /
          (2 * h);
      EXPECT_NEAR(back[j], slope, 1e-5 * (1 + std::abs(slope)))
          << "trial " << trial << ", column " << j;
    }
  }
}

/// A knapsack told by constraints is the knapsack.
TEST(LinearRelaxation, KnapsackIsItsOwnSystem) {
  Vector weights = {3, 5, 7, 2, 6, 4}, gains = {4, 3, 9, -1, 5, 2}, x(6), y(6),
         back(6), other(6), cotangent = {1, -2, 0.5, 3, -1, 1};
  LinearConstraints c;
  c.lower.assign(6, 0);
  c.upper.assign(6, 1);
  c.rowLower = {-kNone};
  c.rowUpper = {11};
  c.starts = {0, 6};
  c.indices = {0, 1, 2, 3, 4, 5};
  c.values = weights;
  auto general = llvm::cantFail(makeLinearRelaxation(c));
  auto knapsack = makeKnapsackRelaxation(weights, 11);
  SelfDualOptions options{0.05, 10};
  ASSERT_FALSE(bool(general->selfDual(gains.data(), options, x.data(),
                                      cotangent.data(), back.data())));
  ASSERT_FALSE(bool(knapsack->selfDual(gains.data(), options, y.data(),
                                       cotangent.data(), other.data())));
  for (int64_t i = 0; i < 6; ++i) {
    EXPECT_NEAR(x[i], y[i], 1e-9);
    EXPECT_NEAR(back[i], other[i], 1e-9);
  }
}

/// Twice the same capacity is once.
TEST(LinearRelaxation, KnapsackOfTwoCapacities) {
  Vector weights = {3, 5, 7, 2, 6, 4}, gains = {4, 3, 9, -1, 5, 2}, x(6), y(6),
         back(6), other(6), cotangent = {1, -2, 0.5, 3, -1, 1}, twice = weights;
  twice.insert(twice.end(), weights.begin(), weights.end());
  auto problem = llvm::cantFail(makeMultiKnapsack(twice, {11, 12}));
  const Relaxation *two = llvm::cantFail(problem->relaxation());
  auto one = makeKnapsackRelaxation(weights, 11);
  ASSERT_FALSE(bool(two->quadratic(gains.data(), 0.5, x.data(),
                                   cotangent.data(), back.data())));
  ASSERT_FALSE(bool(one->quadratic(gains.data(), 0.5, y.data(),
                                   cotangent.data(), other.data())));
  for (int64_t i = 0; i < 6; ++i) {
    EXPECT_NEAR(x[i], y[i], 1e-6);
    EXPECT_NEAR(back[i], other[i], 1e-4);
  }
}

TEST(LinearRelaxation, BoundsAlone) {
  LinearConstraints c;
  c.lower = {-1, 0};
  c.upper = {2, 3};
  c.starts = {0};
  auto relaxation = llvm::cantFail(makeLinearRelaxation(c));
  Vector gains = {1, -1}, x(2);
  ASSERT_FALSE(bool(relaxation->selfDual(gains.data(), {1e-10, 1e-8}, x.data(),
                                         nullptr, nullptr)));
  EXPECT_NEAR(x[0], 2, 1e-6);
  EXPECT_NEAR(x[1], 0, 1e-6);
}

TEST(LinearRelaxation, SaysWhatCannotBe) {
  auto message = [](const LinearConstraints &c) {
    return llvm::toString(makeLinearRelaxation(c).takeError());
  };
  LinearConstraints c;
  c.lower = {0, 2};
  c.upper = {1, 1};
  c.starts = {0};
  EXPECT_EQ(message(c), "the bounds of column 1 contradict each other");
  c.upper = {kNone, kNone};
  c.rowLower = {1};
  c.rowUpper = {0};
  c.starts = {0, 1};
  c.indices = {0};
  c.values = {1};
  EXPECT_EQ(message(c), "the bounds of row 0 contradict each other");
  c.rowLower = c.rowUpper = {1, 3};
  c.starts = {0, 1, 2};
  c.indices = {0, 0};
  c.values = {1, 2};
  EXPECT_EQ(message(c), "the programme's equations contradict each other");
  c.rowLower.assign(20000, 0.0);
  c.rowUpper.assign(20000, 0.0);
  EXPECT_EQ(message(c),
            "a programme of 2 columns and 20000 rows is too large for the "
            "dense equations of its relaxation");
}

/// Columns that are 0 or within bounds have no relaxation; the programme is
/// solved all the same.
TEST_F(LinearRelaxationTest, SemiContinuousColumns) {
  auto problem = read("NAME p\nROWS\n N cost\n L r0\nCOLUMNS\n x0 cost 1\n x0 "
                      "r0 1\nRHS\n rhs r0 5\nBOUNDS\n LO b x0 2\n SC b x0 "
                      "4\nENDATA\n");
  Vector gains = {1}, v(1);
  ASSERT_FALSE(bool(problem->maximise(1, gains.data(), v.data())));
  EXPECT_EQ(v[0], 4);
  std::string text =
      llvm::toString(makeMethod("qptl", {}, *problem).takeError());
  EXPECT_NE(text.find("column 0 is 0 or within bounds, which has no linear "
                      "relaxation here"),
            std::string::npos)
      << text;
}
} // namespace

//===- CompareTest.cpp - When two results count as equal ------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Weights/Weights.h"
#include "twist/Proof/Proof.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace twist;
using namespace twist::proof;

namespace {
struct CompareTest : testing::Test {
  MLIRContext context;
  Location loc = UnknownLoc::get(&context);
  Builder b{&context};

  CompareTest() { context.getOrLoadDialect<weights::WeightsDialect>(); }

  template <typename T> HostTensor tensor(Type type, std::vector<T> values) {
    HostTensor result{"y", type, {int64_t(values.size())}};
    result.bytes.resize(values.size() * sizeof(T));
    std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
    return result;
  }
  HostTensor f32(std::vector<float> v) { return tensor(b.getF32Type(), v); }
  HostTensor f64(std::vector<double> v) { return tensor(b.getF64Type(), v); }
  HostTensor i64(std::vector<int64_t> v) { return tensor(b.getI64Type(), v); }
};
} // namespace

TEST_F(CompareTest, DoubleIsRelativeToTheLargestOutput) {
  HostTensor masked = f64({1000.0, 1e-9});
  EXPECT_TRUE(compareDouble(f64({1000.0, 1e-9 + 9e-10}), masked, loc)->holds);
  FailureOr<Verdict> off = compareDouble(f64({1000.0, 2.2e-9}), masked, loc);
  EXPECT_FALSE(off->holds);
  EXPECT_NEAR(off->difference, 1.2e-9, 1e-15);
  EXPECT_DOUBLE_EQ(off->allowed, 1e-9);
  EXPECT_EQ(off->why, "values differ");
}

TEST_F(CompareTest, NaNDiffersFromNumbers) {
  EXPECT_FALSE(compareDouble(f64({NAN, 1}), f64({0, 1}), loc)->holds);
  EXPECT_TRUE(
      compareDouble(f64({-HUGE_VAL, 1}), f64({-HUGE_VAL, 1}), loc)->holds);
  FailureOr<Verdict> nothing = compareDouble(f64({NAN}), f64({NAN}), loc);
  EXPECT_FALSE(nothing->holds);
  EXPECT_EQ(nothing->why, "no finite value");
}

TEST_F(CompareTest, SingleAllowsEightTimesTheOwnError) {
  HostTensor exact = f64({1.0, 0.5});
  // Both are 1e-6 off, so 8e-6 is allowed.
  HostTensor masked = f32({1.000001f, 0.5f});
  EXPECT_TRUE(
      compareSingle(f32({0.999999f, 0.5f}), masked, exact, exact, loc)->holds);
  // What is wrong is measured against f64 too: a sliced model that differs from
  // its own f64 form by as much as from the masked one does not pass by that,
  // because "equal f64" compares both f64 forms.
  FailureOr<Verdict> off = compareSingle(f32({1.00002f, 0.5f}), masked,
                                         f64({1.00002, 0.5}), exact, loc);
  EXPECT_FALSE(off->holds);
  EXPECT_FALSE(compareDouble(f64({1.00002, 0.5}), exact, loc)->holds);
}

TEST_F(CompareTest, SingleAllowsFourUlp) {
  HostTensor exact = f64({1.0});
  float ulp = std::nextafter(1.0f, 2.0f) - 1.0f;
  EXPECT_TRUE(compareSingle(f32({1.0f + 4 * ulp}), f32({1.0f}),
                            f64({1.0 + 4.0 * ulp}), exact, loc)
                  ->holds);
  EXPECT_FALSE(compareSingle(f32({1.0f + 5 * ulp}), f32({1.0f}),
                             f64({1.0 + 5.0 * ulp}), exact, loc)
                   ->holds);
}

TEST_F(CompareTest, IntegersAndShapesAreExact) {
  EXPECT_TRUE(compareDouble(i64({1, 2}), i64({1, 2}), loc)->holds);
  EXPECT_EQ(compareDouble(i64({1, 3}), i64({1, 2}), loc)->why,
            "integers differ");
  EXPECT_EQ(compareDouble(f64({1}), f64({1, 2}), loc)->why, "shapes differ");
}

TEST_F(CompareTest, RoundingMayDecideSomeIntegers) {
  HostTensor s = i64({1, 2, 3}), m = i64({1, 2, 4});
  EXPECT_TRUE(compareSingle(s, s, s, s, loc)->why.empty());
  EXPECT_EQ(compareSingle(s, m, s, m, loc)->why, "integers differ");
  FailureOr<Verdict> one = compareSingle(s, m, s, s, loc);
  EXPECT_TRUE(one->holds);
  EXPECT_EQ(one->why, "rounding decides 1 of 3 integers");
  // The first differs though neither side's own other run says so.
  EXPECT_FALSE(compareSingle(i64({0, 2, 3}), m, i64({0, 2, 3}), s, loc)->holds);
  EXPECT_FALSE(compareSingle(i64({1}), i64({2}), i64({2}), i64({2}), loc)
                   ->holds); // nothing is left to tell
}

TEST_F(CompareTest, PoisonIsBitForBit) {
  EXPECT_TRUE(comparePoisoned(f32({0.0f}), f32({0.0f})).holds);
  Verdict sign = comparePoisoned(f32({0.0f}), f32({-0.0f}));
  EXPECT_FALSE(sign.holds);
  EXPECT_EQ(sign.why, "NaN in removed units reaches it");
}

TEST_F(CompareTest, TheMaskActs) {
  std::vector<HostTensor> dense = {f32({1, 2})}, masked = {f32({1, 3})};
  EXPECT_TRUE(compareDense(dense, masked).holds);
  EXPECT_EQ(compareDense(dense, dense).why,
            "the mask changes no output of the dense model");
}

TEST_F(CompareTest, SelectsWhatIsLeftOfState) {
  HostTensor state = f32({0, 1, 2, 3, 4, 5});
  state.shape = {2, 3};
  axes::CutInterface cut;
  cut.kept = {std::nullopt, SmallVector<int64_t>{0, 2}};
  FailureOr<HostTensor> left = select(state, cut, loc);
  ASSERT_TRUE(succeeded(left));
  EXPECT_EQ(left->shape, (SmallVector<int64_t>{2, 2}));
  EXPECT_EQ(*toDoubles(*left, loc), (std::vector<double>{0, 2, 3, 5}));
}

TEST_F(CompareTest, RequireNamesTheStatement) {
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  Verdict holds{"acts", ""}, fails{"poison", "y"};
  holds.holds = true;
  fails.why = "NaN in removed units reaches it";
  EXPECT_TRUE(succeeded(require({holds}, loc)));
  EXPECT_TRUE(failed(require({holds, fails}, loc)));
  EXPECT_EQ(message, "the proof 'poison' fails for output 'y': NaN in removed "
                     "units reaches it");
}

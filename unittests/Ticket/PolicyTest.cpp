//===- PolicyTest.cpp - How many units a ticket keeps, and which ----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Ticket/Policy.h"

#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace twist;

namespace {
struct PolicyTest : testing::Test {
  MLIRContext context;
  std::string message;
  std::vector<PolicyRow> rows;
  ScopedDiagnosticHandler handler{&context, [&](Diagnostic &diag) {
                                    message = diag.str();
                                    return success();
                                  }};
  std::vector<AxisInfo> axes = {
      {"h0", "head", 0, 12, {"q0.weight:0:0"}, 0, 1},
      {"f0", "ffn", 0, 100, {"up0.weight:0"}, 0, 1},
      {"h1", "head", 1, 12, {"q1.weight:0:0"}, 1, 0},
      {"f1", "ffn", 1, 100, {"up1.weight:0"}, 1, 0},
      {"q0", "qk", 0, 64, {"q0.weight:0:1"}},
  };

  FailureOr<Ticket> make(const PolicyOptions &options) {
    rows.clear();
    auto scores = [](const PolicyRow &row) -> FailureOr<AxisScores> {
      std::vector<double> s(row.axis.units);
      for (int64_t u = 0; u < row.axis.units; ++u)
        s[u] = double((u * 7) % row.axis.units);
      return AxisScores{s, {}};
    };
    return makeTicket(axes, options, scores, rows, UnknownLoc::get(&context));
  }
};
} // namespace

TEST_F(PolicyTest, CountsRoundHalfUp) {
  PolicyOptions options;
  options.policy = TicketPolicy::First;
  options.kappa = 0.375; // 4.5 of 12 heads, 37.5 of 100
  FailureOr<Ticket> ticket = make(options);
  ASSERT_TRUE(succeeded(ticket));
  ASSERT_EQ(ticket->axes.size(), 4u); // qk only when asked for
  EXPECT_EQ(ticket->axes[0].keep, (std::vector<int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(ticket->axes[1].keep.size(), 38u);
}

TEST_F(PolicyTest, RoundToIsReported) {
  PolicyOptions options;
  options.policy = TicketPolicy::First;
  options.roundTo = 16;
  FailureOr<Ticket> ticket = make(options);
  ASSERT_TRUE(succeeded(ticket));
  EXPECT_EQ(rows[0].kept, 6); // heads are no features
  EXPECT_EQ(rows[1].unrounded, 50);
  EXPECT_EQ(rows[1].kept, 48);
}

TEST_F(PolicyTest, PinsFirstAndLast) {
  PolicyOptions options;
  options.pinFirst = 1;
  FailureOr<Ticket> ticket = make(options);
  ASSERT_TRUE(succeeded(ticket));
  EXPECT_TRUE(rows[0].pinned);
  EXPECT_EQ(ticket->axes[0].keep.size(), 12u);
  EXPECT_EQ(ticket->axes[2].keep.size(), 6u);
}

TEST_F(PolicyTest, MagnitudeKeepsTheLargest) {
  PolicyOptions options;
  options.policy = TicketPolicy::Magnitude;
  options.kappa = 0.25;
  FailureOr<Ticket> ticket = make(options);
  ASSERT_TRUE(succeeded(ticket));
  // (7u mod 12) is 11, 10, 9 at u = 5, 10, 3.
  EXPECT_EQ(ticket->axes[0].keep, (std::vector<int64_t>{3, 5, 10}));
}

TEST_F(PolicyTest, RandomDependsOnSeedAndLayerOnly) {
  PolicyOptions options;
  FailureOr<Ticket> a = make(options), b = make(options);
  options.seed = 1;
  FailureOr<Ticket> c = make(options);
  EXPECT_EQ(a->axes[0].keep, b->axes[0].keep);
  EXPECT_NE(a->axes[1].keep, c->axes[1].keep);
  EXPECT_NE(a->axes[1].keep, a->axes[3].keep);
}

TEST_F(PolicyTest, Refusals) {
  PolicyOptions options;
  options.kappa = 1.5;
  EXPECT_TRUE(failed(make(options)));
  EXPECT_EQ(message, "kappa is not between 0 and 1");
  options.kappa = 0.5;
  options.group = 64;
  EXPECT_TRUE(failed(make(options)));
  EXPECT_EQ(message,
            "groups of 64 do not divide the 100 units of axis 'up0.weight:0'");
  options.group = 1;
  options.kinds = {"channel"};
  EXPECT_TRUE(failed(make(options)));
  EXPECT_EQ(message, "the model has no axis of kind 'channel'");
  axes.clear();
  options.kinds.clear();
  EXPECT_TRUE(failed(make(options)));
  EXPECT_EQ(message, "the model has no axis to cut");
}

TEST_F(PolicyTest, FewestUnitsAndWidths) {
  PolicyOptions options;
  options.policy = TicketPolicy::First;
  options.kappa = 0;
  options.minUnits = 20;
  options.roundTo = 16;
  ASSERT_TRUE(succeeded(make(options)));
  EXPECT_EQ(rows[0].kept, 12); // an axis of fewer units stays whole
  EXPECT_EQ(rows[1].kept, 32); // 20, and a multiple of 16
  options.minUnits = options.kappa = 0;
  options.widths["f0"] = 48;
  ASSERT_TRUE(succeeded(make(options)));
  EXPECT_EQ(rows[0].kept, 0);
  EXPECT_EQ(rows[1].kept, 48);
  EXPECT_EQ(rows[3].kept, 0);
}

TEST_F(PolicyTest, AllowedGroups) {
  PolicyOptions options;
  options.roundTo = 16;
  options.group = 4;
  options.minUnits = 40;
  PolicyRow row{axes[1]};
  row.group = 4;
  EXPECT_EQ(allowedGroups(row, options),
            (std::vector<int64_t>{12, 16, 20, 24, 25}));
  row.pinned = true;
  EXPECT_EQ(allowedGroups(row, options), (std::vector<int64_t>{25}));
}

//===- SizeExprTest.cpp - Polynomials of sizes ----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/SymbolicShapes.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace twist::onnx;

namespace {

class SizeExprTest : public ::testing::Test {
protected:
  SizeExpr parse(StringRef text) { return SizeExpr::parse(&context, text); }

  MLIRContext context{MLIRContext::Threading::DISABLED};
  SizeExpr b = parse("batch"), s = parse("seq"), p = parse("past");
};

TEST_F(SizeExprTest, Normalises) {
  EXPECT_EQ((b + s) * (b + s), b * b + SizeExpr(2) * b * s + s * s);
  EXPECT_EQ((b - b).constant(), 0);
  EXPECT_EQ(((b + SizeExpr(3)) * SizeExpr(4) - b * SizeExpr(4)).constant(), 12);
  EXPECT_FALSE(b.constant().has_value());
  EXPECT_EQ(((p + s) * SizeExpr(12) * b).str(), "12*batch*past + 12*batch*seq");
  EXPECT_EQ((SizeExpr(1) - s * s).str(), "-seq^2 + 1");
}

TEST_F(SizeExprTest, Parses) {
  EXPECT_EQ(parse("past + seq"), p + s);
  EXPECT_EQ(parse(" 2*seq*batch - 3"), SizeExpr(2) * b * s - SizeExpr(3));
  EXPECT_EQ(parse("-1").constant(), -1);
  EXPECT_EQ(parse("128").constant(), 128);
  // What is no sum of products is one name.
  for (StringRef name : {"floor(s0/2)", "a b", "seq +", "s0//2", "+", "a**b"})
    EXPECT_EQ(parse(name).str(), name);
}

TEST_F(SizeExprTest, DividesExactly) {
  SizeExpr total = b * (p + s) * SizeExpr(768);
  EXPECT_EQ(total.exactDiv(b * SizeExpr(12)), (p + s) * SizeExpr(64));
  EXPECT_EQ(total.exactDiv(p + s), b * SizeExpr(768));
  EXPECT_FALSE(total.exactDiv(s).has_value());
  EXPECT_FALSE((s + SizeExpr(1)).exactDiv(SizeExpr(2)).has_value());
  EXPECT_FALSE(s.exactDiv(SizeExpr(0)).has_value());
  EXPECT_FALSE(SizeExpr(INT64_MIN).exactDiv(SizeExpr(-1)).has_value());
  EXPECT_EQ(SizeExpr(0).exactDiv(s), SizeExpr(0));
}

TEST_F(SizeExprTest, ComparesWhatIsDecided) {
  EXPECT_EQ((s + SizeExpr(1)).compareEqual(SizeExpr(0)), false);
  EXPECT_EQ(s.compareEqual(SizeExpr(-1)), false);
  EXPECT_EQ(s.compareEqual(s), true);
  EXPECT_FALSE(s.compareEqual(SizeExpr(1)).has_value());
  EXPECT_FALSE(s.compareEqual(p).has_value());
  EXPECT_EQ((s * SizeExpr(4)).compareEqual(SizeExpr(1)), false);
  EXPECT_EQ((s * SizeExpr(4) + p * SizeExpr(6)).compareEqual(SizeExpr(3)),
            false);
  EXPECT_FALSE((s * SizeExpr(4)).compareEqual(SizeExpr(8)).has_value());
  EXPECT_EQ(p.compareLess(p + SizeExpr(1)), true);
  EXPECT_EQ((p + s).compareLess(p), false);
  EXPECT_FALSE(p.compareLess(p + s).has_value());
}

TEST_F(SizeExprTest, RoundsAndBounds) {
  EXPECT_EQ(floorDiv(&context, s * SizeExpr(8), SizeExpr(4)), s * SizeExpr(2));
  EXPECT_EQ(floorDiv(&context, SizeExpr(-7), SizeExpr(2)).constant(), -4);
  EXPECT_EQ(floorDiv(&context, s, SizeExpr(2)).str(), "floordiv(seq, 2)");
  EXPECT_EQ(modulo(&context, s * SizeExpr(4), SizeExpr(2)).constant(), 0);
  EXPECT_EQ(modulo(&context, SizeExpr(-7), SizeExpr(4)).constant(), 1);
  EXPECT_EQ(minimum(&context, p, p + s), p);
  EXPECT_EQ(maximum(&context, SizeExpr(0), s), s);
  // Either order has one spelling.
  EXPECT_EQ(minimum(&context, s, SizeExpr(512)),
            minimum(&context, SizeExpr(512), s));
}

TEST_F(SizeExprTest, Broadcasts) {
  EXPECT_EQ(broadcast(&context, s, SizeExpr(1)), s);
  EXPECT_EQ(broadcast(&context, SizeExpr(1), s), s);
  EXPECT_EQ(broadcast(&context, s, SizeExpr(7)), SizeExpr(7));
  // min(seq, 512) is seq or an error, unless seq is 1 either way.
  SizeExpr limited = minimum(&context, s, SizeExpr(512));
  EXPECT_EQ(broadcast(&context, limited, s), s);
  EXPECT_EQ(broadcast(&context, s, limited), s);
  EXPECT_EQ(broadcast(&context, s, p).str(), "broadcast(past, seq)");
}

TEST_F(SizeExprTest, Substitutes) {
  llvm::StringMap<int64_t> sizes{{"seq", 5}};
  EXPECT_EQ((p + s * s).substitute(&context, sizes), p + SizeExpr(25));
}

} // namespace

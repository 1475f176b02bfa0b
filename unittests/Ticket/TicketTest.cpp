//===- TicketTest.cpp - What the ticket reader takes and refuses ----------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Ticket/Ticket.h"

#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace twist;

namespace {
struct TicketTest : testing::Test {
  MLIRContext context;
  std::string message;
  ScopedDiagnosticHandler handler{&context, [&](Diagnostic &diag) {
                                    message = diag.str();
                                    return success();
                                  }};

  FailureOr<Ticket> parse(StringRef text) {
    message.clear();
    return parseTicket(text, "t.json", &context);
  }
  FailureOr<Ticket> axis(StringRef body) {
    return parse(("{\"version\":1,\"axes\":{\"w:0\":{" + body + "}}}").str());
  }
};
} // namespace

TEST_F(TicketTest, RoundTrip) {
  StringRef text = R"({
  "version": 1,
  "model": {"structure_sha256": "00000000000000000000000000000000000000000000000000000000000000aa"},
  "axes": {
    "z:0": {"units": 12, "group": 2, "keep": [0, 5], "site": "operand"},
    "a:0": {"units": 3, "group": 1, "keep": [], "site": "operand"}
  },
  "correction": {"kind": "none"},
  "provenance": {"by":"hand"}
}
)";
  FailureOr<Ticket> ticket = parse(text);
  ASSERT_TRUE(succeeded(ticket)) << message;
  EXPECT_EQ(ticket->axes[0].keptUnits(), (std::vector<int64_t>{0, 1, 10, 11}));
  EXPECT_TRUE(ticket->axes[1].keptUnits().empty());
  std::string out;
  llvm::raw_string_ostream os(out);
  writeTicket(*ticket, os);
  EXPECT_EQ(out, text.str());
}

TEST_F(TicketTest, Refusals) {
  struct Case {
    const char *text, *message;
  } cases[] = {
      {"{", "ticket: not JSON: [1:1, byte=1]: Expected object key"},
      {"[]", "ticket: not a JSON object"},
      {"{}", "ticket: no integer 'version'"},
      {R"({"version":2})",
       "ticket: version 2 is not known; this reader knows version 1"},
      {R"({"version":1})", "ticket: no object 'axes'"},
      {R"({"version":1,"axes":{},"mask":0})",
       "ticket: unknown key 'mask' in the ticket (known: version, model, axes, "
       "correction, weights, provenance)"},
      {R"({"version":1,"axes":{"a":{},"a":{}}})",
       "ticket: key 'a' stands twice"},
      {R"({"version":1,"axes":{"a":3}})", "ticket: axis 'a' is not an object"},
      {R"({"version":1,"axes":{},"model":1})",
       "ticket: 'model' is not an object"},
      {R"({"version":1,"axes":{},"model":{"sha":1}})",
       "ticket: unknown key 'sha' in 'model' (known: structure_sha256, "
       "weights_sha256)"},
      {R"({"version":1,"axes":{},"correction":{"kind":"ls"},)"
       R"("weights":{"file":"t.safetensors","sha256":"12"}})",
       "ticket: weights.sha256 is not 64 hexadecimal digits"},
      {R"({"version":1,"axes":{},"model":{"weights_sha256":"12"}})",
       "ticket: model.weights_sha256 is not 64 hexadecimal digits"},
      {R"({"version":1,"axes":{},"correction":{"kind":"ls"}})",
       "ticket: correction 'ls' needs 'weights' with a 'file'"},
      {R"({"version":1,"axes":{},"correction":{"kind":"magic"}})",
       "ticket: correction 'magic' is not known; none, gain, bias, "
       "bias+gain, ls and relative are"},
      {R"({"version":1,"axes":{},"correction":"ls"})",
       "ticket: 'correction' is not an object with a string 'kind'"},
      {R"({"version":1,"axes":{},"weights":{}})",
       "ticket: 'weights' (changed consumers) needs a correction"},
      {R"({"version":1,"axes":{},"provenance":1})",
       "ticket: 'provenance' is not an object"},
  };
  for (const Case &c : cases) {
    EXPECT_TRUE(failed(parse(c.text))) << c.text;
    EXPECT_EQ(message, c.message);
  }
}

TEST_F(TicketTest, AxisRefusals) {
  struct Case {
    const char *body, *message;
  } cases[] = {
      {R"("keep":[])", "ticket: axis 'w:0' has no 'units'"},
      {R"("units":0,"keep":[])",
       "ticket: axis 'w:0': 'units' is not a positive integer"},
      {R"("units":4)", "ticket: axis 'w:0' has no array 'keep'"},
      {R"("units":4,"group":3,"keep":[])",
       "ticket: axis 'w:0': groups of 3 do not divide its 4 units"},
      {R"("units":4,"keep":[1.5])",
       "ticket: axis 'w:0': 'keep' holds something that is no integer"},
      {R"("units":4,"keep":[4])",
       "ticket: axis 'w:0': kept group 4 is out of range, the axis has 4 "
       "groups of 1"},
      {R"("units":4,"keep":[-1])",
       "ticket: axis 'w:0': kept group -1 is out of range, the axis has 4 "
       "groups of 1"},
      {R"("units":4,"keep":[1,1])",
       "ticket: axis 'w:0': group 1 is kept twice"},
      {R"("units":4,"keep":[1,2,1])",
       "ticket: axis 'w:0': group 1 is kept twice"},
      {R"("units":4,"keep":[2,1])",
       "ticket: axis 'w:0': group 1 follows 2; 'keep' must ascend"},
      {R"("units":4,"keep":[],"site":"bias")",
       "ticket: axis 'w:0': 'site' is neither \"operand\" nor \"weight\""},
      {R"("units":4,"keep":[],"unit":1)",
       "ticket: unknown key 'unit' in axis 'w:0' (known: units, group, keep, "
       "site)"},
  };
  for (const Case &c : cases) {
    EXPECT_TRUE(failed(axis(c.body))) << c.body;
    EXPECT_EQ(message, c.message);
  }
}

TEST_F(TicketTest, Resolve) {
  std::vector<AxisInfo> axes = {{"h0", "head", 0, 12, {"q:1:0", "k:1:0"}},
                                {"f0", "ffn", 0, 48, {"up:1", "both:0"}},
                                {"f1", "ffn", 1, 48, {"up2:1", "both:0"}}};
  Location loc = UnknownLoc::get(&context);
  auto resolve = [&](std::vector<TicketAxis> masks) {
    Ticket ticket;
    ticket.axes = std::move(masks);
    return resolveTicket(ticket, axes, loc);
  };
  auto byAlias = resolve({{"k:1:0", 12, 1, {3}}, {"ffn.1", 48, 16, {2}}});
  ASSERT_TRUE(succeeded(byAlias)) << message;
  EXPECT_EQ((*byAlias)[0].symbol, "h0");
  EXPECT_EQ((*byAlias)[1].symbol, "f1");
  EXPECT_EQ((*byAlias)[1].keep.size(), 16u);

  EXPECT_TRUE(failed(resolve({{"k:0:0", 12, 1, {}}})));
  EXPECT_EQ(message, "ticket: the model has no axis 'k:0:0'; near names: "
                     "k:1:0, q:1:0, both:0");
  EXPECT_TRUE(failed(resolve({{"q:1:0", 16, 1, {}}})));
  EXPECT_EQ(message, "ticket: axis 'q:1:0' has 12 units, the ticket says 16");
  EXPECT_TRUE(failed(resolve({{"q:1:0", 12, 1, {}}, {"k:1:0", 12, 1, {}}})));
  EXPECT_EQ(message, "ticket: 'q:1:0' and 'k:1:0' are the same axis");
  EXPECT_TRUE(failed(resolve({{"both:0", 48, 1, {}}})));
  EXPECT_EQ(message, "ticket: 'both:0' names 2 axes of the model; name them "
                     "by another path");
  axes.clear();
  EXPECT_TRUE(failed(resolve({{"q", 12, 1, {}}})));
  EXPECT_EQ(message, "ticket: the model has no axis 'q'; it has no prunable "
                     "axis at all");
}

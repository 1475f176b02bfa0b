//===- GenerateTest.cpp - Programs that are no language model -------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "FakeProgram.h"

#include "twist/Runtime/Tools.h"

namespace {
constexpr const char *open[] = {"batch", "sequence", ""};
constexpr int64_t dims[] = {-1, -1, 7}, four[] = {1, 4};

constexpr twist_tensor_info ids = {"ids", TWIST_I64, 2, dims, open};
constexpr twist_tensor_info floats = {"floats", TWIST_F32, 2, dims, open};
constexpr twist_tensor_info cube = {"cube", TWIST_I64, 3, dims, open};
constexpr twist_tensor_info fixed = {"fixed", TWIST_I64, 2, four, open};
constexpr twist_tensor_info logits = {"logits", TWIST_F32, 3, dims, open};
constexpr twist_tensor_info other = {"other", TWIST_F32, 3, dims, open};
constexpr twist_tensor_info labels = {"labels", TWIST_I64, 3, dims, open};

/// What generate says of a program with these inputs and outputs.
std::string generate(std::vector<twist_tensor_info> inputs,
                     std::vector<twist_tensor_info> outputs,
                     std::vector<const char *> more = {}) {
  FakeProgram fake;
  fake.table.weights_bytes = 0;
  fake.table.inputs = inputs.data();
  fake.table.input_count = inputs.size();
  fake.table.outputs = outputs.data();
  fake.table.output_count = outputs.size();
  EXPECT_EQ(fake.load(), TWIST_OK) << fake.error.message;
  std::vector<const char *> line{"--ids", "1,2,3"};
  line.insert(line.end(), more.begin(), more.end());
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(twist_generate_main(fake.program, int(line.size()),
                                const_cast<char **>(line.data())),
            1);
  return ::testing::internal::GetCapturedStderr();
}
} // namespace

TEST(Generate, TellsWhatIsNotClear) {
  EXPECT_EQ(generate({ids}, {logits, other}),
            "error: outputs 'logits' and 'other' may be the logits: --logits "
            "NAME\n");
  EXPECT_EQ(generate({ids}, {labels}), "error: no output can be logits\n");
  EXPECT_EQ(generate({ids}, {labels}, {"--logits", "labels"}),
            "error: logits 'labels' are i64, no floating-point numbers\n");
  EXPECT_EQ(generate({ids, cube}, {logits}),
            "error: what input 'cube' is for cannot be told\n");
  EXPECT_EQ(generate({floats}, {logits}),
            "error: no output follows input 'floats': --state floats=OUTPUT\n");
  EXPECT_EQ(generate({}, {logits}), "error: no input takes token ids\n");
  EXPECT_EQ(generate({fixed}, {logits}),
            "error: the program takes 4 ids at once, not 3\n");
  std::vector<twist_tensor_info> many(2000, ids);
  EXPECT_NE(generate(many, {logits}).find("the program has more than "),
            std::string::npos);
}

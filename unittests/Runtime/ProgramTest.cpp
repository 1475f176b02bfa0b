//===- ProgramTest.cpp - What is loaded and what is refused ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "FakeProgram.h"
#include "Internal.h"

#include "gmock/gmock.h"

TEST(Program, TellsItsInterface) {
  FakeProgram fake;
  fake.writeWeights();
  ASSERT_EQ(fake.load(), TWIST_OK) << fake.error.message;
  EXPECT_EQ(twist_program_input_count(fake.program), 2u);
  EXPECT_EQ(twist_program_output_count(fake.program), 1u);
  EXPECT_STREQ(twist_program_input(fake.program, 1)->name, "mask");
  EXPECT_STREQ(twist_program_output(fake.program, 0)->symbols[0], "n");
  EXPECT_EQ(twist_program_input(fake.program, 2), nullptr);
  EXPECT_EQ(twist_program_output(fake.program, 1), nullptr);
  EXPECT_EQ(twist_program_weights_bytes(fake.program), 64u);
}

TEST(Program, ComputesShapes) {
  FakeProgram fake;
  fake.writeWeights();
  ASSERT_EQ(fake.load(), TWIST_OK);
  int64_t x[] = {5, 2}, mask[] = {5}, y[2];
  const int64_t *in[] = {x, mask};
  int64_t *out[] = {y};
  uint64_t bytes;
  ASSERT_EQ(twist_program_output_dims(fake.program, in, out, &fake.error),
            TWIST_OK);
  EXPECT_EQ(y[0], 5);
  EXPECT_EQ(y[1], 2);
  ASSERT_EQ(twist_program_arena_bytes(fake.program, in, &bytes, &fake.error),
            TWIST_OK);
  EXPECT_EQ(bytes, 40u);
}

TEST(Program, RefusesShapesThatDoNotFit) {
  FakeProgram fake;
  fake.writeWeights();
  ASSERT_EQ(fake.load(), TWIST_OK);
  int64_t x[] = {5, 2}, mask[] = {5}, y[2];
  const int64_t *in[] = {x, mask};
  int64_t *out[] = {y};
  auto status = [&] {
    return twist_program_output_dims(fake.program, in, out, &fake.error);
  };
  x[1] = 3;
  EXPECT_EQ(status(), TWIST_ERROR_ARGUMENT);
  EXPECT_TRUE(fake.says("input 'x' has size 3 in dimension 1, the program takes 2"));
  x[1] = 2;
  mask[0] = 4;
  EXPECT_EQ(status(), TWIST_ERROR_ARGUMENT);
  EXPECT_TRUE(fake.says("'n' is 5 in dimension 0 of input 'x', but 4 in "
                        "dimension 0 of input 'mask'"));
  x[0] = mask[0] = -1;
  EXPECT_EQ(status(), TWIST_ERROR_ARGUMENT);
  EXPECT_TRUE(fake.says("has size -1"));
  x[0] = mask[0] = INT64_MAX;
  EXPECT_EQ(status(), TWIST_ERROR_MEMORY);
  EXPECT_TRUE(fake.says("input 'x' is too large"));
}

TEST(Program, RefusesForeignTables) {
  FakeProgram fake;
  fake.writeWeights();
  fake.table.magic = 7;
  EXPECT_EQ(fake.load(), TWIST_ERROR_FORMAT);
  EXPECT_TRUE(fake.says("bad magic"));
  fake.table.magic = TWIST_PROGRAM_MAGIC;
  fake.table.abi_version = TWIST_ABI_VERSION + 1;
  EXPECT_EQ(fake.load(), TWIST_ERROR_ABI);
  EXPECT_TRUE(fake.says("compile the model again"));
}

TEST(Program, RefusesAMachineWithoutItsInstructions) {
  FakeProgram fake;
  fake.writeWeights();
  fake.table.cpu_features = "sse3,warp-drive,avx";
  EXPECT_EQ(fake.load(), TWIST_ERROR_CPU);
  EXPECT_TRUE(fake.says("'warp-drive'"));
}

TEST(Program, RefusesWrongWeights) {
  FakeProgram fake;
  ::unlink(fake.path.c_str());
  EXPECT_EQ(fake.load(), TWIST_ERROR_FILE);
  EXPECT_TRUE(fake.says("cannot open"));
  fake.writeWeights(16);
  EXPECT_EQ(fake.load(), TWIST_ERROR_FILE);
  EXPECT_TRUE(fake.says("no room for its header"));
  fake.writeWeights(4096 + 63);
  EXPECT_EQ(fake.load(), TWIST_ERROR_FILE);
  EXPECT_TRUE(fake.says("is truncated: it has 4159 bytes"));
  fake.header.magic[0] = 'X';
  fake.writeWeights();
  EXPECT_EQ(fake.load(), TWIST_ERROR_FORMAT);
  EXPECT_TRUE(fake.says("bad magic"));
  fake.header.magic[0] = 'T';
  fake.header.version = 99;
  fake.writeWeights();
  EXPECT_EQ(fake.load(), TWIST_ERROR_ABI);
  EXPECT_TRUE(fake.says("weights format 99"));
  fake.header.version = TWIST_WEIGHTS_VERSION;
  fake.header.sha256[0] = 9;
  fake.writeWeights();
  EXPECT_EQ(fake.load(), TWIST_ERROR_FORMAT);
  EXPECT_TRUE(fake.says("weights of another program"));
  fake.header.sha256[0] = 1;
  fake.header.data_offset = UINT64_MAX / 64 * 64;
  fake.writeWeights();
  EXPECT_EQ(fake.load(), TWIST_ERROR_FILE);
  EXPECT_TRUE(fake.says("is truncated"));
}

TEST(Program, VerifiesWeightsIfAsked) {
  FakeProgram fake;
  fake.writeWeights();
  EXPECT_EQ(fake.load(TWIST_VERIFY_WEIGHTS), TWIST_ERROR_FORMAT);
  EXPECT_TRUE(fake.says("do not have the hash of its header"));
  // The digest of the 64 bytes that writeWeights writes.
  char data[64] = {};
  float w = 3;
  std::memcpy(data, &w, sizeof(w));
  twist_sha256 hash;
  twist_sha256_init(&hash);
  twist_sha256_update(&hash, data, sizeof(data));
  twist_sha256_final(&hash, fake.header.sha256);
  std::memcpy(fake.table.weights_sha256, fake.header.sha256, 32);
  fake.writeWeights();
  EXPECT_EQ(fake.load(TWIST_VERIFY_WEIGHTS | TWIST_COPY_WEIGHTS), TWIST_OK)
      << fake.error.message;
}

TEST(Program, RefusesFilesThatAreNoPrograms) {
  twist_program *program;
  twist_error error;
  EXPECT_EQ(twist_program_load("/nowhere/at/all", 0, &program, &error),
            TWIST_ERROR_FILE);
  EXPECT_EQ(program, nullptr);
  std::string path = ::testing::TempDir() + "text.so";
  std::FILE *file = std::fopen(path.c_str(), "w");
  std::fputs("not an object", file);
  std::fclose(file);
  EXPECT_EQ(twist_program_load(path.c_str(), 0, &program, &error),
            TWIST_ERROR_FORMAT);
  ::unlink(path.c_str());
  // A shared object that is none of ours.
  EXPECT_EQ(twist_program_load("/lib/x86_64-linux-gnu/libm.so.6.so", 0,
                               &program, &error),
            TWIST_ERROR_FILE);
}

/// Writes `content` to a file and loads it as a program.
static std::string loadBytes(const std::string &content, twist_status status) {
  std::string path = ::testing::TempDir() + "bytes.so";
  std::FILE *file = std::fopen(path.c_str(), "wb");
  std::fwrite(content.data(), 1, content.size(), file);
  std::fclose(file);
  twist_program *program;
  twist_error error = {};
  EXPECT_EQ(twist_program_load(path.c_str(), 0, &program, &error), status)
      << error.message;
  EXPECT_EQ(program, nullptr);
  ::unlink(path.c_str());
  return error.message;
}

static std::string sealed(const std::string &content) {
  twist_seal seal = {{}, content.size(), {}};
  std::memcpy(seal.magic, TWIST_SEAL_MAGIC, sizeof(seal.magic));
  twist_sha256 hash;
  twist_sha256_init(&hash);
  twist_sha256_update(&hash, content.data(), content.size());
  twist_sha256_final(&hash, seal.sha256);
  return content + std::string(reinterpret_cast<char *>(&seal), sizeof(seal));
}

TEST(Program, RefusesDamagedCode) {
  using ::testing::HasSubstr;
  // The header of a shared object for x86-64, and what could be code: more than
  // one block of the reader.
  std::string elf("\177ELF\2\1\1", 7);
  elf.resize(200000, '\0');
  elf[16] = 3;
  elf[18] = 62;
  std::string whole = sealed(elf);
  // The seal holds: only the loader of shared objects finds nothing in it.
  EXPECT_THAT(loadBytes(whole, TWIST_ERROR_FORMAT), HasSubstr("cannot load"));
  EXPECT_THAT(loadBytes("", TWIST_ERROR_FORMAT), HasSubstr("no machine code"));
  EXPECT_THAT(loadBytes(whole.substr(0, 40), TWIST_ERROR_FORMAT),
              HasSubstr("no room for its header"));
  for (size_t length : {size_t(64), size_t(65536), size_t(100000),
                        whole.size() - 48, whole.size() - 1})
    EXPECT_THAT(loadBytes(whole.substr(0, length), TWIST_ERROR_FORMAT),
                HasSubstr("does not end with a seal"));
  for (size_t place : {size_t(64), size_t(65535), size_t(65536), elf.size() - 1,
                       elf.size() + 8, whole.size() - 1}) {
    std::string altered = whole;
    altered[place] ^= 1;
    EXPECT_THAT(loadBytes(altered, TWIST_ERROR_FORMAT),
                HasSubstr("does not have the hash of its seal"));
  }
  std::string other = whole;
  other[18] = char(183);
  EXPECT_THAT(loadBytes(other, TWIST_ERROR_CPU),
              HasSubstr("another kind of machine (number 183 of ELF)"));
}

TEST(Sha256, KnowsTheStandardsExamples) {
  auto hex = [](const std::string &text) {
    twist_sha256 hash;
    uint8_t digest[32];
    twist_sha256_init(&hash);
    for (char c : text) // one byte at a time: the block is filled piecewise
      twist_sha256_update(&hash, &c, 1);
    twist_sha256_final(&hash, digest);
    std::string result;
    for (uint8_t byte : digest) {
      char two[3];
      std::snprintf(two, sizeof(two), "%02x", byte);
      result += two;
    }
    return result;
  };
  EXPECT_EQ(hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7"
                     "852b855");
  EXPECT_EQ(hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff6"
                        "1f20015ad");
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Types, HaveSizesAndNames) {
  EXPECT_EQ(twist_type_size(TWIST_BF16), 2u);
  EXPECT_STREQ(twist_type_name(TWIST_BOOL), "bool");
  EXPECT_EQ(twist_type_size(static_cast<twist_type>(99)), 0u);
  EXPECT_STREQ(twist_type_name(static_cast<twist_type>(-1)), "?");
}

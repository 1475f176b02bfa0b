//===- NpyTest.cpp - NumPy's files ----------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Runtime/Tools.h"

#include "gtest/gtest.h"

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

namespace {
class Npy : public ::testing::Test {
protected:
  void TearDown() override {
    twist_array_free(&array);
    ::unlink(path.c_str());
  }
  /// Writes a file of version 1 with this dictionary and `bytes` of data.
  void write(const std::string &header, size_t bytes, char version = 1) {
    std::FILE *file = std::fopen(path.c_str(), "wb");
    std::fwrite("\x93NUMPY", 1, 6, file);
    std::fputc(version, file);
    std::fputc(0, file);
    for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
      std::fputc(int(header.size() >> (8 * i) & 255), file);
    std::fputs(header.c_str(), file);
    for (size_t i = 0; i < bytes; ++i)
      std::fputc(int(i), file);
    std::fclose(file);
  }
  twist_status read() {
    twist_array_free(&array);
    return twist_npy_read(path.c_str(), &array, &error);
  }
  bool says(const char *text) {
    return std::strstr(error.message, text) != nullptr;
  }

  std::string path = ::testing::TempDir() + "array.npy";
  twist_array array = {};
  twist_error error = {};
};
} // namespace

TEST_F(Npy, ReadsWhatItWrites) {
  for (int rank : {0, 1, 3})
    for (int type = TWIST_F64; type <= TWIST_BOOL; ++type) {
      twist_array out = {};
      out.type = static_cast<twist_type>(type);
      out.rank = rank;
      for (int d = 0; d < rank; ++d)
        out.dims[d] = d + 2;
      ASSERT_EQ(twist_array_allocate(&out, &error), TWIST_OK);
      for (uint64_t i = 0; i < out.bytes; ++i)
        static_cast<char *>(out.data)[i] = char(i * 7);
      ASSERT_EQ(twist_npy_write(path.c_str(), &out, &error), TWIST_OK);
      ASSERT_EQ(read(), TWIST_OK) << error.message;
      EXPECT_EQ(array.type, type == TWIST_BF16 ? TWIST_U16 : type);
      EXPECT_EQ(array.rank, rank);
      ASSERT_EQ(array.bytes, out.bytes);
      EXPECT_EQ(std::memcmp(array.data, out.data, out.bytes), 0);
      twist_array_free(&out);
    }
}

TEST_F(Npy, ReadsLaterVersions) {
  write("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n", 8, 2);
  ASSERT_EQ(read(), TWIST_OK) << error.message;
  EXPECT_EQ(array.type, TWIST_I32);
  EXPECT_EQ(array.dims[0], 2);
}

TEST_F(Npy, RefusesOtherFiles) {
  EXPECT_EQ(read(), TWIST_ERROR_FILE);
  write("{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }", 7);
  EXPECT_EQ(read(), TWIST_ERROR_FILE);
  EXPECT_TRUE(says("is truncated: 8 bytes of data are needed"));
  write("{'descr': '<i4', 'fortran_order': True, 'shape': (2,), }", 8);
  EXPECT_EQ(read(), TWIST_ERROR_FORMAT);
  EXPECT_TRUE(says("is in Fortran order: save it in C order"));
  write("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", 8);
  EXPECT_EQ(read(), TWIST_ERROR_FORMAT);
  EXPECT_TRUE(says("of a type that no program takes ('>f4')"));
  write("{'descr': '<f4', 'fortran_order': False, 'shape': (2, x), }", 8);
  EXPECT_EQ(read(), TWIST_ERROR_FORMAT);
  EXPECT_TRUE(says("a shape that cannot be read"));
  write("{'descr': '<f8', 'fortran_order': False, "
        "'shape': (4611686018427387904, 4), }",
        8);
  EXPECT_EQ(read(), TWIST_ERROR_MEMORY);
  EXPECT_TRUE(says("an array is too large"));
  write("{'descr': '<f8', 'fortran_order': False, "
        "'shape': (36028797018963968,), }", 8);
  EXPECT_EQ(read(), TWIST_ERROR_MEMORY);
  EXPECT_TRUE(says("no memory for an array of 288230376151711744 bytes"));
  write(std::string(1 << 21, ' '), 8, 2);
  EXPECT_EQ(read(), TWIST_ERROR_FORMAT);
  EXPECT_TRUE(says("has a header of 2097152 bytes"));
  std::FILE *file = std::fopen(path.c_str(), "wb");
  std::fputs("PK", file);
  std::fclose(file);
  EXPECT_EQ(read(), TWIST_ERROR_FORMAT);
  EXPECT_TRUE(says("is not a NumPy array file"));
}

TEST_F(Npy, LeavesNothingBehindOnAFullDisk) {
  twist_array out = {};
  out.type = TWIST_F32;
  out.rank = 1;
  out.dims[0] = 100000;
  ASSERT_EQ(twist_array_allocate(&out, &error), TWIST_OK);
  rlimit before, small;
  getrlimit(RLIMIT_FSIZE, &before);
  small = before;
  small.rlim_cur = 8192;
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  twist_status status = twist_npy_write(path.c_str(), &out, &error);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status, TWIST_ERROR_FILE);
  EXPECT_TRUE(says("cannot write"));
  EXPECT_NE(::access(path.c_str(), F_OK), 0);
  EXPECT_EQ(twist_npy_write("/nowhere/x.npy", &out, &error), TWIST_ERROR_FILE);
  twist_array_free(&out);
}

TEST(Elements, SixteenBitFloats) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    uint16_t stored = uint16_t(bits);
    _Float16 half;
    std::memcpy(&half, &stored, sizeof(half));
    double value = twist_load_float(&stored, TWIST_F16, 0);
    EXPECT_TRUE(value == double(half) || (value != value && half != half))
        << bits;
  }
  for (int64_t value = -70000; value <= 70000; value += 3) {
    _Float16 want = _Float16(double(value)), got;
    twist_store_integer(&got, TWIST_F16, 0, value);
    EXPECT_EQ(std::memcmp(&got, &want, sizeof(got)), 0) << value;
    // Eight bits of fraction, the hidden one too: the nearest, ties to even.
    uint16_t stored[2];
    twist_store_integer(stored, TWIST_BF16, 1, value);
    double rounded = twist_load_float(stored, TWIST_BF16, 1);
    int exponent;
    std::frexp(double(value), &exponent);
    double step = std::ldexp(1.0, exponent - 8);
    EXPECT_EQ(rounded, std::rint(double(value) / step) * step) << value;
  }
  int64_t integer = -1;
  twist_store_integer(&integer, TWIST_I32, 0, 7);
  EXPECT_EQ(integer, int64_t(0xffffffff00000007));
}

//===- ReaderTest.cpp - Views and their bytes -----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/Weights/Reader.h"

#include "mlir/IR/AsmState.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

#include <cmath>
#include <cstring>
#include <numeric>

using namespace mlir;
using namespace twist::weights;

namespace {

class ReaderTest : public testing::Test {
protected:
  ReaderTest() : builder(&context), loc(builder.getUnknownLoc()) {
    context.loadDialect<WeightsDialect>();
  }

  ViewAttr view(Type element, ArrayRef<int64_t> shape) {
    return ViewAttr::get(&context, FlatSymbolRefAttr::get(&context, "m"), 0,
                         RankedTensorType::get(shape, element), {}, {});
  }

  template <typename To, typename From>
  std::vector<To> read(ViewAttr view, const std::vector<From> &stored,
                       Type element) {
    std::vector<To> out(view.getNumElements());
    ArrayRef<char> in(reinterpret_cast<const char *>(stored.data()),
                      stored.size() * sizeof(From));
    MutableArrayRef<char> to(reinterpret_cast<char *>(out.data()),
                             out.size() * sizeof(To));
    EXPECT_TRUE(succeeded(readView(view, in, element, to, loc)));
    return out;
  }

  MLIRContext context;
  OpBuilder builder;
  Location loc;
};

std::vector<float> iota(size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

/// Value of element (i, j, k) of a tensor 3x4x5 of its own numbering.
float at(int64_t i, int64_t j, int64_t k) { return (i * 4 + j) * 5 + k; }

} // namespace

TEST_F(ReaderTest, SelectsAndPermutes) {
  Type f32 = builder.getF32Type();
  ViewAttr v = transpose(view(f32, {3, 4, 5}), {2, 0, 1}); // k i j
  v = select(v, 0, {4, 0, 2});
  v = select(v, 2, {3, 1});
  v = transpose(v, {1, 2, 0}); // i j k
  EXPECT_EQ(v.getShape(), SmallVector<int64_t>({3, 2, 3}));
  EXPECT_FALSE(v.getPermutation());
  std::vector<float> expected;
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t j : {3, 1})
      for (int64_t k : {4, 0, 2})
        expected.push_back(at(i, j, k));
  EXPECT_EQ(read<float>(v, iota(60), f32), expected);
}

TEST_F(ReaderTest, SelectionsCompose) {
  ViewAttr v = select(view(builder.getF32Type(), {6}), 0, {5, 3, 1});
  v = select(v, 0, {2, 0});
  EXPECT_EQ(read<float>(v, iota(6), builder.getF32Type()),
            std::vector<float>({1, 5}));
}

TEST_F(ReaderTest, CanonicalFormForgetsWhatDoesNothing) {
  ViewAttr plain = view(builder.getF32Type(), {2, 3});
  EXPECT_EQ(select(plain, 1, {0, 1, 2}), plain);
  EXPECT_EQ(transpose(transpose(plain, {1, 0}), {1, 0}), plain);
  EXPECT_TRUE(plain.isContiguous());
  EXPECT_FALSE(select(plain, 1, {0, 1}).isContiguous());
}

TEST_F(ReaderTest, EmptyAndScalar) {
  Type f32 = builder.getF32Type();
  EXPECT_TRUE(
      read<float>(select(view(f32, {2, 3}), 0, {}), iota(6), f32).empty());
  EXPECT_EQ(read<float>(view(f32, {}), iota(1), f32), std::vector<float>({0}));
  EXPECT_EQ(read<double>(view(f32, {}), iota(1), builder.getF64Type()),
            std::vector<double>({0}));
}

TEST_F(ReaderTest, RoundsOnceToNearestEven) {
  Type f64 = builder.getF64Type(), f32 = builder.getF32Type();
  // 1 + 2^-8 is half way between bfloat16 numbers; a little more is not, though
  // float cannot tell: rounding there first would lose it.
  double half = 1 + std::ldexp(1.0, -8);
  std::vector<double> values = {half,
                                half + std::ldexp(1.0, -40),
                                half - std::ldexp(1.0, -40),
                                3 * half,
                                1e300,
                                -INFINITY,
                                -0.0};
  ViewAttr v = view(f64, {static_cast<int64_t>(values.size())});
  auto bits = read<uint16_t>(v, values, builder.getBF16Type());
  EXPECT_EQ(bits[0], 0x3f80); // 1, the even one
  EXPECT_EQ(bits[1], 0x3f81);
  EXPECT_EQ(bits[2], 0x3f80);
  EXPECT_EQ(bits[4], 0x7f80); // infinity
  EXPECT_EQ(bits[5], 0xff80);
  EXPECT_EQ(bits[6], 0x8000);
  std::vector<float> floats = {1 + std::ldexp(1.0f, -11), 65519, 65520, 1e-8f};
  auto halves = read<uint16_t>(view(f32, {4}), floats, builder.getF16Type());
  EXPECT_EQ(halves, std::vector<uint16_t>({0x3c00, 0x7bff, 0x7c00, 0}));
  auto nan = read<uint16_t>(view(f32, {1}), std::vector<float>{NAN},
                            builder.getBF16Type());
  EXPECT_EQ(nan[0] & 0x7fc0, 0x7fc0);
}

TEST_F(ReaderTest, ConvertsIntegers) {
  Type i8 = builder.getI8Type(), f32 = builder.getF32Type();
  std::vector<int8_t> values = {-128, -1, 0, 127};
  EXPECT_EQ(read<float>(view(i8, {4}), values, f32),
            std::vector<float>({-128, -1, 0, 127}));
  EXPECT_EQ(
      read<float>(view(builder.getIntegerType(8, false), {4}), values, f32),
      std::vector<float>({128, 255, 0, 127}));
  EXPECT_EQ(read<int64_t>(view(i8, {4}), values, builder.getI64Type()),
            std::vector<int64_t>({-128, -1, 0, 127}));
  EXPECT_EQ(read<float>(view(builder.getI1Type(), {3}),
                        std::vector<uint8_t>{0, 1, 1}, f32),
            std::vector<float>({0, 1, 1}));
  EXPECT_FALSE(isConvertible(f32, i8));
}

TEST_F(ReaderTest, PackedElements) {
  Type i4 = builder.getIntegerType(4);
  std::vector<uint8_t> stored = {0x21, 0xf3, 0x05}; // 1 2 3 -1 5
  EXPECT_EQ(storedBytes(i4, 5), 3);
  EXPECT_EQ(read<float>(view(i4, {5}), stored, builder.getF32Type()),
            std::vector<float>({1, 2, 3, -1, 5}));
  ViewAttr v = select(view(i4, {5}), 0, {4, 3, 0});
  std::vector<char> out(2);
  ASSERT_TRUE(succeeded(
      readView(v, ArrayRef<char>(reinterpret_cast<char *>(stored.data()), 3),
               i4, out, loc)));
  EXPECT_EQ(out, std::vector<char>({static_cast<char>(0xf5), 0x01}));
  // Six bits lie across bytes.
  Type f6 = Float6E2M3FNType::get(&context);
  std::vector<char> six = {static_cast<char>(0x81), 0x30, 0x10};
  auto type = RankedTensorType::get({4}, f6);
  auto again = toStored(fromStored(type, six), loc);
  ASSERT_TRUE(succeeded(again));
  EXPECT_EQ(*again, six);
}

TEST_F(ReaderTest, DenseAttributesRoundTrip) {
  for (Type element :
       {Type(builder.getI1Type()), Type(builder.getIntegerType(2)),
        Type(builder.getI64Type()), Type(builder.getF16Type()),
        Type(ComplexType::get(builder.getF32Type())),
        Type(Float8E4M3FNType::get(&context))})
    for (int64_t count : {0, 1, 7}) {
      std::vector<char> bytes(storedBytes(element, count));
      for (auto [i, byte] : llvm::enumerate(bytes))
        byte = element.isInteger(1) ? i % 2 : static_cast<char>(37 * i + 1);
      if (element.isInteger(2) && count == 7)
        bytes[1] &= 0x3f;
      if (element.isInteger(2) && count == 1)
        bytes[0] &= 3;
      auto type = RankedTensorType::get({count}, element);
      auto again = toStored(fromStored(type, bytes), loc);
      ASSERT_TRUE(succeeded(again));
      EXPECT_EQ(*again, bytes);
    }
}

TEST_F(ReaderTest, ReadsFilesThroughLoads) {
  SmallString<128> path;
  int fd;
  ASSERT_FALSE(llvm::sys::fs::createTemporaryFile("weights", "bin", fd, path));
  {
    llvm::raw_fd_ostream os(fd, true);
    std::vector<float> values = iota(8);
    os.write("head", 4);
    os.write(reinterpret_cast<char *>(values.data()), 32);
  }
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  builder.setInsertionPointToEnd(module->getBody());
  SourceOp::create(builder, loc, "m", path, nullptr);
  auto type = RankedTensorType::get({4, 2}, builder.getF32Type());
  auto whole = ViewAttr::get(&context, FlatSymbolRefAttr::get(&context, "m"), 4,
                             type, {}, {});
  ViewAttr rows = select(whole, 0, {3, 1});
  auto load = LoadOp::create(
      builder, loc, RankedTensorType::get({2, 2}, builder.getF64Type()), rows);
  SourceFiles files(*module);
  auto bytes = files.read(load);
  ASSERT_TRUE(succeeded(bytes));
  std::vector<double> values(4);
  memcpy(values.data(), bytes->data(), 32);
  EXPECT_EQ(values, std::vector<double>({6, 7, 2, 3}));
  files.release(whole);
  // One byte too far.
  auto beyond = ViewAttr::get(&context, FlatSymbolRefAttr::get(&context, "m"),
                              5, type, {}, {});
  ScopedDiagnosticHandler quiet(&context, [](Diagnostic &) {});
  EXPECT_TRUE(failed(files.stored(beyond, loc)));
  llvm::sys::fs::remove(path);
}

TEST_F(ReaderTest, RefusesTypesAndResourcesThatDoNotFit) {
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  Type odd = builder.getIntegerType(24);
  auto view = ViewAttr::get(&context, FlatSymbolRefAttr::get(&context, "m"), 0,
                            RankedTensorType::get({4}, odd), {}, {});
  std::vector<char> stored(12), out(6);
  EXPECT_TRUE(failed(readView(select(view, 0, {3, 1}), stored, odd, out, loc)));
  EXPECT_EQ(message, "cannot read elements of type 'i24'");
  auto resource = DenseResourceElementsAttr::get(
      RankedTensorType::get({4}, builder.getF32Type()), "few",
      HeapAsmResourceBlob::allocateAndCopyInferAlign(ArrayRef<float>{1, 2}));
  EXPECT_TRUE(failed(toStored(resource, loc)));
  EXPECT_EQ(message, "resource 'few' does not hold 16 bytes");
}

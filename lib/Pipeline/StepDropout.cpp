//===- StepDropout.cpp - Which elements a step drops ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "StepMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using namespace twist;
using namespace twist::step;

RandomValues step::randomValues(const train::StepScalars &scalars) {
  RandomValues values;
  values.integers = {int64_t(scalars.seed), int64_t(scalars.counter),
                     int64_t(std::ceil(scalars.dropout * 0x1p32))};
  values.scale = 1 / (1 - scalars.dropout);
  return values;
}

namespace {
/// Words of 32 bits in integers of 64.
class Words {
public:
  explicit Words(LocBuilder &b) : b(b) {}

  Value constant(int64_t value) {
    return arith::ConstantOp::create(b, b.getI64IntegerAttr(value));
  }
  Value low(Value x) {
    return arith::AndIOp::create(b, x, constant(0xFFFFFFFF));
  }
  Value high(Value x) { return arith::ShRUIOp::create(b, x, constant(32)); }
  Value mix(Value x, Value y, Value z) {
    return arith::XOrIOp::create(b, arith::XOrIOp::create(b, x, y), z);
  }

  /// The first word of Support/Philox.h's philox4x32.
  Value philox(std::array<Value, 4> c, std::array<Value, 2> k) {
    for (int round = 0; round < 10; ++round) {
      Value p = arith::MulIOp::create(b, c[0], constant(0xD2511F53));
      Value q = arith::MulIOp::create(b, c[2], constant(0xCD9E8D57));
      c = {mix(high(q), c[1], k[0]), low(q), mix(high(p), c[3], k[1]), low(p)};
      k = {low(arith::AddIOp::create(b, k[0], constant(0x9E3779B9))),
           low(arith::AddIOp::create(b, k[1], constant(0xBB67AE85)))};
    }
    return c[0];
  }

private:
  LocBuilder &b;
};
} // namespace

Value step::dropoutFactors(LocBuilder &b, RankedTensorType type, int64_t site,
                           ValueRange integers, Value scale) {
  int64_t rank = type.getRank();
  SmallVector<AffineMap> points(4, AffineMap::get(rank, 0, b.getContext()));
  SmallVector<Value> operands(integers);
  operands.push_back(scale);
  Value like =
      tensor::EmptyOp::create(b, type.getShape(), type.getElementType());
  return step::map(
      b, like, operands, points, type.getElementType(),
      [&](LocBuilder &in, ValueRange args) -> Value {
        Words words(in);
        Value element = words.constant(0);
        for (int64_t d = 0; d < rank; ++d) {
          Value at = arith::IndexCastOp::create(in, in.getI64Type(),
                                                linalg::IndexOp::create(in, d));
          element = arith::AddIOp::create(
              in,
              arith::MulIOp::create(in, element,
                                    words.constant(type.getDimSize(d))),
              at);
        }
        Value word = words.philox({words.low(element), words.constant(site),
                                   words.low(args[1]), words.high(args[1])},
                                  {words.low(args[0]), words.high(args[0])});
        Value kept =
            arith::CmpIOp::create(in, arith::CmpIPredicate::uge, word, args[2]);
        Value zero = arith::ConstantOp::create(
            in, in.getZeroAttr(type.getElementType()));
        return arith::SelectOp::create(in, kept, args[3], zero);
      });
}

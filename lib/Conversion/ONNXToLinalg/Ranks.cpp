//===- Ranks.cpp - How many dimensions lowerings count on -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// ONNX's own inference passes over nodes whose operands have wrong ranks
// without a word, so that they come as far as here.
//
//===----------------------------------------------------------------------===//

#include "Lowering.h"

using namespace twist;
using namespace twist::lowering;

namespace {
/// Of an operand (and all behind it, if `onwards`): as many dimensions as
/// another (`as`), or `least` to `most`.
struct RankRule {
  StringLiteral op;
  unsigned operand;
  int64_t least, most;
  int as = -1;
  bool onwards = false;
};
} // namespace

static constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
static constexpr RankRule kRules[] = {
    {"Gemm", 0, 2, 2},
    {"Gemm", 1, 2, 2},
    {"Gemm", 2, 0, 2},
    {"Col2Im", 0, 3, 3},
    {"InstanceNormalization", 0, 2, kAny},
    {"InstanceNormalization", 1, 1, 1},
    {"InstanceNormalization", 2, 1, 1},
    {"GroupNormalization", 0, 2, kAny},
    {"GroupNormalization", 1, 1, 1},
    {"GroupNormalization", 2, 1, 1},
    {"BatchNormalization", 0, 1, kAny},
    {"GatherElements", 1, 0, kAny, 0},
    {"ScatterElements", 1, 0, kAny, 0},
    {"ScatterElements", 2, 0, kAny, 0},
    {"TensorScatter", 0, 2, kAny},
    {"TensorScatter", 1, 0, kAny, 0},
    {"TensorScatter", 2, 1, 1},
    {"GridSample", 0, 3, kAny},
    {"GridSample", 1, 0, kAny, 0},
    {"Concat", 1, 0, kAny, 0, /*onwards=*/true},
};

static int64_t rankOf(Value value) {
  auto type = ::mlir::dyn_cast<RankedTensorType>(value.getType());
  return type ? type.getRank() : -1;
}

static LogicalResult check(Operation *op, const RankRule &rule,
                           unsigned operand) {
  int64_t rank = rankOf(op->getOperand(operand));
  int64_t least = rule.as < 0 ? rule.least : rankOf(op->getOperand(rule.as));
  int64_t most = rule.as < 0 ? rule.most : least;
  if (rank < 0 || (rank >= least && rank <= most))
    return success();
  return op->emitError() << "operand " << operand << " must have "
                         << (least == most ? "" : "at least ") << least
                         << " dimensions, has " << rank;
}

LogicalResult lowering::checkRanks(Operation *op) {
  StringRef name = op->getName().stripDialect();
  for (const RankRule &rule : kRules) {
    if (rule.op != name)
      continue;
    unsigned end = rule.onwards ? op->getNumOperands() : rule.operand + 1;
    end = std::min(end, op->getNumOperands());
    for (unsigned operand = rule.operand; operand < end; ++operand)
      if (failed(check(op, rule, operand)))
        return failure();
  }
  return success();
}

//===- ShareEmbeddings.cpp - One copy of a table that is a matrix too -----===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Codegen/CPU/CPU.h"
#include "twist/Codegen/CPU/Passes.h"
#include "twist/Dialect/NN/Transforms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace twist::cpu {
#define GEN_PASS_DEF_CPUSHAREEMBEDDINGS
#include "twist/Codegen/CPU/Passes.h.inc"
} // namespace twist::cpu

using namespace mlir;
using namespace twist;
using namespace twist::cpu;

/// The stored dimension that dimension `dim` of the view is.
static int64_t storedDim(weights::ViewAttr view, int64_t dim) {
  return view.getPermutation() ? view.getPermutation()[dim] : dim;
}

/// Whether `packed` holds the elements of `table`, whose rows are its columns.
static bool holdsRows(PackedWeightOp packed, weights::LoadOp table) {
  weights::ViewAttr a = packed.getView(), b = table.getView();
  auto unpacked = cast<RankedTensorType>(packed.getUnpacked());
  auto type = cast<RankedTensorType>(table.getTensor().getType());
  return type.getRank() == 2 && unpacked.getRank() == 2 &&
         unpacked.getElementType() == type.getElementType() &&
         a.getSource() == b.getSource() && a.getOffset() == b.getOffset() &&
         a.getStored() == b.getStored() && a.getSelect() == b.getSelect() &&
         storedDim(a, packed.getPacking().getColumnDim()) == storedDim(b, 0);
}

static bool picksRows(Operation *op) {
  auto gather = dyn_cast<nn::GatherOp>(op);
  return gather && gather.getAxis() == 0;
}

/// data[p, k] is packed[p / panel, k / group, (p mod panel) · group + k mod
/// group].
static void readPacked(nn::GatherOp gather, PackedWeightOp weight) {
  IRRewriter b(gather);
  auto packed = cast<PackedWeightOp>(b.clone(*weight));
  PackingAttr packing = packed.getPacking();
  auto read = [&](OpBuilder &b, Location loc, ValueRange position) -> Value {
    Value width = arith::ConstantIndexOp::create(b, loc, packing.getPanel());
    Value group = arith::ConstantIndexOp::create(b, loc, packing.getGroup());
    Value column = arith::RemUIOp::create(b, loc, position[0], width);
    Value place[] = {
        arith::DivUIOp::create(b, loc, position[0], width),
        b.createOrFold<arith::DivUIOp>(loc, position[1], group),
        b.createOrFold<arith::AddIOp>(
            loc, b.createOrFold<arith::MulIOp>(loc, column, group),
            b.createOrFold<arith::RemUIOp>(loc, position[1], group))};
    return tensor::ExtractOp::create(b, loc, packed.getPacked(), place);
  };
  b.replaceOp(gather, nn::decomposeGather(b, gather, read));
}

namespace {
struct ShareEmbeddings
    : twist::cpu::impl::CPUShareEmbeddingsBase<ShareEmbeddings> {
  using CPUShareEmbeddingsBase::CPUShareEmbeddingsBase;

  void runOnOperation() override {
    SmallVector<PackedWeightOp> weights;
    SmallVector<weights::LoadOp> tables;
    getOperation().walk([&](Operation *op) {
      if (auto weight = dyn_cast<PackedWeightOp>(op))
        weights.push_back(weight);
      else if (auto table = dyn_cast<weights::LoadOp>(op))
        tables.push_back(table);
    });
    for (weights::LoadOp table : tables) {
      // Who reads it otherwise needs its rows.
      if (table->use_empty() || !llvm::all_of(table->getUsers(), picksRows))
        continue;
      auto *found = llvm::find_if(weights, [&](PackedWeightOp weight) {
        return holdsRows(weight, table);
      });
      if (found == weights.end())
        continue;
      for (Operation *user : llvm::make_early_inc_range(table->getUsers()))
        readPacked(cast<nn::GatherOp>(user), *found);
      table->erase();
      ++numShared;
    }
  }
};
} // namespace

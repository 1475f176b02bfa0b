//===- MergeCopies.cpp - Undo copies that turned out equal ----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "MergeCopies.h"
#include "RemoveEmpty.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Weights/Weights.h"

#include "mlir/IR/Dominance.h"
#include "mlir/Transforms/CSE.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace twist;

/// Weights keep theirs: the exporter tells equal ones apart.
static void dropRepeatedNames(func::FuncOp function) {
  llvm::StringSet<> names;
  for (Operation &op : function.getBody().front()) {
    auto meta = op.getAttrOfType<DictionaryAttr>(onnx::kMetaAttr);
    if (!meta || isa<weights::LoadOp, onnx::ConstantOp>(op))
      continue;
    auto name = meta.getAs<StringAttr>("name");
    if (!name || name.empty() || names.insert(name.getValue()).second)
      continue;
    NamedAttrList edited(meta);
    edited.erase("name");
    op.setAttr(onnx::kMetaAttr, edited.getDictionary(op.getContext()));
  }
}

void twist::axes::mergeCopies(func::FuncOp function) {
  IRRewriter rewriter(function.getContext());
  DominanceInfo dominance(function);
  eliminateCommonSubExpressions(rewriter, dominance, function);
  eraseDead(function);
  dropRepeatedNames(function);
}

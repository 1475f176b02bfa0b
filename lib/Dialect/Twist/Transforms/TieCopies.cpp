//===- TieCopies.cpp - Equal matrices become one --------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Twist/Transforms/PrepareTraining.h"

#include "llvm/ADT/StringExtras.h"

#include <map>

using namespace mlir;
using namespace twist;
using namespace twist::axes;

namespace {
/// A matrix as it lies in its file.
struct Matrix {
  Operation *op;
  RankedTensorType type;
  std::vector<char> bytes;
};
} // namespace

static FailureOr<std::vector<char>> readStored(Operation *op,
                                               weights::SourceFiles &files) {
  if (auto constant = dyn_cast<onnx::ConstantOp>(op))
    return weights::toStored(constant.getValue(), op->getLoc());
  auto load = cast<weights::LoadOp>(op);
  std::vector<char> bytes(weights::storedBytes(
      load.getType().getElementType(), load.getType().getNumElements()));
  if (failed(files.read(load.getView(), load.getType().getElementType(), bytes,
                        op->getLoc())))
    return failure();
  files.release(load.getView());
  return bytes;
}

/// Fresh biases and norms are constant, and none the other's copy.
static bool isConstant(ArrayRef<char> bytes, size_t width) {
  for (size_t i = width; i < bytes.size(); i += width)
    if (std::memcmp(bytes.data(), bytes.data() + i, width))
      return false;
  return true;
}

static std::vector<char> transposed(const Matrix &matrix) {
  int64_t rows = matrix.type.getDimSize(0), columns = matrix.type.getDimSize(1);
  size_t width = matrix.bytes.size() / size_t(rows * columns);
  std::vector<char> result(matrix.bytes.size());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      std::memcpy(&result[size_t(j * rows + i) * width],
                  &matrix.bytes[size_t(i * columns + j) * width], width);
  return result;
}

/// `gone` reads `kept`, transposed if need be.
static void replace(const Matrix &kept, Operation *gone, bool transpose) {
  kept.op->moveBefore(&kept.op->getBlock()->front());
  Value value = kept.op->getResult(0);
  if (transpose) {
    OpBuilder builder(kept.op->getContext());
    builder.setInsertionPointAfter(kept.op);
    value = onnx::TransposeOp::create(builder, gone->getLoc(),
                                      gone->getResult(0).getType(), value,
                                      builder.getDenseI64ArrayAttr({1, 0}));
  }
  gone->getResult(0).replaceAllUsesWith(value);
  gone->erase();
}

LogicalResult
twist::axes::tieCopies(func::FuncOp function, weights::SourceFiles &files,
                       llvm::function_ref<void(Operation *, StringRef)> tied) {
  // Only matrices with as many elements as another are read.
  std::map<std::pair<int64_t, void *>, SmallVector<Operation *>> bySize;
  for (Operation &op : function.getBody().front()) {
    if (!isa<weights::LoadOp, onnx::ConstantOp>(op) || weightName(&op).empty())
      continue;
    auto type = dyn_cast<RankedTensorType>(op.getResult(0).getType());
    if (type && isa<FloatType>(type.getElementType()) && type.getRank() >= 2)
      bySize[{type.getNumElements(),
              const_cast<void *>(type.getElementType().getAsOpaquePointer())}]
          .push_back(&op);
  }
  for (auto &[size, ops] : bySize) {
    std::vector<Matrix> kept;
    for (Operation *op : ops) {
      if (ops.size() < 2)
        break;
      FailureOr<std::vector<char>> bytes = readStored(op, files);
      if (failed(bytes))
        return failure();
      if (bytes->empty() ||
          isConstant(*bytes, bytes->size() / size_t(size.first)))
        continue;
      Matrix matrix{op, cast<RankedTensorType>(op->getResult(0).getType()),
                    std::move(*bytes)};
      auto same = [&](const Matrix &other) {
        return other.type == matrix.type && other.bytes == matrix.bytes;
      };
      auto turned = [&](const Matrix &other) {
        return matrix.type.getRank() == 2 && other.type.getRank() == 2 &&
               other.type.getDimSize(0) == matrix.type.getDimSize(1) &&
               transposed(matrix) == other.bytes;
      };
      auto it = llvm::find_if(kept, same);
      bool transpose = it == kept.end();
      if (transpose)
        it = llvm::find_if(kept, turned);
      if (it == kept.end()) {
        kept.push_back(std::move(matrix));
        continue;
      }
      tied(it->op, weightName(op));
      replace(*it, op, transpose);
    }
  }
  return success();
}

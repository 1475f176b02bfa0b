//===- Inputs.cpp - Random inputs of a model ------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/SymbolicShapes.h"
#include "twist/Dialect/Weights/Reader.h"
#include "twist/Proof/Proof.h"
#include "twist/Support/Philox.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/StringSet.h"

#include <cmath>
#include <numbers>

using namespace mlir;
using namespace twist;
using namespace twist::proof;

/// Rows of the smallest table that `value` is looked up in, followed through
/// ops that move or convert elements; none if it is no index.
static std::optional<int64_t> tableRows(Value argument) {
  std::optional<int64_t> rows;
  SmallVector<Value> todo = {argument};
  llvm::SmallPtrSet<Operation *, 16> seen;
  while (!todo.empty()) {
    Value value = todo.pop_back_val();
    for (Operation *user : value.getUsers()) {
      auto gather = dyn_cast<onnx::GatherOp>(user);
      if (gather && gather.getIndices() == value) {
        auto table = dyn_cast<RankedTensorType>(gather.getData().getType());
        int64_t axis = gather.getAxis();
        if (!table)
          continue;
        int64_t size =
            table.getDimSize(axis < 0 ? axis + table.getRank() : axis);
        if (!ShapedType::isDynamic(size))
          rows = std::min(rows.value_or(size), size);
        continue;
      }
      if (isa<onnx::CastOp, onnx::ReshapeOp, onnx::FlattenOp, onnx::SqueezeOp,
              onnx::UnsqueezeOp, onnx::ExpandOp, onnx::IdentityOp,
              onnx::TransposeOp, onnx::SliceOp, onnx::GatherOp, onnx::WhereOp,
              onnx::ConcatOp>(user) &&
          seen.insert(user).second)
        todo.append(user->result_begin(), user->result_end());
    }
  }
  return rows;
}

llvm::StringMap<int64_t> twist::proof::lookupTables(ModuleOp module) {
  llvm::StringMap<int64_t> tables;
  auto function = module.lookupSymbol<func::FuncOp>("main");
  if (!function)
    return tables;
  for (auto [i, argument] : llvm::enumerate(function.getArguments())) {
    auto name = function.getArgAttrOfType<StringAttr>(i, "onnx.name");
    if (name && isa<IntegerType>(getElementTypeOrSelf(argument.getType())))
      tables[name.getValue()] = tableRows(argument).value_or(0);
  }
  return tables;
}

namespace {
/// Gives atoms of symbolic sizes a value each.
class Sizes {
public:
  Sizes(const llvm::StringMap<int64_t> &given) : values(given) {}

  int64_t of(MLIRContext *context, StringRef name, int64_t dim) {
    if (name.empty())
      return dim == 0 ? kFirst : kOthers[0];
    onnx::SizeExpr expr = onnx::SizeExpr::parse(context, name);
    for (const onnx::SizeExpr::Term &term : expr.terms())
      for (const onnx::SizeExpr::Factor &factor : term.factors)
        if (!values.contains(factor.atom.getValue()))
          values[factor.atom.getValue()] =
              dim == 0 && !firstUsed ? (firstUsed = true, kFirst)
                                     : kOthers[used++ % std::size(kOthers)];
    for (const onnx::SizeExpr::Term &term : expr.terms())
      for (const onnx::SizeExpr::Factor &factor : term.factors)
        seen.insert(factor.atom.getValue());
    return expr.substitute(context, values).constant().value_or(1);
  }
  bool wasSeen(StringRef name) const { return seen.contains(name); }

private:
  static constexpr int64_t kFirst = 2;
  static constexpr int64_t kOthers[] = {7, 5, 3, 4};
  llvm::StringMap<int64_t> values;
  llvm::StringSet<> seen;
  bool firstUsed = false;
  unsigned used = 0;
};
} // namespace

/// Two uniform numbers give one normal one (Box and Muller).
static double normal(PhiloxStream &random) {
  double radius = std::sqrt(-2 * std::log(random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

/// Doubles for one input.
static std::vector<double> elements(const HostTensor &tensor,
                                    std::optional<int64_t> rows,
                                    PhiloxStream &random) {
  int64_t count = tensor.numElements();
  int64_t length = tensor.shape.empty() ? 1 : tensor.shape.back();
  std::vector<double> values(count);
  for (int64_t i = 0; i < count; ++i) {
    if (isa<FloatType>(tensor.elementType)) {
      values[i] = normal(random);
    } else if (rows && *rows > 0) {
      values[i] = double(random.below(*rows));
    } else {
      // A mask: every second row ends in zeros, a single row does too.
      bool padded = count == length || (i / length) % 2 == 1;
      values[i] = padded && i % length >= (length * 3 + 3) / 4 ? 0 : 1;
    }
  }
  return values;
}

/// Rounds values to the tensor's type.
static void store(ArrayRef<double> values, HostTensor &tensor) {
  size_t width = weights::storedBits(tensor.elementType) / 8;
  tensor.bytes.resize(values.size() * width);
  for (auto [i, value] : llvm::enumerate(values)) {
    uint64_t bits = uint64_t(int64_t(value));
    if (auto type = dyn_cast<FloatType>(tensor.elementType)) {
      APFloat rounded(value);
      bool lost;
      rounded.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                      &lost);
      bits = rounded.bitcastToAPInt().getZExtValue();
    }
    std::memcpy(tensor.bytes.data() + i * width, &bits, width);
  }
}

FailureOr<std::vector<HostTensor>>
twist::proof::randomInputs(ModuleOp module, const InputOptions &options) {
  auto function = module.lookupSymbol<func::FuncOp>("main");
  if (!function)
    return module.emitError("has no function @main");
  Sizes sizes(options.dims);
  std::vector<HostTensor> inputs;
  for (auto [i, argument] : llvm::enumerate(function.getArguments())) {
    auto name = function.getArgAttrOfType<StringAttr>(i, "onnx.name");
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type || weights::storedBits(type.getElementType()) < 8)
      return function.emitError()
             << "input '" << (name ? name.getValue() : "")
             << "' has no random values of its type " << argument.getType();
    HostTensor tensor;
    tensor.name = name ? name.str() : std::string();
    auto dims = function.getArgAttrOfType<ArrayAttr>(i, "onnx.dims");
    for (int64_t d = 0; d < type.getRank(); ++d) {
      StringRef symbol;
      if (dims && d < int64_t(dims.size()))
        symbol = cast<StringAttr>(dims[d]).getValue();
      tensor.shape.push_back(type.isDynamicDim(d)
                                 ? sizes.of(module.getContext(), symbol, d)
                                 : type.getDimSize(d));
    }
    tensor.elementType = type.getElementType();
    PhiloxStream random(options.seed, 0, uint32_t(i), 0);
    std::vector<double> values = elements(tensor, tableRows(argument), random);
    store(values, tensor);
    inputs.push_back(std::move(tensor));
  }
  for (const auto &dim : options.dims)
    if (!sizes.wasSeen(dim.first()))
      return function.emitError()
             << "no input has a dimension '" << dim.first() << "'";
  return inputs;
}

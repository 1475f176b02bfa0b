//===- BindDims.cpp - Symbolic input dimensions become static -------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/ONNX/SymbolicShapes.h"
#include "twist/Dialect/ONNX/Transforms/Passes.h"

#include "llvm/ADT/StringSet.h"

#include <set>

namespace twist::onnx {
#define GEN_PASS_DEF_ONNXBINDDIMS
#include "twist/Dialect/ONNX/Transforms/Passes.h.inc"
} // namespace twist::onnx

using namespace mlir;
using namespace twist;
using namespace twist::onnx;

/// The size of dimension `dim` as SymbolicShapes names it.
static SizeExpr sizeOf(BlockArgument argument, StringAttr name, ArrayAttr dims,
                       unsigned dim) {
  MLIRContext *context = argument.getContext();
  if (dims && dim < dims.size())
    if (auto text = dyn_cast<StringAttr>(dims[dim]);
        text && !text.getValue().trim().empty())
      return SizeExpr::parse(context, text.getValue());
  return SizeExpr::atom(StringAttr::get(context, (name ? name.getValue() : "") +
                                                     "." + Twine(dim)));
}

/// The argument's type and dimension names with `sizes` put in; the names of
/// its dynamic dimensions go to `known`.
static void bindArgument(func::FuncOp function, BlockArgument argument,
                         const llvm::StringMap<int64_t> &sizes,
                         std::set<std::string> &known) {
  auto type = dyn_cast<RankedTensorType>(argument.getType());
  unsigned index = argument.getArgNumber();
  auto name = function.getArgAttrOfType<StringAttr>(index, "onnx.name");
  auto dims = function.getArgAttrOfType<ArrayAttr>(index, "onnx.dims");
  if (!type)
    return;
  Builder builder(function.getContext());
  SmallVector<int64_t> shape(type.getShape());
  SmallVector<StringRef> names(shape.size(), "");
  SmallVector<std::string> texts(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    if (!ShapedType::isDynamic(shape[i]))
      continue;
    SizeExpr size = sizeOf(argument, name, dims, i);
    for (const SizeExpr::Term &term : size.terms())
      for (const SizeExpr::Factor &factor : term.factors)
        known.insert(factor.atom.str());
    SizeExpr bound = size.substitute(builder.getContext(), sizes);
    if (std::optional<int64_t> constant = bound.constant())
      shape[i] = *constant;
    else if (bound != size)
      texts[i] = bound.str();
    else if (dims && i < dims.size() && isa<StringAttr>(dims[i]))
      texts[i] = cast<StringAttr>(dims[i]).str();
    names[i] = texts[i];
  }
  argument.setType(RankedTensorType::get(shape, type.getElementType()));
  if (dims)
    function.setArgAttr(index, "onnx.dims", builder.getStrArrayAttr(names));
}

/// Names of results' dimensions that are now numbers go.
static void bindResultNames(func::FuncOp function,
                            const llvm::StringMap<int64_t> &sizes) {
  Builder builder(function.getContext());
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    auto dims = function.getResultAttrOfType<ArrayAttr>(i, "onnx.dims");
    if (!dims)
      continue;
    SmallVector<Attribute> names;
    for (StringRef text : dims.getAsValueRange<StringAttr>()) {
      std::string left;
      if (!text.trim().empty()) {
        SizeExpr bound = SizeExpr::parse(builder.getContext(), text)
                             .substitute(builder.getContext(), sizes);
        left = bound.constant() ? "" : bound.str();
      }
      names.push_back(builder.getStringAttr(left));
    }
    function.setResultAttr(i, "onnx.dims", builder.getArrayAttr(names));
  }
}

LogicalResult twist::onnx::bindDims(ModuleOp module,
                                    const llvm::StringMap<int64_t> &sizes,
                                    bool allowZero) {
  auto function = module.lookupSymbol<func::FuncOp>("main");
  if (!function)
    return module.emitError("there is no function @main to bind dimensions of");
  if (sizes.empty())
    return success();
  std::set<std::string> known;
  for (BlockArgument argument : function.getArguments())
    bindArgument(function, argument, sizes, known);
  bool ok = true;
  for (const auto &[name, size] : sizes) {
    if (!known.count(name.str())) {
      InFlightDiagnostic error =
          function.emitError("no input has a dimension '")
          << name << "'; the symbolic ones are: ";
      llvm::interleaveComma(known, error);
      ok = false;
    } else if (size < 0 || (size == 0 && !allowZero)) {
      function.emitError("the size of dimension '")
          << name << "' must be positive, not " << size;
      ok = false;
    }
  }
  if (!ok)
    return failure();
  bindResultNames(function, sizes);
  function.setFunctionType(FunctionType::get(
      function.getContext(), function.getBody().getArgumentTypes(),
      function.getResultTypes()));
  RefinementCounts counts;
  return refineShapes(function, counts);
}

/// "batch=1,sequence=128".
static FailureOr<llvm::StringMap<int64_t>> parseSizes(Operation *op,
                                                      StringRef text) {
  llvm::StringMap<int64_t> sizes;
  SmallVector<StringRef> parts;
  text.split(parts, ',', -1, /*KeepEmpty=*/false);
  for (StringRef part : parts) {
    auto [name, number] = part.rsplit('=');
    int64_t size = 0;
    if (name.trim().empty() || number.trim().getAsInteger(10, size))
      return op->emitError("expected name=size, not '") << part << "'";
    sizes[name.trim()] = size;
  }
  return sizes;
}

namespace {
struct BindDims : onnx::impl::ONNXBindDimsBase<BindDims> {
  using ONNXBindDimsBase::ONNXBindDimsBase;
  void runOnOperation() override {
    auto sizes = parseSizes(getOperation(), dims);
    if (failed(sizes) || failed(bindDims(getOperation(), *sizes)))
      signalPassFailure();
  }
};
} // namespace

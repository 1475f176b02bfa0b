//===- DenseModel.cpp - Small predictors as ONNX files --------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// The module is written as text, as the importer would print it.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/DenseModel.h"

#include "twist/Pipeline/InitAll.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace twist;
using llvm::formatv;

/// Operands, as text, of an onnx.node with one result %name.
static void writeNode(raw_ostream &os, StringRef name, StringRef type,
                      StringRef operands, StringRef signature) {
  os << formatv("%{0} = \"onnx.node\"({2}) <{{domain = \"\", node_attributes = "
                "{{}, op_type = \"{1}\", region_names = []}> {{onnx.meta = "
                "{{name = \"{0}\", outputs = [\"{0}\"]}} : {3}\n",
                name, type, operands, signature);
}

static void writeWeight(raw_ostream &os, StringRef name, StringRef type) {
  os << formatv("%{0} = onnx.Constant {{onnx.meta = {{name = \"{0}\"}, value = "
                "dense<0.0> : {1}} : {1}\n",
                name, type);
}

static std::string moduleText(ArrayRef<int64_t> widths) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << formatv(
      "module attributes {{onnx.model = {{graph = {{name = \"dense\"}, "
      "ir_version = 10 : si64, opset_import = [{{domain = \"\", version = 20 : "
      "si64}], producer_name = \"twist\"}} {{\n"
      "func.func @main(%x: tensor<?x{0}xf32> {{onnx.dims = [\"rows\", \"\"], "
      "onnx.name = \"x\"}) -> (tensor<?x{1}xf32> {{onnx.dims = [\"rows\", "
      "\"\"], onnx.name = \"cost\"}) {{\n",
      widths.front(), widths.back());
  std::string in = "x";
  for (size_t layer = 0; layer + 1 < widths.size(); ++layer) {
    bool last = layer + 2 == widths.size();
    std::string weight = formatv("weight{0}", layer),
                bias = formatv("bias{0}", layer),
                out =
                    last ? std::string("cost") : formatv("sum{0}", layer).str();
    std::string from = formatv("tensor<?x{0}xf32>", widths[layer]),
                to = formatv("tensor<?x{0}xf32>", widths[layer + 1]),
                matrix = formatv("tensor<{0}x{1}xf32>", widths[layer],
                                 widths[layer + 1]),
                row = formatv("tensor<{0}xf32>", widths[layer + 1]);
    writeWeight(os, weight, matrix);
    writeWeight(os, bias, row);
    writeNode(os, out, "Gemm",
              formatv("%{0}, %{1}, %{2}", in, weight, bias).str(),
              formatv("({0}, {1}, {2}) -> {3}", from, matrix, row, to).str());
    if (last)
      break;
    in = formatv("hidden{0}", layer);
    writeNode(os, in, "Relu", "%" + out, formatv("({0}) -> {0}", to).str());
  }
  os << formatv("return %cost : tensor<?x{0}xf32>\n}\n}\n", widths.back());
  return text;
}

llvm::Error twist::writeDenseModel(ArrayRef<int64_t> widths, StringRef path) {
  if (widths.size() < 2 || llvm::any_of(widths, [](int64_t width) {
        return width < 1 || width > (1 << 20);
      }))
    return llvm::createStringError(
        "a dense model has at least two widths, from 1 to 2^20");
  DialectRegistry registry;
  registerAllDialects(registry);
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  std::string text = moduleText(widths);
  auto module = parseSourceString<ModuleOp>(text, &context);
  if (!module || failed(exportONNX(*module, path)))
    return llvm::createStringError("cannot write the model '" + path + "'");
  return llvm::Error::success();
}

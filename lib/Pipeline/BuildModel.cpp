//===- BuildModel.cpp - New language models as ONNX files -----------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Nodes are made as the importer makes them (onnx.node), weights as views of a
// file that is written along, and the exporter does the rest.
//
//===----------------------------------------------------------------------===//

#include "twist/Pipeline/BuildModel.h"

#include "twist/Dialect/ONNX/ONNX.h"
#include "twist/Dialect/Weights/Weights.h"
#include "twist/Support/Philox.h"
#include "twist/Target/ONNX/ONNXFile.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <numbers>

using namespace mlir;
using namespace twist;

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

bool twist::isModelSpec(StringRef text) {
  return text.starts_with("gpt2:") || text.starts_with("llama:");
}

static llvm::Error check(const ModelSpec &spec) {
  auto refuse = [](const Twine &what) { return llvm::createStringError(what); };
  if (spec.vocab == 0)
    return refuse("a new model needs vocab=…, the tokenizer's size");
  if (spec.dim % spec.heads)
    return refuse("a new model's dim is no multiple of heads");
  if (spec.kind == ModelSpec::Kind::Llama && spec.heads % spec.kvHeads)
    return refuse("a new model's heads are no multiple of kv_heads");
  if (spec.kind == ModelSpec::Kind::Llama && spec.dim / spec.heads % 2)
    return refuse("a new llama's heads have an odd width");
  return llvm::Error::success();
}

llvm::Expected<ModelSpec> twist::parseModelSpec(StringRef text) {
  ModelSpec spec;
  auto [kind, sizes] = text.split(':');
  spec.kind = kind == "llama" ? ModelSpec::Kind::Llama : ModelSpec::Kind::GPT2;
  std::pair<StringRef, int64_t *> keys[] = {
      {"layers", &spec.layers},    {"dim", &spec.dim}, {"heads", &spec.heads},
      {"kv_heads", &spec.kvHeads}, {"ffn", &spec.ffn}, {"vocab", &spec.vocab},
      {"context", &spec.context}};
  SmallVector<StringRef> parts;
  sizes.split(parts, ',', -1, /*KeepEmpty=*/false);
  for (StringRef part : parts) {
    auto [key, value] = part.split('=');
    if (key == "seed" && !value.getAsInteger(10, spec.seed))
      continue;
    auto *known =
        llvm::find_if(keys, [&](const auto &k) { return k.first == key; });
    if (known == std::end(keys))
      return llvm::createStringError(
          "a new model has no size '" + key +
          "'; layers, dim, heads, kv_heads, ffn, vocab, context and seed are "
          "known");
    constexpr int64_t kMost = 1 << 24;
    if (value.getAsInteger(10, *known->second) || *known->second < 1 ||
        *known->second > kMost)
      return llvm::createStringError("a new model's " + key +
                                     " is a number from 1 to 2^24, not '" +
                                     value + "'");
  }
  if (spec.kvHeads == 0)
    spec.kvHeads = spec.heads;
  if (spec.ffn == 0)
    spec.ffn = spec.kind == ModelSpec::Kind::GPT2
                   ? 4 * spec.dim
                   : (spec.dim * 8 / 3 + 15) / 16 * 16;
  if (llvm::Error error = check(spec))
    return std::move(error);
  return spec;
}

//===----------------------------------------------------------------------===//
// Nodes and weights
//===----------------------------------------------------------------------===//

namespace {
class Graph {
public:
  Graph(const ModelSpec &spec, StringRef weightsPath, raw_ostream &weights,
        MLIRContext *context);

  /// An onnx.node with one result.
  Value node(StringRef type, ValueRange inputs,
             ArrayRef<NamedAttribute> attributes = {});
  ValueRange nodes(StringRef type, ValueRange inputs,
                   ArrayRef<NamedAttribute> attributes, size_t count);
  NamedAttribute integer(StringRef name, int64_t value) {
    return builder.getNamedAttr(name, si64(value));
  }
  NamedAttribute integers(StringRef name, ArrayRef<int64_t> values) {
    return builder.getNamedAttr(name, builder.getDenseI64ArrayAttr(values));
  }
  NamedAttribute number(StringRef name, double value) {
    return builder.getNamedAttr(name, builder.getF32FloatAttr(float(value)));
  }
  Value constant(int64_t value);
  Value constant(ArrayRef<int64_t> values);
  Value real(double value);

  /// A weight whose element i is value(i).
  Value weight(const std::string &name, ArrayRef<int64_t> dims,
               llvm::function_ref<double(int64_t)> value);
  Value normal(const std::string &name, ArrayRef<int64_t> dims, double scale);
  Value filled(const std::string &name, ArrayRef<int64_t> dims, double value) {
    return weight(name, dims, [&](int64_t) { return value; });
  }

  Value input(StringRef name, Type type, ArrayRef<StringRef> dims);
  void output(StringRef name, Value value, Type type, ArrayRef<StringRef> dims);
  void finish();

  Value size(Value of, int64_t dim) {
    return node("Gather", {node("Shape", of), constant(dim)},
                integer("axis", 0));
  }
  Value reshape(Value x, ArrayRef<int64_t> dims) {
    return node("Reshape", {x, constant(dims)});
  }
  Value transpose(Value x, ArrayRef<int64_t> perm) {
    return node("Transpose", x, integers("perm", perm));
  }
  Value unsqueeze(Value x, int64_t axis) {
    return node("Unsqueeze", {x, constant(ArrayRef(axis))});
  }
  RankedTensorType tensor(ArrayRef<int64_t> dims) {
    return RankedTensorType::get(dims, builder.getF32Type());
  }

  OpBuilder builder;
  OwningOpRef<ModuleOp> module;
  std::string scope; ///< of nodes' names

private:
  IntegerAttr si64(int64_t value) {
    return builder.getIntegerAttr(builder.getIntegerType(64, /*isSigned=*/true),
                                  value);
  }
  Value dense(DenseElementsAttr value) {
    return node("Constant", {}, builder.getNamedAttr("value", value));
  }
  DictionaryAttr valueAttributes(StringRef name, ArrayRef<StringRef> dims);

  func::FuncOp function;
  raw_ostream &weights;
  uint64_t written = 0;
  uint32_t drawn = 0;
  uint64_t seed;
  int64_t count = 0;
  SmallVector<Value> results;
  SmallVector<Type> resultTypes;
  SmallVector<Attribute> resultAttributes;
};
} // namespace

Graph::Graph(const ModelSpec &spec, StringRef weightsPath, raw_ostream &weights,
             MLIRContext *context)
    : builder(context), weights(weights), seed(spec.seed) {
  Location loc = builder.getUnknownLoc();
  module = ModuleOp::create(loc);
  auto pair = [&](StringRef name, Attribute value) {
    return builder.getNamedAttr(name, value);
  };
  bool gpt = spec.kind == ModelSpec::Kind::GPT2;
  auto opset = builder.getDictionaryAttr(
      {pair("domain", builder.getStringAttr("")), pair("version", si64(20))});
  (*module)->setAttr(
      "onnx.model",
      builder.getDictionaryAttr(
          {pair("graph",
                builder.getDictionaryAttr(pair(
                    "name", builder.getStringAttr(gpt ? "gpt2" : "llama")))),
           pair("ir_version", si64(10)),
           pair("opset_import", builder.getArrayAttr(opset)),
           pair("producer_name", builder.getStringAttr("twist"))}));
  builder.setInsertionPointToEnd(module->getBody());
  weights::SourceOp::create(builder, loc, "model", weightsPath, StringAttr());
  function = func::FuncOp::create(builder, loc, "main",
                                  builder.getFunctionType({}, {}));
  builder.setInsertionPointToEnd(function.addEntryBlock());
}

ValueRange Graph::nodes(StringRef type, ValueRange inputs,
                        ArrayRef<NamedAttribute> attributes, size_t results) {
  std::string name = scope + type.str() + "_" + std::to_string(count++);
  SmallVector<Attribute> outputs;
  for (size_t i = 0; i < results; ++i)
    outputs.push_back(
        builder.getStringAttr(name + "_output_" + std::to_string(i)));
  SmallVector<Type> types(results,
                          onnx::OpaqueType::get(builder.getContext(), ""));
  auto node = onnx::NodeOp::create(
      builder, builder.getUnknownLoc(), types, inputs,
      builder.getStringAttr(type), builder.getStringAttr(""),
      builder.getDictionaryAttr(attributes), builder.getArrayAttr({}),
      /*subgraphsCount=*/0);
  node->setAttr(
      "onnx.meta",
      builder.getDictionaryAttr(
          {builder.getNamedAttr("name", builder.getStringAttr(name)),
           builder.getNamedAttr("outputs", builder.getArrayAttr(outputs))}));
  return node.getOutputs();
}

Value Graph::node(StringRef type, ValueRange inputs,
                  ArrayRef<NamedAttribute> attributes) {
  return nodes(type, inputs, attributes, 1)[0];
}

Value Graph::constant(int64_t value) {
  return dense(DenseElementsAttr::get(
      RankedTensorType::get({}, builder.getI64Type()), value));
}

Value Graph::constant(ArrayRef<int64_t> values) {
  return dense(DenseElementsAttr::get(
      RankedTensorType::get({int64_t(values.size())}, builder.getI64Type()),
      values));
}

Value Graph::real(double value) {
  return dense(DenseElementsAttr::get(tensor({}), float(value)));
}

Value Graph::weight(const std::string &name, ArrayRef<int64_t> dims,
                    llvm::function_ref<double(int64_t)> value) {
  RankedTensorType type = tensor(dims);
  for (int64_t i = 0; i < type.getNumElements(); ++i) {
    float element = float(value(i));
    weights.write(reinterpret_cast<const char *>(&element), sizeof(element));
  }
  auto view = weights::ViewAttr::get(
      builder.getContext(),
      FlatSymbolRefAttr::get(builder.getContext(), "model"), int64_t(written),
      type, ArrayAttr(), DenseI64ArrayAttr());
  written += type.getNumElements() * sizeof(float);
  auto load =
      weights::LoadOp::create(builder, builder.getUnknownLoc(), type, view);
  load->setAttr("onnx.meta", builder.getDictionaryAttr(builder.getNamedAttr(
                                 "name", builder.getStringAttr(name))));
  return load;
}

/// Box and Muller's two normals of two uniforms.
Value Graph::normal(const std::string &name, ArrayRef<int64_t> dims,
                    double scale) {
  PhiloxStream stream(seed, 0, drawn++, /*family=*/0x30000);
  double second = 0;
  return weight(name, dims, [&](int64_t i) {
    if (i % 2)
      return scale * second;
    double radius = std::sqrt(-2 * std::log(stream.uniform()));
    double angle = 2 * std::numbers::pi * stream.uniform();
    second = radius * std::sin(angle);
    return scale * radius * std::cos(angle);
  });
}

DictionaryAttr Graph::valueAttributes(StringRef name,
                                      ArrayRef<StringRef> dims) {
  return builder.getDictionaryAttr(
      {builder.getNamedAttr("onnx.dims", builder.getStrArrayAttr(dims)),
       builder.getNamedAttr("onnx.name", builder.getStringAttr(name))});
}

Value Graph::input(StringRef name, Type type, ArrayRef<StringRef> dims) {
  unsigned index = function.getNumArguments();
  (void)function.insertArgument(index, type, valueAttributes(name, dims),
                                builder.getUnknownLoc());
  return function.getArgument(index);
}

void Graph::output(StringRef name, Value value, Type type,
                   ArrayRef<StringRef> dims) {
  // The node that makes it gives it its name and type.
  Operation *node = value.getDefiningOp();
  auto meta = node->getAttrOfType<DictionaryAttr>("onnx.meta");
  node->setAttr(
      "onnx.meta",
      builder.getDictionaryAttr(
          {builder.getNamedAttr("name", meta.get("name")),
           builder.getNamedAttr("outputs", builder.getStrArrayAttr(name))}));
  value.setType(type);
  results.push_back(value);
  resultTypes.push_back(type);
  resultAttributes.push_back(valueAttributes(name, dims));
}

/// The output that was made last comes first.
void Graph::finish() {
  std::rotate(results.begin(), std::prev(results.end()), results.end());
  std::rotate(resultTypes.begin(), std::prev(resultTypes.end()),
              resultTypes.end());
  std::rotate(resultAttributes.begin(), std::prev(resultAttributes.end()),
              resultAttributes.end());
  func::ReturnOp::create(builder, builder.getUnknownLoc(), results);
  function.setType(
      builder.getFunctionType(function.getArgumentTypes(), resultTypes));
  for (auto [i, attributes] : llvm::enumerate(resultAttributes))
    function.setResultAttrs(unsigned(i), cast<DictionaryAttr>(attributes));
}

//===----------------------------------------------------------------------===//
// What both models share
//===----------------------------------------------------------------------===//

namespace {
class Decoder {
public:
  Decoder(const ModelSpec &spec, StringRef weightsPath, raw_ostream &weights,
          MLIRContext *context)
      : s(spec), g(spec, weightsPath, weights, context),
        head(spec.dim / spec.heads),
        last(0.02 / std::sqrt(2.0 * double(spec.layers))) {}

  OwningOpRef<ModuleOp> build();

private:
  void inputs();
  Value gptBlock(Value x, int64_t n);
  Value llamaBlock(Value x, int64_t n);
  /// Queries [B, H, S, hd], keys and values [B, KV, S, hd] to [B, S, dim].
  Value attention(Value q, Value k, Value v, int64_t n);
  Value heads(Value x, int64_t count) {
    return g.transpose(g.reshape(x, {0, 0, count, head}), {0, 2, 1, 3});
  }
  Value repeat(Value x);
  Value linear(Value x, const std::string &name, int64_t in, int64_t out,
               double scale) {
    Value y =
        g.node("MatMul", {x, g.normal(name + ".weight", {in, out}, scale)});
    if (s.kind == ModelSpec::Kind::Llama)
      return y;
    return g.node("Add", {y, g.filled(name + ".bias", {out}, 0)});
  }
  Value norm(Value x, const std::string &name);
  Value rotate(Value x);

  ModelSpec s;
  Graph g;
  int64_t head;
  double last;
  SmallVector<std::pair<Value, Value>> past;
  Value ids, mask, positions, cosine, sine, embedding;
};
} // namespace

void Decoder::inputs() {
  constexpr int64_t open = ShapedType::kDynamic;
  ids = g.input("input_ids",
                RankedTensorType::get({open, open}, g.builder.getI64Type()),
                {"batch", "sequence"});
  Type cache = g.tensor({open, s.kvHeads, open, head});
  for (int64_t n = 0; n < s.layers; ++n) {
    std::string name = "past_key_values." + std::to_string(n);
    Value key = g.input(name + ".key", cache, {"batch", "", "past", ""});
    Value value = g.input(name + ".value", cache, {"batch", "", "past", ""});
    past.emplace_back(key, value);
  }
  Value length = g.size(ids, 1), before = g.size(past[0].first, 2);
  Value total = g.node("Add", {before, length}), one = g.constant(1);
  Value rows = g.node("Range", {before, total, one});
  Value columns = g.node("Range", {g.constant(0), total, one});
  mask = g.node("LessOrEqual", {g.unsqueeze(columns, 0), g.unsqueeze(rows, 1)});
  positions = g.unsqueeze(rows, 0);
}

Value Decoder::repeat(Value x) {
  int64_t group = s.heads / s.kvHeads;
  if (group == 1)
    return x;
  Value batch = g.unsqueeze(g.size(x, 0), 0),
        total = g.unsqueeze(g.size(x, 2), 0);
  auto shape = [&](ArrayRef<Value> parts) {
    return g.node("Concat", parts, g.integer("axis", 0));
  };
  auto fixed = [&](ArrayRef<int64_t> sizes) { return g.constant(sizes); };
  Value wide =
      g.node("Expand",
             {g.unsqueeze(x, 2),
              shape({batch, fixed({s.kvHeads, group}), total, fixed({head})})});
  return g.node("Reshape",
                {wide, shape({batch, fixed({s.heads}), total, fixed({head})})});
}

Value Decoder::attention(Value q, Value k, Value v, int64_t n) {
  constexpr int64_t open = ShapedType::kDynamic;
  std::string name = "present." + std::to_string(n);
  k = g.node("Concat", {past[n].first, k}, g.integer("axis", 2));
  v = g.node("Concat", {past[n].second, v}, g.integer("axis", 2));
  Type cache = g.tensor({open, s.kvHeads, open, head});
  g.output(name + ".key", k, cache, {"batch", "", "total", ""});
  g.output(name + ".value", v, cache, {"batch", "", "total", ""});
  k = repeat(k);
  v = repeat(v);
  Value scaled = g.node("Mul", {q, g.real(1 / std::sqrt(double(head)))});
  Value scores = g.node("MatMul", {scaled, g.transpose(k, {0, 1, 3, 2})});
  scores = g.node("Where",
                  {mask, scores, g.real(std::numeric_limits<float>::lowest())});
  Value weights = g.node("Softmax", scores, g.integer("axis", -1));
  Value y = g.transpose(g.node("MatMul", {weights, v}), {0, 2, 1, 3});
  return g.reshape(y, {0, 0, s.dim});
}

OwningOpRef<ModuleOp> Decoder::build() {
  bool gpt = s.kind == ModelSpec::Kind::GPT2;
  inputs();
  embedding = g.normal(gpt ? "wte.weight" : "model.embed_tokens.weight",
                       {s.vocab, s.dim}, 0.02);
  Value x = g.node("Gather", {embedding, ids}, g.integer("axis", 0));
  if (gpt) {
    Value table = g.normal("wpe.weight", {s.context, s.dim}, 0.02);
    x = g.node("Add",
               {x, g.node("Gather", {table, positions}, g.integer("axis", 0))});
  } else {
    auto angle = [&](int64_t i) {
      double pair = double(i % (head / 2)) * 2 / double(head);
      return double(i / (head / 2)) * std::pow(10000.0, -pair);
    };
    auto table = [&](const char *name, double (*f)(double)) {
      Value all = g.weight(name, {s.context, head / 2},
                           [&](int64_t i) { return f(angle(i)); });
      return g.unsqueeze(
          g.node("Gather", {all, positions}, g.integer("axis", 0)), 1);
    };
    cosine = table("rope_cos", std::cos);
    sine = table("rope_sin", std::sin);
  }
  for (int64_t n = 0; n < s.layers; ++n)
    x = gpt ? gptBlock(x, n) : llamaBlock(x, n);
  g.scope = "/";
  x = norm(x, gpt ? "ln_f" : "model.norm");
  Value logits = g.node("MatMul", {x, g.transpose(embedding, {1, 0})});
  constexpr int64_t open = ShapedType::kDynamic;
  g.output("logits", logits, g.tensor({open, open, s.vocab}),
           {"batch", "sequence", ""});
  g.finish();
  return std::move(g.module);
}

//===----------------------------------------------------------------------===//
// GPT-2 (Radford et al., 2019)
//===----------------------------------------------------------------------===//

Value Decoder::norm(Value x, const std::string &name) {
  Value scale = g.filled(name + ".weight", {s.dim}, 1);
  if (s.kind == ModelSpec::Kind::GPT2)
    return g.node("LayerNormalization",
                  {x, scale, g.filled(name + ".bias", {s.dim}, 0)},
                  {g.integer("axis", -1), g.number("epsilon", 1e-5)});
  Value mean = g.node(
      "ReduceMean", {g.node("Mul", {x, x}), g.constant(ArrayRef<int64_t>(-1))},
      g.integer("keepdims", 1));
  Value root = g.node("Sqrt", g.node("Add", {mean, g.real(1e-5)}));
  return g.node("Mul", {g.node("Div", {x, root}), scale});
}

Value Decoder::gptBlock(Value x, int64_t n) {
  std::string p = "h." + std::to_string(n) + ".";
  g.scope = "/" + p + "attn/";
  Value y =
      linear(norm(x, p + "ln_1"), p + "attn.c_attn", s.dim, 3 * s.dim, 0.02);
  ValueRange parts = g.nodes("Split", {y, g.constant({s.dim, s.dim, s.dim})},
                             g.integer("axis", 2), 3);
  y = attention(heads(parts[0], s.heads), heads(parts[1], s.heads),
                heads(parts[2], s.heads), n);
  x = g.node("Add", {x, linear(y, p + "attn.c_proj", s.dim, s.dim, last)});
  g.scope = "/" + p + "mlp/";
  y = linear(norm(x, p + "ln_2"), p + "mlp.c_fc", s.dim, s.ffn, 0.02);
  y = g.node(
      "Gelu", y,
      g.builder.getNamedAttr("approximate", g.builder.getStringAttr("tanh")));
  return g.node("Add", {x, linear(y, p + "mlp.c_proj", s.ffn, s.dim, last)});
}

//===----------------------------------------------------------------------===//
// Llama (Touvron et al., 2023): halves of a head are rotated
//===----------------------------------------------------------------------===//

Value Decoder::rotate(Value x) {
  ValueRange halves = g.nodes("Split", {x, g.constant({head / 2, head / 2})},
                              g.integer("axis", 3), 2);
  Value low = halves[0], high = halves[1];
  auto mul = [&](Value a, Value b) { return g.node("Mul", {a, b}); };
  Value a = g.node("Sub", {mul(low, cosine), mul(high, sine)});
  Value b = g.node("Add", {mul(high, cosine), mul(low, sine)});
  return g.node("Concat", {a, b}, g.integer("axis", 3));
}

Value Decoder::llamaBlock(Value x, int64_t n) {
  std::string p = "model.layers." + std::to_string(n) + ".";
  g.scope = "/" + p + "self_attn/";
  Value y = norm(x, p + "input_layernorm");
  int64_t kv = s.kvHeads * head;
  auto project = [&](const char *name, int64_t width, int64_t count) {
    return heads(linear(y, p + "self_attn." + name, s.dim, width, 0.02), count);
  };
  Value q = rotate(project("q_proj", s.dim, s.heads));
  Value k = rotate(project("k_proj", kv, s.kvHeads));
  Value v = project("v_proj", kv, s.kvHeads);
  y = attention(q, k, v, n);
  x = g.node("Add", {x, linear(y, p + "self_attn.o_proj", s.dim, s.dim, last)});
  g.scope = "/" + p + "mlp/";
  y = norm(x, p + "post_attention_layernorm");
  Value gate = linear(y, p + "mlp.gate_proj", s.dim, s.ffn, 0.02);
  gate = g.node("Mul", {gate, g.node("Sigmoid", gate)});
  y = g.node("Mul", {gate, linear(y, p + "mlp.up_proj", s.dim, s.ffn, 0.02)});
  return g.node("Add", {x, linear(y, p + "mlp.down_proj", s.ffn, s.dim, last)});
}

llvm::Error twist::buildModel(const ModelSpec &spec, StringRef path,
                              MLIRContext *context) {
  context->loadDialect<func::FuncDialect, onnx::ONNXDialect,
                       weights::WeightsDialect>();
  std::string weightsPath = (path + ".weights").str();
  std::error_code code;
  bool written = false;
  {
    llvm::raw_fd_ostream weights(weightsPath, code);
    if (!code) {
      OwningOpRef<ModuleOp> module =
          Decoder(spec, weightsPath, weights, context).build();
      weights.flush();
      code = weights.error();
      weights.clear_error();
      written = !code && succeeded(exportONNX(*module, path));
    }
  }
  llvm::sys::fs::remove(weightsPath);
  if (code)
    return llvm::createStringError(weightsPath +
                                   ": cannot be written: " + code.message());
  return written ? llvm::Error::success()
                 : llvm::createStringError(path + ": cannot be written");
}

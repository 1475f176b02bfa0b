//===- Attributes.cpp - Attributes of nodes -------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Detail.h"

#include <bit>

using namespace mlir;
using namespace twist;
using namespace twist::detail;

/// Field that holds the value of an attribute of this kind; 0: none or several.
static int valueField(int type) {
  switch (type) {
  case pb::AttributeProto::FLOAT:
    return pb::AttributeProto::kFFieldNumber;
  case pb::AttributeProto::INT:
    return pb::AttributeProto::kIFieldNumber;
  case pb::AttributeProto::STRING:
    return pb::AttributeProto::kSFieldNumber;
  case pb::AttributeProto::TENSOR:
    return pb::AttributeProto::kTFieldNumber;
  case pb::AttributeProto::GRAPH:
    return pb::AttributeProto::kGFieldNumber;
  case pb::AttributeProto::FLOATS:
    return pb::AttributeProto::kFloatsFieldNumber;
  case pb::AttributeProto::INTS:
    return pb::AttributeProto::kIntsFieldNumber;
  case pb::AttributeProto::STRINGS:
    return pb::AttributeProto::kStringsFieldNumber;
  case pb::AttributeProto::GRAPHS:
    return pb::AttributeProto::kGraphsFieldNumber;
  default:
    return 0;
  }
}

int twist::detail::attributeKind(const pb::AttributeProto &a) {
  if (a.has_type() && a.type() != pb::AttributeProto::UNDEFINED)
    return a.type();
  return a.has_f()          ? pb::AttributeProto::FLOAT
         : a.has_i()        ? pb::AttributeProto::INT
         : a.has_s()        ? pb::AttributeProto::STRING
         : a.has_t()        ? pb::AttributeProto::TENSOR
         : a.has_g()        ? pb::AttributeProto::GRAPH
         : a.floats_size()  ? pb::AttributeProto::FLOATS
         : a.ints_size()    ? pb::AttributeProto::INTS
         : a.strings_size() ? pb::AttributeProto::STRINGS
         : a.graphs_size()  ? pb::AttributeProto::GRAPHS
                            : pb::AttributeProto::UNDEFINED;
}

/// The value alone; what else a tensor says goes to `residual`.
static FailureOr<Attribute> importValue(const pb::AttributeProto &a, int kind,
                                        TensorLocator &locator, Location loc,
                                        NamedAttrList &residual) {
  Builder builder(loc.getContext());
  switch (kind) {
  case pb::AttributeProto::FLOAT:
    return Attribute(
        FloatAttr::get(builder.getF32Type(),
                       APFloat(APFloat::IEEEsingle(),
                               APInt(32, std::bit_cast<uint32_t>(a.f())))));
  case pb::AttributeProto::INT:
    return Attribute(IntegerAttr::get(builder.getIntegerType(64, true),
                                      APInt(64, static_cast<uint64_t>(a.i()))));
  case pb::AttributeProto::STRING:
    return Attribute(builder.getStringAttr(a.s()));
  case pb::AttributeProto::FLOATS:
    return Attribute(builder.getDenseF32ArrayAttr(
        SmallVector<float>(a.floats().begin(), a.floats().end())));
  case pb::AttributeProto::INTS:
    return Attribute(builder.getDenseI64ArrayAttr(
        SmallVector<int64_t>(a.ints().begin(), a.ints().end())));
  case pb::AttributeProto::STRINGS:
    return Attribute(builder.getStrArrayAttr(
        SmallVector<StringRef>(a.strings().begin(), a.strings().end())));
  case pb::AttributeProto::TENSOR: {
    FailureOr<ImportedTensor> tensor = importTensor(
        a.t(), locator,
        NameLoc::get(builder.getStringAttr("attribute " + a.name()), loc));
    if (failed(tensor))
      return failure();
    if (!tensor->residual.empty())
      residual.set("tensor", tensor->residual);
    return tensor->value;
  }
  default: // Graphs are regions.
    return Attribute(builder.getUnitAttr());
  }
}

FailureOr<Attribute> twist::detail::importAttribute(const pb::AttributeProto &a,
                                                    TensorLocator &locator,
                                                    Location loc,
                                                    NamedAttrList &residuals) {
  Builder builder(loc.getContext());
  int kind = attributeKind(a), field = valueField(kind);
  NamedAttrList residual;
  if (!field) {
    // Rare kinds stand as the whole message.
    FailureOr<DictionaryAttr> whole =
        messageToAttr(a, &locator, loc, {pb::AttributeProto::kNameFieldNumber});
    if (failed(whole))
      return failure();
    return Attribute(*whole);
  }
  FailureOr<DictionaryAttr> rest = messageToAttr(
      a, &locator, loc, {pb::AttributeProto::kNameFieldNumber, field});
  if (failed(rest))
    return failure();
  residual.append(rest->getValue());
  // What the kind implies need not be said: a set type, and GRAPH for a region.
  if (a.has_type() && a.type() == kind && kind != pb::AttributeProto::GRAPHS)
    residual.erase("type");
  if (!a.has_type()) {
    residual.set("untyped", builder.getUnitAttr());
    if (kind == pb::AttributeProto::GRAPHS)
      residual.set("type", IntegerAttr::get(builder.getIntegerType(64, true),
                                            APInt(64, kind)));
  }
  const auto *descriptor = a.GetDescriptor()->FindFieldByNumber(field);
  if (!descriptor->is_repeated() && !a.GetReflection()->HasField(a, descriptor))
    residual.set("implicit", builder.getUnitAttr());
  FailureOr<Attribute> value = importValue(a, kind, locator, loc, residual);
  if (failed(value))
    return failure();
  if (!residual.empty())
    residuals.set(a.name(), residual.getDictionary(builder.getContext()));
  return value;
}

LogicalResult twist::detail::exportAttribute(Attribute value,
                                             DictionaryAttr residual,
                                             pb::AttributeProto &proto,
                                             Payloads &payloads, Location loc) {
  auto setType = [&](pb::AttributeProto::AttributeType type) {
    bool untyped = residual && residual.contains("untyped");
    if (!proto.has_type() && !untyped)
      proto.set_type(type);
  };
  auto tensor = residual ? residual.getAs<DictionaryAttr>("tensor") : nullptr;
  bool implicit = residual && residual.contains("implicit");
  if (auto real = dyn_cast<FloatAttr>(value); real && real.getType().isF32()) {
    setType(pb::AttributeProto::FLOAT);
    float number = std::bit_cast<float>(
        static_cast<uint32_t>(real.getValue().bitcastToAPInt().getZExtValue()));
    if (!implicit || number != 0)
      proto.set_f(number);
  } else if (auto integer = dyn_cast<IntegerAttr>(value);
             integer && integer.getType().isInteger(64)) {
    setType(pb::AttributeProto::INT);
    if (!implicit || !integer.getValue().isZero())
      proto.set_i(integer.getValue().getSExtValue());
  } else if (auto string = dyn_cast<StringAttr>(value)) {
    setType(pb::AttributeProto::STRING);
    if (!implicit || !string.empty())
      proto.set_s(string.str());
  } else if (auto reals = dyn_cast<DenseF32ArrayAttr>(value)) {
    setType(pb::AttributeProto::FLOATS);
    proto.mutable_floats()->Assign(reals.asArrayRef().begin(),
                                   reals.asArrayRef().end());
  } else if (auto integers = dyn_cast<DenseI64ArrayAttr>(value)) {
    setType(pb::AttributeProto::INTS);
    proto.mutable_ints()->Assign(integers.asArrayRef().begin(),
                                 integers.asArrayRef().end());
  } else if (auto list = dyn_cast<ArrayAttr>(value);
             list && llvm::all_of(list, llvm::IsaPred<StringAttr>)) {
    setType(pb::AttributeProto::STRINGS);
    for (StringAttr entry : list.getAsRange<StringAttr>())
      proto.add_strings(entry.str());
  } else if (auto message = dyn_cast<DictionaryAttr>(value)) {
    return attrToMessage(message, proto, payloads, loc);
  } else if (auto view = dyn_cast<weights::ViewAttr>(value)) {
    setType(pb::AttributeProto::TENSOR);
    return exportTensor(view.getType(), value, tensor, *proto.mutable_t(),
                        payloads, loc);
  } else if (auto elements = dyn_cast<ElementsAttr>(value)) {
    setType(pb::AttributeProto::TENSOR);
    return exportTensor(cast<RankedTensorType>(elements.getShapedType()), value,
                        tensor, *proto.mutable_t(), payloads, loc);
  } else {
    return emitError(loc) << "attribute '" << proto.name()
                          << "' has no ONNX form: " << value;
  }
  return success();
}

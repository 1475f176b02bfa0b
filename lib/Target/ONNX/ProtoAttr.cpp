//===- ProtoAttr.cpp - Messages as dictionaries ---------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Detail.h"

#include "google/protobuf/descriptor.h"
#include "google/protobuf/unknown_field_set.h"

#include <cstring>

using namespace mlir;
using namespace twist;
using namespace twist::detail;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

static constexpr StringLiteral kUnknownFields = "unknown_fields";
/// Tensor data in dictionaries: beyond this a view.
static constexpr uint64_t kSmallBytes = 4096;

//===----------------------------------------------------------------------===//
// Message to dictionary
//===----------------------------------------------------------------------===//

static Attribute integerAttr(MLIRContext *context, uint64_t value,
                             bool isUnsigned = false) {
  auto type = IntegerType::get(
      context, 64, isUnsigned ? IntegerType::Unsigned : IntegerType::Signed);
  return IntegerAttr::get(type, APInt(64, value));
}

namespace {
/// Converts the fields of one message.
class ToAttr {
public:
  ToAttr(const Message &message, TensorLocator *locator, Location loc)
      : message(message), reflection(*message.GetReflection()),
        locator(locator), loc(loc), context(loc.getContext()) {}

  FailureOr<DictionaryAttr> convert(ArrayRef<int> skippedFields);

private:
  /// One value; `index` is -1 for a field that is not repeated.
  FailureOr<Attribute> value(const FieldDescriptor *field, int index);
  FailureOr<bool> tensorData(NamedAttrList &fields);

  const Message &message;
  const Reflection &reflection;
  TensorLocator *locator;
  Location loc;
  MLIRContext *context;
};
} // namespace

FailureOr<Attribute> ToAttr::value(const FieldDescriptor *field, int index) {
  auto get = [&](auto single, auto repeated) {
    return index < 0 ? (reflection.*single)(message, field)
                     : (reflection.*repeated)(message, field, index);
  };
  switch (field->cpp_type()) {
  case FieldDescriptor::CPPTYPE_INT32:
    return integerAttr(
        context, get(&Reflection::GetInt32, &Reflection::GetRepeatedInt32));
  case FieldDescriptor::CPPTYPE_INT64:
    return integerAttr(
        context, get(&Reflection::GetInt64, &Reflection::GetRepeatedInt64));
  case FieldDescriptor::CPPTYPE_UINT32:
    return integerAttr(
        context, get(&Reflection::GetUInt32, &Reflection::GetRepeatedUInt32),
        true);
  case FieldDescriptor::CPPTYPE_UINT64:
    return integerAttr(
        context, get(&Reflection::GetUInt64, &Reflection::GetRepeatedUInt64),
        true);
  case FieldDescriptor::CPPTYPE_ENUM:
    return integerAttr(context, get(&Reflection::GetEnumValue,
                                    &Reflection::GetRepeatedEnumValue));
  case FieldDescriptor::CPPTYPE_BOOL:
    return Attribute(BoolAttr::get(
        context, get(&Reflection::GetBool, &Reflection::GetRepeatedBool)));
  case FieldDescriptor::CPPTYPE_FLOAT: {
    float number = get(&Reflection::GetFloat, &Reflection::GetRepeatedFloat);
    return Attribute(
        FloatAttr::get(Float32Type::get(context),
                       APFloat(APFloat::IEEEsingle(),
                               APInt(32, std::bit_cast<uint32_t>(number)))));
  }
  case FieldDescriptor::CPPTYPE_DOUBLE: {
    double number = get(&Reflection::GetDouble, &Reflection::GetRepeatedDouble);
    return Attribute(
        FloatAttr::get(Float64Type::get(context),
                       APFloat(APFloat::IEEEdouble(),
                               APInt(64, std::bit_cast<uint64_t>(number)))));
  }
  case FieldDescriptor::CPPTYPE_STRING:
    return Attribute(StringAttr::get(
        context, get(&Reflection::GetString, &Reflection::GetRepeatedString)));
  case FieldDescriptor::CPPTYPE_MESSAGE: {
    const Message &inner =
        index < 0 ? reflection.GetMessage(message, field)
                  : reflection.GetRepeatedMessage(message, field, index);
    FailureOr<DictionaryAttr> attr = messageToAttr(inner, locator, loc);
    if (failed(attr))
      return failure();
    return Attribute(*attr);
  }
  }
  llvm_unreachable("every kind of field is handled");
}

/// Data a locator finds outside the message. True if there was some.
FailureOr<bool> ToAttr::tensorData(NamedAttrList &fields) {
  auto *tensor = dynamic_cast<const pb::TensorProto *>(&message);
  if (!tensor || !locator)
    return false;
  FailureOr<std::optional<TensorBytes>> located = locator->locate(*tensor, loc);
  if (failed(located))
    return failure();
  if (!*located)
    return false;
  const TensorBytes &bytes = **located;
  StringRef key = bytes.storage == "external" ? "raw_data" : bytes.storage;
  if (bytes.value) {
    fields.set("raw_data", bytes.value);
  } else if (bytes.bytes.size() <= kSmallBytes || !bytes.source) {
    fields.set(key, StringAttr::get(context, StringRef(bytes.bytes.data(),
                                                       bytes.bytes.size())));
  } else {
    auto type =
        RankedTensorType::get({static_cast<int64_t>(bytes.bytes.size())},
                              IntegerType::get(context, 8));
    fields.set(key, weights::ViewAttr::get(context, bytes.source, bytes.offset,
                                           type, {}, {}));
  }
  return true;
}

FailureOr<DictionaryAttr> ToAttr::convert(ArrayRef<int> skippedFields) {
  NamedAttrList fields;
  FailureOr<bool> hasData = tensorData(fields);
  if (failed(hasData))
    return failure();
  std::vector<const FieldDescriptor *> set;
  reflection.ListFields(message, &set);
  for (const FieldDescriptor *field : set) {
    if (llvm::is_contained(skippedFields, field->number()) ||
        fields.get(field->name()))
      continue;
    // The data stands above, inside the file or out.
    if (*hasData &&
        (field->name() == "raw_data" || field->name() == "external_data" ||
         field->name() == "data_location"))
      continue;
    if (!field->is_repeated()) {
      FailureOr<Attribute> attr = value(field, -1);
      if (failed(attr))
        return failure();
      fields.set(field->name(), *attr);
      continue;
    }
    SmallVector<Attribute> entries;
    for (int i = 0, e = reflection.FieldSize(message, field); i < e; ++i) {
      FailureOr<Attribute> attr = value(field, i);
      if (failed(attr))
        return failure();
      entries.push_back(*attr);
    }
    fields.set(field->name(), ArrayAttr::get(context, entries));
  }
  const auto &unknown = reflection.GetUnknownFields(message);
  if (!unknown.empty()) {
    std::string bytes;
    unknown.SerializeToString(&bytes);
    fields.set(kUnknownFields, StringAttr::get(context, bytes));
  }
  return fields.getDictionary(context);
}

FailureOr<DictionaryAttr>
twist::detail::messageToAttr(const Message &message, TensorLocator *locator,
                             Location loc, ArrayRef<int> skippedFields) {
  return ToAttr(message, locator, loc).convert(skippedFields);
}

//===----------------------------------------------------------------------===//
// Dictionary to message
//===----------------------------------------------------------------------===//

namespace {
class ToMessage {
public:
  ToMessage(Message &message, Payloads &payloads, Location loc)
      : message(message), reflection(*message.GetReflection()),
        payloads(payloads), loc(loc) {}

  LogicalResult set(const FieldDescriptor *field, Attribute attr,
                    bool repeated);
  LogicalResult tensorData(const FieldDescriptor *field, Attribute attr);

private:
  LogicalResult mismatch(const FieldDescriptor *field, Attribute attr) {
    return emitError(loc) << "field '" << field->full_name()
                          << "' cannot be made of " << attr;
  }
  LogicalResult number(const FieldDescriptor *field, Attribute attr,
                       bool repeated);

  Message &message;
  const Reflection &reflection;
  Payloads &payloads;
  Location loc;
};
} // namespace

/// Calls the setter of a field, or the adder of a repeated one.
#define TWIST_SET(KIND, VALUE)                                                 \
  (repeated ? reflection.Add##KIND(&message, field, VALUE)                     \
            : reflection.Set##KIND(&message, field, VALUE))

LogicalResult ToMessage::number(const FieldDescriptor *field, Attribute attr,
                                bool repeated) {
  auto integer = dyn_cast<IntegerAttr>(attr);
  auto real = dyn_cast<FloatAttr>(attr);
  uint64_t bits = integer ? integer.getValue().zextOrTrunc(64).getZExtValue()
                  : real  ? real.getValue().bitcastToAPInt().getZExtValue()
                          : 0;
  bool isFloat = field->cpp_type() == FieldDescriptor::CPPTYPE_FLOAT;
  bool isDouble = field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE;
  if (isFloat || isDouble) {
    if (!real || (isFloat ? !real.getType().isF32() : !real.getType().isF64()))
      return mismatch(field, attr);
    if (isFloat)
      TWIST_SET(Float, std::bit_cast<float>(static_cast<uint32_t>(bits)));
    else
      TWIST_SET(Double, std::bit_cast<double>(bits));
    return success();
  }
  if (!integer)
    return mismatch(field, attr);
  switch (field->cpp_type()) {
  case FieldDescriptor::CPPTYPE_INT32:
    TWIST_SET(Int32, static_cast<int32_t>(bits));
    break;
  case FieldDescriptor::CPPTYPE_INT64:
    TWIST_SET(Int64, static_cast<int64_t>(bits));
    break;
  case FieldDescriptor::CPPTYPE_UINT32:
    TWIST_SET(UInt32, static_cast<uint32_t>(bits));
    break;
  case FieldDescriptor::CPPTYPE_UINT64:
    TWIST_SET(UInt64, bits);
    break;
  case FieldDescriptor::CPPTYPE_ENUM:
    TWIST_SET(EnumValue, static_cast<int>(bits));
    break;
  case FieldDescriptor::CPPTYPE_BOOL:
    TWIST_SET(Bool, bits != 0);
    break;
  default:
    return mismatch(field, attr);
  }
  return success();
}

LogicalResult ToMessage::set(const FieldDescriptor *field, Attribute attr,
                             bool repeated) {
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    auto string = dyn_cast<StringAttr>(attr);
    if (!string)
      return mismatch(field, attr);
    TWIST_SET(String, string.getValue().str());
    return success();
  }
  if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE)
    return number(field, attr, repeated);
  auto dictionary = dyn_cast<DictionaryAttr>(attr);
  if (!dictionary)
    return mismatch(field, attr);
  Message *inner = repeated ? reflection.AddMessage(&message, field)
                            : reflection.MutableMessage(&message, field);
  return attrToMessage(dictionary, *inner, payloads, loc);
}
#undef TWIST_SET

/// Tensor data that stands in a dictionary as a view or as bytes.
LogicalResult ToMessage::tensorData(const FieldDescriptor *field,
                                    Attribute attr) {
  auto &tensor = static_cast<pb::TensorProto &>(message);
  if (auto view = dyn_cast<weights::ViewAttr>(attr)) {
    Type element = view.getStored().getElementType();
    int64_t size = weights::storedBytes(element, view.getNumElements());
    attachPayload(
        tensor, payloads,
        {attr, element, static_cast<uint64_t>(size), field->number()});
    return success();
  }
  if (auto elements = dyn_cast<ElementsAttr>(attr)) {
    FailureOr<std::vector<char>> bytes = weights::toStored(elements, loc);
    if (failed(bytes))
      return failure();
    tensor.set_raw_data(bytes->data(), bytes->size());
    return success();
  }
  auto string = dyn_cast<StringAttr>(attr);
  if (!string)
    return mismatch(field, attr);
  StringRef bytes = string.getValue();
  if (field->number() == pb::TensorProto::kRawDataFieldNumber) {
    tensor.set_raw_data(bytes.str());
    return success();
  }
  bool isFloat = field->number() == pb::TensorProto::kFloatDataFieldNumber;
  for (size_t at = 0, width = isFloat ? 4 : 8; at + width <= bytes.size();
       at += width) {
    uint64_t bits = 0;
    memcpy(&bits, bytes.data() + at, width);
    if (isFloat)
      tensor.add_float_data(std::bit_cast<float>(static_cast<uint32_t>(bits)));
    else
      tensor.add_double_data(std::bit_cast<double>(bits));
  }
  return success();
}

LogicalResult twist::detail::attrToMessage(DictionaryAttr dictionary,
                                           Message &message, Payloads &payloads,
                                           Location loc,
                                           ArrayRef<StringRef> skippedKeys) {
  ToMessage to(message, payloads, loc);
  bool isTensor = message.GetDescriptor() == pb::TensorProto::descriptor();
  for (NamedAttribute entry : dictionary) {
    StringRef key = entry.getName().getValue();
    if (llvm::is_contained(skippedKeys, key))
      continue;
    if (key == kUnknownFields && isa<StringAttr>(entry.getValue())) {
      StringRef bytes = cast<StringAttr>(entry.getValue()).getValue();
      message.GetReflection()->MutableUnknownFields(&message)->ParseFromArray(
          bytes.data(), bytes.size());
      continue;
    }
    const FieldDescriptor *field =
        message.GetDescriptor()->FindFieldByName(key.str());
    if (!field)
      return emitError(loc) << "'" << message.GetDescriptor()->full_name()
                            << "' has no field '" << key << "'";
    auto array = dyn_cast<ArrayAttr>(entry.getValue());
    LogicalResult result = success();
    if (isTensor && (key == "raw_data" || !array) &&
        (key == "raw_data" || key == "float_data" || key == "double_data")) {
      result = to.tensorData(field, entry.getValue());
    } else if (field->is_repeated()) {
      if (!array)
        return emitError(loc) << "field '" << key << "' is not a list";
      for (Attribute attr : array)
        if (failed(to.set(field, attr, /*repeated=*/true)))
          return failure();
    } else {
      result = to.set(field, entry.getValue(), /*repeated=*/false);
    }
    if (failed(result))
      return failure();
  }
  return success();
}

//===- Tensors.cpp - Types and tensors ------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Detail.h"

#include "llvm/Support/MathExtras.h"

#include <cstring>

using namespace mlir;
using namespace twist;
using namespace twist::detail;

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

Type twist::detail::elementTypeOf(int32_t dataType, MLIRContext *context) {
  Builder b(context);
  auto integer = [&](unsigned width) { return b.getIntegerType(width); };
  auto uinteger = [&](unsigned width) {
    return b.getIntegerType(width, false);
  };
  switch (dataType) {
  case pb::TensorProto::FLOAT:
    return b.getF32Type();
  case pb::TensorProto::DOUBLE:
    return b.getF64Type();
  case pb::TensorProto::FLOAT16:
    return b.getF16Type();
  case pb::TensorProto::BFLOAT16:
    return b.getBF16Type();
  case pb::TensorProto::BOOL:
    return integer(1);
  case pb::TensorProto::INT2:
    return integer(2);
  case pb::TensorProto::INT4:
    return integer(4);
  case pb::TensorProto::INT8:
    return integer(8);
  case pb::TensorProto::INT16:
    return integer(16);
  case pb::TensorProto::INT32:
    return integer(32);
  case pb::TensorProto::INT64:
    return integer(64);
  case pb::TensorProto::UINT2:
    return uinteger(2);
  case pb::TensorProto::UINT4:
    return uinteger(4);
  case pb::TensorProto::UINT8:
    return uinteger(8);
  case pb::TensorProto::UINT16:
    return uinteger(16);
  case pb::TensorProto::UINT32:
    return uinteger(32);
  case pb::TensorProto::UINT64:
    return uinteger(64);
  case pb::TensorProto::STRING:
    return ir::StringType::get(context);
  case pb::TensorProto::COMPLEX64:
    return ComplexType::get(b.getF32Type());
  case pb::TensorProto::COMPLEX128:
    return ComplexType::get(b.getF64Type());
  case pb::TensorProto::FLOAT8E4M3FN:
    return Float8E4M3FNType::get(context);
  case pb::TensorProto::FLOAT8E4M3FNUZ:
    return Float8E4M3FNUZType::get(context);
  case pb::TensorProto::FLOAT8E5M2:
    return Float8E5M2Type::get(context);
  case pb::TensorProto::FLOAT8E5M2FNUZ:
    return Float8E5M2FNUZType::get(context);
  case pb::TensorProto::FLOAT8E8M0:
    return Float8E8M0FNUType::get(context);
  case pb::TensorProto::FLOAT4E2M1:
    return Float4E2M1FNType::get(context);
  case pb::TensorProto::FLOAT6E2M3:
    return Float6E2M3FNType::get(context);
  case pb::TensorProto::FLOAT6E3M2:
    return Float6E3M2FNType::get(context);
  default:
    return nullptr;
  }
}

int32_t twist::detail::dataTypeOf(Type elementType) {
  for (int32_t type = 1; pb::TensorProto::DataType_IsValid(type); ++type)
    if (elementTypeOf(type, elementType.getContext()) == elementType)
      return type;
  return pb::TensorProto::UNDEFINED;
}

Type twist::detail::importType(const pb::TypeProto &type, MLIRContext *context,
                               SmallVectorImpl<std::string> *dims) {
  Type element;
  if (type.has_tensor_type())
    element = elementTypeOf(type.tensor_type().elem_type(), context);
  if (!element)
    return ir::OpaqueType::get(context, serialise(type));
  if (!type.tensor_type().has_shape())
    return UnrankedTensorType::get(element);
  SmallVector<int64_t> shape;
  for (const auto &dim : type.tensor_type().shape().dim()) {
    bool isStatic = dim.has_dim_value() && dim.dim_value() >= 0;
    shape.push_back(isStatic ? dim.dim_value() : ShapedType::kDynamic);
    if (dims)
      dims->push_back(dim.has_dim_param() ? dim.dim_param() : "");
  }
  return RankedTensorType::get(shape, element);
}

void twist::detail::exportType(Type type, ArrayRef<StringRef> dims,
                               pb::TypeProto &proto) {
  if (auto opaque = dyn_cast<ir::OpaqueType>(type)) {
    proto.ParseFromArray(opaque.getProto().data(), opaque.getProto().size());
    return;
  }
  auto tensor = cast<TensorType>(type);
  proto.mutable_tensor_type()->set_elem_type(
      dataTypeOf(tensor.getElementType()));
  if (!tensor.hasRank()) {
    proto.mutable_tensor_type()->clear_shape();
    return;
  }
  auto *shape = proto.mutable_tensor_type()->mutable_shape();
  if (shape->dim_size() != tensor.getRank())
    shape->clear_dim();
  while (shape->dim_size() < tensor.getRank())
    shape->add_dim();
  for (auto [d, size] : llvm::enumerate(tensor.getShape())) {
    auto *dim = shape->mutable_dim(d);
    if (!ShapedType::isDynamic(size))
      dim->set_dim_value(size);
    else if (d < dims.size() && !dims[d].empty())
      dim->set_dim_param(dims[d].str());
    else
      dim->clear_value();
  }
}

std::string twist::detail::serialise(const google::protobuf::Message &message) {
  std::string out;
  message.SerializePartialToString(&out);
  return out;
}

//===----------------------------------------------------------------------===//
// Import of tensors
//===----------------------------------------------------------------------===//

namespace {
/// Tensors up to these sizes become constants of the compiler.
constexpr uint64_t kSmallFloats = 1024, kSmallIntegers = 4096;
} // namespace

static bool isSmall(Type element, uint64_t bytes) {
  bool isInteger = isa<IntegerType>(element);
  return bytes <= (isInteger ? kSmallIntegers : kSmallFloats);
}

/// Six-bit elements, one a number, as the stream of bits that raw_data has.
template <typename Numbers>
static std::string packSixBits(const Numbers &numbers) {
  std::string bytes((numbers.size() * 6 + 7) / 8, '\0');
  for (int i = 0; i < numbers.size(); ++i) {
    size_t bit = size_t(i) * 6;
    unsigned window = (numbers[i] & 63u) << (bit % 8);
    bytes[bit / 8] |= static_cast<char>(window);
    if (window > 255)
      bytes[bit / 8 + 1] |= static_cast<char>(window >> 8);
  }
  return bytes;
}

/// Element values as they would lie in raw_data, from the typed fields.
static std::string decodeFields(const pb::TensorProto &tensor, Type element,
                                StringRef &storage) {
  std::string bytes;
  auto append = [&](auto value, unsigned width) {
    bytes.append(reinterpret_cast<const char *>(&value), width);
  };
  if (tensor.float_data_size()) {
    storage = "float_data";
    for (float value : tensor.float_data())
      append(value, 4);
  } else if (tensor.double_data_size()) {
    storage = "double_data";
    for (double value : tensor.double_data())
      append(value, 8);
  } else if (tensor.int64_data_size()) {
    storage = "int64_data";
    for (int64_t value : tensor.int64_data())
      append(value, 8);
  } else if (tensor.uint64_data_size()) {
    storage = "uint64_data";
    for (uint64_t value : tensor.uint64_data())
      append(value, weights::storedBits(element) == 32 ? 4 : 8);
  } else if (tensor.int32_data_size()) {
    // One number an element, or a byte of elements of two or four bits.
    storage = "int32_data";
    if (weights::storedBits(element) == 6)
      return packSixBits(tensor.int32_data());
    unsigned width = std::clamp(weights::storedBits(element) / 8, 1u, 4u);
    for (int32_t value : tensor.int32_data())
      append(value, width);
  }
  return bytes;
}

/// The type, or nothing with what is wrong in `error`.
static RankedTensorType tensorType(const pb::TensorProto &tensor,
                                   MLIRContext *context, std::string &error) {
  Type element = elementTypeOf(tensor.data_type(), context);
  if (!element) {
    error = "has unknown data type " + std::to_string(tensor.data_type());
    return {};
  }
  int64_t count = 1;
  for (int64_t dim : tensor.dims())
    if (dim < 0 || llvm::MulOverflow(count, dim, count) ||
        count > (int64_t(1) << 56)) {
      error = "has impossible dimensions";
      return {};
    }
  return RankedTensorType::get(
      SmallVector<int64_t>(tensor.dims().begin(), tensor.dims().end()),
      element);
}

static DictionaryAttr residualOf(DictionaryAttr fields, StringRef storage) {
  MLIRContext *context = fields.getContext();
  if (storage.empty() || storage == "raw_data")
    return fields;
  NamedAttrList list(fields);
  list.set("storage", StringAttr::get(context, storage));
  return list.getDictionary(context);
}

static FailureOr<Attribute> importStrings(const pb::TensorProto &tensor,
                                          RankedTensorType type, Location loc) {
  if (tensor.string_data_size() != type.getNumElements())
    return emitError(loc) << "has " << tensor.string_data_size()
                          << " strings for " << type.getNumElements()
                          << " elements";
  SmallVector<StringRef> strings(tensor.string_data().begin(),
                                 tensor.string_data().end());
  return Attribute(DenseStringElementsAttr::get(type, strings));
}

static FailureOr<Attribute> importBytes(const TensorBytes &bytes,
                                        RankedTensorType type, Location loc) {
  Type element = type.getElementType();
  uint64_t size = weights::storedBytes(element, type.getNumElements());
  if (bytes.bytes.size() != size)
    return emitError(loc) << "has " << bytes.bytes.size() << " bytes of data, "
                          << type << " takes " << size;
  if (!bytes.source || isSmall(element, size))
    return Attribute(weights::fromStored(type, bytes.bytes));
  return Attribute(weights::ViewAttr::get(type.getContext(), bytes.source,
                                          bytes.offset, type, {}, {}));
}

FailureOr<ImportedTensor>
twist::detail::importTensor(const pb::TensorProto &tensor,
                            TensorLocator &locator, Location loc) {
  std::string error;
  RankedTensorType type = tensorType(tensor, loc.getContext(), error);
  if (!type)
    return emitError(loc) << error;
  FailureOr<DictionaryAttr> fields = messageToAttr(
      tensor, nullptr, loc,
      {pb::TensorProto::kDimsFieldNumber, pb::TensorProto::kDataTypeFieldNumber,
       pb::TensorProto::kFloatDataFieldNumber,
       pb::TensorProto::kInt32DataFieldNumber,
       pb::TensorProto::kStringDataFieldNumber,
       pb::TensorProto::kInt64DataFieldNumber,
       pb::TensorProto::kRawDataFieldNumber,
       pb::TensorProto::kDoubleDataFieldNumber,
       pb::TensorProto::kUint64DataFieldNumber,
       pb::TensorProto::kExternalDataFieldNumber,
       tensor.data_location() == pb::TensorProto::EXTERNAL
           ? pb::TensorProto::kDataLocationFieldNumber
           : 0});
  if (failed(fields))
    return failure();
  if (isa<ir::StringType>(type.getElementType())) {
    FailureOr<Attribute> value = importStrings(tensor, type, loc);
    if (failed(value))
      return failure();
    return ImportedTensor{type, *value, *fields};
  }
  FailureOr<std::optional<TensorBytes>> located = locator.locate(tensor, loc);
  if (failed(located))
    return failure();
  TensorBytes bytes;
  std::string decoded;
  if (*located) {
    bytes = **located;
  } else {
    decoded = decodeFields(tensor, type.getElementType(), bytes.storage);
    bytes.bytes = ArrayRef<char>(decoded.data(), decoded.size());
  }
  DictionaryAttr residual = residualOf(*fields, bytes.storage);
  if (bytes.value)
    return ImportedTensor{type, bytes.value, residual};
  FailureOr<Attribute> value = importBytes(bytes, type, loc);
  if (failed(value))
    return failure();
  return ImportedTensor{type, *value, residual};
}

//===----------------------------------------------------------------------===//
// Export of tensors
//===----------------------------------------------------------------------===//

void twist::detail::attachPayload(pb::TensorProto &tensor, Payloads &payloads,
                                  const ExportPayload &payload) {
  tensor.set_data_location(pb::TensorProto::EXTERNAL);
  auto *entry = tensor.add_external_data();
  entry->set_key(kPayloadKey);
  entry->set_value(std::to_string(payloads.size()));
  payloads.push_back(payload);
}

std::optional<uint64_t>
twist::detail::payloadOf(const pb::TensorProto &tensor) {
  uint64_t index;
  if (tensor.external_data_size() == 1 &&
      tensor.external_data(0).key() == kPayloadKey &&
      !StringRef(tensor.external_data(0).value()).getAsInteger(10, index))
    return index;
  return std::nullopt;
}

/// Writes small data into the field it came from, if it still fits there.
static void encode(pb::TensorProto &tensor, ArrayRef<char> bytes, Type element,
                   StringRef storage) {
  auto each = [&](auto sample, unsigned width, auto add) {
    for (size_t at = 0; at + width <= bytes.size(); at += width) {
      decltype(sample) value = 0;
      memcpy(&value, bytes.data() + at, width);
      add(value);
    }
  };
  unsigned bits = weights::storedBits(element);
  int64_t count = 1;
  for (int64_t dim : tensor.dims())
    count *= dim;
  Type real = element;
  if (auto complex = dyn_cast<ComplexType>(element))
    real = complex.getElementType();
  if (storage == "float_data" && real.isF32())
    each(float(), 4, [&](float v) { tensor.add_float_data(v); });
  else if (storage == "double_data" && real.isF64())
    each(double(), 8, [&](double v) { tensor.add_double_data(v); });
  else if (storage == "int64_data" && element.isSignlessInteger(64))
    each(int64_t(), 8, [&](int64_t v) { tensor.add_int64_data(v); });
  else if (storage == "uint64_data" && element.isUnsignedInteger() &&
           bits >= 32)
    each(uint64_t(), bits / 8, [&](uint64_t v) { tensor.add_uint64_data(v); });
  else if (storage == "int32_data" && bits == 6) {
    for (size_t bit = 0; bit + 6 <= bytes.size() * 8; bit += 6) {
      if (tensor.int32_data_size() == count)
        break;
      unsigned window = static_cast<unsigned char>(bytes[bit / 8]);
      if (bit % 8 > 2)
        window |= static_cast<unsigned char>(bytes[bit / 8 + 1]) << 8;
      tensor.add_int32_data((window >> (bit % 8)) & 63);
    }
  } else if (storage == "int32_data" && bits <= 32 && !real.isF32()) {
    // Signed types narrower than 32 bits are sign-extended in the field.
    bool isSigned =
        element.isSignlessInteger() && bits >= 8 && !element.isInteger(1);
    unsigned width = std::max(bits / 8, 1u);
    each(uint32_t(), width, [&](uint32_t v) {
      tensor.add_int32_data(isSigned ? llvm::SignExtend32(v, 8 * width)
                                     : static_cast<int32_t>(v));
    });
  } else {
    tensor.set_raw_data(bytes.data(), bytes.size());
  }
}

LogicalResult twist::detail::exportTensor(RankedTensorType type,
                                          Attribute value,
                                          DictionaryAttr residual,
                                          pb::TensorProto &tensor,
                                          Payloads &payloads, Location loc) {
  if (residual &&
      failed(attrToMessage(residual, tensor, payloads, loc, {"storage"})))
    return failure();
  Type element = type.getElementType();
  int32_t dataType = dataTypeOf(element);
  if (dataType == pb::TensorProto::UNDEFINED)
    return emitError(loc) << "elements of type " << element
                          << " have no ONNX data type";
  tensor.set_data_type(dataType);
  tensor.mutable_dims()->Assign(type.getShape().begin(), type.getShape().end());
  if (auto strings = dyn_cast<DenseStringElementsAttr>(value)) {
    for (int64_t i = 0; i < type.getNumElements(); ++i) {
      ArrayRef<StringRef> raw = strings.getRawStringData();
      tensor.add_string_data(raw[strings.isSplat() ? 0 : i].str());
    }
    return success();
  }
  StringRef storage;
  if (auto attr = residual ? residual.getAs<StringAttr>("storage") : nullptr)
    storage = attr.getValue();
  auto elements = dyn_cast<ElementsAttr>(value);
  int64_t size = weights::storedBytes(element, type.getNumElements());
  bool isNumbers = storage == "int32_data" || storage == "int64_data" ||
                   storage == "uint64_data";
  if (elements && (size <= 4096 || isNumbers)) {
    FailureOr<std::vector<char>> bytes = weights::toStored(elements, loc);
    if (failed(bytes))
      return failure();
    encode(tensor, *bytes, element, storage);
    return success();
  }
  ExportPayload payload{value, element, static_cast<uint64_t>(size),
                        pb::TensorProto::kRawDataFieldNumber};
  Type real = element;
  if (auto complex = dyn_cast<ComplexType>(element))
    real = complex.getElementType();
  if (storage == "float_data" && real.isF32())
    payload.field = pb::TensorProto::kFloatDataFieldNumber;
  if (storage == "double_data" && real.isF64())
    payload.field = pb::TensorProto::kDoubleDataFieldNumber;
  attachPayload(tensor, payloads, payload);
  return success();
}

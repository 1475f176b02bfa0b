//===- WireScanner.cpp - Scans serialised models ----------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Protobuf's parser copies the data of every tensor. So the wire format is
// walked by hand first: the messages that can hold a tensor are rewritten
// without its data, the rest is copied as it is, and the parser gets that.
//
//===----------------------------------------------------------------------===//

#include "Detail.h"

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/Errc.h"

#include <climits>

using namespace mlir;
using namespace twist;
using namespace twist::detail;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

namespace {

/// Protobuf's own limit on nested messages.
constexpr int kMaxDepth = 100;
/// Packed floats up to this length stay in the message.
constexpr uint64_t kSmallPacked = 512;

enum WireType { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

/// One field on the wire: its tag starts at `begin`; a length-delimited
/// value occupies [value, end).
struct Field {
  int number = 0;
  unsigned wire = 0;
  uint64_t begin = 0, value = 0, end = 0;
};

class WireScanner {
public:
  WireScanner(ArrayRef<char> bytes, std::vector<Payload> &payloads)
      : bytes(bytes), payloads(payloads) {}

  /// Appends the message in [begin, end) to `out`, without tensor data.
  bool scan(const Descriptor *type, uint64_t begin, uint64_t end, int depth,
            std::string &out);

  llvm::Error takeError() {
    return llvm::createStringError(llvm::errc::invalid_argument, error);
  }

private:
  bool fail(const Descriptor *type, uint64_t at, const std::string &what) {
    error = what + " in " + std::string(type->name()) + " at byte " +
            std::to_string(at);
    return false;
  }
  bool readVarint(uint64_t &at, uint64_t end, uint64_t &value);
  bool readField(const Descriptor *type, uint64_t at, uint64_t end,
                 Field &field);
  bool scanTensor(const Descriptor *type, uint64_t begin, uint64_t end,
                  std::string &out);
  bool holdsTensors(const Descriptor *type);

  ArrayRef<char> bytes;
  std::vector<Payload> &payloads;
  llvm::DenseMap<const Descriptor *, bool> holds;
  std::string error;
};

} // namespace

static void appendVarint(std::string &out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

bool WireScanner::readVarint(uint64_t &at, uint64_t end, uint64_t &value) {
  value = 0;
  for (int shift = 0; shift < 70 && at < end; shift += 7) {
    uint64_t byte = static_cast<unsigned char>(bytes[at++]);
    if (shift < 64)
      value |= (byte & 0x7f) << shift;
    if (byte < 0x80)
      return true;
  }
  return false;
}

bool WireScanner::readField(const Descriptor *type, uint64_t at, uint64_t end,
                            Field &field) {
  field.begin = at;
  uint64_t tag, value;
  if (!readVarint(at, end, tag) || tag >> 3 == 0 || tag >> 32)
    return fail(type, field.begin, "no valid field tag");
  field.number = static_cast<int>(tag >> 3);
  field.wire = tag & 7;
  field.value = at;
  uint64_t length = 0;
  switch (field.wire) {
  case Varint:
    if (!readVarint(at, end, value))
      return fail(type, field.begin, "an unfinished number");
    field.end = at;
    return true;
  case Fixed64:
    length = 8;
    break;
  case Fixed32:
    length = 4;
    break;
  case Bytes:
    if (!readVarint(at, end, length))
      return fail(type, field.begin, "an unfinished length");
    field.value = at;
    break;
  default:
    return fail(type, field.begin, "wire type " + std::to_string(field.wire));
  }
  if (length > end - at)
    return fail(type, field.begin,
                "field " + std::to_string(field.number) + " of " +
                    std::to_string(length) + " bytes where " +
                    std::to_string(end - at) + " remain");
  field.end = at + length;
  return true;
}

bool WireScanner::holdsTensors(const Descriptor *type) {
  if (type == pb::TensorProto::descriptor())
    return true;
  auto [it, isNew] = holds.try_emplace(type, false);
  if (!isNew)
    return it->second;
  // Recursive types: the false entered above ends the recursion; a message that
  // holds tensors only through itself is found through the outer one.
  bool found = false;
  for (int i = 0; i < type->field_count(); ++i)
    if (const Descriptor *inner = type->field(i)->message_type())
      found |= holdsTensors(inner);
  holds[type] = found;
  return found;
}

bool WireScanner::scan(const Descriptor *type, uint64_t begin, uint64_t end,
                       int depth, std::string &out) {
  if (depth > kMaxDepth)
    return fail(type, begin, "messages nested too deeply");
  if (type == pb::TensorProto::descriptor())
    return scanTensor(type, begin, end, out);
  for (uint64_t at = begin; at < end;) {
    Field field;
    if (!readField(type, at, end, field))
      return false;
    at = field.end;
    const FieldDescriptor *known = type->FindFieldByNumber(field.number);
    const Descriptor *inner = known ? known->message_type() : nullptr;
    if (field.wire != Bytes || !inner || !holdsTensors(inner)) {
      out.append(bytes.data() + field.begin, field.end - field.begin);
      continue;
    }
    std::string message;
    if (!scan(inner, field.value, field.end, depth + 1, message))
      return false;
    appendVarint(out, static_cast<uint64_t>(field.number) << 3 | Bytes);
    appendVarint(out, message.size());
    out += message;
  }
  return true;
}

bool WireScanner::scanTensor(const Descriptor *type, uint64_t begin,
                             uint64_t end, std::string &out) {
  constexpr int kRaw = pb::TensorProto::kRawDataFieldNumber;
  constexpr int kFloat = pb::TensorProto::kFloatDataFieldNumber;
  constexpr int kDouble = pb::TensorProto::kDoubleDataFieldNumber;
  auto isPacked = [](const Field &field) {
    return field.number == kFloat || field.number == kDouble;
  };
  // The last raw_data counts; packed floats are taken only where one chunk is
  // all there is.
  Field taken;
  int floats = 0;
  for (uint64_t at = begin; at < end;) {
    Field field;
    if (!readField(type, at, end, field))
      return false;
    at = field.end;
    if (field.number == kRaw && field.wire == Bytes)
      taken = field;
    if (isPacked(field) && ++floats && taken.number != kRaw)
      taken = field;
  }
  if (isPacked(taken) && (floats > 1 || taken.wire != Bytes ||
                          taken.end - taken.value <= kSmallPacked))
    taken = {};
  for (uint64_t at = begin; at < end;) {
    Field field;
    readField(type, at, end, field);
    at = field.end;
    if (field.number == kRaw && field.wire == Bytes)
      continue;
    if (taken.number && field.begin == taken.begin)
      continue;
    out.append(bytes.data() + field.begin, field.end - field.begin);
  }
  if (!taken.number)
    return true;
  appendVarint(out, static_cast<uint64_t>(kRaw) << 3 | Bytes);
  appendVarint(out, 8);
  for (uint64_t i = 0, index = payloads.size(); i < 8; ++i)
    out.push_back(static_cast<char>(index >> (8 * i)));
  payloads.push_back({taken.value, taken.end - taken.value, taken.number});
  return true;
}

llvm::Expected<Skeleton> twist::detail::scanModel(ArrayRef<char> bytes) {
  auto fail = [](const char *what) {
    return llvm::createStringError(llvm::errc::invalid_argument, what);
  };
  if (bytes.empty())
    return fail("the file is empty");
  Skeleton skeleton;
  WireScanner scanner(bytes, skeleton.payloads);
  std::string wire;
  if (!scanner.scan(pb::ModelProto::descriptor(), 0, bytes.size(), 0, wire))
    return scanner.takeError();
  if (wire.size() > INT_MAX)
    return fail("more than 2 GiB apart from raw tensor data");
  google::protobuf::io::ArrayInputStream array(wire.data(),
                                               static_cast<int>(wire.size()));
  google::protobuf::io::CodedInputStream stream(&array);
  if (!skeleton.model.ParseFromCodedStream(&stream) ||
      !stream.ConsumedEntireMessage())
    return fail("a message that protobuf cannot parse");
  return skeleton;
}

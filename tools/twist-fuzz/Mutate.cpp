//===- Mutate.cpp - Models changed field by field -------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Fuzz.h"

#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "onnx/onnx_pb.h"

#include <limits>

using namespace twist::fuzz;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

/// Numbers at which something ends.
static int64_t drawNumber(Random &random, int64_t old) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  static constexpr int64_t ends[] = {0,
                                     1,
                                     -1,
                                     2,
                                     3,
                                     7,
                                     16,
                                     255,
                                     65536,
                                     1 << 20,
                                     2147483647,
                                     -2147483648ll,
                                     4294967296ll,
                                     1ll << 40,
                                     most / 2,
                                     most,
                                     -most - 1,
                                     -2};
  switch (random.below(4)) {
  case 0:
    return old ^ int64_t(1) << random.below(64);
  case 1:
    return int64_t(uint64_t(old) + random.below(5) - 2); // wraps
  case 2:
    return int64_t(random.below(12)) - 3;
  default:
    return ends[random.below(std::size(ends))];
  }
}

static double drawReal(Random &random) {
  static constexpr double ends[] = {0,
                                    1,
                                    -1,
                                    0.5,
                                    1e-30,
                                    1e30,
                                    std::numeric_limits<double>::infinity(),
                                    std::numeric_limits<double>::quiet_NaN()};
  return ends[random.below(std::size(ends))];
}

static void mutateBytes(std::string &bytes, Random &random) {
  if (bytes.empty()) {
    bytes.push_back(char(random.next()));
    return;
  }
  size_t at = random.below(bytes.size());
  switch (random.below(6)) {
  case 0:
    bytes[at] = char(random.next());
    break;
  case 1:
    bytes[at] ^= char(1 << random.below(8));
    break;
  case 2:
    bytes.resize(at);
    break;
  case 3:
    bytes.erase(at, 1 + random.below(16));
    break;
  case 4:
    bytes.insert(
        at, bytes.substr(random.below(bytes.size()), 1 + random.below(32)));
    break;
  default: // one number of a tensor
    at -= at % 8;
    int64_t number = drawNumber(random, 0);
    for (size_t i = 0; i < 8 && at + i < bytes.size(); ++i)
      bytes[at + i] = char(uint64_t(number) >> 8 * i);
  }
}

namespace {
/// A field of a message inside a model.
struct Site {
  Message *message;
  const FieldDescriptor *field;
};

/// One model, to change in place.
class ModelMutator {
public:
  ModelMutator(onnx::ModelProto &model, Random &random)
      : model(model), random(random) {}
  void step();

private:
  void collect(Message &message);
  void change(Site site);
  void changeMessage(Site site, int index);
  void changeList(Site site, int size);
  void changeString(Site site, int index);
  void changeNumber(Site site, int index);

  onnx::ModelProto &model;
  Random &random;
  std::vector<Site> sites;
  std::vector<std::string> strings;
  std::vector<Message *> messages;
};
} // namespace

void ModelMutator::collect(Message &message) {
  messages.push_back(&message);
  const Reflection &reflection = *message.GetReflection();
  std::vector<const FieldDescriptor *> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor *field : fields) {
    sites.push_back({&message, field});
    int count = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
        collect(field->is_repeated()
                    ? *reflection.MutableRepeatedMessage(&message, field, i)
                    : *reflection.MutableMessage(&message, field));
      else if (field->type() == FieldDescriptor::TYPE_STRING)
        strings.push_back(field->is_repeated()
                              ? reflection.GetRepeatedString(message, field, i)
                              : reflection.GetString(message, field));
    }
  }
}

void ModelMutator::changeString(Site site, int index) {
  const Reflection &reflection = *site.message->GetReflection();
  std::string text =
      index < 0
          ? reflection.GetString(*site.message, site.field)
          : reflection.GetRepeatedString(*site.message, site.field, index);
  if (site.field->type() == FieldDescriptor::TYPE_BYTES || random.oneIn(16))
    mutateBytes(text, random);
  else if (random.oneIn(12))
    text.clear();
  else if (random.oneIn(16))
    text += text;
  else
    text = strings[random.below(strings.size())];
  if (index < 0)
    reflection.SetString(site.message, site.field, text);
  else
    reflection.SetRepeatedString(site.message, site.field, index, text);
}

void ModelMutator::changeNumber(Site site, int index) {
  const Reflection &r = *site.message->GetReflection();
  Message *m = site.message;
  const FieldDescriptor *f = site.field;
  auto set = [&](auto single, auto repeated, auto value) {
    if (index < 0)
      (r.*single)(m, f, value);
    else
      (r.*repeated)(m, f, index, value);
  };
  int64_t old = 0;
  if (f->cpp_type() == FieldDescriptor::CPPTYPE_INT64)
    old = index < 0 ? r.GetInt64(*m, f) : r.GetRepeatedInt64(*m, f, index);
  if (f->cpp_type() == FieldDescriptor::CPPTYPE_INT32)
    old = index < 0 ? r.GetInt32(*m, f) : r.GetRepeatedInt32(*m, f, index);
  int64_t number = drawNumber(random, old);
  switch (f->cpp_type()) {
  case FieldDescriptor::CPPTYPE_INT32:
    return set(&Reflection::SetInt32, &Reflection::SetRepeatedInt32,
               int32_t(number));
  case FieldDescriptor::CPPTYPE_INT64:
    return set(&Reflection::SetInt64, &Reflection::SetRepeatedInt64, number);
  case FieldDescriptor::CPPTYPE_UINT64:
    return set(&Reflection::SetUInt64, &Reflection::SetRepeatedUInt64,
               uint64_t(number));
  case FieldDescriptor::CPPTYPE_ENUM:
    return set(&Reflection::SetEnumValue, &Reflection::SetRepeatedEnumValue,
               int(random.below(26)));
  case FieldDescriptor::CPPTYPE_FLOAT:
    return set(&Reflection::SetFloat, &Reflection::SetRepeatedFloat,
               float(drawReal(random)));
  case FieldDescriptor::CPPTYPE_DOUBLE:
    return set(&Reflection::SetDouble, &Reflection::SetRepeatedDouble,
               drawReal(random));
  default:
    return;
  }
}

/// Puts another message of its type in its place.
void ModelMutator::changeMessage(Site site, int index) {
  const Reflection &reflection = *site.message->GetReflection();
  Message *inner =
      index < 0
          ? reflection.MutableMessage(site.message, site.field)
          : reflection.MutableRepeatedMessage(site.message, site.field, index);
  std::vector<Message *> others;
  for (Message *other : messages)
    if (other->GetDescriptor() == inner->GetDescriptor() && other != inner)
      others.push_back(other);
  if (others.empty())
    return;
  // By way of a copy: one may hold the other.
  std::unique_ptr<Message> copy(inner->New());
  copy->CopyFrom(*others[random.below(others.size())]);
  inner->CopyFrom(*copy);
}

void ModelMutator::changeList(Site site, int size) {
  const Reflection &reflection = *site.message->GetReflection();
  switch (random.below(4)) {
  case 0:
    if (size > 1)
      reflection.SwapElements(site.message, site.field, random.below(size),
                              random.below(size));
    break;
  case 1:
    reflection.RemoveLast(site.message, site.field);
    break;
  case 2: { // one that is not the last goes
    for (int i = random.below(size); i + 1 < size; ++i)
      reflection.SwapElements(site.message, site.field, i, i + 1);
    reflection.RemoveLast(site.message, site.field);
    break;
  }
  default:
    if (site.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      int from = random.below(size);
      std::unique_ptr<Message> copy(
          reflection.GetRepeatedMessage(*site.message, site.field, from).New());
      copy->CopyFrom(
          reflection.GetRepeatedMessage(*site.message, site.field, from));
      reflection.AddMessage(site.message, site.field)->CopyFrom(*copy);
    } else if (site.field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      reflection.AddString(site.message, site.field,
                           strings[random.below(strings.size())]);
    } else if (site.field->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
      reflection.AddInt64(site.message, site.field, drawNumber(random, 1));
    }
  }
}

void ModelMutator::change(Site site) {
  const Reflection &reflection = *site.message->GetReflection();
  int index = -1;
  if (site.field->is_repeated()) {
    int size = reflection.FieldSize(*site.message, site.field);
    if (random.oneIn(3))
      return changeList(site, size);
    index = int(random.below(size));
  } else if (random.oneIn(10)) {
    return reflection.ClearField(site.message, site.field);
  }
  if (site.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE)
    changeMessage(site, index);
  else if (site.field->cpp_type() == FieldDescriptor::CPPTYPE_STRING)
    changeString(site, index);
  else
    changeNumber(site, index);
}

/// One change at a place drawn so that each kind of field is as likely as any
/// other: a model has more weights and nodes than it has opsets and shapes.
void ModelMutator::step() {
  sites.clear();
  strings.assign({""});
  messages.clear();
  collect(model);
  if (sites.empty())
    return;
  Site site = sites[random.below(sites.size())];
  if (random.oneIn(2)) {
    const FieldDescriptor *kind = sites[random.below(sites.size())].field;
    std::vector<const FieldDescriptor *> kinds;
    for (const Site &other : sites)
      if (!llvm::is_contained(kinds, other.field))
        kinds.push_back(other.field);
    kind = kinds[random.below(kinds.size())];
    std::vector<Site> alike;
    for (const Site &other : sites)
      if (other.field == kind)
        alike.push_back(other);
    site = alike[random.below(alike.size())];
  }
  change(site);
}

void twist::fuzz::mutate(std::string &bytes, Random &random) {
  unsigned steps = 1 + unsigned(random.below(4));
  onnx::ModelProto model;
  if (kindOf(bytes) != Kind::Model || random.oneIn(20) ||
      !model.ParseFromString(bytes)) {
    for (unsigned i = 0; i < steps; ++i)
      mutateBytes(bytes, random);
    return;
  }
  ModelMutator mutator(model, random);
  for (unsigned i = 0; i < steps; ++i)
    mutator.step();
  // The same bytes everywhere.
  bytes.clear();
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  model.SerializePartialToCodedStream(&coded);
}

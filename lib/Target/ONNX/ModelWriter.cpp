//===- ModelWriter.cpp - Writes ONNX files
//----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Protobuf can only serialise what it holds in memory. So the model is
// serialised around its tensors, and their data is streamed in between.
//
//===----------------------------------------------------------------------===//

#include "Detail.h"

#include "twist/Support/OutputFile.h"

#include "google/protobuf/descriptor.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace twist;
using namespace twist::detail;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

namespace {

/// Data of external tensors starts at multiples of the page size, so that it
/// can be mapped.
constexpr uint64_t kAlignment = 4096;

/// Serialised bytes with gaps where payloads go.
struct Rope {
  struct Piece {
    std::string bytes;
    std::optional<uint64_t> payload;
  };
  std::vector<Piece> pieces;
  uint64_t size = 0;

  void append(std::string bytes) {
    size += bytes.size();
    pieces.push_back({std::move(bytes), std::nullopt});
  }
  void append(Rope &&rope) {
    size += rope.size;
    std::move(rope.pieces.begin(), rope.pieces.end(),
              std::back_inserter(pieces));
  }
};

class Serialiser {
public:
  explicit Serialiser(const Payloads &payloads) : payloads(payloads) {}
  /// Takes the message apart.
  Rope serialise(Message &message);

private:
  Rope serialiseTensor(pb::TensorProto &tensor);
  bool holdsTensors(const Descriptor *type);

  const Payloads &payloads;
  llvm::DenseMap<const Descriptor *, bool> holds;
};

/// A file of the model, with a stream into it.
class TemporaryFile {
public:
  LogicalResult create(StringRef target, Location loc);
  LogicalResult close(Location loc);
  LogicalResult keep(Location loc);
  ~TemporaryFile() {
    if (stream)
      stream->clear_error();
  }
  StringRef getName() const { return file.temporaryPath(); }
  llvm::raw_fd_ostream &os() { return *stream; }

private:
  PendingFile file;
  std::unique_ptr<llvm::raw_fd_ostream> stream;
};

class ModelWriter {
public:
  ModelWriter(BuiltModel &built, ModuleOp module, StringRef target,
              const ExportONNXOptions &options)
      : built(built), sources(module, options.sourceDirectory), target(target),
        options(options),
        loc(FileLineColLoc::get(module.getContext(), target, 0, 0)) {}
  LogicalResult write();

private:
  bool isExternal();
  LogicalResult externalise();
  LogicalResult writePayload(uint64_t index, llvm::raw_ostream &os);
  LogicalResult check();

  BuiltModel &built;
  weights::SourceFiles sources;
  std::string target;
  const ExportONNXOptions &options;
  Location loc;
  TemporaryFile modelFile, dataFile;
  bool hasData = false;
  uint64_t modelBytes = 0;
};

} // namespace

//===----------------------------------------------------------------------===//
// Serialising
//===----------------------------------------------------------------------===//

static void appendHeader(std::string &out, int field, uint64_t length) {
  for (uint64_t value : {static_cast<uint64_t>(field) << 3 | 2, length}) {
    for (; value >= 0x80; value >>= 7)
      out.push_back(static_cast<char>(value | 0x80));
    out.push_back(static_cast<char>(value));
  }
}

bool Serialiser::holdsTensors(const Descriptor *type) {
  if (type == pb::TensorProto::descriptor())
    return true;
  if (auto [it, isNew] = holds.try_emplace(type, false); !isNew)
    return it->second;
  bool found = false;
  for (int i = 0; i < type->field_count(); ++i)
    if (const Descriptor *inner = type->field(i)->message_type())
      found |= holdsTensors(inner);
  holds[type] = found;
  return found;
}

Rope Serialiser::serialiseTensor(pb::TensorProto &tensor) {
  Rope rope;
  std::optional<uint64_t> index = payloadOf(tensor);
  if (!index) {
    rope.append(twist::detail::serialise(tensor));
    return rope;
  }
  tensor.clear_external_data();
  tensor.clear_data_location();
  const ExportPayload &payload = payloads[*index];
  std::string head = twist::detail::serialise(tensor);
  appendHeader(head, payload.field, payload.size);
  rope.append(std::move(head));
  rope.pieces.push_back({"", index});
  rope.size += payload.size;
  return rope;
}

Rope Serialiser::serialise(Message &message) {
  if (message.GetDescriptor() == pb::TensorProto::descriptor())
    return serialiseTensor(static_cast<pb::TensorProto &>(message));
  const auto *reflection = message.GetReflection();
  std::vector<const FieldDescriptor *> set, holding;
  reflection->ListFields(message, &set);
  for (const FieldDescriptor *field : set)
    if (field->message_type() && holdsTensors(field->message_type()))
      holding.push_back(field);
  // The fields with tensors move to a message of their own; the rest is
  // serialised at once.
  std::unique_ptr<Message> apart(message.New());
  reflection->SwapFields(&message, apart.get(), holding);
  Rope rope;
  rope.append(twist::detail::serialise(message));
  for (const FieldDescriptor *field : holding) {
    int count = field->is_repeated() ? reflection->FieldSize(*apart, field) : 1;
    for (int i = 0; i < count; ++i) {
      Message *inner =
          field->is_repeated()
              ? reflection->MutableRepeatedMessage(apart.get(), field, i)
              : reflection->MutableMessage(apart.get(), field);
      Rope innerRope = serialise(*inner);
      std::string header;
      appendHeader(header, field->number(), innerRope.size);
      rope.append(std::move(header));
      rope.append(std::move(innerRope));
    }
  }
  return rope;
}

//===----------------------------------------------------------------------===//
// Files
//===----------------------------------------------------------------------===//

LogicalResult TemporaryFile::create(StringRef path, Location loc) {
  if (llvm::Error error = file.open(path))
    return emitError(loc) << "cannot be written: "
                          << llvm::toString(std::move(error));
  stream = std::make_unique<llvm::raw_fd_ostream>(file.descriptor(),
                                                  /*shouldClose=*/false);
  return success();
}

LogicalResult TemporaryFile::close(Location loc) {
  stream->flush();
  std::error_code error = stream->error();
  stream->clear_error();
  stream.reset();
  if (error)
    return emitError(loc) << "cannot be written: " << error.message();
  return success();
}

LogicalResult TemporaryFile::keep(Location loc) {
  if (llvm::Error error = file.keep())
    return emitError(loc) << "cannot be written: "
                          << llvm::toString(std::move(error));
  return success();
}

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

LogicalResult ModelWriter::writePayload(uint64_t index, llvm::raw_ostream &os) {
  const ExportPayload &payload = built.payloads[index];
  auto view = dyn_cast<weights::ViewAttr>(payload.value);
  if (!view) {
    auto elements = cast<ElementsAttr>(payload.value);
    FailureOr<std::vector<char>> bytes = weights::toStored(elements, loc);
    if (failed(bytes))
      return failure();
    if (bytes->size() != payload.size)
      return emitError(loc) << "a constant changes its size on the way out";
    os.write(bytes->data(), bytes->size());
    return success();
  }
  FailureOr<ArrayRef<char>> stored = sources.stored(view, loc);
  if (failed(stored))
    return failure();
  if (view.isContiguous() &&
      view.getStored().getElementType() == payload.elementType) {
    // Straight from the map, a piece at a time, so that few pages stay.
    constexpr size_t kPiece = size_t(16) << 20;
    for (size_t at = 0; at < stored->size(); at += kPiece) {
      size_t length = std::min(kPiece, stored->size() - at);
      os.write(stored->data() + at, length);
      sources.release(view, at, length);
    }
    return success();
  }
  std::vector<char> buffer(payload.size);
  if (failed(
          weights::readView(view, *stored, payload.elementType, buffer, loc)))
    return failure();
  os.write(buffer.data(), buffer.size());
  sources.release(view);
  return success();
}

bool ModelWriter::isExternal() {
  if (options.external != ExternalData::Auto)
    return options.external == ExternalData::Always;
  uint64_t total = built.model.ByteSizeLong();
  for (const ExportPayload &payload : built.payloads)
    total += payload.size + 32;
  return total > options.inlineLimit;
}

/// Writes the weights of the main graph to the data file.
LogicalResult ModelWriter::externalise() {
  std::string dataPath = target + ".data";
  if (failed(dataFile.create(dataPath, loc)))
    return failure();
  hasData = true;
  uint64_t at = 0;
  for (pb::TensorProto &tensor :
       *built.model.mutable_graph()->mutable_initializer()) {
    std::optional<uint64_t> index = payloadOf(tensor);
    if (!index)
      continue;
    uint64_t start = llvm::alignTo(at, kAlignment);
    dataFile.os().write_zeros(start - at);
    if (failed(writePayload(*index, dataFile.os())))
      return failure();
    uint64_t length = built.payloads[*index].size;
    at = start + length;
    tensor.clear_external_data();
    auto add = [&](const char *key, std::string value) {
      auto *entry = tensor.add_external_data();
      entry->set_key(key);
      entry->set_value(std::move(value));
    };
    add("location", path::filename(dataPath).str());
    add("offset", std::to_string(start));
    add("length", std::to_string(length));
    tensor.set_data_location(pb::TensorProto::EXTERNAL);
    if (dataFile.os().has_error())
      break;
  }
  return dataFile.close(loc);
}

/// What was written can be read again.
LogicalResult ModelWriter::check() {
  auto mapped = weights::MappedFile::open(modelFile.getName());
  if (!mapped)
    return emitError(loc) << "cannot be read again: "
                          << llvm::toString(mapped.takeError());
  if ((*mapped)->bytes().size() != modelBytes)
    return emitError(loc) << "has " << (*mapped)->bytes().size()
                          << " bytes after " << modelBytes << " were written";
  llvm::Expected<Skeleton> skeleton = scanModel((*mapped)->bytes());
  if (!skeleton)
    return emitError(loc) << "cannot be read again: "
                          << llvm::toString(skeleton.takeError());
  return success();
}

LogicalResult ModelWriter::write() {
  if (isExternal() && failed(externalise()))
    return failure();
  if (failed(modelFile.create(target, loc)))
    return failure();
  Rope rope = Serialiser(built.payloads).serialise(built.model);
  modelBytes = rope.size;
  if (modelBytes > options.inlineLimit)
    return emitError(loc) << "would take " << modelBytes
                          << " bytes, more than a model file can hold ("
                          << options.inlineLimit << ")";
  for (const Rope::Piece &piece : rope.pieces) {
    if (piece.payload) {
      if (failed(writePayload(*piece.payload, modelFile.os())))
        return failure();
    } else {
      modelFile.os() << piece.bytes;
    }
    if (modelFile.os().has_error())
      break;
  }
  if (failed(modelFile.close(loc)) || failed(check()))
    return failure();
  if (options.beforeReplacing && failed(options.beforeReplacing()))
    return failure();
  if (hasData && failed(dataFile.keep(loc)))
    return failure();
  return modelFile.keep(loc);
}

LogicalResult twist::detail::writeModel(BuiltModel &model, ModuleOp module,
                                        StringRef target,
                                        const ExportONNXOptions &options) {
  return ModelWriter(model, module, target, options).write();
}

LogicalResult twist::exportONNX(ModuleOp module, StringRef target,
                                const ExportONNXOptions &options) {
  module.getContext()->loadDialect<ir::ONNXDialect, weights::WeightsDialect>();
  try {
    FailureOr<BuiltModel> built = buildModel(module);
    if (failed(built))
      return failure();
    return writeModel(*built, module, target, options);
  } catch (const std::exception &error) {
    return emitError(FileLineColLoc::get(module.getContext(), target, 0, 0))
           << "cannot be written: " << error.what();
  }
}

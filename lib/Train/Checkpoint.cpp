//===- Checkpoint.cpp - Training on disk ----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Checkpoint.h"

#include "twist/Support/OutputFile.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace twist;
using namespace twist::train;
namespace endian = llvm::support::endian;

static Error inFile(StringRef path, const Twine &what) {
  return createStringError(path + ": " + what);
}

uint64_t TensorHeader::bytes() const {
  uint64_t count = twist_type_size(type);
  for (int64_t dim : dims)
    count *= uint64_t(dim);
  return count;
}

static StringRef typeName(twist_type type) {
  return type == TWIST_F64 ? "F64" : type == TWIST_I32 ? "I32" : "F32";
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

static std::string makeHeader(ArrayRef<TensorHeader> tensors,
                              const json::Object &metadata, StringRef hash) {
  json::Object header;
  header["__metadata__"] = json::Object{
      {"sha256", hash},
      {"twist", formatv("{0}", json::Value(json::Object(metadata))).str()}};
  uint64_t offset = 0;
  for (const TensorHeader &tensor : tensors) {
    uint64_t end = offset + tensor.bytes();
    header[tensor.name] = json::Object{
        {"dtype", typeName(tensor.type)},
        {"shape", json::Array(tensor.dims)},
        {"data_offsets", json::Array{int64_t(offset), int64_t(end)}}};
    offset = end;
  }
  std::string text = formatv("{0}", json::Value(std::move(header)));
  text.resize(alignTo(text.size() + 8, 64) - 8, ' ');
  char size[8];
  endian::write64le(size, text.size());
  return std::string(size, sizeof(size)) + text;
}

Error twist::train::writeTensors(
    StringRef path, ArrayRef<TensorHeader> tensors,
    const json::Object &metadata,
    function_ref<Expected<ArrayRef<char>>(size_t)> fill) {
  return writeFile(
      path,
      [&](raw_pwrite_stream &os) -> Error {
        // The hash has a place of its size and is known at the end.
        os << makeHeader(tensors, metadata, std::string(64, '0'));
        SHA256 sha;
        for (size_t i = 0; i < tensors.size(); ++i) {
          Expected<ArrayRef<char>> bytes = fill(i);
          if (!bytes)
            return bytes.takeError();
          os.write(bytes->data(), bytes->size());
          sha.update(StringRef(bytes->data(), bytes->size()));
        }
        std::string header = makeHeader(tensors, metadata,
                                        toHex(sha.final(), /*LowerCase=*/true));
        os.pwrite(header.data(), header.size(), 0);
        return Error::success();
      },
      /*toDisk=*/true);
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

static bool readHeader(StringRef name, const json::Value &value,
                       uint64_t available, TensorHeader &header,
                       uint64_t &offset) {
  const json::Object *object = value.getAsObject();
  const json::Array *shape = object ? object->getArray("shape") : nullptr;
  const json::Array *range =
      object ? object->getArray("data_offsets") : nullptr;
  StringRef type = object ? object->getString("dtype").value_or("") : "";
  if (!shape || !range || range->size() != 2)
    return false;
  header.name = name.str();
  if (type == "F64")
    header.type = TWIST_F64;
  else if (type == "I32")
    header.type = TWIST_I32;
  else if (type == "F32")
    header.type = TWIST_F32;
  else
    return false;
  constexpr int64_t kMost = int64_t(1) << 40;
  for (const json::Value &dim : *shape) {
    int64_t size = dim.getAsInteger().value_or(-1);
    if (size < 0 || size > kMost)
      return false;
    header.dims.push_back(size);
  }
  auto begin = (*range)[0].getAsInteger(), end = (*range)[1].getAsInteger();
  if (!begin || !end || *begin < 0 || *end < *begin ||
      uint64_t(*end) > available || uint64_t(*end - *begin) != header.bytes())
    return false;
  offset = uint64_t(*begin);
  return true;
}

Expected<TensorFile> TensorFile::open(StringRef path, bool check) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/false,
                                      /*RequiresNullTerminator=*/false);
  if (!buffer)
    return inFile(path, "cannot be read: " + buffer.getError().message());
  StringRef bytes = (*buffer)->getBuffer();
  uint64_t length = bytes.size() < 8 ? 0 : endian::read64le(bytes.data());
  if (bytes.size() < 8 || length > bytes.size() - 8)
    return inFile(path, "is no safetensors file");
  uint64_t start = 8 + length;
  Expected<json::Value> parsed = json::parse(bytes.substr(8, length).rtrim());
  if (!parsed)
    return inFile(path, toString(parsed.takeError()));
  const json::Object *object = parsed->getAsObject();
  if (!object)
    return inFile(path, "is no safetensors file");
  TensorFile result;
  result.path = path.str();
  std::string hash;
  for (const auto &[key, value] : *object) {
    StringRef name = key;
    if (name == "__metadata__") {
      const json::Object *all = value.getAsObject();
      hash = all ? all->getString("sha256").value_or("").str() : "";
      auto twist = json::parse(all ? all->getString("twist").value_or("") : "");
      if (!twist)
        consumeError(twist.takeError());
      else if (json::Object *info = twist->getAsObject())
        result.info = std::move(*info);
      continue;
    }
    TensorHeader header;
    uint64_t offset = 0;
    if (!readHeader(name, value, bytes.size() - start, header, offset))
      return inFile(path, "tensor '" + name +
                              "' is malformed, or of a type other than F32, "
                              "F64 and I32");
    result.byName[name] = result.headers.size();
    result.headers.push_back(std::move(header));
    result.offsets.push_back(start + offset);
  }
  if (check) {
    StringRef data = bytes.substr(start);
    SHA256 sha;
    sha.update(data);
    if (hash != toHex(sha.final(), /*LowerCase=*/true))
      return inFile(path, "is damaged: its data do not have the SHA-256 it "
                          "names");
  }
  result.file = std::move(*buffer);
  return std::move(result);
}

Expected<const char *> TensorFile::find(const TensorHeader &wanted) const {
  auto found = byName.find(wanted.name);
  if (found == byName.end())
    return inFile(path, "has no tensor '" + wanted.name + "'");
  const TensorHeader &header = headers[found->second];
  if (header.type != wanted.type || header.dims != wanted.dims)
    return inFile(path, "tensor '" + wanted.name +
                            "' has another type or other sizes than the "
                            "model's");
  return data(found->second);
}

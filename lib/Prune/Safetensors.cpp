//===- Safetensors.cpp - Corrected weights as a file ----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Correction.h"

#include "twist/Support/OutputFile.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace twist::prune;

static Error inFile(StringRef path, const Twine &what) {
  return createStringError(path + ": " + what);
}

/// The format: a u64, so many bytes of JSON, the data its offsets count from.
static std::string makeFile(ArrayRef<CorrectedSite> sites) {
  json::Object header;
  std::string data;
  auto add = [&](const std::string &name, json::Array shape,
                 ArrayRef<double> values) {
    size_t begin = data.size();
    for (double value : values) {
      float single = float(value);
      data.append(reinterpret_cast<const char *>(&single), sizeof(single));
    }
    header[name] = json::Object{
        {"dtype", "F32"},
        {"shape", std::move(shape)},
        {"data_offsets", json::Array{int64_t(begin), int64_t(data.size())}}};
  };
  for (const CorrectedSite &site : sites) {
    add(site.key + ".weight",
        json::Array{int64_t(site.width), int64_t(site.columns)}, site.weight);
    add(site.key + ".bias", json::Array{int64_t(site.columns)}, site.bias);
  }
  std::string text = formatv("{0}", json::Value(std::move(header)));
  text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' ');
  char size[8];
  support::endian::write64le(size, text.size());
  return std::string(size, sizeof(size)) + text + data;
}

static std::string hashOf(StringRef bytes) {
  return toHex(SHA256::hash(ArrayRef(bytes.bytes_begin(), bytes.size())),
               /*LowerCase=*/true);
}

Expected<std::string>
twist::prune::writeCorrections(StringRef path, ArrayRef<CorrectedSite> sites) {
  std::string bytes = makeFile(sites);
  if (Error error = writeFile(path, bytes))
    return std::move(error);
  return hashOf(bytes);
}

static bool readTensor(const json::Value &value, uint64_t start, uint64_t end,
                       StoredTensor &tensor) {
  const json::Object *object = value.getAsObject();
  const json::Array *shape = object ? object->getArray("shape") : nullptr;
  const json::Array *range =
      object ? object->getArray("data_offsets") : nullptr;
  std::optional<StringRef> type =
      object ? object->getString("dtype") : std::nullopt;
  if (!shape || !range || !type || range->size() != 2)
    return false;
  tensor.type = type->str();
  for (const json::Value &dim : *shape) {
    if (!dim.getAsInteger() || *dim.getAsInteger() < 0)
      return false;
    tensor.shape.push_back(*dim.getAsInteger());
  }
  auto first = (*range)[0].getAsInteger(), last = (*range)[1].getAsInteger();
  if (!first || !last || *first < 0 || *last < *first ||
      uint64_t(*last) > end - start)
    return false;
  tensor.offset = start + uint64_t(*first);
  tensor.bytes = uint64_t(*last - *first);
  return true;
}

Expected<StringMap<StoredTensor>>
twist::prune::readSafetensors(StringRef path, StringRef sha256, StringRef key,
                              std::string *said) {
  auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    return inFile(path, "cannot be read: " + file.getError().message());
  StringRef bytes = (*file)->getBuffer();
  if (!sha256.empty() && hashOf(bytes) != sha256)
    return inFile(path, "is not the file the ticket names: its SHA-256 is "
                        "another");
  uint64_t length =
      bytes.size() < 8 ? 0 : support::endian::read64le(bytes.data());
  if (bytes.size() < 8 || length > bytes.size() - 8)
    return inFile(path, "is no safetensors file");
  Expected<json::Value> header = json::parse(bytes.substr(8, length).rtrim());
  if (!header)
    return inFile(path, toString(header.takeError()));
  StringMap<StoredTensor> tensors;
  const json::Object *object = header->getAsObject();
  if (!object)
    return inFile(path, "is no safetensors file");
  for (const auto &[name, value] : *object) {
    if (StringRef(name) == "__metadata__") {
      if (const json::Object *all = value.getAsObject(); all && said)
        *said = all->getString(key).value_or("").str();
      continue;
    }
    if (!readTensor(value, 8 + length, bytes.size(), tensors[name]))
      return inFile(path, "tensor '" + StringRef(name) + "' is malformed");
  }
  return tensors;
}

//===- Npz.cpp - Archives of NumPy arrays ---------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// A .npz file is a zip archive of .npy files (PKWARE's APPNOTE 6.3): the
// directory at its end tells where members are.
//
//===----------------------------------------------------------------------===//

#include "twist/DFL/Data.h"
#include "twist/Runtime/Tools.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MemoryBuffer.h"

#include <zlib.h>

using namespace llvm;
using namespace llvm::support;
using namespace twist::dfl;

namespace {
/// Reads an archive that may be cut off or not be one.
class Archive {
public:
  Archive(StringRef path, StringRef bytes) : path(path), bytes(bytes) {}
  Expected<std::map<std::string, NumericArray>> read();

private:
  Error wrong(const Twine &what) const {
    return createStringError(path + ": " + what);
  }
  /// Little-endian numbers; 0 beyond the end.
  uint64_t u16(uint64_t at) const {
    return at + 2 <= bytes.size() ? endian::read16le(bytes.data() + at) : 0;
  }
  uint64_t u32(uint64_t at) const {
    return at + 4 <= bytes.size() ? endian::read32le(bytes.data() + at) : 0;
  }
  uint64_t u64(uint64_t at) const {
    return at + 8 <= bytes.size() ? endian::read64le(bytes.data() + at) : 0;
  }
  Expected<std::string> member(uint64_t header, uint64_t method,
                               uint64_t packed, uint64_t size, StringRef name);
  /// Sizes and place beyond 32 bits, from the directory entry's extra fields.
  void widen(uint64_t at, uint64_t end, uint64_t &size, uint64_t &packed,
             uint64_t &header) const;

  StringRef path, bytes;
};
} // namespace

static Expected<std::string> inflateRaw(StringRef packed, uint64_t size) {
  std::string out(size, '\0');
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
    return createStringError("cannot start to unpack");
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(packed.data()));
  stream.avail_in = uInt(packed.size());
  stream.next_out = reinterpret_cast<Bytef *>(out.data());
  stream.avail_out = uInt(out.size());
  int status = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  if (status != Z_STREAM_END || stream.total_out != size)
    return createStringError("packed data are damaged");
  return out;
}

Expected<std::string> Archive::member(uint64_t header, uint64_t method,
                                      uint64_t packed, uint64_t size,
                                      StringRef name) {
  uint64_t start = header + 30 + u16(header + 26) + u16(header + 28);
  if (u32(header) != 0x04034b50 || start > bytes.size() ||
      packed > bytes.size() - start)
    return wrong("member '" + name + "' is cut off");
  StringRef data = bytes.substr(start, packed);
  if (method == 0)
    return data.str();
  // Deflate packs no better than 1032 to 1.
  if (method != 8 || size / 1032 > packed || size > UINT32_MAX)
    return wrong("member '" + name + "' is packed in a way that is not read");
  auto unpacked = inflateRaw(data, size);
  if (!unpacked)
    return wrong("member '" + name + "': " + toString(unpacked.takeError()));
  return unpacked;
}

void Archive::widen(uint64_t at, uint64_t end, uint64_t &size, uint64_t &packed,
                    uint64_t &header) const {
  for (; at + 4 <= end; at += 4 + u16(at + 2)) {
    if (u16(at) != 1)
      continue;
    uint64_t field = at + 4;
    for (uint64_t *value : {&size, &packed, &header})
      if (*value == UINT32_MAX) {
        *value = u64(field);
        field += 8;
      }
    return;
  }
}

static Expected<NumericArray> parseArray(StringRef bytes, StringRef name) {
  twist_array array;
  twist_error error;
  if (twist_npy_parse(bytes.data(), bytes.size(), name.str().c_str(), &array,
                      &error))
    return createStringError(error.message);
  scope_exit release([&] { twist_array_free(&array); });
  NumericArray result;
  result.dims.assign(array.dims, array.dims + array.rank);
  uint64_t count = array.bytes / twist_type_size(array.type);
  auto convert = [&](auto element) {
    auto *data = static_cast<const decltype(element) *>(array.data);
    result.values.assign(data, data + count);
  };
  switch (array.type) {
  case TWIST_F64:
    convert(double());
    break;
  case TWIST_F32:
    convert(float());
    break;
  case TWIST_I64:
    convert(int64_t());
    break;
  case TWIST_I32:
    convert(int32_t());
    break;
  case TWIST_I16:
    convert(int16_t());
    break;
  case TWIST_I8:
    convert(int8_t());
    break;
  case TWIST_U8:
  case TWIST_BOOL:
    convert(uint8_t());
    break;
  default:
    return createStringError("'" + name + "' holds " +
                             twist_type_name(array.type) +
                             ", which is not read as numbers");
  }
  return result;
}

Expected<std::map<std::string, NumericArray>> Archive::read() {
  size_t end = bytes.rfind(StringRef("PK\5\6", 4));
  if (end == StringRef::npos)
    return wrong("is no .npz file, or is cut off");
  uint64_t count = u16(end + 10), at = u32(end + 16);
  std::map<std::string, NumericArray> arrays;
  for (uint64_t i = 0; i < count; ++i) {
    if (u32(at) != 0x02014b50)
      return wrong("its directory is damaged");
    uint64_t packed = u32(at + 20), size = u32(at + 24), header = u32(at + 42);
    uint64_t extra = at + 46 + u16(at + 28), next = extra + u16(at + 30);
    StringRef name = bytes.substr(at + 46, u16(at + 28));
    widen(extra, next, size, packed, header);
    auto data = member(header, u16(at + 10), packed, size, name);
    if (!data)
      return data.takeError();
    at = next + u16(at + 32);
    if (!name.consume_back(".npy"))
      continue;
    auto array = parseArray(*data, name);
    if (!array)
      return wrong(toString(array.takeError()));
    arrays[name.str()] = std::move(*array);
  }
  return arrays;
}

Expected<std::map<std::string, NumericArray>>
twist::dfl::readNpz(StringRef path) {
  auto buffer = MemoryBuffer::getFile(path);
  if (!buffer)
    return createStringError(path + ": " + buffer.getError().message());
  return Archive(path, (*buffer)->getBuffer()).read();
}

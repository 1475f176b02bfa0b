//===- TokenFile.cpp - Token ids in a file --------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Text/TokenFile.h"

#include "twist/Support/OutputFile.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace twist::text;
namespace endian = llvm::support::endian;

static constexpr StringLiteral kMagic = "TWISTIDS";
static constexpr size_t kHeader = 64;

static Error inFile(StringRef path, const Twine &what) {
  return createStringError(path + ": " + what);
}

bool TokenFile::isOne(StringRef path) {
  auto start = MemoryBuffer::getFileSlice(path, kMagic.size(), 0);
  return start && (*start)->getBuffer() == kMagic;
}

Expected<TokenFile> TokenFile::open(StringRef path) {
  auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    return inFile(path, "cannot be read: " + file.getError().message());
  StringRef bytes = (*file)->getBuffer();
  if (bytes.size() < kHeader || !bytes.starts_with(kMagic))
    return inFile(path, "is no token file");
  const char *data = bytes.data();
  if (uint32_t version = endian::read32le(data + 8); version != 1)
    return inFile(path, "is a token file of version " + Twine(version) +
                            ", known is 1");
  TokenFile result;
  result.width = endian::read32le(data + 12);
  result.count = endian::read64le(data + 16);
  result.limit = endian::read32le(data + 24);
  if (result.width != 2 && result.width != 4)
    return inFile(path, "has ids of " + Twine(result.width) + " bytes");
  if ((bytes.size() - kHeader) / result.width != result.count ||
      (bytes.size() - kHeader) % result.width != 0)
    return inFile(path, "should hold " + Twine(result.count) + " ids but has " +
                            Twine(bytes.size() - kHeader) + " bytes of them");
  result.hash = toHex(bytes.substr(32, 32), /*LowerCase=*/true);
  result.path = path.str();
  result.file = std::move(*file);
  return result;
}

Error TokenFile::read(uint64_t first, MutableArrayRef<uint32_t> ids) const {
  const char *data = file->getBufferStart() + kHeader + first * width;
  for (auto [i, id] : llvm::enumerate(ids)) {
    id = width == 2 ? endian::read16le(data + i * 2)
                    : endian::read32le(data + i * 4);
    if (id >= limit)
      return inFile(path, "id number " + Twine(first + i) + " is " + Twine(id) +
                              ", but ids are below " + Twine(limit));
  }
  return Error::success();
}

Error twist::text::writeTokenFile(StringRef path, ArrayRef<uint32_t> ids,
                                  const Tokenizer &tokenizer) {
  uint32_t width = tokenizer.size() <= 1u << 16 ? 2 : 4;
  char header[kHeader] = {};
  llvm::copy(kMagic, header);
  endian::write32le(header + 8, 1);
  endian::write32le(header + 12, width);
  endian::write64le(header + 16, ids.size());
  endian::write32le(header + 24, tokenizer.size());
  llvm::copy(fromHex(tokenizer.hash()), header + 32);
  return writeFile(path, [&](raw_ostream &os) {
    os.write(header, kHeader);
    for (uint32_t id : ids) {
      char bytes[4];
      endian::write32le(bytes, id);
      os.write(bytes, width);
    }
    return Error::success();
  });
}

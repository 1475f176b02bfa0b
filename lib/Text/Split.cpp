//===- Split.cpp - GPT-2's pattern, by hand -------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Text/Tokenizer.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/ConvertUTF.h"

using namespace llvm;

namespace {
struct Range {
  uint32_t first, last;
};
#include "UnicodeRanges.inc"

enum class Class { Space, Letter, Number, Other };

/// A code point and its bytes.
struct Character {
  Class kind;
  size_t bytes;
};
} // namespace

static bool isIn(ArrayRef<Range> ranges, uint32_t code) {
  auto after = llvm::upper_bound(
      ranges, code, [](uint32_t c, Range range) { return c < range.first; });
  return after != ranges.begin() && code <= std::prev(after)->last;
}

/// Unicode's White_Space.
static bool isSpace(uint32_t code) {
  return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 ||
         code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
         code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
         code == 0x3000;
}

static Class classify(uint32_t code) {
  if (code < 0x80 && llvm::isAlpha(char(code)))
    return Class::Letter;
  if (isSpace(code))
    return Class::Space;
  if (isIn(letterRanges, code))
    return Class::Letter;
  return isIn(numberRanges, code) ? Class::Number : Class::Other;
}

/// The character at the start of `text`, which is valid and not empty.
static Character first(StringRef text) {
  auto byte = [&](size_t i) { return uint32_t(uint8_t(text[i])); };
  uint32_t lead = byte(0);
  if (lead < 0x80)
    return {classify(lead), 1};
  size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  uint32_t code = lead & (0x7f >> bytes);
  for (size_t i = 1; i < bytes; ++i)
    code = code << 6 | (byte(i) & 0x3f);
  return {classify(code), bytes};
}

/// Bytes of the run of `kind` that `text` starts with.
static size_t run(StringRef text, Class kind) {
  size_t length = 0;
  while (length < text.size()) {
    Character next = first(text.substr(length));
    if (next.kind != kind)
      break;
    length += next.bytes;
  }
  return length;
}

/// \s+(?!\S)|\s+: all of a run at the end, else all but its last character,
/// else that.
static size_t spaces(StringRef text) {
  size_t length = 0, last = 0;
  while (length < text.size()) {
    Character next = first(text.substr(length));
    if (next.kind != Class::Space)
      return length == last ? length : length - last;
    last = next.bytes;
    length += next.bytes;
  }
  return length;
}

static size_t match(StringRef text) {
  for (StringRef suffix : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.starts_with(suffix))
      return suffix.size();
  size_t blank = text.size() > 1 && text[0] == ' ';
  Class kind = first(text.substr(blank)).kind;
  if (kind != Class::Space)
    return blank + run(text.substr(blank), kind);
  return spaces(text);
}

size_t twist::text::splitWords(StringRef text,
                               function_ref<void(StringRef)> piece) {
  auto *begin = reinterpret_cast<const UTF8 *>(text.bytes_begin());
  const UTF8 *at = begin;
  const UTF8 *end = begin + text.size();
  if (!isLegalUTF8String(&at, end))
    return at - begin;
  for (StringRef rest = text; !rest.empty();) {
    size_t length = match(rest);
    piece(rest.take_front(length));
    rest = rest.drop_front(length);
  }
  return text.size();
}

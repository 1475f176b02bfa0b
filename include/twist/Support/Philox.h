//===- Philox.h - A counter-based random generator --------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy
// as 1, 2, 3; SC 2011). A draw depends on key and counter only, so whoever
// knows the seed knows every mask without asking anybody.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_SUPPORT_PHILOX_H
#define TWIST_SUPPORT_PHILOX_H

#include <array>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

namespace twist {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

/// The four words at `counter` of the sequence that `key` names.
inline PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t a = uint64_t(0xD2511F53u) * counter[0];
    uint64_t b = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b),
               uint32_t(a >> 32) ^ counter[3] ^ key[1], uint32_t(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// The draws of one (round, layer, family): counter = (round, layer, family,
/// draw), key = seed.
class PhiloxStream {
public:
  PhiloxStream(uint64_t seed, uint32_t round, uint32_t layer, uint32_t family)
      : key{uint32_t(seed), uint32_t(seed >> 32)},
        counter{round, layer, family, 0} {}

  /// 64 random bits.
  uint64_t next() {
    PhiloxCounter words = philox4x32(counter, key);
    ++counter[3];
    return uint64_t(words[1]) << 32 | words[0];
  }

  /// An integer in [0, bound), bound > 0: the high half of a 128-bit product;
  /// its bias is below bound / 2^64.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>(
        (static_cast<unsigned __int128>(next()) * bound) >> 64);
  }

  /// Uniform in (0, 1).
  double uniform() { return (double(next() >> 11) + 0.5) * 0x1p-53; }

private:
  PhiloxKey key;
  PhiloxCounter counter;
};

/// The number of a kind of axes in the generator's counter: part of what a seed
/// means.
inline uint32_t familyNumber(std::string_view kind) {
  constexpr std::string_view kinds[] = {"head",  "ffn", "channel", "kv_group",
                                        "query", "qk",  "v"};
  uint32_t number = 0;
  while (number < std::size(kinds) && kinds[number] != kind)
    ++number;
  return number;
}

/// The first `count` places of a Fisher-Yates shuffle of 0 … size-1, so that a
/// smaller count gives a prefix: subsets of one stream are nested.
inline std::vector<int64_t> shuffledPrefix(PhiloxStream &stream, int64_t size,
                                           int64_t count) {
  std::vector<int64_t> order(size);
  std::iota(order.begin(), order.end(), int64_t(0));
  for (int64_t i = 0; i < count; ++i)
    std::swap(order[i], order[i + int64_t(stream.below(size - i))]);
  order.resize(count);
  return order;
}

} // namespace twist

#endif // TWIST_SUPPORT_PHILOX_H

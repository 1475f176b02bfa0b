//===- LibFuzzer.cpp - Mutations led by coverage --------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Fuzz.h"

#include <algorithm>
#include <cstring>

using namespace twist::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Target target;
  Stages reached = {};
  target.run({reinterpret_cast<const char *>(data), size}, reached);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size,
                                          size_t room, unsigned seed) {
  Random random(seed);
  std::string bytes(reinterpret_cast<const char *>(data), size);
  mutate(bytes, random);
  size_t taken = std::min(bytes.size(), room);
  std::memcpy(data, bytes.data(), taken);
  return taken;
}

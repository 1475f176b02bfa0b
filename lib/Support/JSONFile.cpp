//===- JSONFile.cpp - Files of JSON ---------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Support/JSONFile.h"

#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;

Expected<json::Value> twist::readJSON(StringRef path) {
  auto file = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!file)
    return createStringError(path +
                             ": cannot be read: " + file.getError().message());
  Expected<json::Value> parsed = json::parse((*file)->getBuffer());
  if (!parsed)
    return createStringError(path + ": " + toString(parsed.takeError()));
  return parsed;
}

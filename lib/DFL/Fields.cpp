//===- Fields.cpp - Reading JSON objects key by key -----------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Fields.h"

#include <algorithm>

using namespace llvm;
using namespace twist::dfl;

Fields::Fields(const json::Value *value, std::string where)
    : where(std::move(where)) {
  if (value)
    object = value->getAsObject();
  if (!object)
    problem = this->where + ": is no object";
}

void Fields::wrong(StringRef key, const Twine &what) {
  if (problem.empty())
    problem = (path(key) + ": " + what).str();
}

const json::Value *Fields::raw(StringRef key) {
  asked.insert(key);
  return object ? object->get(key) : nullptr;
}

void Fields::require(StringRef key) {
  if (!has(key))
    wrong(key, "is missing");
}

std::string Fields::text(StringRef key, StringRef fallback) {
  const json::Value *value = raw(key);
  if (!value)
    return fallback.str();
  if (auto text = value->getAsString())
    return text->str();
  wrong(key, "is no text");
  return fallback.str();
}

double Fields::number(StringRef key, double fallback) {
  const json::Value *value = raw(key);
  if (!value)
    return fallback;
  if (auto number = value->getAsNumber())
    return *number;
  wrong(key, "is no number");
  return fallback;
}

int64_t Fields::whole(StringRef key, int64_t fallback, int64_t least) {
  const json::Value *value = raw(key);
  if (!value)
    return fallback;
  auto number = value->getAsInteger();
  if (number && *number >= least)
    return *number;
  wrong(key, "is no whole number of at least " + Twine(least));
  return fallback;
}

bool Fields::boolean(StringRef key, bool fallback) {
  const json::Value *value = raw(key);
  if (!value)
    return fallback;
  if (auto truth = value->getAsBoolean())
    return *truth;
  wrong(key, "is neither true nor false");
  return fallback;
}

std::vector<const json::Value *> Fields::array(StringRef key) {
  std::vector<const json::Value *> elements;
  const json::Value *value = raw(key);
  if (!value)
    return elements;
  const json::Array *array = value->getAsArray();
  if (!array)
    wrong(key, "is no list");
  else
    for (const json::Value &element : *array)
      elements.push_back(&element);
  return elements;
}

std::vector<double> Fields::numbers(StringRef key,
                                    std::vector<double> fallback) {
  if (!has(key)) {
    raw(key);
    return fallback;
  }
  std::vector<double> result;
  for (const json::Value *element : array(key)) {
    auto number = element->getAsNumber();
    if (!number) {
      wrong(key, "is no list of numbers");
      return fallback;
    }
    result.push_back(*number);
  }
  return result;
}

Error Fields::finish() {
  if (problem.empty() && object) {
    std::vector<std::string> keys;
    for (const auto &entry : *object)
      if (!asked.contains(StringRef(entry.first)))
        keys.push_back(StringRef(entry.first).str());
    if (!keys.empty())
      wrong(*std::min_element(keys.begin(), keys.end()),
            "is nothing that is known here");
  }
  return problem.empty() ? Error::success() : createStringError(problem);
}

//===- RunFolder.cpp - Where a training keeps its files -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/RunFolder.h"

#include "twist/Support/OutputFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace twist;
using namespace twist::train;

static constexpr StringLiteral kPrefix = "round-", kSuffix = ".safetensors";

std::string RunFolder::path(StringRef name) const {
  SmallString<256> result(root);
  sys::path::append(result, name);
  return result.str().str();
}

std::string RunFolder::checkpointPath(int64_t round) const {
  std::string number = std::to_string(round);
  number.insert(0, 6 - std::min<size_t>(number.size(), 6), '0');
  return path("checkpoints/" + kPrefix.str() + number + kSuffix.str());
}

std::vector<std::pair<int64_t, std::string>> RunFolder::checkpoints() const {
  std::vector<std::pair<int64_t, std::string>> found;
  std::error_code code;
  for (sys::fs::directory_iterator at(path("checkpoints"), code), end;
       !code && at != end; at.increment(code)) {
    StringRef name = sys::path::filename(at->path());
    int64_t round;
    if (name.consume_front(kPrefix) && name.consume_back(kSuffix) &&
        !name.getAsInteger(10, round))
      found.emplace_back(round, at->path());
  }
  llvm::sort(found);
  return found;
}

std::string RunFolder::newestCheckpoint() const {
  auto found = checkpoints();
  return found.empty() ? "" : found.back().second;
}

Error RunFolder::check(bool resume) const {
  if (resume ||
      (!sys::fs::exists(path("metrics.jsonl")) && newestCheckpoint().empty()))
    return Error::success();
  return createStringError(root + " holds a training already: --resume goes "
                                  "on with it, or name another folder");
}

Error RunFolder::create(bool resume) const {
  if (Error error = check(resume))
    return error;
  for (StringRef name : {"checkpoints", "tickets", "sliced"})
    if (std::error_code code = sys::fs::create_directories(path(name)))
      return createStringError(path(name) +
                               ": cannot be made: " + code.message());
  return Error::success();
}

void RunFolder::pruneCheckpoints() const {
  auto found = checkpoints();
  for (size_t i = 0; i + 2 < found.size(); ++i)
    sys::fs::remove(found[i].second);
}

//===----------------------------------------------------------------------===//
// Metrics
//===----------------------------------------------------------------------===//

json::Object twist::train::toJSON(const RoundReport &r) {
  auto bytes = [](const Traffic &traffic) {
    return json::Object{{"workers", int64_t(traffic.betweenWorkers)},
                        {"processes", int64_t(traffic.betweenProcesses)}};
  };
  return json::Object{{"round", r.round},
                      {"loss", r.meanLoss()},
                      {"losses", json::Array(r.losses)},
                      {"gradient_norms", json::Array(r.norms)},
                      {"kept", json::Array(r.kept)},
                      {"learning_rate", r.rate},
                      {"tokens", r.tokens},
                      {"seconds", r.seconds},
                      {"local_seconds", r.localSeconds},
                      {"bytes_down", bytes(r.down)},
                      {"bytes_up", bytes(r.up)}};
}

Expected<std::vector<json::Object>> RunFolder::readMetrics() const {
  std::vector<json::Object> lines;
  auto file = MemoryBuffer::getFile(path("metrics.jsonl"));
  if (!file)
    return lines;
  SmallVector<StringRef> texts;
  (*file)->getBuffer().split(texts, '\n', -1, /*KeepEmpty=*/false);
  for (StringRef text : texts) {
    // A line that a kill cut off is the last one.
    Expected<json::Value> line = json::parse(text);
    if (!line) {
      consumeError(line.takeError());
      break;
    }
    if (json::Object *object = line->getAsObject())
      lines.push_back(std::move(*object));
  }
  return lines;
}

Error RunFolder::openMetrics(int64_t round) {
  Expected<std::vector<json::Object>> lines = readMetrics();
  if (!lines)
    return lines.takeError();
  std::string text;
  for (json::Object &line : *lines)
    if (line.getInteger("round").value_or(round) < round)
      text += formatv("{0}\n", json::Value(std::move(line))).str();
  return writeFile(path("metrics.jsonl"), text);
}

Error RunFolder::addMetrics(const RoundReport &report) {
  std::string name = path("metrics.jsonl");
  std::error_code code;
  raw_fd_ostream os(name, code, sys::fs::OF_Append);
  if (!code) {
    os << formatv("{0}\n", json::Value(toJSON(report)));
    os.flush();
    code = os.error();
    os.clear_error();
  }
  return code ? createStringError(name +
                                  ": cannot be written: " + code.message())
              : Error::success();
}

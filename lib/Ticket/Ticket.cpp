//===- Ticket.cpp - Reading and writing tickets ---------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Ticket/Ticket.h"

#include "mlir/IR/Location.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace twist;
namespace json = llvm::json;

std::vector<int64_t> TicketAxis::keptUnits() const {
  std::vector<int64_t> units;
  for (int64_t g : keep)
    for (int64_t i = 0; i < group; ++i)
      units.push_back(g * group + i);
  return units;
}

namespace {

/// Reads one file; each function reports and returns failure.
class Reader {
public:
  Reader(StringRef file, MLIRContext *context)
      : file(StringAttr::get(context, file)) {}

  FailureOr<Ticket> read(StringRef text);

private:
  InFlightDiagnostic error(unsigned line = 0) {
    return emitError(FileLineColLoc::get(file, line, 0)) << "ticket: ";
  }

  LogicalResult checkKeys(const json::Object &object, StringRef where,
                          ArrayRef<StringRef> known);
  LogicalResult checkDuplicates(StringRef text);
  LogicalResult readModel(const json::Object &root, Ticket &ticket);
  LogicalResult readHash(const json::Object &model, StringRef key,
                         std::string &hash);
  LogicalResult readCorrection(const json::Object &root, Ticket &ticket);
  LogicalResult readWeights(const json::Object &root, Ticket &ticket);
  LogicalResult readAxis(StringRef name, const json::Value &value,
                         TicketAxis &axis);
  LogicalResult readCount(const json::Object &object, StringRef axis,
                          StringRef key, std::optional<int64_t> absent,
                          int64_t &count);
  LogicalResult readKeep(const json::Object &object, TicketAxis &axis);

  StringAttr file;
  std::vector<std::string> axisOrder; ///< axis names as the text orders them
};

} // namespace

LogicalResult Reader::checkKeys(const json::Object &object, StringRef where,
                                ArrayRef<StringRef> known) {
  for (const auto &entry : object)
    if (!llvm::is_contained(known, StringRef(entry.first)))
      return error() << "unknown key '" << StringRef(entry.first) << "' in "
                     << where << " (known: " << llvm::join(known, ", ") << ")";
  return success();
}

/// llvm::json keeps the last of two equal keys without a word, so keys are
/// looked at in the text, which is known to be JSON by now.
LogicalResult Reader::checkDuplicates(StringRef text) {
  struct Level {
    bool object;
    llvm::StringSet<> keys;
    bool axes = false;
  };
  std::vector<Level> levels;
  unsigned line = 1;
  std::string lastKey;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\n')
      ++line;
    if (c == '{' || c == '[')
      levels.push_back({c == '{', {}, levels.size() == 1 && lastKey == "axes"});
    if (c == '}' || c == ']')
      levels.pop_back();
    if (c != '"')
      continue;
    size_t end = i + 1;
    while (text[end] != '"')
      end += text[end] == '\\' ? 2 : 1;
    StringRef quoted = text.slice(i, end + 1);
    i = end;
    StringRef rest = text.drop_front(end + 1).ltrim();
    if (!rest.starts_with(":") || levels.empty() || !levels.back().object)
      continue;
    llvm::Expected<json::Value> key = json::parse(quoted);
    if (!key) {
      llvm::consumeError(key.takeError());
      continue;
    }
    lastKey = key->getAsString()->str();
    if (!levels.back().keys.insert(lastKey).second)
      return error(line) << "key '" << lastKey << "' stands twice";
    if (levels.back().axes)
      axisOrder.push_back(lastKey);
  }
  return success();
}

LogicalResult Reader::readHash(const json::Object &model, StringRef key,
                               std::string &hash) {
  const json::Value *value = model.get(key);
  if (!value || value->kind() == json::Value::Null)
    return success();
  std::optional<StringRef> text = value->getAsString();
  if (!text || text->size() != 64 ||
      !llvm::all_of(*text, [](char c) { return llvm::isHexDigit(c); }))
    return error() << "model." << key << " is not 64 hexadecimal digits";
  hash = text->lower();
  return success();
}

LogicalResult Reader::readModel(const json::Object &root, Ticket &ticket) {
  const json::Value *value = root.get("model");
  if (!value)
    return success();
  const json::Object *model = value->getAsObject();
  if (!model)
    return error() << "'model' is not an object";
  if (failed(
          checkKeys(*model, "'model'", {"structure_sha256", "weights_sha256"})))
    return failure();
  return success(
      succeeded(readHash(*model, "structure_sha256", ticket.structureSHA256)) &&
      succeeded(readHash(*model, "weights_sha256", ticket.weightsSHA256)));
}

LogicalResult Reader::readCorrection(const json::Object &root, Ticket &ticket) {
  const json::Value *value = root.get("correction");
  if (!value)
    return success();
  const json::Object *correction = value->getAsObject();
  std::optional<StringRef> kind;
  if (correction)
    kind = correction->getString("kind");
  if (!kind)
    return error() << "'correction' is not an object with a string 'kind'";
  constexpr StringLiteral kKinds[] = {"none",      "gain", "bias",
                                      "bias+gain", "ls",   "relative"};
  if (!llvm::is_contained(kKinds, *kind))
    return error() << "correction '" << *kind
                   << "' is not known; none, gain, bias, bias+gain, ls and "
                      "relative are";
  ticket.correction = kind->str();
  return checkKeys(*correction, "'correction'", {"kind"});
}

LogicalResult Reader::readWeights(const json::Object &root, Ticket &ticket) {
  const json::Value *value = root.get("weights");
  if (!value && ticket.correction == "none")
    return success();
  if (ticket.correction == "none")
    return error() << "'weights' (changed consumers) needs a correction";
  const json::Object *weights = value ? value->getAsObject() : nullptr;
  std::optional<StringRef> name =
      weights ? weights->getString("file") : std::nullopt;
  if (!name || name->empty())
    return error() << "correction '" << ticket.correction
                   << "' needs 'weights' with a 'file'";
  ticket.weightsFile = name->str();
  if (failed(checkKeys(*weights, "'weights'", {"file", "sha256"})))
    return failure();
  if (!weights->get("sha256"))
    return success();
  std::optional<StringRef> hash = weights->getString("sha256");
  if (!hash || hash->size() != 64 || !llvm::all_of(*hash, llvm::isHexDigit))
    return error() << "weights.sha256 is not 64 hexadecimal digits";
  ticket.weightsFileSHA256 = hash->lower();
  return success();
}

LogicalResult Reader::readCount(const json::Object &object, StringRef axis,
                                StringRef key, std::optional<int64_t> absent,
                                int64_t &count) {
  const json::Value *value = object.get(key);
  if (!value) {
    if (!absent)
      return error() << "axis '" << axis << "' has no '" << key << "'";
    count = *absent;
    return success();
  }
  std::optional<int64_t> number = value->getAsInteger();
  if (!number || *number < 1)
    return error() << "axis '" << axis << "': '" << key
                   << "' is not a positive integer";
  count = *number;
  return success();
}

LogicalResult Reader::readKeep(const json::Object &object, TicketAxis &axis) {
  const json::Array *keep = object.getArray("keep");
  if (!keep)
    return error() << "axis '" << axis.name << "' has no array 'keep'";
  for (const json::Value &value : *keep) {
    std::optional<int64_t> index = value.getAsInteger();
    if (!index)
      return error() << "axis '" << axis.name
                     << "': 'keep' holds something that is no integer";
    if (*index < 0 || *index >= axis.groups())
      return error() << "axis '" << axis.name << "': kept group " << *index
                     << " is out of range, the axis has " << axis.groups()
                     << " groups of " << axis.group;
    if (!axis.keep.empty() && axis.keep.back() == *index)
      return error() << "axis '" << axis.name << "': group " << *index
                     << " is kept twice";
    if (!axis.keep.empty() && axis.keep.back() > *index) {
      bool twice = llvm::is_contained(axis.keep, *index);
      return error() << "axis '" << axis.name << "': group " << *index
                     << (twice ? " is kept twice" : " follows ")
                     << (twice ? "" : std::to_string(axis.keep.back()))
                     << (twice ? "" : "; 'keep' must ascend");
    }
    axis.keep.push_back(*index);
  }
  return success();
}

LogicalResult Reader::readAxis(StringRef name, const json::Value &value,
                               TicketAxis &axis) {
  axis.name = name.str();
  const json::Object *object = value.getAsObject();
  if (!object)
    return error() << "axis '" << name << "' is not an object";
  if (failed(checkKeys(*object, ("axis '" + name + "'").str(),
                       {"units", "group", "keep", "site"})) ||
      failed(readCount(*object, name, "units", std::nullopt, axis.units)) ||
      failed(readCount(*object, name, "group", 1, axis.group)))
    return failure();
  if (axis.units % axis.group != 0)
    return error() << "axis '" << name << "': groups of " << axis.group
                   << " do not divide its " << axis.units << " units";
  if (const json::Value *site = object->get("site")) {
    std::optional<StringRef> text = site->getAsString();
    if (!text || (*text != "operand" && *text != "weight"))
      return error() << "axis '" << name
                     << "': 'site' is neither \"operand\" nor \"weight\"";
    axis.site = *text == "weight" ? MaskSite::Weight : MaskSite::Operand;
  }
  return readKeep(*object, axis);
}

FailureOr<Ticket> Reader::read(StringRef text) {
  llvm::Expected<json::Value> parsed = json::parse(text);
  if (!parsed)
    return error() << "not JSON: " << llvm::toString(parsed.takeError());
  const json::Object *root = parsed->getAsObject();
  if (!root)
    return error() << "not a JSON object";
  if (failed(checkDuplicates(text)))
    return failure();
  std::optional<int64_t> version = root->getInteger("version");
  if (!version)
    return error() << "no integer 'version'";
  if (*version != 1)
    return error() << "version " << *version
                   << " is not known; this reader knows version 1";
  if (failed(checkKeys(
          *root, "the ticket",
          {"version", "model", "axes", "correction", "weights", "provenance"})))
    return failure();
  Ticket ticket;
  if (failed(readModel(*root, ticket)) ||
      failed(readCorrection(*root, ticket)) ||
      failed(readWeights(*root, ticket)))
    return failure();
  if (const json::Value *provenance = root->get("provenance")) {
    if (!provenance->getAsObject())
      return error() << "'provenance' is not an object";
    ticket.provenance = *provenance->getAsObject();
  }
  const json::Object *axes = root->getObject("axes");
  if (!axes)
    return error() << "no object 'axes'";
  for (const std::string &name : axisOrder) {
    ticket.axes.emplace_back();
    if (failed(readAxis(name, *axes->get(name), ticket.axes.back())))
      return failure();
  }
  return ticket;
}

FailureOr<Ticket> twist::parseTicket(StringRef text, StringRef file,
                                     MLIRContext *context) {
  return Reader(file, context).read(text);
}

FailureOr<Ticket> twist::readTicket(StringRef path, MLIRContext *context) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return emitError(FileLineColLoc::get(context, path, 0, 0))
           << "cannot read ticket: " << buffer.getError().message();
  return parseTicket((*buffer)->getBuffer(), path, context);
}

void twist::writeTicket(const Ticket &ticket, llvm::raw_ostream &os) {
  auto quoted = [](StringRef text) { return json::Value(text); };
  os << "{\n  \"version\": 1,\n  \"model\": {";
  llvm::ListSeparator comma(", ");
  if (!ticket.structureSHA256.empty())
    os << comma << "\"structure_sha256\": " << quoted(ticket.structureSHA256);
  if (!ticket.weightsSHA256.empty())
    os << comma << "\"weights_sha256\": " << quoted(ticket.weightsSHA256);
  os << "},\n  \"axes\": {";
  StringRef separator = "\n";
  for (const TicketAxis &axis : ticket.axes) {
    os << separator << "    " << quoted(axis.name)
       << ": {\"units\": " << axis.units << ", \"group\": " << axis.group
       << ", \"keep\": [";
    llvm::interleaveComma(axis.keep, os);
    os << "], \"site\": "
       << (axis.site == MaskSite::Weight ? "\"weight\"}" : "\"operand\"}");
    separator = ",\n";
  }
  os << "\n  },\n  \"correction\": {\"kind\": " << quoted(ticket.correction)
     << "},\n";
  if (!ticket.weightsFile.empty())
    os << "  \"weights\": {\"file\": " << quoted(ticket.weightsFile)
       << ", \"sha256\": " << quoted(ticket.weightsFileSHA256) << "},\n";
  os << "  \"provenance\": " << json::Value(json::Object(ticket.provenance))
     << "\n}\n";
}

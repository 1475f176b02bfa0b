//===- Feed.cpp - Data into a program, batch by batch ---------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Prune/Feed.h"

#include "twist/Runtime/Tools.h"
#include "twist/Text/Protocol.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>

using namespace llvm;
using namespace twist;
using namespace twist::prune;

bool twist::prune::isFloat(twist_type type) {
  return type >= TWIST_F64 && type <= TWIST_BF16;
}

static void store(Array &array, int64_t at, int64_t value) {
  twist_store_integer(array.data.data(), array.type, at, value);
}

static Expected<Array> readNpy(StringRef path) {
  twist_array read = {};
  twist_error error;
  if (twist_npy_read(path.str().c_str(), &read, &error))
    return createStringError(error.message);
  Array array;
  array.type = read.type;
  array.dims.assign(read.dims, read.dims + read.rank);
  auto *data = static_cast<const char *>(read.data);
  array.data.assign(data, data + array.size() * twist_type_size(read.type));
  twist_array_free(&read);
  return array;
}

/// An element of an array of integers.
static Expected<int64_t> integerAt(const Array &array, int64_t i) {
  switch (array.type) {
  case TWIST_I64:
  case TWIST_U64:
    return reinterpret_cast<const int64_t *>(array.data.data())[i];
  case TWIST_I32:
    return reinterpret_cast<const int32_t *>(array.data.data())[i];
  case TWIST_U32:
    return reinterpret_cast<const uint32_t *>(array.data.data())[i];
  case TWIST_I16:
    return reinterpret_cast<const int16_t *>(array.data.data())[i];
  case TWIST_U16:
    return reinterpret_cast<const uint16_t *>(array.data.data())[i];
  case TWIST_U8:
    return reinterpret_cast<const uint8_t *>(array.data.data())[i];
  default:
    return createStringError("holds no integers");
  }
}

//===----------------------------------------------------------------------===//
// What is fed to which input
//===----------------------------------------------------------------------===//

namespace twist::prune {
/// Makes a feed, step by step.
class FeedBuilder {
public:
  FeedBuilder(ArrayRef<Port> ports, const FeedOptions &options)
      : ports(ports), options(options) {}
  Expected<Feed> build();

private:
  Error readRows(StringRef name, StringRef path);
  Error readIds(StringRef path);
  Error nameRoles();
  Error guessRoles();
  Error setWindows();
  Feed::Input *find(StringRef name);
  Feed::Input *idsInput();

  ArrayRef<Port> ports;
  const FeedOptions &options;
  Feed feed;
  std::vector<bool> known;
};
} // namespace twist::prune

std::vector<Port> twist::prune::inputPorts(const twist_program *program) {
  std::vector<Port> ports;
  for (size_t i = 0; i < twist_program_input_count(program); ++i) {
    const twist_tensor_info *info = twist_program_input(program, i);
    Port &port = ports.emplace_back();
    port.name = info->name;
    port.type = static_cast<twist_type>(info->type);
    for (int d = 0; d < info->rank; ++d) {
      port.dims.push_back(info->dims[d]);
      port.symbols.push_back(info->dims[d] < 0 ? info->symbols[d] : "");
    }
  }
  return ports;
}

Feed::Input *FeedBuilder::find(StringRef name) {
  auto found = llvm::find_if(
      feed.inputs, [&](const Feed::Input &in) { return in.name == name; });
  return found == feed.inputs.end() ? nullptr : &*found;
}

Feed::Input *FeedBuilder::idsInput() {
  auto found = llvm::find_if(feed.inputs, [&](const Feed::Input &in) {
    return in.role == Role::Ids && known[&in - feed.inputs.data()];
  });
  return found == feed.inputs.end() ? nullptr : &*found;
}

Error FeedBuilder::readRows(StringRef name, StringRef path) {
  Feed::Input *input = find(name);
  if (!input)
    return createStringError("the model has no input '" + name + "'");
  Expected<Array> array = readNpy(path);
  if (!array)
    return array.takeError();
  bool fits = array->dims.size() == input->dims.size() && !array->dims.empty();
  for (size_t d = 1; fits && d < input->dims.size(); ++d)
    fits = input->dims[d] < 0 || input->dims[d] == array->dims[d];
  if (!fits || array->type != input->type)
    return createStringError(
        path + ": type and shape are not those of input '" + name + "'");
  input->role = Role::Rows;
  input->rows = std::move(*array);
  known[input - feed.inputs.data()] = true;
  feed.files.push_back((name + "=" + path).str());
  return Error::success();
}

Error FeedBuilder::readIds(StringRef path) {
  feed.files.push_back(path.str());
  auto inFile = [&](Error error) {
    return createStringError(path + ": " + toString(std::move(error)));
  };
  if (path.ends_with(".npy")) {
    Expected<Array> array = readNpy(path);
    if (!array)
      return array.takeError();
    if (array->dims.empty() || array->dims.size() > 2)
      return createStringError(path + ": ids are [count] or [sequences, "
                                      "length]");
    if (array->dims.size() == 2)
      feed.rowLength = array->dims[1];
    for (int64_t i = 0, e = array->size(); i < e; ++i) {
      Expected<int64_t> id = integerAt(*array, i);
      if (!id)
        return inFile(id.takeError());
      if (*id < 0 || *id > UINT32_MAX)
        return createStringError(path + ": id number " + Twine(i) + " is " +
                                 Twine(*id));
      feed.ids.push_back(uint32_t(*id));
    }
    return Error::success();
  }
  if (text::TokenFile::isOne(path)) {
    Expected<text::TokenFile> file = text::TokenFile::open(path);
    if (!file)
      return file.takeError();
    if (feed.tokens_ && feed.tokens_->hash() != file->tokenizerHash())
      return createStringError(path + ": was made with another tokenizer");
    feed.tokenizerHash = file->tokenizerHash().str();
    feed.ids.resize(file->size());
    return file->read(0, feed.ids);
  }
  if (!feed.tokens_)
    return createStringError(path + ": text needs --tokenizer");
  auto file = MemoryBuffer::getFile(path, /*IsText=*/false,
                                    /*RequiresNullTerminator=*/false);
  if (!file)
    return createStringError(path +
                             ": cannot be read: " + file.getError().message());
  Error error = feed.tokens_->encode((*file)->getBuffer(), feed.ids);
  return error ? inFile(std::move(error)) : Error::success();
}

Error FeedBuilder::nameRoles() {
  for (StringRef text : options.roles) {
    auto [name, word] = text.rsplit('=');
    Feed::Input *input = find(name);
    auto role = StringSwitch<std::optional<Role>>(word)
                    .Case("ids", Role::Ids)
                    .Case("ones", Role::Ones)
                    .Case("zeros", Role::Zeros)
                    .Case("positions", Role::Positions)
                    .Default(std::nullopt);
    if (!input || !role)
      return createStringError("'--input " + text +
                               "' is not INPUT=ids|ones|zeros|positions with "
                               "an input of the model");
    input->role = *role;
    known[input - feed.inputs.data()] = true;
  }
  return Error::success();
}

/// Floats with open sizes behind the batch are state and start empty. Of the
/// integers, the one looked up in the largest table takes the ids, those looked
/// up nowhere are masks; a single one takes the ids anyway.
Error FeedBuilder::guessRoles() {
  std::vector<Feed::Input *> open;
  int64_t largest = 0;
  for (auto [i, input] : llvm::enumerate(feed.inputs)) {
    if (known[i])
      continue;
    if (isFloat(input.type)) {
      if (llvm::none_of(ArrayRef(input.dims)
                            .drop_front(std::min<size_t>(1, input.dims.size())),
                        [](int64_t d) { return d < 0; }))
        return createStringError("input '" + input.name + "' needs data: " +
                                 "--data " + input.name + "=FILE.npy");
      known[i] = true;
      continue;
    }
    open.push_back(&input);
    largest = std::max(largest, options.tables.lookup(input.name));
  }
  bool needsIds = !feed.files.empty() && !idsInput() && !feed.ids.empty();
  for (Feed::Input *input : open) {
    int64_t rows = options.tables.lookup(input->name);
    bool isIds = needsIds && (open.size() == 1 || (rows && rows == largest));
    bool isMask = options.tables.contains(input->name) && rows == 0;
    if (!isIds && !isMask)
      return createStringError("what input '" + input->name +
                               "' is for cannot be told: --input " +
                               input->name + "=ids|ones|zeros|positions");
    input->role = isIds ? Role::Ids : Role::Ones;
    known[input - feed.inputs.data()] = true;
    needsIds &= !isIds;
  }
  return Error::success();
}

Error FeedBuilder::setWindows() {
  Feed::Input *input = idsInput();
  int64_t rows = -1;
  for (const Feed::Input &in : feed.inputs)
    if (in.rows) {
      if (rows >= 0 && rows != in.rows->dims[0])
        return createStringError("the arrays of --data have " + Twine(rows) +
                                 " and " + Twine(in.rows->dims[0]) + " rows");
      rows = in.rows->dims[0];
    }
  if (!input && rows < 0)
    return createStringError("no input takes the data");
  if (input && rows >= 0)
    return createStringError("--data are ids or arrays for named inputs, not "
                             "both");
  feed.windowCount = rows;
  if (input) {
    if (input->dims.size() != 2)
      return createStringError("ids go into an input of shape [batch, "
                               "sequence]; '" +
                               input->name + "' has another");
    // Names that do not tell the two apart tell nothing of other inputs.
    if (StringRef(input->symbols[0]) != StringRef(input->symbols[1])) {
      feed.batchSymbol = input->symbols[0];
      feed.sequenceSymbol = input->symbols[1];
    }
    feed.length = options.context      ? options.context
                  : input->dims[1] > 0 ? input->dims[1]
                                       : 128;
    if (feed.rowLength)
      feed.length = options.context ? std::min(options.context, feed.rowLength)
                                    : feed.rowLength;
    if (input->dims[1] > 0 && input->dims[1] != feed.length)
      return createStringError("the model takes windows of " +
                               Twine(input->dims[1]) + " tokens, not " +
                               Twine(feed.length));
    feed.tokenCount = feed.ids.size();
    int64_t count = int64_t(feed.ids.size());
    feed.windowCount =
        feed.rowLength ? count / feed.rowLength : count / feed.length;
    feed.table = options.tables.lookup(input->name);
  }
  bool isFixed = options.wholeBatches;
  for (const Feed::Input &in : feed.inputs)
    if (!in.dims.empty() && in.dims[0] > 0 && in.role != Role::Empty) {
      feed.batchSize = in.dims[0];
      isFixed = true;
    }
  if (options.samples > 0)
    feed.windowCount = std::min(feed.windowCount, options.samples);
  if (options.wholeBatches && feed.windowCount > 0)
    feed.batchSize = std::min(feed.batchSize, feed.windowCount);
  if (isFixed)
    feed.windowCount -= feed.windowCount % feed.batchSize;
  if (feed.windowCount < 1)
    return createStringError("the data hold " + Twine(feed.ids.size()) +
                             " tokens: less than one window of " +
                             Twine(feed.length));
  return Error::success();
}

Expected<Feed> FeedBuilder::build() {
  feed.batchSize = std::max<int64_t>(options.batch, 1);
  if (!options.tokenizer.empty()) {
    auto tokenizer = text::loadTokenizer(options.tokenizer);
    if (!tokenizer)
      return tokenizer.takeError();
    feed.tokens_ = std::move(*tokenizer);
    feed.tokenizerHash = feed.tokens_->hash().str();
  }
  for (const Port &port : ports)
    feed.inputs.push_back({port});
  known.resize(feed.inputs.size());
  for (StringRef data : options.data) {
    auto [name, path] = data.split('=');
    Error error = path.empty() ? readIds(data) : readRows(name, path);
    if (error)
      return error;
  }
  if (Error error = nameRoles())
    return error;
  if (Error error = guessRoles())
    return error;
  if (Error error = setWindows())
    return error;
  return std::move(feed);
}

Expected<Feed> Feed::create(ArrayRef<Port> inputs, const FeedOptions &options) {
  return FeedBuilder(inputs, options).build();
}

//===----------------------------------------------------------------------===//
// Batches
//===----------------------------------------------------------------------===//

int64_t Feed::batches() const {
  return (windowCount + batchSize - 1) / batchSize;
}

Error Feed::fillIds(Batch &batch, int64_t first, Array &array) const {
  for (int64_t w = 0; w < batch.windows; ++w) {
    int64_t start = (first + w) * (rowLength ? rowLength : length);
    int64_t end = start + length;
    int64_t last = rowLength ? start + rowLength : int64_t(ids.size());
    std::vector<uint32_t> tokens(ids.begin() + start,
                                 ids.begin() + std::min(end + 1, last));
    for (auto [i, id] : llvm::enumerate(tokens)) {
      if (table > 0 && int64_t(id) >= table)
        return createStringError(
            "id number " + Twine(start + int64_t(i)) + " is " + Twine(id) +
            ", the model's table has " + Twine(table) + " rows");
      if (int64_t(i) < length)
        store(array, w * length + int64_t(i), id);
    }
    batch.tokens.push_back(std::move(tokens));
  }
  return Error::success();
}

Expected<Batch> Feed::batch(int64_t index) const {
  Batch batch;
  int64_t first = batch.first = index * batchSize;
  batch.windows = std::min(batchSize, windowCount - first);
  batch.length = length;
  auto is = [](StringRef symbol, StringRef name) {
    return !name.empty() && symbol == name;
  };
  for (const Input &input : inputs) {
    Array array;
    array.type = input.type;
    for (auto [d, size] : llvm::enumerate(input.dims)) {
      bool last = d + 1 == input.dims.size();
      array.dims.push_back(size >= 0             ? size
                           : input.rows && d > 0 ? input.rows->dims[d]
                           : d == 0              ? batch.windows
                           : is(input.symbols[d], batchSymbol) ? batch.windows
                           : input.role == Role::Empty         ? 0
                           : last || is(input.symbols[d], sequenceSymbol)
                               ? length
                               : 1);
    }
    array.data.resize(array.size() * twist_type_size(array.type));
    int64_t width = array.dims.empty() ? 1 : array.dims.back();
    switch (input.role) {
    case Role::Ids:
      if (Error error = fillIds(batch, first, array))
        return error;
      break;
    case Role::Ones:
    case Role::Positions:
      for (int64_t i = 0, e = array.size(); i < e; ++i)
        store(array, i, input.role == Role::Ones ? 1 : i % width);
      break;
    case Role::Rows: {
      size_t row = input.rows->data.size() / size_t(input.rows->dims[0]);
      std::memcpy(array.data.data(), input.rows->data.data() + first * row,
                  row * batch.windows);
      break;
    }
    case Role::Zeros:
    case Role::Empty:
      break;
    }
    batch.inputs.push_back(std::move(array));
  }
  return batch;
}

std::string Feed::protocol() const {
  if (tokenCount == 0)
    return "data       " + llvm::join(files, ", ") + "\nsamples    " +
           std::to_string(windowCount) + "\n";
  text::WindowProtocol protocol;
  protocol.files = llvm::join(files, ", ");
  protocol.tokenizer = tokens_                 ? tokens_->description()
                       : tokenizerHash.empty() ? "none: ids as given"
                                               : "of the token file";
  protocol.hash = tokenizerHash;
  protocol.windows = windowCount;
  protocol.length = length;
  protocol.tokens = tokenCount;
  protocol.oneARow = rowLength > 0;
  return protocol.describe();
}

std::string Feed::hash() const {
  SHA256 sha;
  auto number = [&](uint64_t value) {
    sha.update(ArrayRef(reinterpret_cast<uint8_t *>(&value), 8));
  };
  for (int64_t value : {rowLength, length, batchSize, windowCount})
    number(uint64_t(value));
  sha.update(ArrayRef(reinterpret_cast<const uint8_t *>(ids.data()),
                      ids.size() * sizeof(uint32_t)));
  for (const Input &input : inputs) {
    sha.update(input.name);
    number(uint64_t(input.role));
    if (input.rows)
      sha.update(StringRef(input.rows->data.data(), input.rows->data.size()));
  }
  return toHex(sha.final(), /*LowerCase=*/true);
}

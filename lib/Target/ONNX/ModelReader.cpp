//===- ModelReader.cpp - Reads ONNX files ---------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Detail.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cstring>

using namespace mlir;
using namespace twist;
using namespace twist::detail;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

namespace {

/// Finds tensor data in the model's file and in external files beside it. Each
/// file used becomes a `weights.source` of the module.
class FileLocator final : public TensorLocator {
public:
  FileLocator(StringRef modelPath, const weights::MappedFile &model,
              std::vector<Payload> payloads, ModuleOp module)
      : modelPath(modelPath), model(model), payloads(std::move(payloads)),
        module(module) {}

  FailureOr<std::optional<TensorBytes>> locate(const pb::TensorProto &tensor,
                                               Location loc) override;

private:
  struct Source {
    FlatSymbolRefAttr symbol;
    std::unique_ptr<weights::MappedFile> file;
  };

  FailureOr<std::optional<TensorBytes>> external(const pb::TensorProto &tensor,
                                                 Location loc);
  FailureOr<Source *> openExternal(StringRef location, Location loc);
  FlatSymbolRefAttr createSource(StringRef name, StringRef file);

  std::string modelPath;
  const weights::MappedFile &model;
  std::vector<Payload> payloads;
  ModuleOp module;
  FlatSymbolRefAttr modelSource;
  llvm::StringMap<Source> externals;
};

} // namespace

FlatSymbolRefAttr FileLocator::createSource(StringRef name, StringRef file) {
  OpBuilder builder(module.getContext());
  builder.setInsertionPointToStart(module.getBody());
  // After the sources there are: they stand in order of first use.
  while (builder.getInsertionPoint() != module.getBody()->end() &&
         isa<weights::SourceOp>(*builder.getInsertionPoint()))
    builder.setInsertionPointAfter(&*builder.getInsertionPoint());
  weights::SourceOp::create(builder, UnknownLoc::get(module.getContext()), name,
                            file, nullptr);
  return FlatSymbolRefAttr::get(module.getContext(), name);
}

FailureOr<std::optional<TensorBytes>>
FileLocator::locate(const pb::TensorProto &tensor, Location loc) {
  if (tensor.data_location() == pb::TensorProto::EXTERNAL)
    return external(tensor, loc);
  if (!tensor.has_raw_data())
    return std::optional<TensorBytes>();
  uint64_t index = payloads.size();
  if (tensor.raw_data().size() == sizeof(index))
    memcpy(&index, tensor.raw_data().data(), sizeof(index));
  if (index >= payloads.size())
    return emitError(loc) << "its data was not found";
  const Payload &payload = payloads[index];
  if (!modelSource)
    modelSource = createSource("model", modelPath);
  TensorBytes bytes;
  bytes.source = modelSource;
  bytes.offset = payload.offset;
  bytes.bytes = model.bytes().slice(payload.offset, payload.length);
  bytes.storage =
      payload.field == pb::TensorProto::kFloatDataFieldNumber    ? "float_data"
      : payload.field == pb::TensorProto::kDoubleDataFieldNumber ? "double_data"
                                                                 : "raw_data";
  return std::optional(bytes);
}

/// External files lie beside the model or below: a model must not be able to
/// read any other file.
FailureOr<FileLocator::Source *> FileLocator::openExternal(StringRef location,
                                                           Location loc) {
  auto [it, isNew] = externals.try_emplace(location);
  if (!isNew && it->second.file)
    return &it->second;
  auto fail = [&](const Twine &what) {
    return emitError(loc) << "external data '" << location << "' " << what;
  };
  if (location.empty())
    return emitError(loc) << "external data has no location";
  if (path::is_absolute(location))
    return fail("is an absolute path");
  if (llvm::is_contained(
          llvm::make_range(path::begin(location), path::end(location)), ".."))
    return fail("leaves the model's directory by '..'");
  SmallString<256> directory(path::parent_path(modelPath));
  if (directory.empty())
    directory = ".";
  SmallString<256> file(directory), realFile, realDirectory;
  path::append(file, location);
  if (std::error_code error = fs::real_path(file, realFile))
    return fail("cannot be opened: " + error.message());
  if (fs::real_path(directory, realDirectory))
    return fail("has no directory");
  if (realDirectory != "/")
    realDirectory += "/";
  if (!StringRef(realFile).starts_with(realDirectory))
    return fail("leaves the model's directory by a symbolic link");
  auto mapped = weights::MappedFile::open(file);
  if (!mapped)
    return fail("cannot be read: " + llvm::toString(mapped.takeError()));
  std::string name = "external";
  for (int i = 1; SymbolTable::lookupSymbolIn(module, name); ++i)
    name = "external_" + std::to_string(i);
  StringRef shown = file;
  shown.consume_front("./");
  it->second.symbol = createSource(name, shown);
  it->second.file = std::move(*mapped);
  return &it->second;
}

FailureOr<std::optional<TensorBytes>>
FileLocator::external(const pb::TensorProto &tensor, Location loc) {
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
  for (const pb::StringStringEntryProto &entry : tensor.external_data()) {
    uint64_t number;
    bool isNumber = !StringRef(entry.value()).getAsInteger(10, number);
    if (entry.key() == "location")
      location = entry.value();
    if ((entry.key() == "offset" || entry.key() == "length") && !isNumber)
      return emitError(loc) << "external data has " << entry.key() << " '"
                            << entry.value() << "', which is no number";
    if (entry.key() == "offset")
      offset = number;
    if (entry.key() == "length")
      length = number;
  }
  FailureOr<Source *> source = openExternal(location, loc);
  if (failed(source))
    return failure();
  uint64_t size = (*source)->file->bytes().size();
  if (offset > size)
    return emitError(loc) << "external data starts at byte " << offset
                          << " of '" << location << "', a file of " << size
                          << " bytes";
  if (!length)
    length = size - offset;
  if (*length > size - offset)
    return emitError(loc) << "external data takes " << *length
                          << " bytes at byte " << offset << " of '" << location
                          << "', a file of " << size << " bytes";
  TensorBytes bytes;
  bytes.source = (*source)->symbol;
  bytes.offset = offset;
  bytes.bytes = (*source)->file->bytes().slice(offset, *length);
  bytes.storage = "external";
  return std::optional(bytes);
}

FailureOr<OwningOpRef<ModuleOp>> twist::importONNX(StringRef file,
                                                   MLIRContext *context) {
  context->loadDialect<func::FuncDialect, onnx::ONNXDialect,
                       weights::WeightsDialect>();
  Location loc = FileLineColLoc::get(context, file, 0, 0);
  auto mapped = weights::MappedFile::open(file);
  if (!mapped)
    return emitError(loc) << "cannot be read: "
                          << llvm::toString(mapped.takeError());
  try {
    llvm::Expected<Skeleton> skeleton = scanModel((*mapped)->bytes());
    if (!skeleton)
      return emitError(loc) << "not a whole ONNX model: "
                            << llvm::toString(skeleton.takeError());
    OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
    FileLocator locator(file, **mapped, std::move(skeleton->payloads), *module);
    if (failed(importModel(skeleton->model, locator, *module, loc)))
      return failure();
    return module;
  } catch (const std::exception &error) {
    return emitError(loc) << "cannot be read: " << error.what();
  }
}

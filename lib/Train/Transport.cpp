//===- Transport.cpp - Between processes ----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Transport.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <vector>

using namespace llvm;
using namespace twist::train;

namespace {
class LocalTransport final : public Transport {
public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  Error exchange(ArrayRef<OutgoingMessage> sends,
                 ArrayRef<IncomingMessage> receives) override {
    if (sends.empty() && receives.empty())
      return Error::success();
    return createStringError("a message for another process, but there is one");
  }
  Error barrier() override { return Error::success(); }
  [[noreturn]] void abort() override { std::exit(1); }
};
} // namespace

std::unique_ptr<Transport> twist::train::makeLocalTransport() {
  return std::make_unique<LocalTransport>();
}

/// Beside the libraries: lib/ next to the folder of the executable.
static std::string pluginPath() {
  static int here;
  std::string program = sys::fs::getMainExecutable(nullptr, &here);
  SmallString<256> path = sys::path::parent_path(program);
  sys::path::append(path, "..", "lib", "TwistMPI.so");
  return path.str().str();
}

Expected<std::unique_ptr<Transport>> twist::train::makeMPITransport() {
  std::string path = pluginPath();
  if (!sys::fs::exists(path))
    return createStringError("this build has no MPI: '" + path +
                             "' is not there (it is made where OpenMPI is "
                             "installed: libopenmpi-dev)");
  // MPI's own plugins look for its symbols globally.
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  void *symbol = library ? dlsym(library, "twist_make_mpi_transport") : nullptr;
  if (!symbol)
    return createStringError(Twine("MPI cannot be loaded: ") + dlerror());
  MakeMPITransport make;
  std::memcpy(&make, &symbol, sizeof(make));
  char message[512] = "";
  Transport *transport = make(message, sizeof(message));
  if (!transport)
    return createStringError(Twine("MPI does not start: ") + message);
  return std::unique_ptr<Transport>(transport);
}

Error twist::train::checkSame(Transport &transport, StringRef what,
                              StringRef value) {
  using Digest = std::array<uint8_t, 32>;
  Digest mine = SHA256::hash(ArrayRef(value.bytes_begin(), value.size()));
  std::vector<Digest> all(transport.size());
  std::vector<OutgoingMessage> sends;
  std::vector<IncomingMessage> receives;
  for (int rank = 0; rank < transport.size(); ++rank) {
    if (rank == transport.rank())
      continue;
    sends.push_back({rank, mine.data(), sizeof(Digest)});
    receives.push_back({rank, all[rank].data(), sizeof(Digest)});
  }
  if (Error error = transport.exchange(sends, receives))
    return error;
  for (int rank = 0; rank < transport.size(); ++rank)
    if (rank != transport.rank() && all[rank] != mine)
      return createStringError("process " + Twine(rank) + " and process " +
                               Twine(transport.rank()) + " differ in " + what);
  return Error::success();
}

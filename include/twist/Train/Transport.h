//===- Transport.h - Between processes --------------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// All that training asks of a network: bytes between two processes, whose
// numbers both sides know from the masks. No reductions: sums are made by who
// owns a range, in the order of the workers, so that results don't depend on
// how many processes there are.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_TRANSPORT_H
#define TWIST_TRAIN_TRANSPORT_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"

#include <memory>

namespace twist::train {

/// Bytes for, or from, another process. At most one of each kind per process.
struct OutgoingMessage {
  int rank;
  const void *data;
  size_t bytes;
};
struct IncomingMessage {
  int rank;
  void *data;
  size_t bytes;
};

class Transport {
public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Returns when all `receives` are filled and the memory of `sends` may be
  /// used again. All processes call it the same number of times.
  virtual llvm::Error exchange(llvm::ArrayRef<OutgoingMessage> sends,
                               llvm::ArrayRef<IncomingMessage> receives) = 0;
  virtual llvm::Error barrier() = 0;
  /// Ends all processes with exit code 1; `reason` was printed by the caller.
  [[noreturn]] virtual void abort() = 0;
};

/// One process.
std::unique_ptr<Transport> makeLocalTransport();

/// The processes `mpirun` started: loads the plugin TwistMPI, which is there
/// where MPI was when this was built. An error says what is missing.
llvm::Expected<std::unique_ptr<Transport>> makeMPITransport();

/// What the plugin exports, `twist_make_mpi_transport`: a new transport, or
/// null and a sentence in `message` (of `size` bytes).
extern "C" {
using MakeMPITransport = Transport *(*)(char *message, size_t size);
}

/// A value all processes have to agree on: an error, naming `what`, where they
/// do not.
llvm::Error checkSame(Transport &transport, llvm::StringRef what,
                      llvm::StringRef value);

} // namespace twist::train

#endif // TWIST_TRAIN_TRANSPORT_H

//===- MPI.cpp - Transport over MPI: a plugin -----------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//
//
// Point to point in pieces of 2^28 bytes (counts are ints). No collective
// but the barrier.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Transport.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#define OMPI_SKIP_MPICXX // the C interface only
#include <mpi.h>

using namespace llvm;
using namespace twist::train;

static constexpr size_t kPiece = size_t(1) << 28;

static Error failed(int code, const char *what) {
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(code, text, &length);
  return createStringError(Twine("MPI: ") + what + ": " +
                           StringRef(text, length));
}

namespace {
class MPITransport final : public Transport {
public:
  MPITransport() {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
  }
  ~MPITransport() override { MPI_Finalize(); }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  Error exchange(ArrayRef<OutgoingMessage> sends,
                 ArrayRef<IncomingMessage> receives) override {
    std::vector<MPI_Request> requests;
    for (const IncomingMessage &message : receives)
      for (size_t at = 0; at < message.bytes; at += kPiece) {
        int code = MPI_Irecv(static_cast<char *>(message.data) + at,
                             int(std::min(kPiece, message.bytes - at)),
                             MPI_BYTE, message.rank, 0, MPI_COMM_WORLD,
                             &requests.emplace_back());
        if (code)
          return failed(code, "receiving");
      }
    for (const OutgoingMessage &message : sends)
      for (size_t at = 0; at < message.bytes; at += kPiece) {
        int code = MPI_Isend(static_cast<const char *>(message.data) + at,
                             int(std::min(kPiece, message.bytes - at)),
                             MPI_BYTE, message.rank, 0, MPI_COMM_WORLD,
                             &requests.emplace_back());
        if (code)
          return failed(code, "sending");
      }
    if (int code = MPI_Waitall(int(requests.size()), requests.data(),
                               MPI_STATUSES_IGNORE))
      return failed(code, "waiting");
    return Error::success();
  }

  Error barrier() override {
    int code = MPI_Barrier(MPI_COMM_WORLD);
    return code ? failed(code, "the barrier") : Error::success();
  }

  [[noreturn]] void abort() override {
    std::fflush(nullptr);
    MPI_Abort(MPI_COMM_WORLD, 1);
    std::abort(); // MPI_Abort does not come back
  }

private:
  int rank_ = 0, size_ = 1;
};
} // namespace

extern "C" Transport *twist_make_mpi_transport(char *message, size_t size) {
  int provided = 0;
  // Workers' threads compute; only the main one talks.
  if (int code =
          MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided)) {
    std::snprintf(message, size, "MPI_Init_thread gives %d", code);
    return nullptr;
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  return new MPITransport();
}

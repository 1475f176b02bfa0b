//===- ThreadTransport.h - Processes played by threads ----------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_UNITTESTS_TRAIN_THREADTRANSPORT_H
#define TWIST_UNITTESTS_TRAIN_THREADTRANSPORT_H

#include "twist/Train/Transport.h"

#include <barrier>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

namespace twist::train {

/// Threads that exchange through memory. Sizes that the two sides of a message
/// do not agree on are an error.
class ThreadTransport final : public Transport {
public:
  struct Shared {
    explicit Shared(int size) : size(size), meeting(size), sends(size) {}
    int size;
    std::barrier<> meeting;
    std::vector<std::vector<OutgoingMessage>> sends;
  };
  ThreadTransport(Shared &shared, int rank) : shared(shared), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return shared.size; }
  llvm::Error exchange(llvm::ArrayRef<OutgoingMessage> sends,
                       llvm::ArrayRef<IncomingMessage> receives) override {
    shared.sends[rank_] = sends.vec();
    shared.meeting.arrive_and_wait();
    bool wrong = false;
    for (const IncomingMessage &message : receives) {
      bool found = false;
      for (const OutgoingMessage &sent : shared.sends[message.rank])
        if (sent.rank == rank_) {
          found = sent.bytes == message.bytes;
          std::memcpy(message.data, sent.data, found ? sent.bytes : 0);
        }
      wrong |= !found;
    }
    shared.meeting.arrive_and_wait();
    return wrong ? llvm::createStringError("sizes of a message differ")
                 : llvm::Error::success();
  }
  llvm::Error barrier() override {
    shared.meeting.arrive_and_wait();
    return llvm::Error::success();
  }
  [[noreturn]] void abort() override { std::abort(); }

private:
  Shared &shared;
  int rank_;
};

inline void inProcesses(int count, std::function<void(Transport &)> body) {
  ThreadTransport::Shared shared(count);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank)
    threads.emplace_back([&, rank] {
      ThreadTransport transport(shared, rank);
      body(transport);
    });
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace twist::train

#endif // TWIST_UNITTESTS_TRAIN_THREADTRANSPORT_H

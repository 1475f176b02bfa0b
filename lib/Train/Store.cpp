//===- Store.cpp - All that is trained, spread over workers ---------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Store.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Alignment.h"

#include <cstdlib>
#include <cstring>

using namespace llvm;
using namespace twist::train;

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

void AlignedBytes::Free::operator()(char *memory) const { std::free(memory); }

void AlignedBytes::resize(size_t size) {
  constexpr size_t kAlignment = 64;
  if (size > capacity || !memory) {
    capacity = alignTo(std::max<size_t>(size, 1), kAlignment);
    memory.reset(static_cast<char *>(std::aligned_alloc(kAlignment, capacity)));
    if (!memory)
      report_bad_alloc_error("a buffer for training");
  }
  bytes = size;
  std::memset(memory.get(), 0, capacity);
}

int64_t StoredTensor::size() const {
  int64_t size = 1;
  for (int64_t dim : dims)
    size *= dim;
  return size;
}

Traffic &Traffic::operator+=(const Traffic &other) {
  betweenWorkers += other.betweenWorkers;
  betweenProcesses += other.betweenProcesses;
  return *this;
}

/// Calls fn with a null pointer of the element type.
template <typename Fn> static void withType(twist_type type, Fn fn) {
  switch (type) {
  case TWIST_F32:
    return fn(static_cast<float *>(nullptr));
  case TWIST_F64:
    return fn(static_cast<double *>(nullptr));
  default:
    assert(type == TWIST_I32 && "parameters are f32 or f64, counts i32");
    return fn(static_cast<int32_t *>(nullptr));
  }
}

//===----------------------------------------------------------------------===//
// What this process owns
//===----------------------------------------------------------------------===//

Store::Store(std::vector<StoredTensor> tensors, WorkerPlacement placement,
             Transport &transport, const OuterOptions &outer)
    : tensors_(std::move(tensors)), placement_(placement), transport(transport),
      outer(outer) {
  for (size_t t = 0; t < tensors_.size(); ++t) {
    size_t bytes = (mineEnd(t) - mineBegin(t)) * tensors_[t].elementBytes();
    parts.emplace_back(bytes);
    velocity.emplace_back(hasOuter(t) ? bytes : 0);
  }
}

void Store::set(size_t tensor, const void *dense) {
  std::memcpy(parts[tensor].data(),
              static_cast<const char *>(dense) +
                  mineBegin(tensor) * tensors_[tensor].elementBytes(),
              parts[tensor].size());
}

void Store::setOuter(size_t tensor, const void *dense) {
  std::memcpy(velocity[tensor].data(),
              static_cast<const char *>(dense) +
                  mineBegin(tensor) * tensors_[tensor].elementBytes(),
              velocity[tensor].size());
}

void Store::fillZero(size_t tensor) {
  std::memset(parts[tensor].data(), 0, parts[tensor].size());
}

Error Store::collectFrom(std::vector<AlignedBytes> &from, size_t tensor,
                         void *dense) {
  std::vector<OutgoingMessage> sends;
  std::vector<IncomingMessage> receives;
  const AlignedBytes &part = from[tensor];
  size_t bytes = tensors_[tensor].elementBytes();
  if (transport.rank() != 0)
    sends.push_back({0, part.data(), part.size()});
  else
    for (int process = 0; process < transport.size(); ++process) {
      size_t first = begin(tensor, placement_.first(process)) * bytes;
      size_t last = begin(tensor, placement_.first(process + 1)) * bytes;
      char *to = static_cast<char *>(dense) + first;
      if (process == 0)
        std::memcpy(to, part.data(), part.size());
      else
        receives.push_back({process, to, last - first});
    }
  return transport.exchange(sends, receives);
}

Error Store::collect(size_t tensor, void *dense) {
  return collectFrom(parts, tensor, dense);
}

Error Store::collectOuter(size_t tensor, void *dense) {
  return collectFrom(velocity, tensor, dense);
}

//===----------------------------------------------------------------------===//
// Exchange
//===----------------------------------------------------------------------===//

int64_t Store::pieceSize(const WorkerSlices &worker, size_t tensor,
                         int64_t owner) const {
  const SliceRuns &runs = worker.runs[tensor];
  return runs.position(begin(tensor, owner + 1)) -
         runs.position(begin(tensor, owner));
}

/// Pieces of a message start at multiples of 8 bytes: all types can be read
/// there.
size_t Store::pieceBytes(const WorkerSlices &worker, size_t tensor,
                         int64_t owner) const {
  return alignTo(
      pieceSize(worker, tensor, owner) * tensors_[tensor].elementBytes(), 8);
}

size_t Store::messageBytes(const WorkerSlices &worker, ArrayRef<size_t> which,
                           int64_t owner) const {
  size_t bytes = 0;
  for (size_t t : which)
    bytes += pieceBytes(worker, t, owner);
  return bytes;
}

Traffic Store::count(const std::vector<WorkerSlices> &slices,
                     ArrayRef<size_t> which) const {
  Traffic traffic;
  for (auto [worker, held] : llvm::enumerate(slices))
    for (int64_t owner = 0; owner < placement_.workers; ++owner) {
      if (owner == int64_t(worker))
        continue;
      uint64_t bytes = 0;
      for (size_t t : which)
        bytes += pieceSize(held, t, owner) * tensors_[t].elementBytes();
      traffic.betweenWorkers += bytes;
      if (placement_.process(owner) != placement_.process(int64_t(worker)))
        traffic.betweenProcesses += messageBytes(held, which, owner);
    }
  return traffic;
}

namespace {
/// What goes to each other process, and what comes from it.
struct Mail {
  explicit Mail(int processes) : out(processes), in(processes) {}

  void add(int other, size_t sent, size_t received) {
    out[other].resize(sent);
    in[other].resize(received);
    sends.push_back({other, out[other].data(), sent});
    receives.push_back({other, in[other].data(), received});
  }

  std::vector<AlignedBytes> out, in;
  std::vector<OutgoingMessage> sends;
  std::vector<IncomingMessage> receives;
};
} // namespace

Expected<Traffic> Store::dispatch(std::vector<WorkerSlices> &slices,
                                  ArrayRef<size_t> which) {
  int me = transport.rank(), processes = transport.size();
  int64_t mineFirst = placement_.first(me), mineLast = placement_.first(me + 1);
  Mail mail(processes);
  for (int other = 0; other < processes; ++other) {
    int64_t first = placement_.first(other), last = placement_.first(other + 1);
    if (other == me)
      continue;
    size_t sent = 0, received = 0;
    for (int64_t mine = mineFirst; mine < mineLast; ++mine)
      for (int64_t theirs = first; theirs < last; ++theirs) {
        sent += messageBytes(slices[theirs], which, mine);
        received += messageBytes(slices[mine], which, theirs);
      }
    mail.add(other, sent, received);
  }

  // Both sides go over owners, then workers, then tensors.
  std::vector<size_t> used(processes);
  for (int64_t owner = mineFirst; owner < mineLast; ++owner)
    for (auto [worker, held] : llvm::enumerate(slices))
      for (size_t t : which) {
        const SliceRuns &runs = held.runs[t];
        int64_t from = begin(t, owner), to = begin(t, owner + 1);
        int process = placement_.process(int64_t(worker));
        withType(tensors_[t].type, [&](auto *none) {
          using T = std::remove_pointer_t<decltype(none)>;
          char *target =
              process == me
                  ? held.buffers[t].data() + runs.position(from) * sizeof(T)
                  : mail.out[process].data() + used[process];
          gatherRange<T>(runs, from, to,
                         reinterpret_cast<const T *>(at(t, from)),
                         reinterpret_cast<T *>(target));
          if (process != me)
            used[process] += pieceBytes(held, t, owner);
        });
      }
  if (Error error = transport.exchange(mail.sends, mail.receives))
    return std::move(error);

  std::fill(used.begin(), used.end(), 0);
  for (int64_t owner = 0; owner < placement_.workers; ++owner) {
    int process = placement_.process(owner);
    if (process == me)
      continue;
    for (int64_t worker = mineFirst; worker < mineLast; ++worker)
      for (size_t t : which) {
        const SliceRuns &runs = slices[worker].runs[t];
        size_t width = tensors_[t].elementBytes();
        size_t from = runs.position(begin(t, owner)) * width;
        size_t to = runs.position(begin(t, owner + 1)) * width;
        std::memcpy(slices[worker].buffers[t].data() + from,
                    mail.in[process].data() + used[process], to - from);
        used[process] += pieceBytes(slices[worker], t, owner);
      }
  }
  return count(slices, which);
}

Expected<Traffic> Store::aggregate(const std::vector<WorkerSlices> &slices,
                                   ArrayRef<size_t> which) {
  int me = transport.rank(), processes = transport.size();
  int64_t mineFirst = placement_.first(me), mineLast = placement_.first(me + 1);
  Mail mail(processes);
  // starts[worker][owner - mineFirst]: where its message lies in `mail.in`.
  std::vector<std::vector<size_t>> starts(slices.size());
  for (int other = 0; other < processes; ++other) {
    int64_t first = placement_.first(other), last = placement_.first(other + 1);
    if (other == me)
      continue;
    size_t sent = 0, received = 0;
    for (int64_t mine = mineFirst; mine < mineLast; ++mine)
      for (int64_t theirs = first; theirs < last; ++theirs)
        sent += messageBytes(slices[mine], which, theirs);
    for (int64_t theirs = first; theirs < last; ++theirs)
      for (int64_t mine = mineFirst; mine < mineLast; ++mine) {
        starts[theirs].push_back(received);
        received += messageBytes(slices[theirs], which, mine);
      }
    mail.add(other, sent, received);

    // Both sides go over workers, then owners, then tensors.
    char *to = mail.out[other].data();
    for (int64_t worker = mineFirst; worker < mineLast; ++worker)
      for (int64_t owner = first; owner < last; ++owner)
        for (size_t t : which) {
          const SliceRuns &runs = slices[worker].runs[t];
          size_t width = tensors_[t].elementBytes();
          size_t from = runs.position(begin(t, owner)) * width;
          size_t bytes = runs.position(begin(t, owner + 1)) * width - from;
          std::memcpy(to, slices[worker].buffers[t].data() + from, bytes);
          to += pieceBytes(slices[worker], t, owner);
        }
  }
  if (Error error = transport.exchange(mail.sends, mail.receives))
    return std::move(error);

  AlignedBytes old;
  for (int64_t owner = mineFirst; owner < mineLast; ++owner) {
    std::vector<size_t> used(slices.size());
    for (size_t t : which)
      withType(tensors_[t].type, [&](auto *none) {
        using T = std::remove_pointer_t<decltype(none)>;
        int64_t from = begin(t, owner), to = begin(t, owner + 1);
        std::vector<const SliceRuns *> runs;
        std::vector<const T *> values;
        for (auto [worker, held] : llvm::enumerate(slices)) {
          runs.push_back(&held.runs[t]);
          int64_t first = held.runs[t].position(from);
          int process = placement_.process(int64_t(worker));
          if (process == me) {
            values.push_back(held.buffers[t].template as<T>() + first);
            continue;
          }
          const char *message = mail.in[process].data() +
                                starts[worker][owner - mineFirst] +
                                used[worker];
          values.push_back(reinterpret_cast<const T *>(message));
          used[worker] += pieceBytes(held, t, owner);
        }
        if (hasOuter(t)) {
          old.resize((to - from) * sizeof(T));
          std::memcpy(old.data(), at(t, from), old.size());
        }
        meanOverHolders<T>(runs, values, from, to,
                           reinterpret_cast<T *>(at(t, from)));
        if (hasOuter(t))
          applyOuter(t, from, to, old.data());
      });
  }
  return count(slices, which);
}

void Store::applyOuter(size_t tensor, int64_t begin, int64_t end,
                       const char *old) {
  withType(tensors_[tensor].type, [&](auto *none) {
    using T = std::remove_pointer_t<decltype(none)>;
    T *now = reinterpret_cast<T *>(at(tensor, begin));
    const T *before = reinterpret_cast<const T *>(old);
    T *speed = velocity[tensor].as<T>() + (begin - mineBegin(tensor));
    for (int64_t i = 0; i < end - begin; ++i) {
      double difference = double(before[i]) - double(now[i]);
      speed[i] = T(outer.momentum * double(speed[i]) + difference);
      now[i] = T(double(before[i]) -
                 outer.rate * (difference + outer.momentum * double(speed[i])));
    }
  });
}

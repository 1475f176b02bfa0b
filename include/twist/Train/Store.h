//===- Store.h - All that is trained, spread over workers -------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// Of every tensor worker j owns the j-th part of the elements (of n, by dense
// position). Dispatch: owners give each worker its slice. Aggregation: each
// worker gives owners its slice back, who take the mean over holders. So each
// worker sends and receives (n-1)/n of its slice each way, and what comes out
// does not depend on which processes the workers are in.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TRAIN_STORE_H
#define TWIST_TRAIN_STORE_H

#include "twist/Train/ModelLayout.h"
#include "twist/Train/Slices.h"
#include "twist/Train/Transport.h"

#include <memory>
#include <string>

namespace twist::train {

/// Memory for a tensor, 64-byte aligned, zeroed.
class AlignedBytes {
public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t bytes) { resize(bytes); }
  /// Contents are lost.
  void resize(size_t bytes);
  size_t size() const { return bytes; }
  char *data() { return memory.get(); }
  const char *data() const { return memory.get(); }
  template <typename T> T *as() { return reinterpret_cast<T *>(memory.get()); }
  template <typename T> const T *as() const {
    return reinterpret_cast<const T *>(memory.get());
  }

private:
  struct Free {
    void operator()(char *memory) const;
  };
  std::unique_ptr<char, Free> memory;
  size_t bytes = 0, capacity = 0;
};

/// A dense tensor that workers hold slices of: f32, f64 or i32.
struct StoredTensor {
  std::string name;
  twist_type type = TWIST_F32;
  std::vector<int64_t> dims;
  bool isParameter = false; ///< the outer optimiser acts on it

  int64_t size() const;
  size_t elementBytes() const { return twist_type_size(type); }
};

/// Which process each worker is in: neighbours together, as evenly as can be.
struct WorkerPlacement {
  int64_t workers = 1;
  int processes = 1;

  int process(int64_t worker) const {
    return int(worker * processes / workers);
  }
  /// The first worker of a process; `processes` gives `workers`.
  int64_t first(int process) const {
    return (process * workers + processes - 1) / processes;
  }
};

/// What is done with the mean over holders.
struct OuterOptions {
  /// Nesterov's step on the difference (DiLoCo, Douillard et al., 2023,
  /// algorithm 1): d = old - mean, v = momentum v + d, new = old - rate (d +
  /// momentum v). false: new = mean.
  bool nesterov = false;
  double rate = 0.7, momentum = 0.9;
};

/// Bytes of one direction of an exchange, sums over all workers.
struct Traffic {
  uint64_t betweenWorkers = 0;   ///< as if each had a machine of its own
  uint64_t betweenProcesses = 0; ///< really sent
  Traffic &operator+=(const Traffic &other);
};

/// The slices of one worker: buffers[t] of tensor t, runs[t] what it holds.
struct WorkerSlices {
  std::vector<SliceRuns> runs;
  std::vector<AlignedBytes> buffers; ///< empty for workers of other processes
};

class Store {
public:
  Store(std::vector<StoredTensor> tensors, WorkerPlacement placement,
        Transport &transport, const OuterOptions &outer);

  llvm::ArrayRef<StoredTensor> tensors() const { return tensors_; }
  const WorkerPlacement &placement() const { return placement_; }
  bool isMine(int64_t worker) const {
    return placement_.process(worker) == transport.rank();
  }
  Transport &processes() { return transport; }

  /// Takes this process's part of a whole tensor.
  void set(size_t tensor, const void *dense);
  void setOuter(size_t tensor, const void *dense);
  void fillZero(size_t tensor);
  /// The whole tensor, at rank 0 (`dense` is null elsewhere).
  llvm::Error collect(size_t tensor, void *dense);
  /// The outer optimiser's velocity, likewise; only with nesterov, parameters.
  llvm::Error collectOuter(size_t tensor, void *dense);
  bool hasOuter(size_t tensor) const {
    return outer.nesterov && tensors_[tensor].isParameter;
  }

  /// Fills the buffers of this process's workers for the tensors of `which`.
  llvm::Expected<Traffic> dispatch(std::vector<WorkerSlices> &slices,
                                   llvm::ArrayRef<size_t> which);
  /// The mean over holders of what the buffers hold now.
  llvm::Expected<Traffic> aggregate(const std::vector<WorkerSlices> &slices,
                                    llvm::ArrayRef<size_t> which);

private:
  /// Where worker `owner`'s part of a tensor starts.
  int64_t begin(size_t tensor, int64_t owner) const {
    return tensors_[tensor].size() * owner / placement_.workers;
  }
  int64_t mineBegin(size_t tensor) const {
    return begin(tensor, placement_.first(transport.rank()));
  }
  int64_t mineEnd(size_t tensor) const {
    return begin(tensor, placement_.first(transport.rank() + 1));
  }
  /// This process's part, from element `element` of the dense tensor on.
  char *at(size_t tensor, int64_t element) {
    return parts[tensor].data() +
           (element - mineBegin(tensor)) * tensors_[tensor].elementBytes();
  }
  llvm::Error collectFrom(std::vector<AlignedBytes> &from, size_t tensor,
                          void *dense);
  Traffic count(const std::vector<WorkerSlices> &slices,
                llvm::ArrayRef<size_t> which) const;
  /// What a worker holds of an owner's part of a tensor: elements, bytes in a
  /// message, bytes of the message over all tensors.
  int64_t pieceSize(const WorkerSlices &worker, size_t tensor,
                    int64_t owner) const;
  size_t pieceBytes(const WorkerSlices &worker, size_t tensor,
                    int64_t owner) const;
  size_t messageBytes(const WorkerSlices &worker, llvm::ArrayRef<size_t> which,
                      int64_t owner) const;
  void applyOuter(size_t tensor, int64_t begin, int64_t end, const char *old);

  std::vector<StoredTensor> tensors_;
  WorkerPlacement placement_;
  Transport &transport;
  OuterOptions outer;
  std::vector<AlignedBytes> parts, velocity;
};

} // namespace twist::train

#endif // TWIST_TRAIN_STORE_H

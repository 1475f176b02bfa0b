//===- StoreTest.cpp - Dispatch and aggregation over processes ------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Train/Store.h"

#include "ThreadTransport.h"
#include "gtest/gtest.h"

#include <cstring>
#include <numeric>
#include <random>
#include <thread>

using namespace twist;
using namespace twist::train;

/// A matrix cut by columns, one cut by rows, a shared vector, counts, a scalar.
static std::vector<StoredTensor> tensors() {
  return {
      {"up", TWIST_F32, {7, 12}, true},   {"counts", TWIST_I32, {1, 12}, false},
      {"down", TWIST_F32, {12, 5}, true}, {"wide", TWIST_F64, {3, 12}, true},
      {"bias", TWIST_F32, {5}, true},     {"gain", TWIST_F32, {}, true}};
}

static std::vector<int64_t> all(int64_t n) {
  std::vector<int64_t> indices(n);
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

/// The runs of a worker that holds `units` of the 12.
static std::vector<SliceRuns> runsOf(const std::vector<int64_t> &units) {
  std::vector<SliceRuns> runs;
  runs.emplace_back(tensors()[0].dims, std::vector{all(7), units});
  runs.emplace_back(tensors()[1].dims, std::vector{all(1), units});
  runs.emplace_back(tensors()[2].dims, std::vector{units, all(5)});
  runs.emplace_back(tensors()[3].dims, std::vector{all(3), units});
  runs.emplace_back(tensors()[4].dims, std::vector{all(5)});
  runs.emplace_back(tensors()[5].dims, std::vector<std::vector<int64_t>>{});
  return runs;
}

static const std::vector<std::vector<int64_t>> kUnits = {
    {0, 1, 2, 5, 9}, {3, 4, 6, 7, 8}, {0, 1, 9, 10, 11}, {2, 3, 5, 8, 10}};

/// One round: dispatch, each worker changes its slices, aggregation. All
/// tensors as rank 0 collects them, as bytes.
static std::string runRounds(Transport &transport, const OuterOptions &outer,
                             Traffic &traffic) {
  Store store(tensors(), {4, transport.size()}, transport, outer);
  std::vector<size_t> which(store.tensors().size());
  std::iota(which.begin(), which.end(), 0);
  std::mt19937 random(3);
  for (size_t t : which) {
    const StoredTensor &tensor = store.tensors()[t];
    std::string bytes(tensor.size() * tensor.elementBytes(), 0);
    for (int64_t i = 0; i < tensor.size(); ++i) {
      float value = float(random() % 1000) / 7;
      int32_t number = 3;
      double wide = value;
      std::memcpy(bytes.data() + i * tensor.elementBytes(),
                  tensor.type == TWIST_F32   ? static_cast<void *>(&value)
                  : tensor.type == TWIST_F64 ? static_cast<void *>(&wide)
                                             : static_cast<void *>(&number),
                  tensor.elementBytes());
    }
    store.set(t, bytes.data());
  }
  for (int round = 0; round < 3; ++round) {
    std::vector<WorkerSlices> slices(4);
    for (int64_t worker = 0; worker < 4; ++worker) {
      slices[worker].runs = runsOf(kUnits[(worker + round) % 4]);
      slices[worker].buffers.resize(which.size());
      if (!store.isMine(worker))
        continue;
      for (size_t t : which)
        slices[worker].buffers[t].resize(slices[worker].runs[t].size() *
                                         store.tensors()[t].elementBytes());
    }
    traffic += llvm::cantFail(store.dispatch(slices, which));
    for (int64_t worker = 0; worker < 4; ++worker)
      for (size_t t : which) {
        AlignedBytes &buffer = slices[worker].buffers[t];
        if (!store.isMine(worker))
          continue;
        for (int64_t i = 0; i < slices[worker].runs[t].size(); ++i) {
          if (store.tensors()[t].type == TWIST_I32)
            buffer.as<int32_t>()[i] += 15;
          else if (store.tensors()[t].type == TWIST_F64)
            buffer.as<double>()[i] *= 1 + 0.01 * double(worker);
          else
            buffer.as<float>()[i] =
                buffer.as<float>()[i] * 0.9f + 0.1f * float(worker * i);
        }
      }
    traffic += llvm::cantFail(store.aggregate(slices, which));
  }
  std::string result;
  for (size_t t : which) {
    std::string bytes(
        store.tensors()[t].size() * store.tensors()[t].elementBytes(), 0);
    llvm::cantFail(store.collect(t, bytes.data()));
    result += bytes;
    if (store.hasOuter(t)) {
      llvm::cantFail(store.collectOuter(t, bytes.data()));
      result += bytes;
    }
  }
  return result;
}

TEST(Store, SameBytesInOneToFourProcesses) {
  for (bool nesterov : {false, true}) {
    OuterOptions outer;
    outer.nesterov = nesterov;
    std::unique_ptr<Transport> local = makeLocalTransport();
    Traffic alone;
    std::string expected = runRounds(*local, outer, alone);
    EXPECT_EQ(alone.betweenProcesses, 0u);
    for (int processes : {2, 3, 4}) {
      std::vector<Traffic> traffic(processes);
      std::string result;
      inProcesses(processes, [&](Transport &transport) {
        std::string bytes =
            runRounds(transport, outer, traffic[transport.rank()]);
        if (transport.rank() == 0)
          result = bytes;
      });
      EXPECT_EQ(result, expected) << processes << " processes";
      EXPECT_EQ(traffic[0].betweenWorkers, alone.betweenWorkers);
      EXPECT_GT(traffic[0].betweenProcesses, 0u);
    }
  }
}

/// A worker of n sends (n-1)/n of its slice, or about: the parts are cut by
/// position in the whole tensor.
TEST(Store, Traffic) {
  std::unique_ptr<Transport> local = makeLocalTransport();
  Traffic traffic;
  runRounds(*local, {}, traffic);
  double slice = 0;
  for (auto [runs, tensor] : llvm::zip_equal(runsOf(kUnits[0]), tensors()))
    slice += double(runs.size()) * double(tensor.elementBytes());
  double expected = 2 * 3 * 4 * slice * 3 / 4;
  EXPECT_NEAR(double(traffic.betweenWorkers) / expected, 1, 0.05);
}

TEST(Store, NesterovIsItsFormula) {
  std::unique_ptr<Transport> local = makeLocalTransport();
  OuterOptions outer{true, 0.7, 0.9};
  Store store({{"w", TWIST_F64, {1}, true}}, {1, 1}, *local, outer);
  double w = 2, v = 0, stored;
  store.set(0, &w);
  for (double moved : {0.5, -0.25, 0.125}) {
    std::vector<WorkerSlices> slices(1);
    slices[0].runs.emplace_back(std::vector<int64_t>{1},
                                std::vector<std::vector<int64_t>>{{0}});
    slices[0].buffers.emplace_back(8);
    llvm::cantFail(store.dispatch(slices, {0}));
    EXPECT_EQ(*slices[0].buffers[0].as<double>(), w);
    *slices[0].buffers[0].as<double>() += moved;
    llvm::cantFail(store.aggregate(slices, {0}));
    v = 0.9 * v - moved;
    w -= 0.7 * (-moved + 0.9 * v);
    llvm::cantFail(store.collect(0, &stored));
    EXPECT_NEAR(stored, w, 1e-15);
    w = stored;
  }
}

TEST(Store, PlacementOfWorkers) {
  for (int64_t workers : {1, 4, 7, 16})
    for (int processes = 1; processes <= workers; ++processes) {
      WorkerPlacement placement{workers, processes};
      for (int process = 0; process < processes; ++process) {
        int64_t count = placement.first(process + 1) - placement.first(process);
        EXPECT_GE(count, workers / processes);
        EXPECT_LE(count, (workers + processes - 1) / processes);
        for (int64_t w = placement.first(process);
             w < placement.first(process + 1); ++w)
          EXPECT_EQ(placement.process(w), process);
      }
    }
}

TEST(Transport, WhatDiffersIsNamed) {
  inProcesses(3, [&](Transport &transport) {
    EXPECT_FALSE(bool(checkSame(transport, "their options", "a")));
    llvm::Error error = checkSame(transport, "their options",
                                  transport.rank() == 1 ? "b" : "a");
    EXPECT_NE(llvm::toString(std::move(error)).find("differ in their options"),
              std::string::npos);
  });
}

TEST(Transport, OneProcessHasNobodyToTalkTo) {
  std::unique_ptr<Transport> local = makeLocalTransport();
  int byte = 0;
  EXPECT_EQ(llvm::toString(local->exchange({{1, &byte, 1}}, {})),
            "a message for another process, but there is one");
}

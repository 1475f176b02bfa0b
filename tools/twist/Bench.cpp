//===- Bench.cpp - twist bench --------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"
#include "Context.h"
#include "Measure.h"

#include "twist/Pipeline/Choice.h"
#include "twist/Pipeline/Model.h"

#include "twist/Runtime/Tools.h"
#include "twist/Runtime/twist.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/JSON.h"

#include <chrono>
#include <cstring>
#include <random>

namespace cl = llvm::cl;
using llvm::StringRef;
using namespace twist::tools;

namespace {
struct Deleter {
  void operator()(twist_program *program) { twist_program_close(program); }
  void operator()(twist_session *session) { twist_session_close(session); }
};
using Program = std::unique_ptr<twist_program, Deleter>;
using Session = std::unique_ptr<twist_session, Deleter>;

/// Arrays for the inputs and outputs of one shape.
struct Arrays {
  std::vector<twist_array> inputs, outputs;
  ~Arrays() {
    for (auto *list : {&inputs, &outputs})
      for (twist_array &array : *list)
        twist_array_free(&array);
  }
};

struct Times {
  double median, least, mean, largest;
};
} // namespace

static bool fail(const twist_error &error) {
  llvm::errs() << "error: " << error.message << "\n";
  return false;
}

//===----------------------------------------------------------------------===//
// Inputs
//===----------------------------------------------------------------------===//

/// The size of a dimension: the program's, or what --dim says of its symbol.
static bool findSize(const twist_tensor_info *info, int dim,
                     llvm::StringMap<int64_t> &sizes, int64_t &size) {
  size = info->dims[dim];
  if (size >= 0)
    return true;
  std::string symbol = info->symbols[dim];
  if (symbol.empty())
    symbol = (info->name + llvm::Twine(":") + llvm::Twine(dim)).str();
  auto entry = sizes.find(symbol);
  if (entry != sizes.end()) {
    size = entry->second;
    return true;
  }
  llvm::errs() << "error: the size of '" << symbol << "' is open: --dim "
               << symbol << "=N\n";
  return false;
}

/// Normal numbers; integers 0 and 1, which any lookup and mask can take.
static void fillRandom(twist_array &array, std::mt19937_64 &generator) {
  std::normal_distribution<double> normal;
  int64_t count = array.bytes / twist_type_size(array.type);
  for (int64_t i = 0; i < count; ++i) {
    switch (array.type) {
    case TWIST_F64:
      static_cast<double *>(array.data)[i] = normal(generator);
      break;
    case TWIST_F32:
      static_cast<float *>(array.data)[i] = normal(generator);
      break;
    case TWIST_F16: // between 1 and 2: any mantissa
      static_cast<uint16_t *>(array.data)[i] = 0x3c00 | (generator() & 0x3ff);
      break;
    case TWIST_BF16:
      static_cast<uint16_t *>(array.data)[i] = 0x3f80 | (generator() & 0x7f);
      break;
    default:
      static_cast<char *>(array.data)[i * twist_type_size(array.type)] =
          generator() & 1;
    }
  }
}

static bool makeInputs(const twist_program *program,
                       llvm::StringMap<int64_t> &sizes, Arrays &arrays) {
  std::mt19937_64 generator(0);
  twist_error error;
  for (size_t i = 0; i < twist_program_input_count(program); ++i) {
    const twist_tensor_info *info = twist_program_input(program, i);
    twist_array &array = arrays.inputs.emplace_back(twist_array{});
    array.type = static_cast<twist_type>(info->type);
    array.rank = info->rank;
    for (int d = 0; d < info->rank; ++d)
      if (!findSize(info, d, sizes, array.dims[d]))
        return false;
    if (twist_array_allocate(&array, &error))
      return fail(error);
    fillRandom(array, generator);
  }
  return true;
}

static bool makeOutputs(const twist_program *program, Arrays &arrays) {
  llvm::SmallVector<const int64_t *> from;
  llvm::SmallVector<int64_t *> to;
  for (twist_array &array : arrays.inputs)
    from.push_back(array.dims);
  arrays.outputs.resize(twist_program_output_count(program));
  for (auto [i, array] : llvm::enumerate(arrays.outputs)) {
    const twist_tensor_info *info = twist_program_output(program, i);
    array.type = static_cast<twist_type>(info->type);
    array.rank = info->rank;
    to.push_back(array.dims);
  }
  twist_error error;
  if (twist_program_output_dims(program, from.data(), to.data(), &error))
    return fail(error);
  for (twist_array &array : arrays.outputs)
    if (twist_array_allocate(&array, &error))
      return fail(error);
  return true;
}

//===----------------------------------------------------------------------===//
// Timing
//===----------------------------------------------------------------------===//

static bool timeRuns(twist_session *session, Arrays &arrays, unsigned repeat,
                     std::vector<double> &seconds) {
  auto buffer = [](twist_array &array) {
    return twist_buffer{array.data, array.bytes, array.dims};
  };
  auto inputs = llvm::map_to_vector(arrays.inputs, buffer);
  auto outputs = llvm::map_to_vector(arrays.outputs, buffer);
  twist_error error;
  for (unsigned i = 0; i < repeat; ++i) {
    auto start = std::chrono::steady_clock::now();
    if (twist_session_run(session, inputs.data(), outputs.data(), &error))
      return fail(error);
    std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - start;
    seconds.push_back(took.count());
  }
  return true;
}

static Times summarise(std::vector<double> seconds) {
  llvm::sort(seconds);
  double sum = 0;
  for (double value : seconds)
    sum += value;
  size_t n = seconds.size();
  return {(seconds[(n - 1) / 2] + seconds[n / 2]) / 2, seconds.front(), sum / n,
          seconds.back()};
}

static std::vector<twist_profile_entry>
readProfile(const twist_session *session) {
  std::vector<twist_profile_entry> entries;
  for (size_t i = 0; i < twist_session_profile_count(session); ++i)
    entries.push_back(twist_session_profile_entry(session, i));
  llvm::sort(entries, [](const auto &a, const auto &b) {
    return a.seconds > b.seconds;
  });
  return entries;
}

//===----------------------------------------------------------------------===//
// Printing
//===----------------------------------------------------------------------===//

static void printTable(const Times &times, int threads, unsigned repeat,
                       const std::vector<twist_profile_entry> &profile) {
  llvm::outs() << llvm::format(
      "median %.3f ms   min %.3f   mean %.3f   max %.3f"
      "   (%u runs, %d threads)\n",
      1e3 * times.median, 1e3 * times.least, 1e3 * times.mean,
      1e3 * times.largest, repeat, threads);
  double total = 0;
  for (const twist_profile_entry &entry : profile)
    total += entry.seconds;
  if (!profile.empty())
    llvm::outs() << "\n  ms/run      %  launch\n";
  for (const twist_profile_entry &entry : profile)
    llvm::outs() << llvm::format("%8.3f %5.1f%%  ",
                                 1e3 * entry.seconds / repeat,
                                 100 * entry.seconds / total)
                 << entry.site << "\n";
}

static void printAsJSON(const Times &times, int threads, unsigned repeat,
                        const std::vector<twist_profile_entry> &profile) {
  llvm::json::Array sites;
  for (const twist_profile_entry &entry : profile)
    sites.push_back(
        llvm::json::Object{{"site", entry.site},
                           {"seconds", entry.seconds / repeat},
                           {"calls", int64_t(entry.calls / repeat)}});
  llvm::json::Object result{
      {"median_seconds", times.median}, {"min_seconds", times.least},
      {"mean_seconds", times.mean},     {"max_seconds", times.largest},
      {"repeat", int64_t(repeat)},      {"threads", threads}};
  if (!profile.empty())
    result["profile"] = std::move(sites);
  printJSON(std::move(result));
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

static int fillTable(StringRef model, StringRef path,
                     const twist::PolicyOptions &options,
                     llvm::ArrayRef<std::pair<std::string, int64_t>> dims,
                     const std::vector<std::string> &state, int threads,
                     int64_t widths, unsigned repeat) {
  ToolContext context;
  twist::LoadOptions load;
  load.hashes = true;
  load.state.assign(state.begin(), state.end());
  auto module = twist::loadModelWithAxes(model, &context, load);
  if (failed(module))
    return 1;
  llvm::outs() << llvm::format("%-10s %6s %8s %12s\n", "kind", "axes", "width",
                               "ms/run");
  auto tell = [](StringRef kind, int64_t axes, int64_t width, double seconds) {
    llvm::outs() << llvm::format("%-10s %6lld %8lld %12.3f\n",
                                 kind.str().c_str(), (long long)axes,
                                 (long long)width, 1e3 * seconds);
    llvm::outs().flush();
  };
  auto table = twist::measureLatency(
      **module, options, dims, state, threads, std::max<int64_t>(widths, 1),
      std::max(repeat, 1u), tell,
      mlir::FileLineColLoc::get(&context, model, 0, 0));
  if (failed(table))
    return 1;
  llvm::outs() << llvm::format("dense %.3f ms on ", 1e3 * table->denseSeconds)
               << table->machine << ", " << table->threads << " threads\n";
  if (llvm::Error error = table->write(path))
    return fail(std::move(error));
  return 0;
}

int twist::tools::benchMain(int argc, char **argv) {
  cl::OptionCategory category("Options of twist bench");
  cl::opt<std::string> name(cl::Positional, cl::Required,
                            cl::desc("NAME|MODEL.onnx"), cl::cat(category));
  DimOption dims(category);
  cl::opt<int> threads("threads", cl::init(0), cl::cat(category),
                       cl::desc("Threads; 0: one per processor"));
  cl::opt<unsigned> repeat(
      "repeat", cl::init(30), cl::cat(category),
      cl::desc("Runs to take the median of; the least for a "
               "latency table"));
  JSONOption json(category);
  cl::opt<std::string> table(
      "latency-table", cl::value_desc("TABLE.json"), cl::cat(category),
      cl::desc("Measure what widths of a MODEL.onnx's axes save on this "
               "machine, for twist ticket --budget latency"));
  cl::opt<int64_t> widths("widths", cl::init(8), cl::cat(category),
                          cl::desc("Widths an axis, below the whole"));
  cl::opt<int64_t> roundTo(
      "round-to", cl::init(1), cl::cat(category),
      cl::desc("FFN units and channels in multiples of this"));
  cl::opt<int64_t> minUnits(
      "min-units", cl::init(0), cl::cat(category),
      cl::desc("Leave each axis at least so many units"));
  cl::list<std::string> kinds("axes", cl::CommaSeparated,
                              cl::value_desc("KINDS"), cl::cat(category),
                              cl::desc("Kinds to measure"));
  StateOption state(category);
  cl::opt<bool> profile("profile", cl::desc("Time of each launch"),
                        cl::cat(category));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(
      argc, argv, "Times a compiled program, or widths of a model\n");

  std::vector<std::pair<std::string, int64_t>> given;
  if (!dims.parse(given))
    return 1;
  if (!table.empty()) {
    PolicyOptions options;
    options.roundTo = roundTo;
    options.minUnits = minUnits;
    options.kinds.assign(kinds.begin(), kinds.end());
    return fillTable(name, table, options, given, {state.begin(), state.end()},
                     threads, widths, repeat);
  }
  llvm::StringMap<int64_t> sizes;
  sizes.insert(given.begin(), given.end());
  twist_error error;
  twist_program *loaded;
  if (twist_program_load(name.c_str(), 0, &loaded, &error))
    return fail(error), 1;
  Program program(loaded);
  twist_session *created;
  if (twist_session_create(loaded, threads, &created, &error))
    return fail(error), 1;
  Session session(created);
  Arrays arrays;
  std::vector<double> warmUp, seconds;
  if (!makeInputs(loaded, sizes, arrays) || !makeOutputs(loaded, arrays) ||
      !timeRuns(created, arrays, std::min(repeat.getValue(), 3u), warmUp))
    return 1;
  if (profile && twist_session_profile(created, 1, &error))
    return fail(error), 1;
  unsigned runs = std::max(repeat.getValue(), 1u);
  if (!timeRuns(created, arrays, runs, seconds))
    return 1;
  std::vector<twist_profile_entry> entries;
  if (profile)
    entries = readProfile(created);
  auto print = json ? printAsJSON : printTable;
  print(summarise(seconds), twist_session_threads(created), runs, entries);
  return 0;
}

//===- twist-fuzz.cpp - Counted mutations of seed files -------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Fuzz.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <csignal>
#include <cstring>
#include <sys/resource.h>
#include <unistd.h>

using namespace twist::fuzz;
namespace cl = llvm::cl;

namespace {
/// What a dying process has to say.
char message[512];
} // namespace

static void onDeath(int signal) {
  const char *what = signal == SIGALRM ? "takes too long" : "crashes";
  (void)!::write(2, "twist-fuzz: ", 12);
  (void)!::write(2, what, std::strlen(what));
  (void)!::write(2, message, std::strlen(message));
  std::signal(signal, SIG_DFL);
  std::raise(signal == SIGALRM ? SIGABRT : signal);
}

static void guard(int64_t memory) {
  for (int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGALRM})
    std::signal(signal, onDeath);
  std::signal(SIGXFSZ, SIG_IGN);
#if !defined(__has_feature) || !__has_feature(address_sanitizer)
  rlimit limit = {rlim_t(memory) << 20, rlim_t(memory) << 20};
  ::setrlimit(RLIMIT_AS, &limit);
#endif
}

static std::vector<std::string>
readSeeds(const std::vector<std::string> &paths) {
  std::vector<std::string> seeds;
  for (const std::string &path : paths) {
    auto file = llvm::MemoryBuffer::getFile(path);
    if (!file) {
      llvm::errs() << "twist-fuzz: cannot read '" << path << "'\n";
      std::exit(1);
    }
    seeds.push_back((*file)->getBuffer().str());
  }
  return seeds;
}

int main(int argc, char **argv) {
  cl::OptionCategory category("Options of twist-fuzz");
  cl::list<std::string> paths(cl::Positional, cl::OneOrMore,
                              cl::desc("SEED..."), cl::cat(category));
  cl::opt<uint64_t> mutations("mutations", cl::init(2000), cl::cat(category),
                              cl::desc("How many to try; 0: the seeds as they "
                                       "are (default 2000)"));
  cl::opt<uint64_t> first("first", cl::init(0), cl::cat(category),
                          cl::desc("Number of the first"));
  cl::opt<uint64_t> seed("seed", cl::init(0), cl::cat(category),
                         cl::desc("Seed of the mutations"));
  cl::opt<unsigned> seconds("timeout", cl::init(20), cl::cat(category),
                            cl::desc("Seconds an input may take"));
  cl::opt<int64_t> memory("memory", cl::init(4096), cl::cat(category),
                          cl::desc("MiB of memory there are"));
  cl::HideUnrelatedOptions(category);
  cl::ParseCommandLineOptions(argc, argv,
                              "Mutates seed files and reads them\n");

  std::vector<std::string> seeds = readSeeds(paths);
  guard(memory);
  Target target;
  uint64_t counts[StageCount] = {};
  uint64_t total = mutations ? uint64_t(mutations) : seeds.size();
  for (uint64_t i = first; i < first + total; ++i) {
    Random random(seed * 0x9e3779b97f4a7c15 + i);
    size_t which = i % seeds.size();
    std::string bytes = seeds[which];
    if (mutations)
      mutate(bytes, random);
    std::snprintf(message, sizeof(message),
                  ": mutation %llu (--seed=%llu --first=%llu) of '%s', kept in "
                  "'%s'\n",
                  (unsigned long long)i, (unsigned long long)seed,
                  (unsigned long long)i, paths[which].c_str(),
                  target.inputPath().c_str());
    ::alarm(seconds);
    Stages reached = {};
    target.run(bytes, reached);
    ::alarm(0);
    for (int stage = 0; stage < StageCount; ++stage)
      counts[stage] += reached[stage];
  }
  llvm::outs() << (mutations ? "mutations " : "seeds ") << total << ", read "
               << counts[Read] << ", exported " << counts[Exported]
               << ", normalised " << counts[Normalised] << ", lowered "
               << counts[Lowered] << ", with axes " << counts[Discovered]
               << ", sliced " << counts[Sliced] << ", 0 crashes\n";
  return 0;
}

//===- twist.cpp - The user's tool: one program, several commands ---------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/raw_ostream.h"

#include <csignal>

using namespace twist::tools;

namespace {
struct Command {
  llvm::StringLiteral name;
  int (*run)(int argc, char **argv);
  llvm::StringLiteral summary;
};
} // namespace

static constexpr Command commands[] = {
    {"inspect", inspectMain, "show a model's axes, and what can't be cut"},
    {"ticket", ticketMain, "make a ticket: which units of each axis are kept"},
    {"slice", sliceMain, "cut a model by a ticket"},
    {"compile", compileMain, "make a native program of a model"},
    {"run", runMain, "run a compiled program on .npy files"},
    {"generate", generateMain, "continue token ids with a language model"},
    {"tokenizer", tokenizerMain, "learn a tokenizer from text"},
    {"tokenize", tokenizeMain, "make token ids of text"},
    {"eval", evalMain, "measure perplexity, or likeness to another model"},
    {"calibrate", calibrateMain, "measure what flows through the gates"},
    {"correct", correctMain, "let what a ticket keeps make up for the rest"},
    {"widths", widthsMain, "measure what the widths of each axis lose"},
    {"step", stepMain, "run a language model's training step on token ids"},
    {"train", trainMain, "train subnetworks in parallel (TwIST)"},
    {"weights", weightsMain, "give a model the weights of a safetensors file"},
    {"prune", pruneMain, "calibrate, choose, correct and slice in one go"},
    {"dfl", dflMain, "learn predictions by the decisions they lead to"},
    {"grad-check", gradCheckMain,
     "compare a model's gradients with differences"},
    {"bench", benchMain, "time a compiled program, or widths of a model"},
};

static void printUsage(llvm::raw_ostream &os) {
  os << "usage: twist COMMAND [OPTIONS]\n\n";
  for (const Command &command : commands)
    os << llvm::format("  %-10s %s\n", command.name.data(),
                       command.summary.data());
  os << "\ntwist COMMAND --help lists a command's options.\n";
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  std::signal(SIGXFSZ, SIG_IGN); // a full disk or quota is an error like any
  llvm::StringRef name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") {
    printUsage(llvm::outs());
    return 0;
  }
  for (const Command &command : commands) {
    if (name != command.name)
      continue;
    std::string program = "twist " + name.str();
    argv[1] = program.data();
    llvm::cl::ResetCommandLineParser(); // none of LLVM's own options
    return command.run(argc - 1, argv + 1);
  }
  if (!name.empty())
    llvm::errs() << "twist: error: unknown command '" << name << "'\n";
  printUsage(llvm::errs());
  return 1;
}

//===- Run.cpp - twist run and generate -----------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// The options behind the program's name are those of a compiled executable
// (lib/Runtime/RunMain.c).
//
//===----------------------------------------------------------------------===//

#include "Commands.h"

#include "twist/Runtime/Tools.h"
#include "twist/Runtime/twist.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"

/// Loads the program argv[1] and hands the rest to `command`.
static int withProgram(int argc, char **argv, const char *usage,
                       const char *options,
                       int (*command)(const twist_program *, int, char **)) {
  llvm::StringRef name = argc > 1 ? argv[1] : "";
  if (name.empty() || name.starts_with("-")) {
    bool help = name == "--help" || name == "-h";
    (help ? llvm::outs() : llvm::errs()) << "usage: " << usage << "\n"
                                         << options;
    return help ? 0 : 1;
  }
  twist_program *program;
  twist_error error;
  if (twist_program_load(argv[1], 0, &program, &error)) {
    llvm::errs() << "error: " << error.message << "\n";
    return 1;
  }
  int code = command(program, argc - 2, argv + 2);
  twist_program_close(program);
  return code;
}

int twist::tools::runMain(int argc, char **argv) {
  return withProgram(
      argc, argv,
      "twist run NAME --input NAME=FILE.npy ... [--output-dir DIR]",
      twist_run_options, twist_run_main);
}

int twist::tools::generateMain(int argc, char **argv) {
  return withProgram(argc, argv, "twist generate NAME --ids 1,2,3 [--count N]",
                     twist_generate_options, twist_generate_main);
}

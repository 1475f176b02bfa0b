//===- Run.cpp - twist run ------------------------------------------------===//
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

int twist::tools::runMain(int argc, char **argv) {
  llvm::StringRef name = argc > 1 ? argv[1] : "";
  if (name.empty() || name.starts_with("-")) {
    bool help = name == "--help" || name == "-h";
    (help ? llvm::outs() : llvm::errs())
        << "usage: twist run NAME --input NAME=FILE.npy ... [--output-dir "
           "DIR]\n"
        << twist_run_options;
    return help ? 0 : 1;
  }
  twist_program *program;
  twist_error error;
  if (twist_program_load(argv[1], 0, &program, &error)) {
    llvm::errs() << "error: " << error.message << "\n";
    return 1;
  }
  int code = twist_run_main(program, argc - 2, argv + 2);
  twist_program_close(program);
  return code;
}

//===- Run.cpp - twist run ------------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"

int twist::tools::runMain(int argc, char **argv) { return 1; }

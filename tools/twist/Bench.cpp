//===- Bench.cpp - twist bench ------------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"

int twist::tools::benchMain(int argc, char **argv) { return 1; }

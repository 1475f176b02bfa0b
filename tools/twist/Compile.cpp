//===- Compile.cpp - twist compile ------------------------------------------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "Commands.h"

int twist::tools::compileMain(int argc, char **argv) { return 1; }

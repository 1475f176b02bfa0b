//===- DimensionRelations.cpp - How an op relates dimensions --------------===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
//===----------------------------------------------------------------------===//

#include "twist/Interfaces/DimensionRelations.h"

#include "twist/Interfaces/DimensionRelations.cpp.inc"

//===- Commands.h - The subcommands of twist --------------------*- C++ -*-===//
//
// Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
// Exceptions.
//
// A subcommand is one file tools/twist/<Command>.cpp with one function here and
// one row in the table of twist.cpp. It parses its own arguments: `argv[0]` is
// "twist <command>". It returns the process's exit code: 0, or 1 after an error
// that it has printed.
//
//===----------------------------------------------------------------------===//

#ifndef TWIST_TOOLS_TWIST_COMMANDS_H
#define TWIST_TOOLS_TWIST_COMMANDS_H

namespace twist::tools {

int compileMain(int argc, char **argv);
int runMain(int argc, char **argv);
int benchMain(int argc, char **argv);
int generateMain(int argc, char **argv);
int sliceMain(int argc, char **argv);
int inspectMain(int argc, char **argv);
int ticketMain(int argc, char **argv);
int tokenizeMain(int argc, char **argv);
int tokenizerMain(int argc, char **argv);
int trainMain(int argc, char **argv);
int weightsMain(int argc, char **argv);
int evalMain(int argc, char **argv);
int calibrateMain(int argc, char **argv);
int correctMain(int argc, char **argv);
int gradCheckMain(int argc, char **argv);
int dflMain(int argc, char **argv);
int stepMain(int argc, char **argv);
int pruneMain(int argc, char **argv);
int widthsMain(int argc, char **argv);

} // namespace twist::tools

#endif // TWIST_TOOLS_TWIST_COMMANDS_H

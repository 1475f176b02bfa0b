/*===- Output.h - Files that are whole or absent ----------------*- C -*-===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 * A file PATH is written as PATH.twist-tmp and renamed when it is whole. A run
 * that is killed leaves that one file; the next that writes PATH removes it.
 * The writer holds a lock, so that two that run at once don't mix.
 *
 *===----------------------------------------------------------------------===*/

#ifndef TWIST_RUNTIME_OUTPUT_H
#define TWIST_RUNTIME_OUTPUT_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct twist_output {
  int file; /* a descriptor; -1: none is open */
  char *path, *temporary;
} twist_output;

/* Opens the temporary file, empty; `mode` as for open. Returns 0, or errno:
 * EBUSY where another process is writing the same file. */
int twist_output_open(const char *path, unsigned mode, twist_output *output);

/* Closes the file and gives it its name; 0, or errno, then the temporary file
 * is gone. */
int twist_output_keep(twist_output *output);

/* Closes and removes what was not kept; does nothing after keep. */
void twist_output_discard(twist_output *output);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* TWIST_RUNTIME_OUTPUT_H */

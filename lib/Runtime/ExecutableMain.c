/*===- ExecutableMain.c - main of a compiled executable -------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include "Internal.h"
#include "twist/Runtime/Tools.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern const twist_program_table twist_program_table_v;

static void print_tensors(const char *title, size_t count,
                          const twist_tensor_info *infos) {
  for (size_t i = 0; i < count; ++i) {
    printf("%s %s: %s[", title, infos[i].name,
           twist_type_name((twist_type)infos[i].type));
    for (int32_t d = 0; d < infos[i].rank; ++d) {
      printf("%s", d ? ", " : "");
      if (infos[i].dims[d] >= 0)
        printf("%lld", (long long)infos[i].dims[d]);
      else
        printf("%s", *infos[i].symbols[d] ? infos[i].symbols[d] : "?");
    }
    printf("]\n");
  }
}

static int print_help(const char *name) {
  const twist_program_table *table = &twist_program_table_v;
  printf("usage: %s --input NAME=FILE.npy ... [--output-dir DIR]\n%s", name,
         twist_run_options);
  printf("or, with a language model: %s --ids 1,2,3 [--count N]\n%s", name,
         twist_generate_options);
  print_tensors("input ", (size_t)table->input_count, table->inputs);
  print_tensors("output", (size_t)table->output_count, table->outputs);
  return 0;
}

static int asks_for_ids(int argc, char **argv) {
  for (int i = 1; i < argc; ++i)
    if (!strcmp(argv[i], "--ids") || !strncmp(argv[i], "--ids=", 6))
      return 1;
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
    return print_help(argv[0]);
  char path[4096];
  ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 9);
  if (length < 0) {
    fprintf(stderr, "error: cannot tell where this executable lies\n");
    return 1;
  }
  strcpy(path + length, ".weights");
  twist_program *program;
  twist_error error;
  if (twist_program_from_table(&twist_program_table_v, path, 0, &program,
                               &error)) {
    fprintf(stderr, "error: %s\n", error.message);
    return 1;
  }
  int code = asks_for_ids(argc, argv)
                 ? twist_generate_main(program, argc - 1, argv + 1)
                 : twist_run_main(program, argc - 1, argv + 1);
  twist_program_close(program);
  return code;
}

/*===- RunMain.c - The command run ----------------------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#include "Internal.h"
#include "Options.h"
#include "twist/Runtime/Tools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

const char twist_run_options[] =
    "  --input NAME=FILE.npy  an input's values; once for each input\n"
    "  --output-dir DIR       write each output to DIR/NAME.npy\n"
    "  --threads N            threads; 0, the default: one per processor\n"
    "  --json                 print JSON in place of a table\n";

typedef struct {
  const twist_program *program;
  const char *output_dir;
  int threads, json;
  double seconds; /* of the run itself */
  twist_array *inputs, *outputs;
  char **paths; /* of the outputs' files; null where none are written */
} run_state;

/*===----------------------------------------------------------------------===*
 * Arguments
 *===----------------------------------------------------------------------===*/

const char *twist_option_value(const char *name, int argc, char **argv,
                               int *at) {
  const char *argument = argv[*at];
  if (argument[0] != '-')
    return NULL;
  argument += argument[1] == '-' ? 2 : 1;
  size_t length = strlen(name);
  if (strncmp(argument, name, length))
    return NULL;
  if (argument[length] == '=')
    return argument + length + 1;
  if (argument[length] || *at + 1 >= argc)
    return NULL;
  return argv[++*at];
}

int twist_is_flag(const char *name, const char *argument) {
  size_t dashes = strspn(argument, "-");
  return (dashes == 1 || dashes == 2) && !strcmp(argument + dashes, name);
}

double twist_seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static twist_status check_input(const twist_tensor_info *info,
                                twist_array *array, const char *path,
                                twist_error *error) {
  int same = array->type == (twist_type)info->type ||
             (info->type == TWIST_BF16 && array->type == TWIST_U16);
  if (!same)
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "input '%s' takes %s, '%s' holds %s", info->name,
                      twist_type_name((twist_type)info->type), path,
                      twist_type_name(array->type));
  array->type = (twist_type)info->type;
  if (array->rank != info->rank)
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "input '%s' takes %d dimensions, '%s' has %d", info->name,
                      info->rank, path, array->rank);
  return TWIST_OK;
}

/* NAME=FILE.npy */
static twist_status read_input(run_state *run, const char *value,
                               twist_error *error) {
  const char *path = strrchr(value, '=');
  for (size_t i = 0; path && i < twist_program_input_count(run->program); ++i) {
    const twist_tensor_info *info = twist_program_input(run->program, i);
    size_t length = strlen(info->name);
    if (strncmp(info->name, value, length) || value[length] != '=')
      continue;
    if (run->inputs[i].data)
      return twist_fail(error, TWIST_ERROR_ARGUMENT,
                        "input '%s' is given twice", info->name);
    twist_status status =
        twist_npy_read(value + length + 1, &run->inputs[i], error);
    return status
               ? status
               : check_input(info, &run->inputs[i], value + length + 1, error);
  }
  return twist_fail(error, TWIST_ERROR_ARGUMENT,
                    "'--input %s' names no input of the program", value);
}

static twist_status parse(run_state *run, int argc, char **argv,
                          twist_error *error) {
  for (int i = 0; i < argc; ++i) {
    const char *value;
    twist_status status = TWIST_OK;
    if ((value = twist_option_value("input", argc, argv, &i))) {
      status = read_input(run, value, error);
    } else if ((value = twist_option_value("output-dir", argc, argv, &i))) {
      run->output_dir = value;
    } else if ((value = twist_option_value("threads", argc, argv, &i))) {
      char *end;
      run->threads = (int)strtol(value, &end, 10);
      if (*end || end == value)
        status = twist_fail(error, TWIST_ERROR_ARGUMENT,
                            "'%s' is no number of threads", value);
    } else if (twist_is_flag("json", argv[i])) {
      run->json = 1;
    } else {
      status = twist_fail(error, TWIST_ERROR_ARGUMENT, "unknown argument '%s'",
                          argv[i]);
    }
    if (status)
      return status;
  }
  for (size_t i = 0; i < twist_program_input_count(run->program); ++i)
    if (!run->inputs[i].data)
      return twist_fail(error, TWIST_ERROR_ARGUMENT,
                        "input '%s' is missing: --input %s=FILE.npy",
                        twist_program_input(run->program, i)->name,
                        twist_program_input(run->program, i)->name);
  return TWIST_OK;
}

/*===----------------------------------------------------------------------===*
 * Running
 *===----------------------------------------------------------------------===*/

/* Gives the outputs their sizes and memory. */
static twist_status shape_outputs(run_state *run, twist_error *error) {
  size_t inputs = twist_program_input_count(run->program);
  size_t outputs = twist_program_output_count(run->program);
  const int64_t **from = calloc(inputs + 1, sizeof(*from));
  int64_t **to = calloc(outputs + 1, sizeof(*to));
  twist_status status =
      from && to ? TWIST_OK
                 : twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  for (size_t i = 0; !status && i < inputs; ++i)
    from[i] = run->inputs[i].dims;
  for (size_t i = 0; !status && i < outputs; ++i) {
    const twist_tensor_info *info = twist_program_output(run->program, i);
    run->outputs[i].type = (twist_type)info->type;
    run->outputs[i].rank = info->rank;
    to[i] = run->outputs[i].dims;
  }
  if (!status)
    status = twist_program_output_dims(run->program, from, to, error);
  for (size_t i = 0; !status && i < outputs; ++i)
    status = twist_array_allocate(&run->outputs[i], error);
  free(from);
  free(to);
  return status;
}

static twist_buffer buffer_of(const twist_array *array) {
  return (twist_buffer){array->data, array->bytes, array->dims};
}

static twist_status run_once(run_state *run, twist_error *error) {
  size_t inputs = twist_program_input_count(run->program);
  size_t outputs = twist_program_output_count(run->program);
  twist_buffer *buffers = calloc(inputs + outputs + 1, sizeof(*buffers));
  twist_session *session = NULL;
  twist_status status =
      buffers
          ? twist_session_create(run->program, run->threads, &session, error)
          : twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  for (size_t i = 0; !status && i < inputs; ++i)
    buffers[i] = buffer_of(&run->inputs[i]);
  for (size_t i = 0; !status && i < outputs; ++i)
    buffers[inputs + i] = buffer_of(&run->outputs[i]);
  run->seconds = twist_seconds_now();
  if (!status)
    status = twist_session_run(session, buffers, buffers + inputs, error);
  run->seconds = twist_seconds_now() - run->seconds;
  if (!status)
    run->threads = twist_session_threads(session);
  twist_session_close(session);
  free(buffers);
  return status;
}

/*===----------------------------------------------------------------------===*
 * Outputs
 *===----------------------------------------------------------------------===*/

/* DIR/NAME.npy, to be freed; a '/' in a name becomes '_'. */
static char *output_path(const char *dir, const char *name) {
  size_t length = strlen(dir);
  char *path = malloc(length + strlen(name) + 6);
  if (!path)
    return NULL;
  sprintf(path, "%s/%s.npy", dir, name);
  for (char *at = path + length + 1; *at; ++at)
    if (*at == '/')
      *at = '_';
  return path;
}

static void print_dims(const twist_array *array) {
  printf("[");
  for (int32_t d = 0; d < array->rank; ++d)
    printf("%s%lld", d ? ", " : "", (long long)array->dims[d]);
  printf("]");
}

/* A line of the table; names fill `width`. */
static void print_line(const char *name, int width, const twist_array *array,
                       const char *path) {
  printf("%s:%*s %s", name, width - (int)strlen(name), "",
         twist_type_name(array->type));
  print_dims(array);
  if (path)
    printf("  %s", path);
  printf("\n");
}

static void print_string(const char *text) {
  putchar('"');
  for (; *text; ++text)
    if (*text == '"' || *text == '\\')
      printf("\\%c", *text);
    else if ((unsigned char)*text < ' ')
      printf("\\u%04x", *text);
    else
      putchar(*text);
  putchar('"');
}

static void print_json(const char *name, const twist_array *array,
                       const char *path, int follows) {
  printf("%s\n    {\"name\": ", follows ? "," : "");
  print_string(name);
  printf(", \"type\": \"%s\", \"dims\": ", twist_type_name(array->type));
  print_dims(array);
  if (path) {
    printf(", \"file\": ");
    print_string(path);
  }
  printf("}");
}

static twist_status write_outputs(run_state *run, twist_error *error) {
  if (!run->output_dir)
    return TWIST_OK;
  if (mkdir(run->output_dir, 0777) && errno != EEXIST)
    return twist_fail(error, TWIST_ERROR_FILE, "cannot create '%s': %s",
                      run->output_dir, strerror(errno));
  size_t outputs = twist_program_output_count(run->program);
  twist_status status = TWIST_OK;
  for (size_t i = 0; !status && i < outputs; ++i) {
    run->paths[i] = output_path(run->output_dir,
                                twist_program_output(run->program, i)->name);
    status = run->paths[i]
                 ? twist_npy_write(run->paths[i], &run->outputs[i], error)
                 : twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  }
  return status;
}

static void print_outputs(const run_state *run) {
  size_t outputs = twist_program_output_count(run->program), width = 0;
  for (size_t i = 0; i < outputs; ++i) {
    size_t length = strlen(twist_program_output(run->program, i)->name);
    width = length > width ? length : width;
  }
  if (run->json)
    printf("{\n  \"outputs\": [");
  for (size_t i = 0; i < outputs; ++i) {
    const char *name = twist_program_output(run->program, i)->name;
    if (run->json)
      print_json(name, &run->outputs[i], run->paths[i], i > 0);
    else
      print_line(name, (int)width, &run->outputs[i], run->paths[i]);
  }
  printf(run->json ? "\n  ],\n  \"seconds\": %g,\n  \"threads\": %d\n}\n"
                   : "ran in %g s with %d threads\n",
         run->seconds, run->threads);
}

int twist_run_main(const twist_program *program, int argc, char **argv) {
  size_t inputs = twist_program_input_count(program);
  size_t outputs = twist_program_output_count(program);
  twist_array *arrays = calloc(inputs + outputs + 1, sizeof(*arrays));
  char **paths = calloc(outputs + 1, sizeof(*paths));
  twist_error error = {"out of memory"};
  twist_status status = arrays && paths ? TWIST_OK : TWIST_ERROR_MEMORY;
  run_state run = {.program = program,
                   .inputs = arrays,
                   .outputs = arrays + inputs,
                   .paths = paths};
  if (!status)
    status = parse(&run, argc, argv, &error);
  if (!status)
    status = shape_outputs(&run, &error);
  if (!status)
    status = run_once(&run, &error);
  if (!status)
    status = write_outputs(&run, &error);
  if (!status)
    print_outputs(&run);
  else
    fprintf(stderr, "error: %s\n", error.message);
  for (size_t i = 0; arrays && i < inputs + outputs; ++i)
    twist_array_free(&arrays[i]);
  for (size_t i = 0; paths && i < outputs; ++i)
    free(paths[i]);
  free(arrays);
  free(paths);
  return status ? 1 : 0;
}

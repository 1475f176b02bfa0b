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

const char twist_run_options[] =
    "  --input NAME=FILE.npy  an input's values; once for each input\n"
    "  --output-dir DIR       write each output to DIR/NAME.npy\n"
    "  --threads N            threads; 0, the default: one per processor\n";

typedef struct {
  const twist_program *program;
  const char *output_dir;
  int threads;
  twist_array *inputs, *outputs;
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
  if (!status)
    status = twist_session_run(session, buffers, buffers + inputs, error);
  twist_session_close(session);
  free(buffers);
  return status;
}

/*===----------------------------------------------------------------------===*
 * Outputs
 *===----------------------------------------------------------------------===*/

static void print_output(const char *name, const twist_array *array) {
  printf("%s: %s[", name, twist_type_name(array->type));
  for (int32_t d = 0; d < array->rank; ++d)
    printf("%s%lld", d ? ", " : "", (long long)array->dims[d]);
  printf("]\n");
}

/* DIR/NAME.npy; a '/' in a name becomes '_'. */
static twist_status write_output(const char *dir, const char *name,
                                 const twist_array *array, twist_error *error) {
  size_t length = strlen(dir);
  char *path = malloc(length + strlen(name) + 6);
  if (!path)
    return twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  sprintf(path, "%s/%s.npy", dir, name);
  for (char *at = path + length + 1; *at; ++at)
    if (*at == '/')
      *at = '_';
  twist_status status = twist_npy_write(path, array, error);
  free(path);
  return status;
}

static twist_status write_outputs(run_state *run, twist_error *error) {
  if (run->output_dir && mkdir(run->output_dir, 0777) && errno != EEXIST)
    return twist_fail(error, TWIST_ERROR_FILE, "cannot create '%s': %s",
                      run->output_dir, strerror(errno));
  for (size_t i = 0; i < twist_program_output_count(run->program); ++i) {
    const char *name = twist_program_output(run->program, i)->name;
    print_output(name, &run->outputs[i]);
    twist_status status =
        run->output_dir
            ? write_output(run->output_dir, name, &run->outputs[i], error)
            : TWIST_OK;
    if (status)
      return status;
  }
  return TWIST_OK;
}

int twist_run_main(const twist_program *program, int argc, char **argv) {
  size_t inputs = twist_program_input_count(program);
  size_t outputs = twist_program_output_count(program);
  twist_array *arrays = calloc(inputs + outputs + 1, sizeof(*arrays));
  twist_error error = {"out of memory"};
  twist_status status = arrays ? TWIST_OK : TWIST_ERROR_MEMORY;
  run_state run = {program, NULL, 0, arrays, arrays + inputs};
  if (!status)
    status = parse(&run, argc, argv, &error);
  if (!status)
    status = shape_outputs(&run, &error);
  if (!status)
    status = run_once(&run, &error);
  if (!status)
    status = write_outputs(&run, &error);
  if (status)
    fprintf(stderr, "error: %s\n", error.message);
  for (size_t i = 0; arrays && i < inputs + outputs; ++i)
    twist_array_free(&arrays[i]);
  free(arrays);
  return status ? 1 : 0;
}

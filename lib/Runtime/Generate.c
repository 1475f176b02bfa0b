/*===- Generate.c - The command generate ----------------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 * Greedy decoding with a language model. What its inputs and outputs are for is
 * told by their types and shapes: states are floats that come out as they went
 * in, but for one size; logits the float output that is no state; token ids the
 * one integer input. Where that leaves a choice, the caller has to name it.
 *
 *===----------------------------------------------------------------------===*/

#include "Internal.h"
#include "Options.h"
#include "twist/Runtime/Tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char twist_generate_options[] =
    "  --ids 1,2,3            the prompt's token ids\n"
    "  --count N              how many ids to make (default 16)\n"
    "  --threads N            threads; 0, the default: one per processor\n"
    "  --ids-input NAME       which input takes the ids\n"
    "  --positions NAME       which input takes positions, counted from 0\n"
    "  --mask NAME            which input takes a mask: ones, past and new\n"
    "  --logits NAME          which output holds the logits\n"
    "  --state INPUT=OUTPUT   an output that is the next step's input\n"
    "  --json                 print JSON in place of the ids alone\n";

enum { MAX_TENSORS = 1024 };

typedef struct {
  const twist_program *program;
  /* Indices of inputs and outputs; -1: none. */
  int ids, positions, mask, logits;
  int state_of[MAX_TENSORS]; /* for an input: the output that follows it */
  /* The dimension of a state that grows by the new tokens; -1: none does. */
  int growing[MAX_TENSORS];
  int64_t *tokens; /* prompt and what was made */
  int64_t token_count, prompt_count, count;
  int threads, json;
  void (*tell)(void *context, int64_t id);
  void *context;
  twist_session *session;
  twist_buffer *buffers;
  /* dims of every input and output, one after the other */
  int64_t (*dims)[TWIST_MAX_RANK];
  const int64_t **in_dims;
  int64_t **out_dims;
} generator;

static int is_integer(const twist_tensor_info *info) {
  return info->type == TWIST_I64 || info->type == TWIST_I32;
}

static int is_float(const twist_tensor_info *info) {
  return info->type >= TWIST_F64 && info->type <= TWIST_BF16;
}

static int find_input(const twist_program *program, const char *name) {
  for (size_t i = 0; i < twist_program_input_count(program); ++i)
    if (!strcmp(twist_program_input(program, i)->name, name))
      return (int)i;
  return -1;
}

static int find_output(const twist_program *program, const char *name) {
  for (size_t i = 0; i < twist_program_output_count(program); ++i)
    if (!strcmp(twist_program_output(program, i)->name, name))
      return (int)i;
  return -1;
}

/*===----------------------------------------------------------------------===*
 * Arguments
 *===----------------------------------------------------------------------===*/

static twist_status parse_ids(generator *g, const char *text,
                              twist_error *error) {
  size_t capacity = strlen(text) / 2 + 1;
  free(g->tokens);
  g->tokens = calloc(capacity, sizeof(int64_t));
  g->token_count = 0;
  if (!g->tokens)
    return twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  for (const char *at = text;;) {
    char *end;
    long long id = strtoll(at, &end, 10);
    if (end == at || id < 0 || (*end && *end != ','))
      return twist_fail(error, TWIST_ERROR_ARGUMENT,
                        "'--ids %s' is no list of token ids", text);
    g->tokens[g->token_count++] = id;
    if (!*end)
      return TWIST_OK;
    at = end + 1;
  }
}

static twist_status parse_state(generator *g, const char *text,
                                twist_error *error) {
  const char *split = strchr(text, '=');
  for (size_t i = 0; split && i < twist_program_input_count(g->program); ++i) {
    const char *name = twist_program_input(g->program, i)->name;
    if (strlen(name) != (size_t)(split - text) ||
        strncmp(name, text, strlen(name)))
      continue;
    g->state_of[i] = find_output(g->program, split + 1);
    if (g->state_of[i] >= 0)
      return TWIST_OK;
  }
  return twist_fail(error, TWIST_ERROR_ARGUMENT,
                    "'--state %s' is not INPUT=OUTPUT of the program", text);
}

static twist_status parse_number(const char *text, int64_t least,
                                 int64_t *number, twist_error *error) {
  char *end;
  *number = strtoll(text, &end, 10);
  if (end == text || *end || *number < least)
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "'%s' is no number from %lld on", text, (long long)least);
  return TWIST_OK;
}

static twist_status parse_name(int found, int *to, const char *name,
                               twist_error *error) {
  *to = found;
  return found >= 0 ? TWIST_OK
                    : twist_fail(error, TWIST_ERROR_ARGUMENT,
                                 "the program has no '%s'", name);
}

static twist_status parse_option(generator *g, int argc, char **argv, int *i,
                                 twist_error *error) {
  const char *value;
  if ((value = twist_option_value("ids", argc, argv, i)))
    return parse_ids(g, value, error);
  if ((value = twist_option_value("count", argc, argv, i)))
    return parse_number(value, 1, &g->count, error);
  if ((value = twist_option_value("threads", argc, argv, i))) {
    int64_t threads;
    twist_status status = parse_number(value, 0, &threads, error);
    g->threads = threads > 1024 ? 1025 : (int)threads;
    return status;
  }
  if ((value = twist_option_value("state", argc, argv, i)))
    return parse_state(g, value, error);
  if ((value = twist_option_value("ids-input", argc, argv, i)))
    return parse_name(find_input(g->program, value), &g->ids, value, error);
  if ((value = twist_option_value("positions", argc, argv, i)))
    return parse_name(find_input(g->program, value), &g->positions, value,
                      error);
  if ((value = twist_option_value("mask", argc, argv, i)))
    return parse_name(find_input(g->program, value), &g->mask, value, error);
  if ((value = twist_option_value("logits", argc, argv, i)))
    return parse_name(find_output(g->program, value), &g->logits, value, error);
  if (twist_is_flag("json", argv[*i])) {
    g->json = 1;
    return TWIST_OK;
  }
  return twist_fail(error, TWIST_ERROR_ARGUMENT, "unknown argument '%s'",
                    argv[*i]);
}

/*===----------------------------------------------------------------------===*
 * What the inputs and outputs are for
 *===----------------------------------------------------------------------===*/

/* Whether an output may follow an input: sizes agree, but for one open one. */
static int follows(const twist_tensor_info *in, const twist_tensor_info *out) {
  if (in->type != out->type || in->rank != out->rank || in->rank < 2)
    return 0;
  for (int32_t d = 0; d < in->rank; ++d)
    if (in->dims[d] != out->dims[d])
      return 0;
  return 1;
}

static int is_state_output(const generator *g, int output) {
  for (size_t i = 0; i < twist_program_input_count(g->program); ++i)
    if (g->state_of[i] == output)
      return 1;
  return 0;
}

/* Float inputs in order, each with the next float output that fits. */
static twist_status find_states(generator *g, twist_error *error) {
  int next = 0;
  for (size_t i = 0; i < twist_program_input_count(g->program); ++i) {
    const twist_tensor_info *in = twist_program_input(g->program, i);
    if (!is_float(in) || g->state_of[i] >= 0 || (int)i == g->mask)
      continue;
    int outputs = (int)twist_program_output_count(g->program);
    while (next < outputs &&
           (is_state_output(g, next) || next == g->logits ||
            !follows(in, twist_program_output(g->program, (size_t)next))))
      ++next;
    if (next == outputs)
      return twist_fail(error, TWIST_ERROR_ARGUMENT,
                        "no output follows input '%s': --state %s=OUTPUT",
                        in->name, in->name);
    g->state_of[i] = next++;
  }
  return TWIST_OK;
}

/* The last open size behind the first dimension whose symbol changes. */
static void find_growing(generator *g) {
  for (size_t i = 0; i < twist_program_input_count(g->program); ++i) {
    g->growing[i] = -1;
    if (g->state_of[i] < 0)
      continue;
    const twist_tensor_info *in = twist_program_input(g->program, i);
    const twist_tensor_info *out =
        twist_program_output(g->program, (size_t)g->state_of[i]);
    for (int32_t d = 1; d < in->rank; ++d)
      if (in->dims[d] < 0 && strcmp(in->symbols[d], out->symbols[d]))
        g->growing[i] = d;
  }
}

static twist_status find_logits(generator *g, twist_error *error) {
  if (g->logits >= 0)
    return TWIST_OK;
  for (size_t i = 0; i < twist_program_output_count(g->program); ++i) {
    const twist_tensor_info *info = twist_program_output(g->program, i);
    if (!is_float(info) || info->rank < 2 || is_state_output(g, (int)i))
      continue;
    if (g->logits >= 0)
      return twist_fail(
          error, TWIST_ERROR_ARGUMENT,
          "outputs '%s' and '%s' may be the logits: --logits NAME",
          twist_program_output(g->program, (size_t)g->logits)->name,
          info->name);
    g->logits = (int)i;
  }
  return g->logits >= 0 ? TWIST_OK
                        : twist_fail(error, TWIST_ERROR_ARGUMENT,
                                     "no output can be logits");
}

static twist_status find_ids(generator *g, twist_error *error) {
  for (size_t i = 0; i < twist_program_input_count(g->program); ++i) {
    const twist_tensor_info *info = twist_program_input(g->program, i);
    if (g->state_of[i] >= 0 || (int)i == g->positions || (int)i == g->mask)
      continue;
    if (!is_integer(info) || info->rank < 1 || info->rank > 2)
      return twist_fail(error, TWIST_ERROR_ARGUMENT,
                        "what input '%s' is for cannot be told", info->name);
    if (g->ids == (int)i)
      continue;
    if (g->ids >= 0)
      return twist_fail(error, TWIST_ERROR_ARGUMENT,
                        "inputs '%s' and '%s' may take the ids: --ids-input, "
                        "--positions, --mask NAME",
                        twist_program_input(g->program, (size_t)g->ids)->name,
                        info->name);
    g->ids = (int)i;
  }
  return g->ids >= 0 ? TWIST_OK
                     : twist_fail(error, TWIST_ERROR_ARGUMENT,
                                  "no input takes token ids");
}

static twist_status check_logits(const generator *g, twist_error *error) {
  const twist_tensor_info *info =
      twist_program_output(g->program, (size_t)g->logits);
  if (!is_float(info))
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "logits '%s' are %s, no floating-point numbers",
                      info->name, twist_type_name((twist_type)info->type));
  return TWIST_OK;
}

/*===----------------------------------------------------------------------===*
 * Steps
 *===----------------------------------------------------------------------===*/

/* Sizes of all inputs for `fresh` tokens behind `past` ones. Open sizes that
 * are neither are the batch: 1. */
static void shape_inputs(generator *g, int64_t past, int64_t fresh) {
  for (size_t i = 0; i < twist_program_input_count(g->program); ++i) {
    const twist_tensor_info *info = twist_program_input(g->program, i);
    for (int32_t d = 0; d < info->rank; ++d)
      g->dims[i][d] = info->dims[d] < 0 ? 1 : info->dims[d];
    int32_t last = info->rank - 1;
    if (g->growing[i] >= 0)
      g->dims[i][g->growing[i]] = past;
    else if (g->state_of[i] < 0 && info->dims[last] < 0)
      g->dims[i][last] = (int)i == g->mask ? past + fresh : fresh;
  }
}

static void fill_inputs(generator *g, int64_t past, int64_t fresh) {
  int roles[3] = {g->ids, g->positions, g->mask};
  for (int role = 0; role < 3; ++role) {
    int i = roles[role];
    if (i < 0)
      continue;
    const twist_tensor_info *info = twist_program_input(g->program, (size_t)i);
    int64_t count = g->dims[i][info->rank - 1];
    for (int64_t k = 0; k < count; ++k)
      twist_store_integer(g->buffers[i].data, (twist_type)info->type, k,
                          role == 2   ? 1
                          : role == 1 ? past + k
                          : k < fresh ? g->tokens[past + k]
                                      : 0);
  }
}

/* Grows a buffer to what these sizes take; its old contents stay. */
static twist_status reserve(twist_buffer *buffer, const twist_tensor_info *info,
                            const int64_t *dims, twist_error *error) {
  int64_t count = twist_element_count(dims, info->rank);
  uint64_t bytes =
      count < 0 ? 0 : (uint64_t)count * twist_type_size((twist_type)info->type);
  buffer->dims = dims;
  if (buffer->data && bytes <= buffer->bytes)
    return TWIST_OK;
  uint64_t capacity = bytes + bytes / 2 + 64;
  void *data = realloc(buffer->data, capacity);
  if (!data || count < 0)
    return twist_fail(error, TWIST_ERROR_MEMORY, "no memory for '%s'",
                      info->name);
  buffer->data = data;
  buffer->bytes = capacity;
  return TWIST_OK;
}

static twist_status reserve_all(generator *g, twist_error *error) {
  size_t inputs = twist_program_input_count(g->program);
  twist_status status =
      twist_program_output_dims(g->program, g->in_dims, g->out_dims, error);
  for (size_t i = 0; !status && i < inputs; ++i)
    status = reserve(&g->buffers[i], twist_program_input(g->program, i),
                     g->dims[i], error);
  for (size_t i = 0; !status && i < twist_program_output_count(g->program); ++i)
    status =
        reserve(&g->buffers[inputs + i], twist_program_output(g->program, i),
                g->dims[inputs + i], error);
  return status;
}

/* The id with the largest logit of the last row. */
static int64_t best_id(const generator *g) {
  size_t inputs = twist_program_input_count(g->program);
  const twist_tensor_info *info =
      twist_program_output(g->program, (size_t)g->logits);
  const int64_t *dims = g->dims[inputs + (size_t)g->logits];
  const void *data = g->buffers[inputs + (size_t)g->logits].data;
  int64_t width = dims[info->rank - 1], best = 0;
  int64_t first = twist_element_count(dims, info->rank) - width;
  twist_type type = (twist_type)info->type;
  for (int64_t i = 1; i < width; ++i)
    if (twist_load_float(data, type, first + i) >
        twist_load_float(data, type, first + best))
      best = i;
  return best;
}

/* One run: `fresh` tokens behind `past` ones; the states move on. */
static twist_status step(generator *g, int64_t past, int64_t fresh,
                         twist_error *error) {
  size_t inputs = twist_program_input_count(g->program);
  shape_inputs(g, past, fresh);
  const twist_tensor_info *ids =
      twist_program_input(g->program, (size_t)g->ids);
  if (g->dims[g->ids][ids->rank - 1] != fresh)
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "the program takes %lld ids at once, not %lld",
                      (long long)g->dims[g->ids][ids->rank - 1],
                      (long long)fresh);
  twist_status status = reserve_all(g, error);
  if (status)
    return status;
  fill_inputs(g, past, fresh);
  status =
      twist_session_run(g->session, g->buffers, g->buffers + inputs, error);
  if (status)
    return status;
  g->tokens[g->token_count++] = best_id(g);
  for (size_t i = 0; i < inputs; ++i)
    if (g->state_of[i] >= 0) {
      twist_buffer *out = &g->buffers[inputs + (size_t)g->state_of[i]];
      twist_buffer in = g->buffers[i];
      g->buffers[i] = *out;
      *out = in;
    }
  return TWIST_OK;
}

static void print_ids(const int64_t *ids, int64_t count) {
  printf("[");
  for (int64_t i = 0; i < count; ++i)
    printf("%s%lld", i ? ", " : "", (long long)ids[i]);
  printf("]");
}

static void print_json(const generator *g, double seconds) {
  printf("{\n  \"prompt\": ");
  print_ids(g->tokens, g->prompt_count);
  printf(",\n  \"ids\": ");
  print_ids(g->tokens + g->prompt_count, g->count);
  printf(",\n  \"seconds\": %g,\n  \"threads\": %d\n}\n", seconds,
         twist_session_threads(g->session));
}

static twist_status decode(generator *g, twist_error *error) {
  int has_state = 0;
  for (size_t i = 0; i < twist_program_input_count(g->program); ++i)
    has_state |= g->state_of[i] >= 0;
  int64_t *tokens =
      realloc(g->tokens, (size_t)(g->token_count + g->count) * sizeof(int64_t));
  if (!tokens)
    return twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  g->tokens = tokens;
  g->prompt_count = g->token_count;
  int64_t past = 0;
  double start = twist_seconds_now();
  for (int64_t made = 0; made < g->count; ++made) {
    int64_t known = g->token_count;
    twist_status status = step(g, past, known - past, error);
    if (status)
      return status;
    if (has_state)
      past = known;
    if (!g->json)
      g->tell(g->context, g->tokens[known]);
  }
  double seconds = twist_seconds_now() - start;
  if (g->json)
    print_json(g, seconds);
  return TWIST_OK;
}

/*===----------------------------------------------------------------------===*
 * The command
 *===----------------------------------------------------------------------===*/

static twist_status allocate(generator *g, twist_error *error) {
  size_t inputs = twist_program_input_count(g->program);
  size_t all = inputs + twist_program_output_count(g->program);
  if (all > MAX_TENSORS)
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "the program has more than %d inputs and outputs",
                      MAX_TENSORS);
  g->buffers = calloc(all + 1, sizeof(*g->buffers));
  g->dims = calloc(all + 1, sizeof(*g->dims));
  g->in_dims = calloc(all + 1, sizeof(*g->in_dims));
  g->out_dims = calloc(all + 1, sizeof(*g->out_dims));
  if (!g->buffers || !g->dims || !g->in_dims || !g->out_dims)
    return twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  for (size_t i = 0; i < inputs; ++i)
    g->in_dims[i] = g->dims[i];
  for (size_t i = inputs; i < all; ++i)
    g->out_dims[i - inputs] = g->dims[i];
  return TWIST_OK;
}

static void release(generator *g) {
  size_t all = twist_program_input_count(g->program) +
               twist_program_output_count(g->program);
  for (size_t i = 0; g->buffers && i < all; ++i)
    free(g->buffers[i].data);
  twist_session_close(g->session);
  free(g->buffers);
  free(g->dims);
  free(g->in_dims);
  free(g->out_dims);
  free(g->tokens);
  free(g);
}

static twist_status find_roles(generator *g, twist_error *error) {
  twist_status status = find_states(g, error);
  if (!status)
    status = find_logits(g, error);
  if (!status)
    status = find_ids(g, error);
  if (!status)
    status = check_logits(g, error);
  if (!status)
    find_growing(g);
  return status;
}

int twist_generate_tell(const twist_program *program, int argc, char **argv,
                        void (*tell)(void *context, int64_t id),
                        void *context) {
  twist_error error = {"out of memory"};
  generator *g = calloc(1, sizeof(*g));
  if (!g) {
    fprintf(stderr, "error: %s\n", error.message);
    return 1;
  }
  g->program = program;
  g->tell = tell;
  g->context = context;
  g->ids = g->positions = g->mask = g->logits = -1;
  g->count = 16;
  memset(g->state_of, -1, sizeof(g->state_of));
  twist_status status = allocate(g, &error);
  for (int i = 0; !status && i < argc; ++i)
    status = parse_option(g, argc, argv, &i, &error);
  if (!status && !g->token_count)
    status = twist_fail(&error, TWIST_ERROR_ARGUMENT, "no prompt: --ids 1,2,3");
  if (!status)
    status = find_roles(g, &error);
  if (!status)
    status = twist_session_create(program, g->threads, &g->session, &error);
  if (!status)
    status = decode(g, &error);
  if (status)
    fprintf(stderr, "error: %s\n", error.message);
  release(g);
  return status ? 1 : 0;
}

static void print_id(void *printed, int64_t id) {
  printf("%s%lld", *(int *)printed ? " " : "", (long long)id);
  fflush(stdout);
  *(int *)printed = 1;
}

int twist_generate_main(const twist_program *program, int argc, char **argv) {
  int printed = 0;
  int code = twist_generate_tell(program, argc, argv, print_id, &printed);
  if (printed)
    printf("\n");
  return code;
}

/*===- Session.c - Working memory, threads, runs --------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include "Internal.h"
#include "Shapes.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

typedef struct {
  double seconds;
  uint64_t calls;
} site_time;

struct twist_session {
  twist_launcher launcher; /* first: compiled code passes it back */
  const twist_program *program;
  twist_pool *pool;
  /* The sizes of the last run: `dims` those of inputs and outputs as the
   * program takes them, `given` where a new run's are checked. */
  int64_t *dims, *given;
  int has_shape;
  void **buffers;
  const int64_t **input_dims;
  void *arena;
  size_t arena_bytes; /* mapped */
  site_time *times;   /* null while not profiling */
  int64_t violated;   /* the first check of a run that did not hold, or -1 */
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void launch(twist_launcher *self, void (*fn)(void *, int64_t),
                   void *context, int64_t n, int64_t site) {
  twist_session *session = (twist_session *)self;
  if (!session->times) {
    twist_pool_run(session->pool, fn, context, n);
    return;
  }
  double start = now();
  twist_pool_run(session->pool, fn, context, n);
  session->times[site].seconds += now() - start;
  ++session->times[site].calls;
}

static void require(twist_launcher *self, int64_t holds, int64_t check) {
  twist_session *session = (twist_session *)self;
  if (!holds && session->violated < 0)
    session->violated = check;
}

void twist_parallel(twist_session *session, void (*fn)(void *, int64_t),
                    void *context, int64_t n) {
  twist_pool_run(session->pool, fn, context, n);
}

static int usable_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set))
    return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

twist_status twist_session_create(const twist_program *program, int threads,
                                  twist_session **result, twist_error *error) {
  *result = NULL;
  if (threads < 0 || threads > 1024)
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "%d threads: give 0 (one per processor) to 1024",
                      threads);
  twist_session *session = calloc(1, sizeof(*session));
  if (!session)
    return twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  const twist_program_table *table = program->table;
  size_t dims = program->input_dim_count + program->output_dim_count;
  session->launcher.parallel = launch;
  session->launcher.require = require;
  session->program = program;
  session->dims = calloc(dims + 1, sizeof(int64_t));
  session->given = calloc(dims + 1, sizeof(int64_t));
  session->buffers =
      calloc(table->input_count + table->output_count + 1, sizeof(void *));
  session->input_dims = calloc(table->input_count + 1, sizeof(int64_t *));
  session->pool = twist_pool_create(threads ? threads : usable_processors());
  if (session->dims && session->given && session->buffers &&
      session->input_dims && session->pool) {
    *result = session;
    return TWIST_OK;
  }
  twist_session_close(session);
  return twist_fail(error, TWIST_ERROR_MEMORY,
                    "cannot create a session with %d threads: out of memory or "
                    "threads",
                    threads);
}

void twist_session_close(twist_session *session) {
  if (!session)
    return;
  if (session->arena)
    munmap(session->arena, session->arena_bytes);
  if (session->pool)
    twist_pool_destroy(session->pool);
  free(session->times);
  free(session->input_dims);
  free(session->buffers);
  free(session->given);
  free(session->dims);
  free(session);
}

int twist_session_threads(const twist_session *session) {
  return twist_pool_threads(session->pool);
}

/* Working memory grows to the largest shape seen and is kept. */
static twist_status grow_arena(twist_session *session, uint64_t bytes,
                               twist_error *error) {
  if (bytes <= session->arena_bytes)
    return TWIST_OK;
  const uint64_t page = UINT64_C(2) << 20;
  if (bytes > UINT64_C(1) << 62)
    return twist_fail(error, TWIST_ERROR_MEMORY,
                      "these sizes ask for %llu bytes of working memory",
                      (unsigned long long)bytes);
  if (session->arena)
    munmap(session->arena, session->arena_bytes);
  session->arena = NULL;
  session->arena_bytes = 0;
  size_t mapped = (size_t)((bytes + page - 1) / page * page);
  void *arena = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (arena == MAP_FAILED)
    return twist_fail(error, TWIST_ERROR_MEMORY,
                      "no memory for %llu bytes of working memory",
                      (unsigned long long)bytes);
  madvise(arena, mapped, MADV_HUGEPAGE); /* best effort */
  session->arena = arena;
  session->arena_bytes = mapped;
  return TWIST_OK;
}

/* Takes over the inputs' sizes; those of the last run cost a comparison. */
static twist_status set_shape(twist_session *session,
                              const twist_buffer *inputs, twist_error *error) {
  const twist_program *program = session->program;
  size_t count = program->input_dim_count;
  for (size_t i = 0; i < program->table->input_count; ++i)
    session->input_dims[i] = inputs[i].dims;
  twist_status status =
      twist_flatten_dims(program, session->input_dims, session->given, error);
  if (status || (session->has_shape && !memcmp(session->given, session->dims,
                                               count * sizeof(int64_t))))
    return status;
  session->has_shape = 0;
  memcpy(session->dims, session->given, count * sizeof(int64_t));
  status =
      twist_shape_outputs(program, session->dims, session->dims + count, error);
  if (!status)
    status =
        grow_arena(session, program->table->arena_bytes(session->dims), error);
  session->has_shape = !status;
  return status;
}

static twist_status check_buffer(const char *what,
                                 const twist_tensor_info *info,
                                 const int64_t *dims,
                                 const twist_buffer *buffer,
                                 twist_error *error) {
  uint64_t size = twist_type_size((twist_type)info->type);
  uint64_t bytes = (uint64_t)twist_element_count(dims, info->rank) * size;
  if (buffer->bytes < bytes)
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "the buffer of %s '%s' has %llu bytes, %llu are needed",
                      what, info->name, (unsigned long long)buffer->bytes,
                      (unsigned long long)bytes);
  if (bytes && (!buffer->data || (uintptr_t)buffer->data % size))
    return twist_fail(error, TWIST_ERROR_ARGUMENT,
                      "the buffer of %s '%s' is %s", what, info->name,
                      buffer->data ? "not aligned to its elements" : "null");
  return TWIST_OK;
}

static twist_status set_buffers(twist_session *session, const char *what,
                                const twist_tensor_info *infos, size_t count,
                                const twist_buffer *buffers,
                                const int64_t *dims, void **to,
                                twist_error *error) {
  for (size_t i = 0; i < count; dims += infos[i++].rank) {
    twist_status status =
        check_buffer(what, &infos[i], dims, &buffers[i], error);
    if (status)
      return status;
    to[i] = buffers[i].data;
  }
  return TWIST_OK;
}

twist_status twist_session_run(twist_session *session,
                               const twist_buffer *inputs,
                               const twist_buffer *outputs,
                               twist_error *error) {
  const twist_program *program = session->program;
  const twist_program_table *table = program->table;
  size_t input_count = (size_t)table->input_count;
  twist_status status = set_shape(session, inputs, error);
  if (!status)
    status = set_buffers(session, "input", table->inputs, input_count, inputs,
                         session->dims, session->buffers, error);
  if (!status)
    status = set_buffers(session, "output", table->outputs,
                         (size_t)table->output_count, outputs,
                         session->dims + program->input_dim_count,
                         session->buffers + input_count, error);
  if (status)
    return status;
  session->violated = -1;
  twist_pool_wake(session->pool);
  table->run(session->buffers, session->dims, session->arena, program->weights,
             &session->launcher);
  twist_pool_rest(session->pool);
  if (session->violated >= 0)
    return twist_fail(error, TWIST_ERROR_VALUE, "%s",
                      table->checks[session->violated]);
  return TWIST_OK;
}

twist_status twist_session_profile(twist_session *session, int on,
                                   twist_error *error) {
  free(session->times);
  session->times = NULL;
  if (!on)
    return TWIST_OK;
  size_t count = twist_session_profile_count(session);
  session->times = calloc(count + 1, sizeof(site_time));
  if (!session->times)
    return twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  return TWIST_OK;
}

size_t twist_session_profile_count(const twist_session *session) {
  return (size_t)session->program->table->site_count;
}

twist_profile_entry twist_session_profile_entry(const twist_session *session,
                                                size_t index) {
  twist_profile_entry entry = {"", 0, 0};
  if (index >= twist_session_profile_count(session))
    return entry;
  entry.site = session->program->table->sites[index];
  if (session->times) {
    entry.seconds = session->times[index].seconds;
    entry.calls = session->times[index].calls;
  }
  return entry;
}

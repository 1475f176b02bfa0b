/* The sentence encoder of ./dev demo in C (docs/Programs.md compiles it):
 *   ./embed build/demo/dense 101 1037 2158 2003 5983 2833 1012 102 */
#include "twist/Runtime/twist.h"
#include <stdio.h>
#include <stdlib.h>

static twist_error error;

static void check(twist_status status) {
  if (status != TWIST_OK)
    fprintf(stderr, "error: %s\n", error.message), exit(1);
}

int main(int argc, char **argv) {
  int64_t tokens = argc - 2, ids[512], mask[512];
  if (tokens < 1 || tokens > 512)
    return fprintf(stderr, "usage: embed NAME ID...\n"), 1;
  for (int64_t i = 0; i < tokens; ++i)
    ids[i] = atoll(argv[i + 2]), mask[i] = 1;

  twist_program *program;
  twist_session *session;
  check(twist_program_load(argv[1], 0, &program, &error));
  check(twist_session_create(program, /*threads=*/0, &session, &error));

  int64_t rows[2] = {1, tokens}, out[2], *out_dims[1] = {out};
  const int64_t *in_dims[2] = {rows, rows};
  check(twist_program_output_dims(program, in_dims, out_dims, &error));

  float *embedding = calloc((size_t)out[1], sizeof(float));
  uint64_t bytes = (uint64_t)tokens * sizeof(int64_t);
  twist_buffer inputs[2] = {{ids, bytes, rows}, {mask, bytes, rows}};
  twist_buffer output = {embedding, (uint64_t)out[1] * sizeof(float), out};
  check(twist_session_run(session, inputs, &output, &error));
  printf("%lld numbers: %.6f %.6f %.6f ...\n", (long long)out[1], embedding[0],
         embedding[1], embedding[2]);
  free(embedding);
  twist_session_close(session);
  twist_program_close(program);
}

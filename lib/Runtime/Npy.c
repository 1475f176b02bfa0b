/*===- Npy.c - Arrays in NumPy's file format ------------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include "Internal.h"
#include "twist/Runtime/Output.h"
#include "twist/Runtime/Tools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* NumPy's names of types, indexed by twist_type. */
static const char *const descriptions[] = {"",    "<f8", "<f4", "<f2", "<u2",
                                           "<i8", "<i4", "<i2", "|i1", "<u8",
                                           "<u4", "<u2", "|u1", "|b1"};

twist_status twist_array_allocate(twist_array *array, twist_error *error) {
  int64_t count = twist_element_count(array->dims, array->rank);
  if (count < 0)
    return twist_fail(error, TWIST_ERROR_MEMORY, "an array is too large");
  array->bytes = (uint64_t)count * twist_type_size(array->type);
  size_t reserve = (size_t)(array->bytes + 63) / 64 * 64;
  array->data = aligned_alloc(64, reserve ? reserve : 64);
  if (!array->data)
    return twist_fail(error, TWIST_ERROR_MEMORY,
                      "no memory for an array of %llu bytes",
                      (unsigned long long)array->bytes);
  memset(array->data, 0, (size_t)array->bytes);
  return TWIST_OK;
}

void twist_array_free(twist_array *array) {
  free(array->data);
  array->data = NULL;
}

/*===----------------------------------------------------------------------===*
 * Reading
 *===----------------------------------------------------------------------===*/

/* What follows 'key': in the header's dictionary; null if there is none. */
static const char *find_entry(const char *header, const char *key) {
  const char *at = strstr(header, key);
  if (!at)
    return NULL;
  at += strlen(key);
  return at + strspn(at, " :");
}

static twist_status parse_type(const char *at, twist_array *array,
                               const char *path, twist_error *error) {
  char quote = at ? *at : 0;
  const char *end =
      quote == '\'' || quote == '"' ? strchr(at + 1, quote) : NULL;
  if (end && end - at == 4)
    for (int type = TWIST_F64; type <= TWIST_BOOL; ++type)
      if (type != TWIST_BF16 && !memcmp(descriptions[type], at + 1, 3)) {
        array->type = (twist_type)type;
        return TWIST_OK;
      }
  return twist_fail(
      error, TWIST_ERROR_FORMAT,
      "'%s' holds elements of a type that no program takes (%.*s)", path,
      end ? (int)(end - at + 1) : 0, at ? at : "");
}

static twist_status parse_shape(const char *at, twist_array *array,
                                const char *path, twist_error *error) {
  if (at && *at == '(')
    for (++at;;) {
      at += strspn(at, " ,");
      if (*at == ')')
        return TWIST_OK;
      char *end;
      errno = 0;
      long long size = strtoll(at, &end, 10);
      if (end == at || errno || size < 0 || array->rank == TWIST_MAX_RANK)
        break;
      array->dims[array->rank++] = size;
      at = end;
    }
  return twist_fail(error, TWIST_ERROR_FORMAT,
                    "'%s' has a shape that cannot be read", path);
}

static twist_status parse_header(const char *header, twist_array *array,
                                 const char *path, twist_error *error) {
  const char *order = find_entry(header, "'fortran_order'");
  twist_status status =
      parse_type(find_entry(header, "'descr'"), array, path, error);
  if (!status && (!order || strncmp(order, "False", 5)))
    status = twist_fail(error, TWIST_ERROR_FORMAT,
                        "'%s' is in Fortran order: save it in C order", path);
  if (!status)
    status = parse_shape(find_entry(header, "'shape'"), array, path, error);
  return status;
}

static twist_status read_header(FILE *file, twist_array *array,
                                const char *path, twist_error *error) {
  unsigned char start[12];
  if (fread(start, 1, 10, file) != 10 || memcmp(start, "\x93NUMPY", 6))
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' is not a NumPy array file", path);
  size_t length = start[8] | (size_t)start[9] << 8;
  if (start[6] > 1) { /* versions 2 and 3 have a longer length */
    if (fread(start + 10, 1, 2, file) != 2)
      return twist_fail(error, TWIST_ERROR_FILE, "'%s' is truncated", path);
    length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
  }
  if (length > (1u << 20))
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' has a header of %zu bytes", path, length);
  char *header = calloc(length + 1, 1);
  if (!header)
    return twist_fail(error, TWIST_ERROR_MEMORY, "out of memory");
  twist_status status =
      fread(header, 1, length, file) == length
          ? parse_header(header, array, path, error)
          : twist_fail(error, TWIST_ERROR_FILE, "'%s' is truncated", path);
  free(header);
  return status;
}

/* Closes the file. */
static twist_status read_array(FILE *file, twist_array *array, const char *path,
                               twist_error *error) {
  twist_status status = read_header(file, array, path, error);
  if (!status)
    status = twist_array_allocate(array, error);
  if (!status &&
      fread(array->data, 1, (size_t)array->bytes, file) != array->bytes)
    status = twist_fail(error, TWIST_ERROR_FILE,
                        "'%s' is truncated: %llu bytes of data are needed",
                        path, (unsigned long long)array->bytes);
  fclose(file);
  if (status)
    twist_array_free(array);
  return status;
}

twist_status twist_npy_read(const char *path, twist_array *array,
                            twist_error *error) {
  memset(array, 0, sizeof(*array));
  FILE *file = fopen(path, "rbe");
  if (!file)
    return twist_fail(error, TWIST_ERROR_FILE, "cannot open '%s': %s", path,
                      strerror(errno));
  return read_array(file, array, path, error);
}

twist_status twist_npy_parse(const void *bytes, size_t size, const char *name,
                             twist_array *array, twist_error *error) {
  memset(array, 0, sizeof(*array));
  FILE *file = size ? fmemopen((void *)bytes, size, "rb") : NULL;
  if (!file)
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' is not a NumPy array file", name);
  return read_array(file, array, name, error);
}

/*===----------------------------------------------------------------------===*
 * Writing
 *===----------------------------------------------------------------------===*/

/* The header, padded so that data start at a multiple of 64; its length. */
static size_t format_header(const twist_array *array, char *header,
                            size_t capacity) {
  int at = snprintf(header, capacity,
                    "\x93NUMPY\x01%c__{'descr': '%s', 'fortran_order': False, "
                    "'shape': (",
                    0, descriptions[array->type]);
  for (int32_t d = 0; d < array->rank; ++d)
    at += snprintf(header + at, capacity - (size_t)at, "%lld%s",
                   (long long)array->dims[d],
                   array->rank == 1 || d + 1 < array->rank ? ", " : "");
  at += snprintf(header + at, capacity - (size_t)at, "), }");
  size_t total = ((size_t)at + 1 + 63) / 64 * 64;
  memset(header + at, ' ', total - (size_t)at);
  header[total - 1] = '\n';
  header[8] = (char)((total - 10) & 255);
  header[9] = (char)((total - 10) >> 8);
  return total;
}

/* 0, or errno. */
static int write_all(int file, const void *data, size_t bytes) {
  for (const char *at = data; bytes;) {
    ssize_t written = write(file, at, bytes);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return written < 0 ? errno : ENOSPC;
    at += written;
    bytes -= (size_t)written;
  }
  return 0;
}

twist_status twist_npy_write(const char *path, const twist_array *array,
                             twist_error *error) {
  char header[1024];
  size_t length = format_header(array, header, sizeof(header));
  twist_output output;
  int code = twist_output_open(path, 0666, &output);
  if (!code) {
    code = write_all(output.file, header, length);
    if (!code)
      code = write_all(output.file, array->data, (size_t)array->bytes);
    if (code)
      twist_output_discard(&output);
    else
      code = twist_output_keep(&output);
  }
  return code ? twist_fail(error, TWIST_ERROR_FILE, "cannot write '%s': %s",
                           path, strerror(code))
              : TWIST_OK;
}

/*===- Weights.c - The mapped weights file --------------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include "Internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t huge_page = (size_t)2 << 20;

static twist_status check_header(const twist_weights_header *header,
                                 uint64_t file_bytes,
                                 const twist_program_table *table,
                                 const char *path, twist_error *error) {
  if (memcmp(header->magic, TWIST_WEIGHTS_MAGIC, sizeof(header->magic)))
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' is not a weights file: bad magic", path);
  if (header->version != TWIST_WEIGHTS_VERSION)
    return twist_fail(error, TWIST_ERROR_ABI,
                      "'%s' has weights format %u, this runtime reads %u: "
                      "compile the model again",
                      path, header->version, TWIST_WEIGHTS_VERSION);
  if (header->data_bytes != table->weights_bytes ||
      memcmp(header->sha256, table->weights_sha256, sizeof(header->sha256)))
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' holds the weights of another program", path);
  if (header->data_offset % TWIST_ALIGNMENT ||
      header->data_offset > file_bytes ||
      header->data_bytes > file_bytes - header->data_offset)
    return twist_fail(
        error, TWIST_ERROR_FILE,
        "'%s' is truncated: it has %llu bytes, its header asks "
        "for %llu",
        path, (unsigned long long)file_bytes,
        (unsigned long long)(header->data_offset + header->data_bytes));
  return TWIST_OK;
}

/* The mapping's pages, copied into 2 MiB pages where the system has them. */
static twist_status copy_mapping(twist_program *program, twist_error *error) {
  size_t bytes = program->weights_map_bytes;
  size_t reserve = (bytes + 2 * huge_page - 1) / huge_page * huge_page;
  char *memory = mmap(NULL, reserve, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return twist_fail(error, TWIST_ERROR_MEMORY,
                      "no memory for a copy of the weights (%zu bytes)", bytes);
  madvise(memory, reserve, MADV_HUGEPAGE);
  memcpy(memory, program->weights_mapping, bytes);
  munmap(program->weights_mapping, bytes);
  program->weights_mapping = memory;
  program->weights_map_bytes = reserve;
  return TWIST_OK;
}

static twist_status map_file(twist_program *program, int file, const char *path,
                             unsigned flags, twist_error *error) {
  const twist_program_table *table = program->table;
  twist_weights_header header;
  struct stat info;
  if (fstat(file, &info))
    return twist_fail(error, TWIST_ERROR_FILE, "cannot read '%s': %s", path,
                      strerror(errno));
  if ((uint64_t)info.st_size < sizeof(header) ||
      pread(file, &header, sizeof(header), 0) != (ssize_t)sizeof(header))
    return twist_fail(error, TWIST_ERROR_FILE,
                      "'%s' is truncated: no room for its header", path);
  twist_status status =
      check_header(&header, (uint64_t)info.st_size, table, path, error);
  if (status)
    return status;
  size_t bytes = (size_t)(header.data_offset + header.data_bytes);
  void *mapping = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
  if (mapping == MAP_FAILED)
    return twist_fail(error, TWIST_ERROR_FILE, "cannot map '%s': %s", path,
                      strerror(errno));
  program->weights_mapping = mapping;
  program->weights_map_bytes = bytes;
  if (flags & TWIST_COPY_WEIGHTS && (status = copy_mapping(program, error)))
    return status;
  if (!(flags & TWIST_COPY_WEIGHTS))
    madvise(mapping, bytes, MADV_HUGEPAGE); /* best effort */
  program->weights =
      (const char *)program->weights_mapping + header.data_offset;
  if (!(flags & TWIST_VERIFY_WEIGHTS))
    return TWIST_OK;
  twist_sha256 hash;
  uint8_t digest[32];
  twist_sha256_init(&hash);
  twist_sha256_update(&hash, program->weights, (size_t)header.data_bytes);
  twist_sha256_final(&hash, digest);
  if (memcmp(digest, header.sha256, sizeof(digest)))
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "the data of '%s' do not have the hash of its header",
                      path);
  return TWIST_OK;
}

twist_status twist_weights_open(twist_program *program, const char *path,
                                unsigned flags, twist_error *error) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return twist_fail(error, TWIST_ERROR_FILE, "cannot open '%s': %s", path,
                      strerror(errno));
  twist_status status = map_file(program, file, path, flags, error);
  close(file);
  return status;
}

void twist_weights_close(twist_program *program) {
  if (program->weights_mapping)
    munmap(program->weights_mapping, program->weights_map_bytes);
}

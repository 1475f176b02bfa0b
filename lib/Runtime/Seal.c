/*===- Seal.c - Whether a shared object is whole --------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 * The dynamic loader trusts what it maps: cut off or altered, a file makes it
 * crash. So the file is read and checked before the loader sees it.
 *
 *===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include "Internal.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The start of a file of machine code for this kind of machine. */
static twist_status check_start(const uint8_t *start, uint64_t bytes,
                                const char *path, twist_error *error) {
  Elf64_Ehdr header;
  if (bytes < SELFMAG || memcmp(start, ELFMAG, SELFMAG))
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' is not a compiled program: no machine code", path);
  if (bytes < sizeof(header))
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' is truncated: no room for its header", path);
  memcpy(&header, start, sizeof(header));
  if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB ||
      header.e_machine != EM_X86_64)
    return twist_fail(error, TWIST_ERROR_CPU,
                      "'%s' is for another kind of machine (number %u of ELF): "
                      "this one is an x86-64",
                      path, header.e_machine);
  return TWIST_OK;
}

static twist_status check_file(int file, const char *path, twist_error *error) {
  off_t end = lseek(file, 0, SEEK_END);
  uint64_t size = end > 0 ? (uint64_t)end : 0, at = 0;
  uint64_t sealed = size < sizeof(twist_seal) ? 0 : size - sizeof(twist_seal);
  uint8_t block[1 << 16], digest[32];
  twist_sha256 hash;
  twist_sha256_init(&hash);
  do { /* once for an empty file too */
    uint64_t left = size - at;
    size_t want = left < sizeof(block) ? (size_t)left : sizeof(block);
    ssize_t got = pread(file, block, want, (off_t)at);
    if (got < 0)
      return twist_fail(error, TWIST_ERROR_FILE, "cannot read '%s': %s", path,
                        strerror(errno));
    if ((size_t)got < want)
      return twist_fail(error, TWIST_ERROR_FILE,
                        "'%s' changes while it is read", path);
    twist_status status =
        at ? TWIST_OK : check_start(block, size, path, error);
    if (status)
      return status;
    if (at < sealed)
      twist_sha256_update(&hash, block,
                          (size_t)got < sealed - at ? (size_t)got
                                                    : (size_t)(sealed - at));
    at += (uint64_t)got;
  } while (at < size);
  twist_sha256_final(&hash, digest);
  twist_seal seal;
  if (!sealed ||
      pread(file, &seal, sizeof(seal), (off_t)sealed) != sizeof(seal) ||
      memcmp(seal.magic, TWIST_SEAL_MAGIC, sizeof(seal.magic)))
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' is truncated or not a compiled program: it does "
                      "not end with a seal",
                      path);
  if (seal.bytes != sealed || memcmp(seal.sha256, digest, sizeof(digest)))
    return twist_fail(error, TWIST_ERROR_FORMAT,
                      "'%s' is damaged: it does not have the hash of its seal",
                      path);
  return TWIST_OK;
}

twist_status twist_check_seal(const char *path, twist_error *error) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return twist_fail(error, TWIST_ERROR_FILE, "cannot open '%s': %s", path,
                      strerror(errno));
  twist_status status = check_file(file, path, error);
  close(file);
  return status;
}

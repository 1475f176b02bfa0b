/*===- Output.c - Files that are whole or absent --------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#define _GNU_SOURCE
#include "twist/Runtime/Output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether `path` still names the open file: another writer may have renamed or
 * removed it before we had its lock. */
static int is_at(int file, const char *path) {
  struct stat open, named;
  return !fstat(file, &open) && !lstat(path, &named) &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

/* File systems without locks let everybody through. */
static int is_locked_elsewhere(int file) {
  return flock(file, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
}

/* Removes what a run that was killed has left; 0, or errno. */
static int remove_stale(const char *path) {
  int file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0)
    return errno == ENOENT ? 0 : errno;
  int code = is_locked_elsewhere(file)                              ? EBUSY
             : is_at(file, path) && unlink(path) && errno != ENOENT ? errno
                                                                    : 0;
  close(file);
  return code;
}

/* A new file, locked; -1 after an error, which is in errno. */
static int create_locked(const char *path, unsigned mode) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    int file = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
    if (file >= 0) {
      if (!is_locked_elsewhere(file) && is_at(file, path))
        return file;
      close(file);
      continue;
    }
    int code = errno == EEXIST ? remove_stale(path) : errno;
    if (code) {
      errno = code;
      return -1;
    }
  }
  errno = EBUSY;
  return -1;
}

static void release(twist_output *output) {
  free(output->path);
  free(output->temporary);
  output->path = output->temporary = NULL;
  output->file = -1;
}

int twist_output_open(const char *path, unsigned mode, twist_output *output) {
  output->file = -1;
  output->temporary = NULL;
  output->path = strdup(path);
  if (!output->path || asprintf(&output->temporary, "%s.twist-tmp", path) < 0) {
    free(output->path);
    output->path = output->temporary = NULL;
    return ENOMEM;
  }
  output->file = create_locked(output->temporary, mode);
  int code = output->file < 0 ? errno : 0;
  if (code)
    release(output);
  return code;
}

int twist_output_keep(twist_output *output) {
  /* Closing a copy tells what a network file system could not write; the lock
   * stays until the file has its name, so that nobody takes it for a stale one.
   */
  int copy = dup(output->file);
  int code = copy < 0 || close(copy) ? errno : 0;
  if (!code && rename(output->temporary, output->path))
    code = errno;
  if (code)
    twist_output_discard(output);
  else {
    close(output->file);
    release(output);
  }
  return code;
}

void twist_output_discard(twist_output *output) {
  if (!output->temporary)
    return;
  unlink(output->temporary);
  close(output->file);
  release(output);
}

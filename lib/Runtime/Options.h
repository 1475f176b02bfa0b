/*===- Options.h - Arguments of the commands ------------------------------===*
 *
 * Part of the TwIST toolchain, under the Apache License v2.0 with LLVM
 * Exceptions.
 *
 *===----------------------------------------------------------------------===*/

#ifndef TWIST_LIB_RUNTIME_OPTIONS_H
#define TWIST_LIB_RUNTIME_OPTIONS_H

/* The value of option `name` at argv[*at], given as --name=VALUE or
 * --name VALUE (then *at moves on); null if another argument stands there. */
const char *twist_option_value(const char *name, int argc, char **argv,
                               int *at);

/* Whether `argument` is --name. */
int twist_is_flag(const char *name, const char *argument);

/* A clock that only goes forward. */
double twist_seconds_now(void);

#endif /* TWIST_LIB_RUNTIME_OPTIONS_H */

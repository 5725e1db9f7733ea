/* fuzz.h - what the fuzz targets share.
 *
 * A target is fuzz-<thing>.c: it gives any bytes to a parser and checks what the parser's header promises, by
 * assertions.  libFuzzer calls it in a build with -Dfuzz=true; replay.c calls it with the files of corpus/<thing> in
 * all others, so that an input that once was too much for a parser stays a test.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_FUZZ_H
#define CABFS_TESTS_FUZZ_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Of setup.c: once, before all inputs. */
int LLVMFuzzerInitialize (int *argc, char ***argv);

/* Always 0.  Must not depend on anything but the bytes: neither time, chance nor what came before. */
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* What parsers take that want a string: up to the first NUL, in a block of exactly that length. */
static inline char *fuzz_text (const uint8_t *data, size_t size) {
  return g_strndup ((const char *) data, size);
}

/* Cuts the first line off; what is left moves into @data and @size.  Never NULL, without the newline. */
static inline char *fuzz_line (const uint8_t **data, size_t *size) {
  const uint8_t *end = *size > 0 ? memchr (*data, '\n', *size) : NULL;
  size_t len = end != NULL ? (size_t) (end - *data) : *size;
  char *line = g_strndup ((const char *) *data, len);
  size_t used = end != NULL ? len + 1 : len;
  *data += used;
  *size -= used;
  return line;
}

#endif

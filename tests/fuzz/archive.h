/* archive.h - all that the worker of cache/unpack.h does with an archive, within this process: lists it,
 * extracts every member, and checks what cache/unpack_reader.h promises, by assertions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_TESTS_ARCHIVE_H
#define CABFS_TESTS_ARCHIVE_H

#include <glib.h>

void archive_try (const guint8 *bytes, gsize len);

#endif

/* SPDX-License-Identifier: MIT
 *
 * An archive, as the worker that reads archives gets it: listed, and every member extracted.
 */
#include "tests/fuzz/archive.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) {
  archive_try (data, size);
  return 0;
}

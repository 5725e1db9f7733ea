/* abort.c - finds its own state broken and gives up.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>

static volatile int references = -1;

static void release_device (void) {
  if (references < 0) {
    fputs ("device released twice\n", stderr);
    abort ();
  }
  references--;
}

static void unload (void) {
  release_device ();
}

int main (void) {
  unload ();
  return 0;
}

/* illegal.c - runs into an instruction that must never be reached.
 *
 * SPDX-License-Identifier: MIT
 */
static volatile int state = 7;

static void enter_state (int next) {
  if (next > 4)
    __builtin_trap ();
  state = next;
}

int main (void) {
  enter_state (state);
  return 0;
}

/* recursion.c - follows a list that contains itself, until its own check of the stack stops it.
 *
 * It must stop before the stack is really used up: lldb cannot write a dump for a stack pointer that points nowhere.
 *
 * SPDX-License-Identifier: MIT
 */
#define MOST_FRAMES 400

struct node {
  struct node *next;
  int weight;
};

static volatile int depth;

static void check_stack (void) {
  if (depth > MOST_FRAMES)
    __builtin_trap ();
}

static int total_weight (const struct node *node) {
  depth++;
  check_stack ();
  return node->next != 0 ? total_weight (node->next) + node->weight : 0;
}

int main (void) {
  struct node node = {&node, 1};
  return total_weight (&node);
}

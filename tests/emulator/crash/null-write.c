/* null-write.c - writes through a NULL pointer, three frames deep.
 *
 * SPDX-License-Identifier: MIT
 */
struct packet {
  int length;
  int checksum;
};

static struct packet *volatile nowhere;

static int store_checksum (struct packet *packet, int value) {
  packet->checksum = value;
  return value;
}

static int parse_header (const char *text) {
  return store_checksum (nowhere, text[0]);
}

int main (void) {
  return parse_header ("MSCF");
}

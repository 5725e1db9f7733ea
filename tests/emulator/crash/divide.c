/* divide.c - divides by a rate that the hardware reports as zero.
 *
 * SPDX-License-Identifier: MIT
 */
static volatile int sample_rate;

static int frames_per_second (int frames) {
  return frames * 1000 / sample_rate;
}

int main (void) {
  return frames_per_second (48);
}

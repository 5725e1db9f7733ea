/* SPDX-License-Identifier: MIT */
#include "tests/emulator/payload.h"
#include "client/sync.h"
#include <openssl/evp.h>
#include <string.h>

#define SET_ID_OFFSET 32
#define HASH_STEP     (64 * 1024)

struct EmuPayload {
  CabRefs refs;
  guint64 size; /* these are set at creation */
  guint64 seed;
  GMappedFile *file; /* NULL: synthetic */
  guint16 set_id;

  pthread_mutex_t lock;
  gboolean have_md5; /* lock */
  guint8 md5[16];    /* lock */
};

static EmuPayload *payload_new (guint64 seed, guint64 size) {
  EmuPayload *self = g_new0 (EmuPayload, 1);
  cab_ref_init (&self->refs);
  pthread_mutex_init (&self->lock, NULL);
  self->seed = seed;
  self->size = size;
  return self;
}

EmuPayload *emu_payload_new_synthetic (guint64 seed, guint64 size) {
  return payload_new (seed, size);
}

EmuPayload *emu_payload_new_file (const char *folder, const char *name, guint16 set_id, GError **error) {
  if (strchr (name, '/') != NULL || name[0] == '.') {
    g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "payload \"%s\": the name of a file is wanted", name);
    return NULL;
  }
  g_autofree char *path = g_build_filename (folder, name, NULL);
  GMappedFile *file = g_mapped_file_new (path, FALSE, error);
  if (file == NULL)
    return NULL;
  gsize size = g_mapped_file_get_length (file);
  EmuPayload *self = payload_new (0, size);
  self->file = file;
  if (size >= 36 && memcmp (g_mapped_file_get_contents (file), "MSCF", 4) == 0)
    self->set_id = set_id;
  return self;
}

EmuPayload *emu_payload_new_path (const char *path, GError **error) {
  GMappedFile *file = g_mapped_file_new (path, FALSE, error);
  if (file == NULL)
    return NULL;
  EmuPayload *self = payload_new (0, g_mapped_file_get_length (file));
  self->file = file;
  return self;
}

EmuPayload *emu_payload_ref (EmuPayload *self) {
  cab_ref_take (&self->refs);
  return self;
}

void emu_payload_unref (EmuPayload *self) {
  if (self == NULL || !cab_ref_drop (&self->refs))
    return;
  if (self->file != NULL)
    g_mapped_file_unref (self->file);
  pthread_mutex_destroy (&self->lock);
  g_free (self);
}

guint64 emu_payload_size (const EmuPayload *self) {
  return self->size;
}

/* Scrambles a counter into a word: each bit of @x reaches every bit of the result, neighbours have nothing in
 * common, and words are independent of each other, so the compiler can interleave them. */
static inline guint64 word_at (guint64 seed, guint64 index) {
  guint64 x = seed + index * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  x = (x ^ (x >> 32)) * G_GUINT64_CONSTANT (0xd6e8feb86659fd93);
  x = (x ^ (x >> 29)) * G_GUINT64_CONSTANT (0xca5a826395121157);
  return x ^ (x >> 32);
}

static void read_synthetic (guint64 seed, guint64 off, guint8 *out, gsize len) {
  guint64 index = off / 8;
  guint lead = (guint) (off % 8);
  if (lead != 0 && len > 0) {
    guint64 word = GUINT64_TO_LE (word_at (seed, index++));
    gsize n = MIN (len, 8 - (gsize) lead);
    memcpy (out, (const guint8 *) &word + lead, n);
    out += n;
    len -= n;
  }
  for (; len >= 8; len -= 8, out += 8) {
    guint64 word = GUINT64_TO_LE (word_at (seed, index++));
    memcpy (out, &word, 8);
  }
  if (len > 0) {
    guint64 word = GUINT64_TO_LE (word_at (seed, index));
    memcpy (out, &word, len);
  }
}

static void read_file (const EmuPayload *self, guint64 off, guint8 *out, gsize len) {
  memcpy (out, g_mapped_file_get_contents (self->file) + off, len);
  if (self->set_id == 0)
    return;
  guint8 id[2] = {(guint8) (self->set_id & 0xff), (guint8) (self->set_id >> 8)};
  for (guint i = 0; i < 2; i++)
    if (SET_ID_OFFSET + i >= off && SET_ID_OFFSET + i < off + len)
      out[SET_ID_OFFSET + i - off] = id[i];
}

void emu_payload_read (const EmuPayload *self, guint64 off, void *buffer, gsize len) {
  guint8 *out = buffer;
  gsize n = off >= self->size ? 0 : (gsize) MIN ((guint64) len, self->size - off);
  memset (out + n, 0, len - n);
  if (n == 0)
    return;
  if (self->file != NULL)
    read_file (self, off, out, n);
  else
    read_synthetic (self->seed, off, out, n);
}

static void hash (const EmuPayload *self, const EVP_MD *kind, guint64 off, guint64 len, guint8 *out) {
  g_autofree guint8 *step = g_malloc (HASH_STEP);
  EVP_MD_CTX *context = EVP_MD_CTX_new ();
  EVP_DigestInit_ex (context, kind, NULL);
  while (len > 0) {
    gsize n = (gsize) MIN (len, (guint64) HASH_STEP);
    emu_payload_read (self, off, step, n);
    EVP_DigestUpdate (context, step, n);
    off += n;
    len -= n;
  }
  EVP_DigestFinal_ex (context, out, NULL);
  EVP_MD_CTX_free (context);
}

void emu_payload_md5_range (const EmuPayload *self, guint64 off, guint64 len, guint8 md5[16]) {
  hash (self, EVP_md5 (), off, len, md5);
}

void emu_payload_md5 (EmuPayload *self, guint8 md5[16]) {
  {
    CAB_LOCK_SCOPE (&self->lock);
    if (self->have_md5) {
      memcpy (md5, self->md5, 16);
      return;
    }
  }
  emu_payload_md5_range (self, 0, self->size,
                         md5); /* unlocked: two may make the same at once, which harms nobody */
  CAB_LOCK_SCOPE (&self->lock);
  memcpy (self->md5, md5, 16);
  self->have_md5 = TRUE;
}

char *emu_payload_sha256 (const EmuPayload *self) {
  guint8 digest[32];
  hash (self, EVP_sha256 (), 0, self->size, digest);
  char *text = g_malloc (65);
  for (guint i = 0; i < 32; i++)
    g_snprintf (text + 2 * i, 3, "%02x", digest[i]);
  return text;
}

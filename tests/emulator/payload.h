/* payload.h - the bytes of a blob, readable at any offset and never all in memory at once.
 *
 * Synthetic bytes are a function of (seed, offset): any size up to 2^63, without storage, made at more than 1 GB/s.
 * Files are the cabinets and ZIPs made at build time, mapped; a cabinet may get a set ID of its own (CFHEADER.setID),
 * so that two CABs made of one file still differ.
 *
 * Counted; immutable once made.  Threads: any.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CABFS_EMULATOR_PAYLOAD_H
#define CABFS_EMULATOR_PAYLOAD_H

#include <glib.h>

typedef struct EmuPayload EmuPayload;

EmuPayload *emu_payload_new_synthetic (guint64 seed, guint64 size);

/* @name is a file of @folder, without a slash; @set_id is written into a cabinet's header unless 0. */
EmuPayload *emu_payload_new_file (const char *folder, const char *name, guint16 set_id, GError **error);

/* The file @path as it is. */
EmuPayload *emu_payload_new_path (const char *path, GError **error);

EmuPayload *emu_payload_ref (EmuPayload *self);
void emu_payload_unref (EmuPayload *self);

guint64 emu_payload_size (const EmuPayload *self);

/* Fills @buffer with the @len bytes at @off; zeros beyond the end. */
void emu_payload_read (const EmuPayload *self, guint64 off, void *buffer, gsize len);

/* 16 bytes; of the whole made at the first call and kept. */
void emu_payload_md5 (EmuPayload *self, guint8 md5[16]);
void emu_payload_md5_range (const EmuPayload *self, guint64 off, guint64 len, guint8 md5[16]);

/* 64 hexadecimal digits, new text; of the whole. */
char *emu_payload_sha256 (const EmuPayload *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EmuPayload, emu_payload_unref)

#endif
